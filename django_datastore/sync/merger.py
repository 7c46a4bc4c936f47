"""The merger (DataStore's `sync/merger.ts`): remote records into local rows, never backwards, unsent edits untouched.

Every merge of a model holds the lock of its `ModelMetadata` row, then locks the rows it may write, and only then looks
at the lanes: the same order as a save, which locks its row before it appends to the lane. What cannot be applied is
held in `RecordMetadata` and applied later.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import QuerySet

from django_datastore import registry
from django_datastore.introspection import SyncedModel
from django_datastore.models import Conflict, ModelMetadata, MutationEvent, RecordMetadata
from django_datastore.storage import rows
from django_datastore.storage.announcements import announcer
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.sync import conflict, lanes, rebase
from django_datastore.types import Operation, WireRecord

logger = logging.getLogger(__name__)
Hold = RecordMetadata.Hold
_CHUNK = 500


@dataclass(slots=True)
class Counts:
    """What a merge did to local rows."""

    new: int = 0
    updated: int = 0
    deleted: int = 0

    def add(self, other: Counts) -> None:
        """Add up the pages of a run."""
        self.new += other.new
        self.updated += other.updated
        self.deleted += other.deleted


@dataclass(slots=True)
class _Page:
    """One merge of one model: what is known, and what is decided."""

    sync: SyncedModel
    using: str
    existing: dict[str, dict[str, Any]]
    metadata: dict[str, RecordMetadata]
    lanes: dict[str, list[MutationEvent]]
    upserts: dict[str, dict[str, Any]] = field(default_factory=dict)
    remotes: dict[str, RemoteRecord] = field(default_factory=dict)
    deletes: list[str] = field(default_factory=list)
    touched: dict[str, RecordMetadata] = field(default_factory=dict)

    def metadata_of(self, key: str) -> RecordMetadata:
        found = self.metadata.get(key)
        if found is None:
            found = self.metadata[key] = RecordMetadata(model=self.sync.label, record_key=key)
        self.touched[key] = found
        return found


def merge_page(
    sync: SyncedModel, wires: Sequence[WireRecord], *, seen_in_sync: int | None = None, using: str | None = None
) -> Counts:
    """Merge records of one model in one transaction. A record that does not fit is held, never the whole page.

    `seen_in_sync` marks the records as returned by that base sync, for mark and sweep.
    """
    alias = using or outbox_alias()
    with write_transaction(alias):
        lock_models([sync], alias)
        records = _newest(sync, wires, alias)
        page = _open(sync, records, alias)
        for record in records.values():
            _decide(page, record)
        if seen_in_sync is not None:
            _mark_seen(page, records, seen_in_sync)
        counts = _apply(page)
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
    page = _open(sync, keys, alias)
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
        _decide(page, record)
    _apply(page)
    _release_holds(page)
    lanes.settle(event for event, _ in settled)


def take_over(sync: SyncedModel, event: MutationEvent, wire: WireRecord, resolution: conflict.Resolution) -> None:
    """Carry out what the conflict handler decided about an edit AppSync refused. Call it in a transaction."""
    alias = outbox_alias()
    lock_models([sync], alias)
    page = _open(sync, [event.record_key], alias)
    lanes.assert_owned(event)
    record = RemoteRecord.parse(sync, wire)
    if resolution.keeps_edit:
        event.data = {**event.data, **resolution.fields} if event.operation != Operation.DELETE else {}
        event.operation = Operation.UPDATE if event.operation == Operation.CREATE else event.operation
        event.base = {name: record.wire.get(name) for name in event.data}
        event.save(using=alias)
        others = [item for item in page.lanes[event.record_key] if item.pk != event.pk]
        _rebase_onto(page, record, [event, *others])
    else:
        reason = "The conflict handler kept AppSync's record."
        conflict.record(
            Conflict.Kind.DISCARDED, sync, event.record_key, reason=reason, local=event.data, remote=record.wire
        )
        lanes.settle([event])
        page.lanes[event.record_key] = [item for item in page.lanes[event.record_key] if item.pk != event.pk]
        _decide(page, record)
    _apply(page)


def discard(event: MutationEvent) -> bool:
    """Give an edit up on a person's word: a held remote state is applied, else the fields go back to what they were.

    Returns False for an entry that is in flight or gone already.
    """
    alias = outbox_alias()
    sync = registry.get(event.model)
    with write_transaction(alias):
        lock_models([sync], alias)
        page = _open(sync, [event.record_key], alias)
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
            _decide(page, RemoteRecord.parse(sync, metadata.remote))
        elif row.operation == Operation.UPDATE and not page.lanes[key] and key in page.existing:
            bindings = sync.by_wire_name
            page.upserts[key] = {bindings[name].attname: bindings[name].to_python(row.base[name]) for name in row.base}
        elif row.operation == Operation.DELETE:
            metadata.version = None
            ModelMetadata.objects.using(alias).filter(model=sync.label).update(last_sync=None)
        _apply(page)
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


def sweep(sync: SyncedModel, started_at: int, *, using: str | None = None) -> int:
    """Remove rows a finished base sync did not return (house decision 11). Returns how many.

    Rows with unsent edits, rows that were never synced, and rows that changed since the sync began stay.
    """
    alias = using or outbox_alias()
    with write_transaction(alias):
        lock_models([sync], alias)
        gone = RecordMetadata.objects.using(alias).filter(
            model=sync.label, version__isnull=False, deleted=False, last_changed_at__lt=started_at
        )
        keys = list(gone.exclude(seen_in_sync=started_at).values_list("record_key", flat=True))
        page = _open(sync, keys, alias)
        for key in keys:
            if page.lanes.get(key):
                continue
            metadata = page.metadata_of(key)
            metadata.deleted, metadata.hold, metadata.remote = True, Hold.NONE, None
            if key in page.existing:
                page.deletes.append(key)
                if sync.sync_expression is None:  # else it may just have left the expression
                    reason = "AppSync no longer returns this record."
                    conflict.record(Conflict.Kind.VANISHED, sync, key, reason=reason)
        return _apply(page).deleted


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


def _open(sync: SyncedModel, keys: Iterable[str], using: str) -> _Page:
    wanted = list(keys)
    existing = rows.stored(sync, wanted, using, lock=True)
    metadata: dict[str, RecordMetadata] = {}
    waiting: dict[str, list[MutationEvent]] = {}
    for start in range(0, len(wanted), _CHUNK):
        of_these = {"model": sync.label, "record_key__in": wanted[start : start + _CHUNK]}
        metadata |= {item.record_key: item for item in RecordMetadata.objects.using(using).filter(**of_these)}
        for event in MutationEvent.objects.using(using).filter(**of_these).order_by("id"):
            waiting.setdefault(event.record_key, []).append(event)
    return _Page(sync, using, existing, metadata, waiting)


def _decide(page: _Page, record: RemoteRecord) -> None:
    """Apply a record, hold it back, or leave it: promises 6 and 7."""
    known = page.metadata.get(record.key)
    if known is not None and known.remote is not None and known.remote["_version"] > record.version:
        record = RemoteRecord.parse(page.sync, known.remote)
    if known is not None and known.version is not None and record.version <= known.version:
        return
    lane = page.lanes.get(record.key)
    if not lane:
        _plan(page, record)
    elif rebase.is_safe(page.sync, record, lane):
        _rebase_onto(page, record, lane)
    else:
        _hold(page, record, Hold.LOCAL_EDITS, "It waits for local edits that are not sent yet.")


def _rebase_onto(page: _Page, record: RemoteRecord, lane: Sequence[MutationEvent]) -> None:
    """Take the remote state under unsent edits: their fields stay, everything else is AppSync's."""
    if record.deleted or any(event.operation == Operation.DELETE for event in lane):
        metadata = page.metadata_of(record.key)
        metadata.version, metadata.last_changed_at = record.version, record.last_changed_at
        metadata.hold, metadata.remote = Hold.NONE, None
    else:
        _plan(page, record, without=rebase.touched(lane))


