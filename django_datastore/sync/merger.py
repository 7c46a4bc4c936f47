"""The merger's doors (DataStore's `sync/merger.ts`): pages, events and answers of AppSync into local rows.

Each is one or more merges (see `merging`), in one transaction. What a merge holds back is tried again when what it
waits for comes or goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django_datastore import registry
from django_datastore.exceptions import AnotherApi
from django_datastore.introspection import SyncedModel
from django_datastore.models import Conflict, ModelMetadata, MutationEvent, RecordMetadata
from django_datastore.storage.announcements import announcer
from django_datastore.storage.records import metadata
from django_datastore.storage.records.wire_rows import WireRows, wire_rows
from django_datastore.storage.refusals import raise_trouble
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.storage.transactions import begun_again, outbox_alias, write_transaction
from django_datastore.sync import arriving, conflict, lanes, rebase, releasing
from django_datastore.sync.classifying import Evict, Forget, Revert, Source, is_of_another_api, on_top
from django_datastore.sync.merging import Merge, Outcome, merging
from django_datastore.types import Operation, WireRecord

_SWEEP = 1000
"""How many records are swept in one transaction."""


@dataclass(slots=True)
class Counts:
    """What merges did to local rows."""

    new: int = 0
    updated: int = 0
    deleted: int = 0

    def add(self, other: Counts) -> None:
        """Add up the pages of a run."""
        self.new += other.new
        self.updated += other.updated
        self.deleted += other.deleted


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of a page or a batch."""

    counts: Counts = field(default_factory=Counts)
    incomplete: frozenset[str] = frozenset()
    """Records to be read by their key, since a part of them did not come."""
    has_orphans: bool = False
    """Some wait for a parent that is not here."""


@dataclass(frozen=True, slots=True)
class Readable:
    """Records of a page, the newest of each key."""

    records: dict[str, RemoteRecord] = field(default_factory=dict)
    refused: list[tuple[object, str]] = field(default_factory=list)
    """What is no record that can be stored, with the reason."""

    def without(self, keys: Collection[str]) -> Readable:
        """What is left when these are stored."""
        if not keys:
            return self
        return Readable({key: item for key, item in self.records.items() if key not in keys}, self.refused)


def read(synced: SyncedModel, wires: Iterable[object]) -> Readable:
    """The newest record of each key, and what cannot be read. Asks no database, so that a thread may do it beside."""
    found = Readable()
    for wire in wires:
        try:
            record = RemoteRecord.parse(synced, wire)  # type: ignore[arg-type]
        except ValueError as exc:
            found.refused.append((wire, str(exc)))
            continue
        other = found.records.get(record.key)
        if other is not None and other.wire_key != record.wire_key and not (other.deleted or record.deleted):
            found.refused.append((wire, f"a {synced.name} record whose key is the same here as another's"))
        elif other is None or other.version < record.version:
            found.records[record.key] = record
    return found


def prepare(synced: SyncedModel, found: Readable, using: str | None = None) -> Readable:
    """Make new rows of records beforehand, where the fields' values are plain. Asks no database either."""
    table = wire_rows(synced, using or outbox_alias())
    if table.is_plain:
        for record in found.records.values():
            if not record.deleted:
                record.row = _row(table, record)
    return found


def _row(table: WireRows, record: RemoteRecord) -> tuple[Any, ...] | None:
    try:
        return table.row(record.key, record.wire)
    except Exception as exc:  # it is not whole, or does not fit: it is looked at again when it is merged
        raise_trouble(exc)
        return None


def merge_page(
    synced: SyncedModel, wires: Sequence[WireRecord], *, source: Source = Source.PAGE, using: str | None = None
) -> Merged:
    """Merge records of one model in one transaction. One that does not fit is held back, never the whole page."""
    return merge_read(synced, read(synced, wires), source=source, using=using)


@begun_again
def merge_read(
    synced: SyncedModel,
    found: Readable,
    *,
    source: Source = Source.PAGE,
    settled_before: int | None = None,
    is_first: bool = False,
    using: str | None = None,
) -> Merged:
    """`merge_page` for records that were read beforehand.

    `settled_before` (server's ms) is for pages of base syncs: what is known of records that nobody has changed since
    must not be newer than the page, or it comes from another API; then nothing is stored, and `AnotherApi` raised.
    With `is_first` they are expected to be new, and those that can be are stored as such (see `arriving`).
    """
    alias = using or outbox_alias()
    with write_transaction(alias):
        new = arriving.store(synced, found.records, alias) if is_first else arriving.NONE
        releasing.look_again(synced, new.keys, alias)
        if new.releases:
            releasing.release_children(synced, new.keys, alias)
        left = found.without(new.keys)
        merged = _merge(synced, left, source, settled_before, alias) if left.records or left.refused else Merged()
    merged.counts.new += len(new.keys)
    return merged


