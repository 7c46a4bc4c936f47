"""Can we reach AppSync? The last answer, shared by all processes in the database, and when to ask again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from django_datastore.models import Setting
from django_datastore.storage.transactions import begun_again, outbox_alias, write_transaction

_KEY = "reachability"


def is_unreachable() -> bool:
    """Whether the last request found AppSync unreachable."""
    return _read() is not None


def may_probe(now: datetime | None = None) -> bool:
    """Whether somebody may try: AppSync is reachable as far as we know, or the pause after the last failure is over."""
    state = _read()
    if state is None:
        return True
    at = parse_datetime(state["next_probe_at"])
    return at is None or at <= (now or timezone.now())


@begun_again
def failed(pause: Callable[[int], timedelta]) -> bool:
    """A request found AppSync unreachable. Returns whether that is news.

    `pause` says how long to wait after that many failures in a row.
    """
    now = timezone.now()
    using = outbox_alias()
    with write_transaction(using):
        row = Setting.objects.using(using).select_for_update().filter(pk=_KEY).first()
        state: dict[str, Any] = row.value if row and row.value else {"failures": 0}
        is_news = bool(state["failures"] == 0)
        state["failures"] += 1
        state["next_probe_at"] = (now + pause(state["failures"])).isoformat()
        Setting.objects.using(using).update_or_create(key=_KEY, defaults={"value": state})
    return is_news


def succeeded() -> bool:
    """A request got through. Returns whether that is news."""
    return _read() is not None and bool(Setting.objects.using(outbox_alias()).filter(pk=_KEY).delete()[0])


def probe_now() -> None:
    """Forget the pause: whoever looks next may try at once."""
    state = _read()
    if state is not None:
        state["next_probe_at"] = timezone.now().isoformat()
        Setting.objects.using(outbox_alias()).filter(pk=_KEY).update(value=state)


def _read() -> dict[str, Any] | None:
    row = Setting.objects.using(outbox_alias()).filter(pk=_KEY).first()
    found: dict[str, Any] | None = row.value if row else None
    return found
