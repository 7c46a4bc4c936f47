"""The Celery door. A task is only a nudge: the outbox row is the truth, and `sweep` repairs every nudge that was lost.

Put the sweep into the beat schedule:

    CELERY_BEAT_SCHEDULE = {"datastore-sweep": {"task": "django_datastore.sweep", "schedule": 10.0}}
"""

from __future__ import annotations

import logging
from contextlib import suppress

from celery import shared_task
from kombu.exceptions import OperationalError

from django_datastore import conf, registry
from django_datastore.exceptions import NotRunning, SyncError
from django_datastore.sync import engine, lanes

logger = logging.getLogger(__name__)

_NUDGE_EXPIRES_SECONDS = 60


@shared_task(name="django_datastore.drain", ignore_result=True)
def drain() -> None:
    """Send what is due for one short slice; if more is due, ask for another slice."""
    with suppress(NotRunning):
        if engine.current().drain():
            nudge()


@shared_task(name="django_datastore.sweep", ignore_result=True)
def sweep() -> None:
    """Free what dead workers left, send what is due, ask AppSync for changes where nobody listens, prune."""
    if not conf.settings.ENDPOINT or not engine.is_running():
        return
    current = engine.current()
    current.prune()
    lanes.recover_expired()
    try:
        current.poll_if_due()
    except SyncError as exc:
        logger.warning("Polling AppSync failed: %s", exc.message)
    drain()


@shared_task(name="django_datastore.sync", ignore_result=True)
def sync(models: list[str] | None = None, full: bool = False) -> None:
    """Ask AppSync for what changed in these models (labels or wire names; all by default)."""
    with suppress(SyncError):
        engine.current().sync([registry.get(name) for name in models] if models else None, full=full)


def nudge() -> None:
    """Ask a worker to drain; without an endpoint there is nothing to send to."""
    if not conf.settings.ENDPOINT:
        return
    try:
        drain.apply_async(expires=_NUDGE_EXPIRES_SECONDS, retry=False)
    except OperationalError as exc:
        logger.warning("The broker cannot be reached, so the next sweep sends: %s", exc)
