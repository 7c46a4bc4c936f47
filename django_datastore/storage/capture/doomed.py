"""The rows that a run of Django's collector is about to delete, kept as they were before it began.

What it deletes it may detach first: on databases that check foreign keys at once (MariaDB) each row whose foreign key
takes null, elsewhere a row with two ways to what is deleted. That is no change to tell of; and who may watch a deleted
row is decided by the whole row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextvars import ContextVar
from typing import Any

from django.db.models.deletion import Collector

from django_datastore.storage.capture import stored
from django_datastore.storage.capture.stored import Rows
from django_datastore.storage.captured import CapturedModel


class _Doomed:
    def __init__(self, collector: Collector) -> None:
        self.pks: dict[Any, set[Any]] = {}
        for model, instances in collector.data.items():
            self.pks.setdefault(model._meta.concrete_model, set()).update(each.pk for each in instances)
        self.rows: dict[CapturedModel, Rows] = {}


_current: ContextVar[_Doomed | None] = ContextVar("django_datastore_doomed", default=None)


def delete(original: Callable[..., Any], collector: Collector) -> Any:
    """As `Collector.delete`: deletes what was collected, and detaches what is to stay."""
    if not collector.field_updates:
        return original(collector)
    token = _current.set(_Doomed(collector))
    try:
        return original(collector)
    finally:
        _current.reset(token)


def staying(captured: CapturedModel, pks: Collection[Any], using: str) -> Collection[Any]:
    """Those of the rows that are not about to be deleted. The others are kept, before anything is done to them."""
    doomed = _current.get()
    if doomed is None or not (going := doomed.pks.get(captured.model._meta.concrete_model, set()).intersection(pks)):
        return pks
    known = doomed.rows.setdefault(captured, {})
    known.update(stored.rows(captured, going - known.keys(), captured.columns, using, lock=True))
    return [pk for pk in pks if pk not in going]


def as_they_were(captured: CapturedModel, rows: Rows) -> Rows:
    """Rows that are deleted now, before the collector detached them."""
    doomed = _current.get()
    if doomed is None or not (known := doomed.rows.get(captured)):
        return rows
    return {pk: known.get(pk, row) for pk, row in rows.items()}
