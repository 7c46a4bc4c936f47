"""The unit of work of the merger: remote records of one model into local rows, never backwards, edits untouched.

    with merging(synced, keys) as merge:        locks the model and the rows; reads what is known, and the lanes
        merge.take(record, Source.PAGE)         decides (see `classifying`)
                                                at the end: writes rows, then what is known, and tells watchers
    merge.outcome                               what was done, for whoever releases what waited for it

Nothing is written before the end, and what is known of a record is written once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from django_datastore.introspection import SyncedModel
from django_datastore.models import MutationEvent, RecordMetadata
from django_datastore.storage.records import metadata, rows
from django_datastore.storage.records.metadata import Known
from django_datastore.storage.records.rows import Values
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.sync import lanes, removing, reporting, writing
from django_datastore.sync.classifying import (
    Apply,
    Decision,
    Evict,
    Forget,
    HoldBack,
    Refuse,
    Revert,
    Source,
    TakeVersion,
    decide,
)
from django_datastore.sync.removing import Removed
from django_datastore.sync.writing import Written

Hold = RecordMetadata.Hold
Presence = RecordMetadata.Presence
_HERE, _DELETED = str(Presence.HERE), str(Presence.DELETED)
_UNKNOWN = Known()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a merge did, by record key."""

    inserted: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    held: Mapping[str, HoldBack] = field(default_factory=dict)
    incomplete: frozenset[str] = frozenset()
    """Records to be read by their key, since a part of them is unknown."""
    applied: list[str] = field(default_factory=list)
    """Records whose remote state is applied now: what waited for one of them may go on."""
    has_detached: bool = False
    """Rows of registered models lost their parent."""


class Merge:
    """One merge of one model, between opening and writing."""

    def __init__(
        self,
        synced: SyncedModel,
        using: str,
        *,
        run: int,
        known: dict[str, Known],
        lanes: dict[str, list[MutationEvent]],
        here: set[str],
        has_holds: bool,
        together: frozenset[tuple[str, str]],
    ) -> None:
        self.synced = synced
        self.using = using
        self.run = run
        """The run of the model's sync that is under way, or was the last."""
        self.known = known
        self.lanes = lanes
        """The unsent edits by record key, without those that this merge settles."""
        self.here = here
        """The keys that have a row."""
        self.has_holds = has_holds
        """Whether anything of any model is held back, which this merge may release."""
        self.outcome = Outcome()
        """What was done, once the merge is over."""
        self._together = together
        self._decisions: dict[str, Decision] = {}
        self._seen: list[int] = []

    def take(self, record: RemoteRecord, source: Source) -> None:
        """Apply a record, hold it back, or leave it."""
        known = self.known.get(record.key)
        decision = decide(self.synced, record, source, known, self.lanes.get(record.key, ()))
        if decision is not None:
            self._decisions[record.key] = decision
        elif source is Source.PAGE and known is not None and known.id is not None and known.seen_in_run != self.run:
            self._seen.append(known.id)

    def settle(self, key: str, decision: Decision) -> None:
        """Carry out what was decided elsewhere about a record."""
        self._decisions[key] = decision

    def close(self) -> None:
        """Write what was decided: rows, what is known of the records, and the log that watchers read."""
        removed = removing.remove(self.synced, [key for key in self._gone() if key in self.here], self.using)
        written = writing.write(
            self.synced,
            self._living(),
            self._reverts(),
            self.here,
            self.using,
            together=self._together,
        )
        if removed.hindered:  # an edit may have moved what kept a row
            removed = removed.then(removing.remove(self.synced, list(removed.hindered), self.using))
        held = self._held(written, removed)
        states = {
            key: state
            for key, item in self._decisions.items()
            if (state := self._state(key, item, held.get(key), written)) is not None
        }
        reporting.report(self.synced, self.known, states, held)
        for item in self._decisions.values():
            if isinstance(item, Refuse):
                reporting.report_refused(self.synced, item)
        vanished = [key for key in removed.deleted if isinstance(self._decisions[key], Evict)]
        reporting.report_vanished(self.synced, vanished)
        metadata.write(self.synced.label, states, self.using)
        metadata.mark_seen(self._seen, self.run, self.using)
        reporting.tell(self.synced, written, removed, self.using)
        self.outcome = _outcome(written, removed, held, states)

    # -- what was decided, as work -----------------------------------------------------------------------------------

    def _gone(self) -> Iterator[str]:
        for key, item in self._decisions.items():
            if isinstance(item, Evict) or (isinstance(item, Apply) and item.record.deleted):
                yield key

    def _living(self) -> dict[str, Apply]:
        return {
            key: item for key, item in self._decisions.items() if isinstance(item, Apply) and not item.record.deleted
        }

    def _reverts(self) -> dict[str, Values]:
        found: dict[str, Values] = {}
        for key, item in self._decisions.items():
            if isinstance(item, Revert):
                bindings = [(self.synced.by_wire_name[name], value) for name, value in item.base.items()]
                found[key] = {binding.attname: binding.to_python(value) for binding, value in bindings}
        return found

    def _held(self, written: Written, removed: Removed) -> dict[str, HoldBack]:
        found = {key: item for key, item in self._decisions.items() if isinstance(item, HoldBack)}
        for key, why in removed.hindered.items():
            item = self._decisions[key]
            record = item.record if isinstance(item, Apply) else None
            reason = f"It is gone at AppSync and cannot go here: {why}"
            found[key] = HoldBack(record, Hold.CHILDREN, reason)
        return found | written.held

    def _state(self, key: str, item: Decision, hold: HoldBack | None, written: Written) -> Known | None:
        """What is known of a record after this; None where nothing changes."""
        known = self.known.get(key, _UNKNOWN)
        if hold is not None:
            return _held_state(known, hold, self.run)
        if type(item) is Apply:
            return _applied_state(known, item.record, self.run, is_incomplete=key in written.incomplete)
        match item:
            case TakeVersion(record=record):
                state = replace(known, hold=Hold.NONE, remote=None, reason="", waits_for="", seen_in_run=self.run)
                state.version, state.last_changed_at = record.version, record.last_changed_at
                return state
            case Evict(keeps_version=keeps):
                version = known.version if keeps else None
                return Known(known.id, known.wire_key, version, known.last_changed_at, str(Presence.EVICTED))
            case Forget():
                return Known(known.id, known.wire_key, None, known.last_changed_at, str(Presence.EVICTED))
        return None


