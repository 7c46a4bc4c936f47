"""What becomes of a remote record, decided from what is known of it and from its unsent edits. Pure: no database.

is it news? ── no ─▶ None (nothing new)
    │ yes
unsent edits? ── no ─▶ Apply
    │ yes            ── they fit on top ─▶ Apply, without the fields they set
    └───────────────── they do not ─▶ Hold until they are sent or given up
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from django_datastore.introspection import SyncedModel
from django_datastore.models import MutationEvent, RecordMetadata
from django_datastore.storage.records.metadata import Known
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.sync import rebase
from django_datastore.types import Operation

Hold = RecordMetadata.Hold
Presence = RecordMetadata.Presence


class Source(enum.Enum):
    """Where a record comes from: not all of them are trusted alike."""

    PAGE = "page"
    """A page of a sync query, a read by key, or what was held back before."""
    ANSWER = "answer"
    """The answer to a mutation of ours."""
    EVENT = "event"
    """A subscription's message: it may come late, and carries what another client selected."""


@dataclass(slots=True)
class Apply:
    """Write the record, or remove its row if it is deleted."""

    record: RemoteRecord
    source: Source
    without: frozenset[str] = frozenset()
    """The wire fields that unsent edits have set."""


@dataclass(frozen=True, slots=True)
class TakeVersion:
    """Build the unsent edits on this version, and leave the row as it is."""

    record: RemoteRecord


@dataclass(frozen=True, slots=True)
class HoldBack:
    """Keep the record until it can be applied. Without a record: the row is to go, as `Evict` says."""

    record: RemoteRecord | None
    hold: str
    reason: str
    waits_for: str = ""
    traceback: str = ""
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """A record that nothing can be known of here: another of the same key is."""

    record: RemoteRecord
    reason: str


@dataclass(frozen=True, slots=True)
class Evict:
    """A finished base sync did not return the record: its row goes."""

    key: str
    keeps_version: bool
    """It may just have left the sync expression; else no version of it is known any more."""


@dataclass(frozen=True, slots=True)
class Forget:
    """AppSync has no such record: it is known no more. Its row, if there is one, stays."""

    key: str


@dataclass(frozen=True, slots=True)
class Revert:
    """Put fields of the row back to what they were before an edit that was given up."""

    key: str
    base: dict[str, object]
    """The former values by wire name."""


Decision: TypeAlias = Apply | TakeVersion | HoldBack | Refuse | Evict | Forget | Revert


def decide(
    synced: SyncedModel,
    record: RemoteRecord,
    source: Source,
    known: Known | None = None,
    lane: Sequence[MutationEvent] = (),
) -> Decision | None:
    """What becomes of a record, or None if it is no news."""
    if known is not None:
        record = _newest_of(synced, record, source, known)
        if not is_news(record, source, known):
            return None
        if _is_twin(record, known):
            reason = f"AppSync has another {synced.name} whose key is the same here; both cannot be stored."
            return None if record.deleted else Refuse(record, reason)
    if not lane:
        return Apply(record, source)
    if rebase.is_safe(synced, record, lane):
        return on_top(record, source, lane)
    return HoldBack(record, Hold.LOCAL_EDITS, "It waits for local edits that are not sent yet.")


def on_top(record: RemoteRecord, source: Source, lane: Sequence[MutationEvent]) -> Apply | TakeVersion:
    """Take the remote state under unsent edits: their fields stay, everything else is AppSync's."""
    if record.deleted or any(event.operation == Operation.DELETE for event in lane):
        return TakeVersion(record)
    return Apply(record, source, without=rebase.touched(lane))


def is_news(record: RemoteRecord, source: Source, known: Known) -> bool:
    """Whether a record says something newer than what was applied (never backwards)."""
    if known.version is None:  # never applied, or swept: an event may be late
        return source is not Source.EVENT or known.presence != Presence.EVICTED
    if record.version == known.version:
        return known.incomplete or known.presence == Presence.EVICTED
    return record.version > known.version or (source is Source.PAGE and _is_made_anew(record, known))


def _is_made_anew(record: RemoteRecord, known: Known) -> bool:
    """A lower version that is younger: the record was deleted, its tombstone expired, and its key was used again."""
    if record.last_changed_at is None or known.last_changed_at is None:
        return False
    return record.last_changed_at > known.last_changed_at


def is_of_another_api(record: RemoteRecord, known: Known | None, before: int) -> bool:
    """Whether a record is older than what we know of it, though nobody changed it since `before` (server's ms)."""
    if known is None or known.version is None or known.last_changed_at is None or record.last_changed_at is None:
        return False
    is_older = record.version < known.version and record.last_changed_at <= known.last_changed_at
    return is_older and known.last_changed_at < before


def _newest_of(synced: SyncedModel, record: RemoteRecord, source: Source, known: Known) -> RemoteRecord:
    """The record, or the newer one that is held back."""
    if known.remote is None:
        return record
    try:
        held = RemoteRecord.parse(synced, known.remote)
    except ValueError:  # the registration changed
        return record
    if held.version <= record.version or (source is Source.PAGE and _is_younger(record, held)):
        return record
    return held


def _is_younger(record: RemoteRecord, held: RemoteRecord) -> bool:
    return (record.last_changed_at or 0) > (held.last_changed_at or 0)


def _is_twin(record: RemoteRecord, known: Known) -> bool:
    is_here = known.version is not None and known.presence == Presence.HERE
    return is_here and record.wire_key != known.wire_key
