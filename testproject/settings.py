"""Settings of the test project: embedded defaults, real servers by URL from the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("DEMO_DIR", BASE_DIR / "var"))
"""Everything a run leaves behind: databases, queues, logs. `manage.py` needs it as much as `make demo` does."""
BROKER_DIR = VAR_DIR / "broker"
BROKER_DIR.mkdir(parents=True, exist_ok=True)

REDIS_URL = os.environ.get("REDIS_URL", "")
"""With it Celery and the channel layer use Redis; without it nothing but Python has to be installed."""


def database_from_url(url: str) -> dict[str, Any]:
    """`sqlite:///path`, `postgres://user:password@host:port/name` or `mysql://…` (MariaDB) as an entry of DATABASES."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": unquote(parts.path.removeprefix("/")),
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    engines = {"postgres": "postgresql", "postgresql": "postgresql", "mysql": "mysql"}
    found: dict[str, Any] = {
        "ENGINE": f"django.db.backends.{engines[parts.scheme]}",
        "NAME": unquote(parts.path.removeprefix("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or dict(parse_qsl(parts.query)).get("host", ""),  # a socket's directory comes as ?host=
        "PORT": str(parts.port or ""),
    }
    if parts.scheme == "mysql":
        found["OPTIONS"] = {
            "charset": "utf8mb4",
            "isolation_level": "read committed",
            "init_command": "SET sql_mode='STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
        }
    return found


SECRET_KEY = "the demo is for one machine only"
DEBUG = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ROOT_URLCONF = "testproject.urls"
ASGI_APPLICATION = "testproject.asgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_datastore",
    "django_datastore.appsync_local",
    "testproject.blog",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {
    "default": database_from_url(os.environ.get("DATABASE_URL", f"sqlite:///{VAR_DIR / 'site.sqlite3'}")),
    "appsync_local": database_from_url(
        os.environ.get("APPSYNC_LOCAL_DATABASE_URL", f"sqlite:///{VAR_DIR / 'appsync.sqlite3'}")
    ),
}
DATABASE_ROUTERS = ["django_datastore.appsync_local.routers.AppSyncLocalRouter"]

APPSYNC_URL = os.environ.get("APPSYNC_URL", "http://127.0.0.1:8001/graphql")
"""Where the local server listens. The demo's other device talks to it directly."""
DATASTORE: dict[str, Any] = {
    "ENDPOINT": os.environ.get("APPSYNC_ENDPOINT", APPSYNC_URL),
    "AUTH_MODE": "API_KEY",
    "API_KEY": os.environ.get("APPSYNC_API_KEY", "da2-local"),
}
APPSYNC_LOCAL = {"API_KEY": DATASTORE["API_KEY"]}
if "DEMO_DIR" in os.environ:
    # AppSync is on this machine: an answer that takes longer than this will not come, and after a crash
    # nobody wants to watch a lease run for a minute.
    DATASTORE |= {"REQUEST_TIMEOUT_SECONDS": 5.0, "LEASE_SECONDS": 8.0, "SLICE_SECONDS": 5.0}
LINE_CONTROL = os.environ.get("LINE_CONTROL", "")
"""Host and port that cut and mend the demo's line to AppSync (testproject/demo/line.py); empty: no switch."""

AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "testproject.blog.backends.PublicBlogBackend"]

CELERY_BROKER_URL = REDIS_URL or "files://"  # a queue in a directory: testproject/broker.py
if not REDIS_URL:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(BROKER_DIR),
        "data_folder_out": str(BROKER_DIR),
        "control_folder": str(VAR_DIR / "broker-control"),
        "polling_interval": 0.05,
    }
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_ENABLE_REMOTE_CONTROL = bool(REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE = {"datastore-sweep": {"task": "django_datastore.sweep", "schedule": 5.0}}
CELERY_BEAT_MAX_LOOP_INTERVAL = 0.5  # beat looks for a stop signal this often
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")

if REDIS_URL:
    # The pub/sub layer: it loses nothing to a full channel, and redis-py's socket time-out does not close its sockets.
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL], "prefix": "datastore-demo"},
        }
    }
