"""The test host: the test project on the database named by TEST_DATABASE_URL, else on a SQLite file."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from testproject.settings import *  # noqa: F403
from testproject.settings import DATABASES, INSTALLED_APPS, database_from_url

if "DATASTORE_TEST_DIR" not in os.environ:  # the processes that tests start share it
    os.environ["DATASTORE_TEST_DIR"] = tempfile.mkdtemp(prefix="datastore-test-")
    atexit.register(shutil.rmtree, os.environ["DATASTORE_TEST_DIR"], ignore_errors=True)
TEST_DIR = Path(os.environ["DATASTORE_TEST_DIR"])
SECRET_KEY = "test"
INSTALLED_APPS = [
    *INSTALLED_APPS,
    "django.contrib.postgres",  # for the columns of tests.kinds
    "tests.shop",
    "tests.kinds",
    "tests.odd.apps.OddConfig",
]

DATABASES["default"] = database_from_url(
    os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{TEST_DIR / 'site.sqlite3'}"
)
DATABASES["appsync_local"] = database_from_url(f"sqlite:///{TEST_DIR / 'appsync.sqlite3'}")
for alias, entry in DATABASES.items():
    if entry["ENGINE"].endswith("sqlite3"):
        entry["TEST"] = {"NAME": str(TEST_DIR / f"test_{alias}.sqlite3")}

# without an endpoint nothing is nudged; tests that talk to AppSync name one
DATASTORE = {"AUTH_MODE": "API_KEY", "API_KEY": "da2-test"}
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, str] = {}
CELERY_BEAT_SCHEDULE: dict[str, object] = {}
CHANNEL_LAYERS: dict[str, object] = {}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
