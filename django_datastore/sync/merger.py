"""The merger (DataStore's `sync/merger.ts`): remote records into local rows, never backwards, unsent edits untouched.

Every merge of a model holds the lock of its `ModelMetadata` row, then locks the rows it may write, and only then looks
at the lanes: the same order as a save, which locks its row before it appends to the lane. What cannot be applied is
held in `RecordMetadata` and applied later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db.models import QuerySet

from django_datastore import registry
from django_datastore.introspection import SyncedModel
from django_datastore.models import Conflict, ModelMetadata, MutationEvent, RecordMetadata
from django_datastore.storage.announcements import announcer
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.sync import conflict, lanes, rebase
from django_datastore.sync.merge_page import Counts, MergePage, apply, decide, mark_seen, open_page, rebase_onto
from django_datastore.types import Operation, WireRecord

Hold = RecordMetadata.Hold
Presence = RecordMetadata.Presence
_CHUNK = 500


def merge_page(
    sync: SyncedModel, wires: Sequence[WireRecord], *, seen_in_run: int | None = None, using: str | None = None
) -> Counts:
    """Merge records of one model in one transaction. A record that does not fit is held, never the whole page.

    `seen_in_run` marks the records as returned by that base sync, for mark and sweep.
    """
    alias = using or outbox_alias()
    with write_transaction(alias):
        lock_models([sync], alias)
        records = _newest(sync, wires, alias)
        page = open_page(sync, records, alias)
        for record in records.values():
            decide(page, record)
        if seen_in_run is not None:
            mark_seen(page, records, seen_in_run)
        counts = apply(page)
        _release_holds(page)
    return counts


def acknowledge(
    sync: SyncedModel, answers: Sequence[tuple[MutationEvent, WireRecord | None]], claimed: Sequence[MutationEvent]
) -> None:
    """Settle mutations AppSync answered; `None` is a record that is gone there. Call it in a transaction.

    Of `claimed`, only entries this worker still owns are settled. What an answer does not confirm becomes a `Conflict`.
    """
    alias = outbox_alias()
    keys = [event.record_key for event, _ in answers]
    page = open_page(sync, keys, alias)
    mine = {event.pk for event in lanes.owned(claimed)}
    settled = [(event, wire) for event, wire in answers if event.pk in mine]
    for event, wire in settled:
        lane = page.lanes.get(event.record_key, [])
        page.lanes[event.record_key] = [item for item in lane if item.pk != event.pk]
        if wire is None:
            _forget(page, event)
            continue
        record = RemoteRecord.parse(sync, wire)
        _report_rejected(sync, event, record)
        decide(page, record)
    apply(page)
    _release_holds(page)
    lanes.settle(event for event, _ in settled)


def take_over(sync: SyncedModel, event: MutationEvent, wire: WireRecord, resolution: conflict.Resolution) -> None:
    """Carry out what the conflict handler decided about an edit AppSync refused. Call it in a transaction."""
    alias = outbox_alias()
    lock_models([sync], alias)
    page = open_page(sync, [event.record_key], alias)
    lanes.assert_owned(event)
    record = RemoteRecord.parse(sync, wire)
    if resolution.keeps_edit:
        event.data = {**event.data, **resolution.fields} if event.operation != Operation.DELETE else {}
        event.operation = Operation.UPDATE if event.operation == Operation.CREATE else event.operation
        event.base = {name: record.wire.get(name) for name in event.data}
        event.save(using=alias)
        others = [item for item in page.lanes[event.record_key] if item.pk != event.pk]
        rebase_onto(page, record, [event, *others])
    else:
        reason = "The conflict handler kept AppSync's record."
        conflict.record(
            Conflict.Kind.DISCARDED, sync, event.record_key, reason=reason, local=event.data, remote=record.wire
        )
        lanes.settle([event])
        page.lanes[event.record_key] = [item for item in page.lanes[event.record_key] if item.pk != event.pk]
        decide(page, RemoteRecord.parse(sync, {**_unset(sync, event, wire), **wire}))
    apply(page)


def _unset(sync: SyncedModel, event: MutationEvent, wire: WireRecord) -> WireRecord:
    """Null for what the edit had set and the record lacks: in an error AppSync leaves out what never had a value."""
    bindings = sync.by_wire_name
    return {name: None for name in event.data if name in bindings and name not in wire and bindings[name].field.null}


def discard(event: MutationEvent) -> bool:
    """Give an edit up on a person's word: a held remote state is applied, else the fields go back to what they were.

    Returns False for an entry that is in flight or gone already.
    """
    alias = outbox_alias()
    sync = registry.get(event.model)
    with write_transaction(alias):
        lock_models([sync], alias)
        page = open_page(sync, [event.record_key], alias)
        row = MutationEvent.objects.using(alias).select_for_update().filter(pk=event.pk).first()
        if row is None or row.state == MutationEvent.State.IN_FLIGHT:
            return False
        reason = "Discarded by a person."
        conflict.record(Conflict.Kind.DISCARDED, sync, row.record_key, reason=reason, local=row.data)
        key = row.record_key
        page.lanes[key] = [item for item in page.lanes.get(key, []) if item.pk != row.pk]
        row.delete(using=alias)
        metadata = page.metadata_of(key)
        if metadata.remote is not None:
            decide(page, RemoteRecord.parse(sync, metadata.remote))
        elif row.operation == Operation.UPDATE and not page.lanes[key] and key in page.existing:
            bindings = sync.by_wire_name
            page.upserts[key] = {bindings[name].attname: bindings[name].to_python(row.base[name]) for name in row.base}
        elif row.operation == Operation.DELETE:
            metadata.version = None
            ModelMetadata.objects.using(alias).filter(model=sync.label).update(last_sync=None)
        apply(page)
    announcer.announce_on_commit(alias)
    return True


def lock_models(syncs: Iterable[SyncedModel], using: str) -> None:
    """Serialise merges model by model, in one order everywhere."""
    labels = sorted({sync.label for sync in syncs})
    metadata = ModelMetadata.objects.using(using)
    if len(metadata.filter(pk__in=labels).select_for_update().order_by("pk")) < len(labels):
        metadata.bulk_create([ModelMetadata(model=label) for label in labels], ignore_conflicts=True)
        list(metadata.filter(pk__in=labels).select_for_update().order_by("pk"))


def retry_holds(sync: SyncedModel, *, using: str | None = None) -> Counts:
    """Try again what was held because of a missing parent or of children, or because of edits that are gone by now."""
    alias = using or outbox_alias()
    held = RecordMetadata.objects.using(alias).filter(model=sync.label, remote__isnull=False)
    wires = _held_records(held.exclude(hold__in=[Hold.NONE, Hold.QUARANTINED]))
    return merge_page(sync, wires, using=alias) if wires else Counts()


def sweep(sync: SyncedModel, started_at: int, *, run: int, using: str | None = None) -> int:
    """Remove rows a finished base sync did not return (house decision 11). Returns how many.

    Rows with unsent edits, rows that were never synced, and rows that changed since the sync began stay.
    """
    alias = using or outbox_alias()
    with write_transaction(alias):
        lock_models([sync], alias)
        gone = RecordMetadata.objects.using(alias).filter(
            model=sync.label, version__isnull=False, presence=Presence.HERE, last_changed_at__lt=started_at
        )
        keys = list(gone.exclude(seen_in_run=run).values_list("record_key", flat=True))
        page = open_page(sync, keys, alias)
        for key in keys:
            if page.lanes.get(key):
                continue
            metadata = page.metadata_of(key)
            metadata.presence, metadata.hold, metadata.remote = Presence.DELETED, Hold.NONE, None
            if key in page.existing:
                page.deletes.append(key)
                if sync.sync_expression is None:  # else it may just have left the expression
                    reason = "AppSync no longer returns this record."
                    conflict.record(Conflict.Kind.VANISHED, sync, key, reason=reason)
        return apply(page).deleted


def _newest(sync: SyncedModel, wires: Sequence[WireRecord], using: str) -> dict[str, RemoteRecord]:
    """The newest record of each key; what cannot even be read becomes a `Conflict`."""
    found: dict[str, RemoteRecord] = {}
    for wire in wires:
        try:
            record = RemoteRecord.parse(sync, wire)
        except ValueError as exc:
            conflict.record(Conflict.Kind.QUARANTINED, sync, "[]", reason=str(exc), remote=wire)
            continue
        if record.key not in found or found[record.key].version < record.version:
            found[record.key] = record
    return found


def _forget(page: MergePage, event: MutationEvent) -> None:
    """AppSync has no such record any more."""
    metadata = page.metadata_of(event.record_key)
    metadata.presence, metadata.hold, metadata.remote = Presence.DELETED, Hold.NONE, None


def _report_rejected(sync: SyncedModel, event: MutationEvent, record: RemoteRecord) -> None:
    """A success that does not carry what was sent: the server's merge kept another value (promise 9)."""
    if record.deleted and event.operation == Operation.DELETE:
        return
    rejected = rebase.rejected_fields(sync, event.data, record.wire)
    if rejected:
        conflict.record(
            Conflict.Kind.REJECTED,
            sync,
            event.record_key,
            reason=f"AppSync kept its own value of {', '.join(sorted(rejected))}.",
            local={name: event.data[name] for name in rejected},
            remote=record.wire,
        )


def _release_holds(page: MergePage) -> None:
    """Apply what waited for the rows this merge wrote or removed."""
    metadata = RecordMetadata.objects.using(page.using)
    if page.upserts:
        waited = [f"{page.sync.label} {key}" for key in page.upserts]
        for start in range(0, len(waited), _CHUNK):
            orphans = metadata.filter(hold=Hold.MISSING_PARENT, waits_for__in=waited[start : start + _CHUNK])
            for label in set(orphans.values_list("model", flat=True)):
                _merge_held(label, _held_records(orphans.filter(model=label)), page.using)
    if page.deletes:
        for _, parent in page.sync.foreign_keys:
            held = metadata.filter(hold=Hold.CHILDREN, model=parent.label)
            _merge_held(parent.label, _held_records(held), page.using)


def _held_records(metadata: QuerySet[RecordMetadata]) -> list[WireRecord]:
    return [wire for wire in metadata.values_list("remote", flat=True) if wire is not None]


def _merge_held(label: str, wires: list[WireRecord], using: str) -> None:
    sync = next((item for item in registry.all() if item.label == label), None)
    if sync is not None and wires:
        merge_page(sync, wires, using=using)