def _merge(
    synced: SyncedModel,
    found: Readable,
    source: Source,
    settled_before: int | None,
    using: str,
) -> Merged:
    with merging(synced, found.records, using=using) as merge:
        for wire, reason in found.refused:
            conflict.record_once(synced, "[]", reason=reason, remote=wire)  # type: ignore[arg-type]
        if settled_before is not None:
            _require_same_api(merge, found.records, settled_before)
        for record in found.records.values():
            merge.take(record, source)
    releasing.release(merge)
    outcome = merge.outcome
    orphans = any(item.hold == RecordMetadata.Hold.MISSING_PARENT for item in outcome.held.values())
    return Merged(_counts(outcome), outcome.incomplete, orphans)


def acknowledge(
    synced: SyncedModel, answers: Sequence[tuple[MutationEvent, WireRecord | None]], claimed: Sequence[MutationEvent]
) -> None:
    """Settle mutations AppSync answered; `None` is a record that it does not have. Call it in a transaction.

    Of `claimed`, only entries this worker still owns are settled. What an answer does not confirm becomes a `Conflict`.
    """
    keys = [event.record_key for event, _ in answers]
    with merging(synced, keys, settled=[event.pk for event, _ in answers]) as merge:
        mine = {event.pk for event in lanes.owned(claimed)}
        settled = [(event, wire) for event, wire in answers if event.pk in mine]
        for event, wire in settled:
            if wire is None:
                _forget(merge, event)
            else:
                record = RemoteRecord.parse(synced, wire)
                _report_rejected(synced, event, record)
                merge.take(record, Source.ANSWER)
        lanes.settle(event for event, _ in settled)
    releasing.release(merge)


def take_over(synced: SyncedModel, event: MutationEvent, wire: WireRecord, resolution: conflict.Resolution) -> None:
    """Carry out what the conflict handler decided about an edit AppSync refused. Call it in a transaction."""
    key = event.record_key
    with merging(synced, [key], settled=[event.pk]) as merge:
        lanes.assert_owned(event)
        if resolution.keeps_edit:
            record = RemoteRecord.parse(synced, wire)
            _put_on_top(event, record, resolution, merge.using)
            merge.settle(key, on_top(record, Source.ANSWER, [event, *merge.lanes.get(key, ())]))
        else:
            reason = "The conflict handler kept AppSync's record."
            conflict.record(Conflict.Kind.DISCARDED, synced, key, reason=reason, local=event.data, remote=wire)
            lanes.settle([event])
            merge.take(RemoteRecord.parse(synced, {**_unset(synced, event, wire), **wire}), Source.ANSWER)
    releasing.release(merge)


def _put_on_top(event: MutationEvent, record: RemoteRecord, resolution: conflict.Resolution, using: str) -> None:
    event.data = {**event.data, **resolution.fields} if event.operation != Operation.DELETE else {}
    event.operation = Operation.UPDATE if event.operation == Operation.CREATE else event.operation
    event.base = {name: record.wire.get(name) for name in event.data}
    event.save(using=using)


def _unset(synced: SyncedModel, event: MutationEvent, wire: WireRecord) -> WireRecord:
    """Null for what the edit had set and the record lacks: in an error AppSync leaves out what never had a value."""
    bindings = synced.by_wire_name
    return {name: None for name in event.data if name in bindings and name not in wire and bindings[name].field.null}


@begun_again
def discard(event: MutationEvent) -> bool:
    """Give an edit up on a person's word: a held remote state is applied, else the fields go back to what they were.

    Returns False for an entry that is in flight or gone already.
    """
    alias = outbox_alias()
    synced = registry.get(event.model)
    with write_transaction(alias):
        with merging(synced, [event.record_key], using=alias, settled=[event.pk]) as merge:
            row = MutationEvent.objects.using(alias).select_for_update().filter(pk=event.pk).first()
            if row is None or row.state == MutationEvent.State.IN_FLIGHT:
                return False
            reason = "Discarded by a person."
            conflict.record(Conflict.Kind.DISCARDED, synced, row.record_key, reason=reason, local=row.data)
            row.delete(using=alias)
            _take_back(merge, row)
        releasing.release(merge)
        announcer.announce_on_commit(alias)
    return True