def _plan(page: _Page, record: RemoteRecord, *, without: frozenset[str] = frozenset()) -> None:
    """Decide to write a record, unless something keeps it from being written now."""
    key = record.key
    if record.deleted:
        if key in page.existing and rows.has_children(page.sync, key, page.using):
            _hold(page, record, Hold.CHILDREN, "It is deleted remotely; rows that hang on it are still here.")
            return
        if key in page.existing:
            page.deletes.append(key)
        page.upserts.pop(key, None)
    else:
        try:
            page.upserts[key] = record.values(page.sync, without=without)
        except ValueError as exc:
            _quarantine(page, record, str(exc))
            return
    page.remotes[key] = record
    metadata = page.metadata_of(key)
    metadata.version, metadata.last_changed_at = record.version, record.last_changed_at
    metadata.deleted = record.deleted
    metadata.hold, metadata.remote, metadata.reason, metadata.waits_for = Hold.NONE, None, "", ""


def _hold(page: _Page, record: RemoteRecord, hold: Hold, reason: str, *, waits_for: str = "") -> None:
    page.upserts.pop(record.key, None)
    metadata = page.metadata_of(record.key)
    metadata.hold, metadata.remote, metadata.reason, metadata.waits_for = hold, record.wire, reason, waits_for


def _quarantine(page: _Page, record: RemoteRecord, reason: str) -> None:
    known = page.metadata_of(record.key)
    is_news = known.hold != Hold.QUARANTINED or (known.remote or {}).get("_version") != record.version
    _hold(page, record, Hold.QUARANTINED, reason)
    if is_news:
        conflict.record(Conflict.Kind.QUARANTINED, page.sync, record.key, reason=reason, remote=record.wire)


