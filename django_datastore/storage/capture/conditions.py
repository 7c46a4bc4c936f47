"""The condition of a running `DataStore.save` or `DataStore.delete`: it belongs to the first write of one record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django_datastore.types import WireRecord


class _Bound:
    """A condition that waits for the write it belongs to."""

    __slots__ = ("condition", "lane")

    def __init__(self, lane: tuple[str, str], condition: WireRecord | None) -> None:
        self.lane = lane
        self.condition = condition


_bound: ContextVar[_Bound | None] = ContextVar("django_datastore_condition", default=None)


@contextmanager
def bound(label: str, key: str, condition: WireRecord | None) -> Iterator[None]:
    """Inside, the next write of this record carries `condition` to the server; what receivers write does not."""
    token = _bound.set(_Bound((label, key), condition))
    try:
        yield
    finally:
        _bound.reset(token)


def take(label: str, key: str) -> WireRecord | None:
    """The condition of this write, if it has one. A second write of the record has none."""
    found = _bound.get()
    if found is None or found.lane != (label, key):
        return None
    condition, found.condition = found.condition, None
    return condition