def _take_back(merge: Merge, event: MutationEvent) -> None:
    """What becomes of the row without the edit."""
    key = event.record_key
    known = merge.known.get(key)
    if known is not None and known.remote is not None:
        merge.take(RemoteRecord.parse(merge.synced, known.remote), Source.PAGE)
    elif event.operation == Operation.UPDATE and not merge.lanes.get(key) and key in merge.here:
        merge.settle(
            key, Revert(key, {name: value for name, value in event.base.items() if name in merge.synced.by_wire_name})
        )
    elif event.operation == Operation.DELETE:
        merge.settle(key, Forget(key))
        ModelMetadata.objects.using(merge.using).filter(model=merge.synced.label).update(last_sync=None)


def sweep(synced: SyncedModel, *, run: int, using: str | None = None) -> int:
    """Remove rows that no page, event or answer of the finished base sync `run` has shown. Returns how many.

    Rows with unsent edits, and rows that were never synced, stay. Once another run has begun nothing goes: it has seen
    other records, and sweeps by itself.
    """
    alias = using or outbox_alias()
    deleted, last = 0, ""
    while unseen := metadata.unseen(synced.label, run, after=last, limit=_SWEEP, using=alias):
        deleted += _sweep(synced, unseen, run, alias)
        last = unseen[-1]
    return deleted


@begun_again
def _sweep(synced: SyncedModel, keys: Sequence[str], run: int, using: str) -> int:
    keeps_version = synced.sync_expression is not None
    with write_transaction(using):
        with merging(synced, keys, using=using) as merge:
            for key in keys if merge.run == run else ():
                known = merge.known.get(key)  # an event may have brought it since we looked
                if known is not None and known.seen_in_run != run and not merge.lanes.get(key):
                    merge.settle(key, Evict(key, keeps_version))
        releasing.release(merge)
    return len(merge.outcome.deleted)


def retry_holds(synced: SyncedModel | None = None, *, everything: bool = False, using: str | None = None) -> Counts:
    """Try again what is held back, of one model or of all; records that wait for one another are stored together.

    What did not fit by itself is tried only if `everything` is asked for: else it waits for a newer version, or shape.
    """
    counts = Counts()
    for outcome in releasing.retry(synced, everything=everything, using=using or outbox_alias()):
        counts.add(_counts(outcome))
    return counts


def retry_records(names: Iterable[tuple[str, str]]) -> int:
    """Try again these held records, by label and key. Returns how many are held no more."""
    by_label: dict[str, list[str]] = {}
    for label, key in names:
        by_label.setdefault(label, []).append(key)
    return sum(releasing.retry_records(label, keys, outbox_alias()) for label, keys in by_label.items())


def _require_same_api(merge: Merge, records: dict[str, RemoteRecord], settled_before: int) -> None:
    known = [key for key in records if key in merge.known and merge.known[key].version is not None]
    older = [key for key in known if is_of_another_api(records[key], merge.known[key], settled_before)]
    if len(older) * 2 > len(known):
        raise AnotherApi.with_older_records(merge.synced.name, len(older), len(known))


def _counts(outcome: Outcome) -> Counts:
    return Counts(len(outcome.inserted), len(outcome.updated), len(outcome.deleted))


def _forget(merge: Merge, event: MutationEvent) -> None:
    """AppSync has no such record. Of one that it once had this is no success, and somebody should know."""
    known = merge.known.get(event.record_key)
    if known is not None and known.version is not None:
        reason = f"AppSync has no {merge.synced.name} with this key any more, not even a deleted one."
        conflict.record(Conflict.Kind.VANISHED, merge.synced, event.record_key, reason=reason, local=event.data)
    merge.settle(event.record_key, Forget(event.record_key))


def _report_rejected(synced: SyncedModel, event: MutationEvent, record: RemoteRecord) -> None:
    """A success that does not carry what was sent: the server's merge kept another value (never silent)."""
    if record.deleted and event.operation == Operation.DELETE:
        return
    rejected = rebase.rejected_fields(synced, event.data, record.wire)
    if rejected:
        conflict.record(
            Conflict.Kind.REJECTED,
            synced,
            event.record_key,
            reason=f"AppSync kept its own value of {', '.join(sorted(rejected))}.",
            local={name: event.data[name] for name in rejected},
            remote=record.wire,
        )