@contextmanager
def merging(
    synced: SyncedModel,
    keys: Collection[str],
    *,
    using: str | None = None,
    settled: Collection[int] = (),
    together: frozenset[tuple[str, str]] = frozenset(),
) -> Iterator[Merge]:
    """Open a merge of these records, in a transaction; what was decided is written when the block ends.

    `settled` are the ids of outbox entries that are over with this merge. `together` are records, by label and key,
    that will be here when the transaction ends.
    """
    alias = using or outbox_alias()
    with write_transaction(alias):
        run, has_holds = metadata.lock(synced.label, alias)
        merge = Merge(
            synced,
            alias,
            run=run,
            here=rows.here(synced, keys, alias, lock=True),  # rows before lanes, as a save does
            known=metadata.read(synced.label, keys, alias),
            lanes=lanes.of_records(synced.label, keys, alias, without=settled),
            has_holds=has_holds,
            together=together,
        )
        yield merge
        merge.close()


def _applied_state(known: Known, record: RemoteRecord, run: int, *, is_incomplete: bool) -> Known:
    presence = _DELETED if record.deleted else _HERE
    changed_at = record.last_changed_at
    return Known(known.id, record.wire_key, record.version, changed_at, presence, is_incomplete, "", None, "", "", run)


def _held_state(known: Known, hold: HoldBack, run: int) -> Known:
    """The version stays what is applied here, so that the record is news whenever it comes again."""
    return replace(
        known,
        hold=hold.hold,
        remote=hold.record.wire if hold.record is not None else None,
        reason=hold.reason,
        waits_for=hold.waits_for,
        incomplete=known.incomplete or hold.incomplete,
        seen_in_run=run if hold.record is not None else known.seen_in_run,
        wire_key=hold.record.wire_key if hold.record is not None and known.version is None else known.wire_key,
    )


def _outcome(written: Written, removed: Removed, held: Mapping[str, HoldBack], states: Mapping[str, Known]) -> Outcome:
    return Outcome(
        inserted=written.inserted,
        updated=written.updated,
        deleted=list(removed.deleted),
        held=held,
        incomplete=written.incomplete | {key for key, item in held.items() if item.incomplete},
        applied=[key for key in states if key not in held],
        has_detached=bool(removed.detached),
    )