def _apply(page: _Page) -> Counts:
    """Write what was decided."""
    _hold_orphans(page)
    try:
        with transaction.atomic(using=page.using):
            rows.upsert(page.sync, page.upserts, page.existing, page.using)
    except DatabaseError:
        _upsert_singly(page)
    rows.delete(page.sync, page.deletes, page.using)
    _store_metadata(page)
    new = sum(1 for key in page.upserts if key not in page.existing)
    counts = Counts(new=new, updated=len(page.upserts) - new, deleted=len(page.deletes))
    if page.upserts or page.deletes:
        announcer.announce_on_commit(page.using)
    return counts


def _hold_orphans(page: _Page) -> None:
    """Hold records whose parent is not here (house decision 12)."""
    pointing: dict[str, list[tuple[str, str, str]]] = {}
    targets: dict[str, SyncedModel] = {}
    for key in page.upserts:
        record = page.remotes.get(key)
        for name, (target, parent) in (record.foreign_keys(page.sync) if record else {}).items():
            targets[target.label] = target
            pointing.setdefault(target.label, []).append((parent, key, name))
    for label, pairs in pointing.items():
        target = targets[label]
        here = rows.present(target, {parent for parent, _, _ in pairs}, page.using)
        if label == page.sync.label:
            here |= page.upserts.keys()
        for parent, key, name in pairs:
            if parent not in here and key in page.upserts:
                _orphan(page, key, name, target, parent)


def _orphan(page: _Page, key: str, name: str, target: SyncedModel, parent: str) -> None:
    binding = page.sync.by_wire_name[name]
    metadata = RecordMetadata.objects.using(page.using)
    if binding.field.null and metadata.filter(model=target.label, record_key=parent, deleted=True).exists():
        page.upserts[key][binding.attname] = None
        return
    known, record = page.metadata[key], page.remotes[key]
    stored = RecordMetadata.objects.using(page.using).filter(pk=known.pk).first() if known.pk else None
    known.version = stored.version if stored else None
    known.last_changed_at = stored.last_changed_at if stored else None
    reason = f"Its {name} points to {target.name} {parent}, which is not here yet."
    _hold(page, record, Hold.MISSING_PARENT, reason, waits_for=f"{target.label} {parent}")


def _upsert_singly(page: _Page) -> None:
    """The database refused the page: write record by record and quarantine those it refuses."""
    for key, values in list(page.upserts.items()):
        try:
            with transaction.atomic(using=page.using):
                rows.upsert(page.sync, {key: values}, page.existing, page.using)
        except DatabaseError as exc:
            record = page.remotes.get(key)
            if record is None:
                raise
            page.metadata[key].version = None
            _quarantine(page, record, f"The database refused it: {exc}")


def _store_metadata(page: _Page) -> None:
    names = ["version", "last_changed_at", "deleted", "hold", "remote", "reason", "waits_for", "seen_in_sync"]
    RecordMetadata.objects.using(page.using).bulk_create(
        [
            RecordMetadata(**{name: getattr(item, name) for name in ["model", "record_key", *names]})
            for item in page.touched.values()
        ],
        batch_size=1000,
        update_conflicts=True,
        update_fields=names,
        unique_fields=["model", "record_key"],
    )


def _mark_seen(page: _Page, keys: Iterable[str], seen_in_sync: int) -> None:
    for key in keys:
        page.metadata_of(key).seen_in_sync = seen_in_sync


def _forget(page: _Page, event: MutationEvent) -> None:
    """AppSync has no such record any more."""
    metadata = page.metadata_of(event.record_key)
    metadata.deleted, metadata.hold, metadata.remote = True, Hold.NONE, None


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


def _release_holds(page: _Page) -> None:
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
