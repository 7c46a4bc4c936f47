"""The test project's settings with the benchmarks' own models, on the database named by BENCH_DATABASE_URL.

BENCH_DIR is where files go, and where the `django_datastore` is that is measured.
"""

from __future__ import annotations

import os
from pathlib import Path

import django_datastore
from testproject.settings import *  # noqa: F403
from testproject.settings import DATABASES, INSTALLED_APPS, database_from_url

DIRECTORY = Path(os.environ["BENCH_DIR"])
assert Path(django_datastore.__file__).is_relative_to(DIRECTORY), f"{django_datastore.__file__} is not to be measured."
DEBUG = False
INSTALLED_APPS = [*(name for name in INSTALLED_APPS if name != "testproject.blog"), "benchmarks"]
ROOT_URLCONF = "django_datastore.appsync_local.urls"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]

DATABASES["default"] = database_from_url(
    os.environ.get("BENCH_DATABASE_URL", f"sqlite:///{DIRECTORY / 'site.sqlite3'}")
)
DATABASES["default"]["TEST"] = {"NAME": f"{DATABASES['default']['NAME']}_bench"}
DATABASES["appsync_local"] = database_from_url(f"sqlite:///{DIRECTORY / 'appsync.sqlite3'}")

# An endpoint, so that each commit is announced as in production; those that sync name a real one.
ENDPOINT = os.environ.get("BENCH_ENDPOINT", "http://127.0.0.1:1/graphql")
DATASTORE = {"ENDPOINT": ENDPOINT, "AUTH_MODE": "API_KEY", "API_KEY": "da2-bench"}
APPSYNC_LOCAL = {"API_KEY": "da2-bench"}
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, str] = {}
CELERY_BEAT_SCHEDULE: dict[str, object] = {}
