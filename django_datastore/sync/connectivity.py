"""Are we connected? One answer for all processes, in the database: while AppSync cannot be reached nobody sends.

After an outage the engine catches up before it sends: edits are then put on top of what changed elsewhere meanwhile.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from django_datastore import events
from django_datastore.models import Setting
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.sync import backoff

logger = logging.getLogger(__name__)

_KEY = "connectivity"
_PROBE_CAP_MS = 15_000
"""How long at most until the next look whether AppSync is back."""


def is_offline() -> bool:
    """Whether the last request found AppSync unreachable."""
    return _read() is not None


def may_probe(now: datetime | None = None) -> bool:
    """Whether somebody may try: we are online, or the pause after the last failure is over."""
    state = _read()
    if state is None:
        return True
    at = parse_datetime(state["next_probe_at"])
    return at is None or at <= (now or timezone.now())


def went_offline(now: datetime | None = None) -> None:
    """A request found AppSync unreachable."""
    now = now or timezone.now()
    using = outbox_alias()
    with write_transaction(using):
        row = Setting.objects.using(using).select_for_update().filter(pk=_KEY).first()
        state: dict[str, Any] = row.value if row and row.value else {"since": now.isoformat(), "failures": 0}
        was_online = state["failures"] == 0
        state["failures"] += 1
        state["next_probe_at"] = (now + backoff.delay(state["failures"], cap_ms=_PROBE_CAP_MS)).isoformat()
        Setting.objects.using(using).update_or_create(key=_KEY, defaults={"value": state})
    if was_online:
        logger.warning("AppSync cannot be reached; what is written waits in the outbox.", extra={"action": "offline"})
        events.send(events.network_status, active=False)


def came_online() -> None:
    """A request got through."""
    if _read() is None:
        return
    if (
        Setting.objects.using(outbox_alias())
        .filter(pk=_KEY, value__isnull=False)
        .exclude(value=None)
        .update(value=None)
    ):
        logger.info("AppSync can be reached again.", extra={"action": "online"})
        events.send(events.network_status, active=True)


def _read() -> dict[str, str] | None:
    row = Setting.objects.using(outbox_alias()).filter(pk=_KEY).first()
    found: dict[str, str] | None = row.value if row else None
    return found
