"""What a registration's conflict handler gets and may answer, and the `Conflict` rows that make trouble visible."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from django.db import transaction

from django_datastore import events
from django_datastore.introspection import SyncedModel
from django_datastore.models import Conflict, MutationEvent
from django_datastore.storage.keysets import chunks
from django_datastore.storage.refusals import storable
from django_datastore.storage.transactions import outbox_alias
from django_datastore.types import Operation, WireRecord

_KEY_LENGTH = 500


class _Discard(enum.Enum):
    DISCARD = "DISCARD"

    def __repr__(self) -> str:
        return "django_datastore.DISCARD"


DISCARD: Final = _Discard.DISCARD
"""A conflict handler's answer: give the local edit up and take the server's record (DataStore's `DISCARD`)."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What becomes of a local edit the server refused."""

    keeps_edit: bool
    fields: WireRecord = field(default_factory=dict)
    """The fields to send instead, by wire name; empty for the edit as it was."""


@dataclass(frozen=True, slots=True)
class VersionConflict:
    """AppSync refused an edit because the record changed there (DataStore's `SyncConflict`)."""

    model: type[Any]
    operation: Operation
    local: WireRecord
    """The fields the edit sets, by wire name."""
    base: WireRecord
    """The same fields as they were before the edit."""
    remote: WireRecord
    """AppSync's record."""
    attempts: int
    """How often this edit has been tried, 1 for the first time."""

    def keep_local(self) -> Resolution:
        """Send the edit again on top of AppSync's record: its own fields win, all others are AppSync's."""
        return Resolution(keeps_edit=True)

    def keep_remote(self) -> Resolution:
        """Give the edit up."""
        return Resolution(keeps_edit=False)

    def merged(self, **fields: Any) -> Resolution:
        """Send these fields (wire names, JSON values) instead of the edit's."""
        return Resolution(keeps_edit=True, fields=fields)


def resolve(synced: SyncedModel, event: MutationEvent, remote: WireRecord) -> Resolution:
    """Ask the model's conflict handler. Raises `TypeError` for an answer that is none."""
    conflict = VersionConflict(
        model=synced.model,
        operation=Operation(event.operation),
        local=event.data,
        base=event.base,
        remote=remote,
        attempts=event.attempts,
    )
    answer = synced.resolve_conflict(conflict)
    if answer is DISCARD:
        return conflict.keep_remote()
    if not isinstance(answer, Resolution):
        raise TypeError(
            f"{type(synced).__name__}.resolve_conflict returned {answer!r}. Return conflict.keep_local(), "
            "conflict.keep_remote(), conflict.merged(...) or DISCARD."
        )
    return answer


def record(
    kind: Conflict.Kind,
    synced: SyncedModel,
    key: str,
    *,
    reason: str,
    local: WireRecord | None = None,
    remote: WireRecord | None = None,
    traceback: str = "",
) -> Conflict:
    """Leave a row somebody can see, and tell receivers of `conflict_detected` once it has committed."""
    using = outbox_alias()
    row = Conflict.objects.using(using).create(
        kind=kind,
        model=synced.label,
        record_key=storable(key, _KEY_LENGTH),
        reason=storable(reason),
        local=local,
        remote=remote,
        traceback=traceback,
    )
    tell: Callable[[], None] = partial(events.send, events.conflict_detected, synced.model, conflict=row)
    transaction.on_commit(tell, using=using, robust=True)
    return row


def record_once(synced: SyncedModel, key: str, *, reason: str, remote: WireRecord | None) -> None:
    """Report a record that comes with every sync and cannot be stored, if it has not been reported as it is now."""
    found = Conflict.objects.using(outbox_alias()).filter(
        kind=Conflict.Kind.QUARANTINED,
        model=synced.label,
        record_key=storable(key, _KEY_LENGTH),
        reason=storable(reason),
    )
    if all(row.remote != remote for row in found):
        record(Conflict.Kind.QUARANTINED, synced, key, reason=reason, remote=remote)


def resolve_quarantine(synced: SyncedModel, keys: Sequence[str]) -> None:
    """These records are stored now: nobody need look at why they were not."""
    for chunk in chunks(keys):
        rows = Conflict.objects.using(outbox_alias()).filter(kind=Conflict.Kind.QUARANTINED, model=synced.label)
        rows.filter(record_key__in=chunk).delete()
