"""Settings of the Celery worker that tests kill: the test project, in a hurry.

What differs from test to test comes by environment: DATABASE_URL, APPSYNC_ENDPOINT, APPSYNC_API_KEY, DEMO_DIR.
"""

from __future__ import annotations

import os

from testproject.settings import *  # noqa: F403
from testproject.settings import BROKER_DIR, DATASTORE, VAR_DIR

DATASTORE = {
    **DATASTORE,
    "MUTATION_BATCH_SIZE": 3,
    "REQUEST_TIMEOUT_SECONDS": 1.5,
    "LEASE_SECONDS": 2.0,
    "SLICE_SECONDS": 1.0,
    "POLL_SYNC_SECONDS": 3,
    "SYNC_PAGE_SIZE": int(os.environ.get("SYNC_PAGE_SIZE", "1000")),
}
CELERY_BROKER_URL = "files://"  # a queue of its own, even where there is a Redis
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": str(BROKER_DIR),
    "data_folder_out": str(BROKER_DIR),
    "control_folder": str(VAR_DIR / "broker-control"),
    "polling_interval": 0.05,
}
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_BEAT_SCHEDULE = {"datastore-sweep": {"task": "django_datastore.sweep", "schedule": 0.3}}
CELERY_BEAT_MAX_LOOP_INTERVAL = 0.1
