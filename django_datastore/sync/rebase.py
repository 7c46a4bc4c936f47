"""Three-way merging of unsent edits with a newer remote record: what an edit touches, and where both sides met."""

from __future__ import annotations

from collections.abc import Sequence

from django_datastore.introspection import SyncedModel
from django_datastore.models import MutationEvent
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.types import Operation, WireRecord


def touched(lane: Sequence[MutationEvent]) -> frozenset[str]:
    """The fields that unsent edits set."""
    return frozenset(name for event in lane for name in event.data)


def is_safe(sync: SyncedModel, record: RemoteRecord, lane: Sequence[MutationEvent]) -> bool:
    """Whether the edits can be put on top of the remote record without deciding a conflict.

    They can if all are plain updates that nobody is sending just now, and the remote record still has, in every field
    they touch, what it had before the edit, or what the edit makes of it. Else AppSync decides, by the version.
    """
    if record.deleted:
        return False
    base: WireRecord = {}
    goal: WireRecord = {}
    for event in lane:
        if event.operation != Operation.UPDATE or event.outcome_unknown or event.state == MutationEvent.State.IN_FLIGHT:
            return False
        base = {**event.base, **base}
        goal |= event.data
    return all(_agrees(sync, name, record.wire.get(name), base.get(name), goal[name]) for name in goal)


def _agrees(sync: SyncedModel, name: str, remote: object, before: object, after: object) -> bool:
    binding = sync.by_wire_name.get(name)
    if binding is None:
        return True
    return binding.same(remote, before) or binding.same(remote, after)


def rejected_fields(sync: SyncedModel, sent: WireRecord, answer: WireRecord) -> list[str]:
    """The sent fields whose value the answer does not carry. A list that grew around the sent elements is fine."""
    return [
        name
        for name, value in sent.items()
        if name in answer
        and name in sync.by_wire_name
        and not sync.by_wire_name[name].same(value, answer[name])
        and not _contains(answer[name], value)
    ]


def _contains(outer: object, inner: object) -> bool:
    return isinstance(outer, list) and isinstance(inner, list) and all(item in outer for item in inner)
