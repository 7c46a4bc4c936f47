"""One merge of one model: what is known of the records of a page, what is decided about each, and writing it.

`open_page` locks the rows, `decide` plans record by record, `apply` writes. Called by the merger, in its transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, transaction

from django_datastore.introspection import SyncedModel
from django_datastore.models import Conflict, MutationEvent, RecordMetadata
from django_datastore.storage import rows
from django_datastore.storage.announcements import announcer
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.sync import conflict, rebase
from django_datastore.types import Operation

Hold = RecordMetadata.Hold
Presence = RecordMetadata.Presence
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
class MergePage:
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
        """A record's metadata, to be changed and stored with the page."""
        found = self.metadata.get(key)
        if found is None:
            found = self.metadata[key] = RecordMetadata(model=self.sync.label, record_key=key)
        self.touched[key] = found
        return found


def open_page(sync: SyncedModel, keys: Iterable[str], using: str) -> MergePage:
    """Lock the rows of these keys, then read what is known of them."""
    wanted = list(keys)
    existing = rows.stored(sync, wanted, using, lock=True)
    metadata: dict[str, RecordMetadata] = {}
    waiting: dict[str, list[MutationEvent]] = {}
    for start in range(0, len(wanted), _CHUNK):
        of_these = {"model": sync.label, "record_key__in": wanted[start : start + _CHUNK]}
        metadata |= {item.record_key: item for item in RecordMetadata.objects.using(using).filter(**of_these)}
        for event in MutationEvent.objects.using(using).filter(**of_these).order_by("id"):
            waiting.setdefault(event.record_key, []).append(event)
    return MergePage(sync, using, existing, metadata, waiting)


def decide(page: MergePage, record: RemoteRecord) -> None:
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
        rebase_onto(page, record, lane)
    else:
        _hold(page, record, Hold.LOCAL_EDITS, "It waits for local edits that are not sent yet.")


def rebase_onto(page: MergePage, record: RemoteRecord, lane: Sequence[MutationEvent]) -> None:
    """Take the remote state under unsent edits: their fields stay, everything else is AppSync's."""
    if record.deleted or any(event.operation == Operation.DELETE for event in lane):
        metadata = page.metadata_of(record.key)
        metadata.version, metadata.last_changed_at = record.version, record.last_changed_at
        metadata.hold, metadata.remote = Hold.NONE, None
    else:
        _plan(page, record, without=rebase.touched(lane))


def mark_seen(page: MergePage, keys: Iterable[str], seen_in_run: int) -> None:
    """Note that a base sync returned these records."""
    for key in keys:
        page.metadata_of(key).seen_in_run = seen_in_run


def apply(page: MergePage) -> Counts:
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


def _plan(page: MergePage, record: RemoteRecord, *, without: frozenset[str] = frozenset()) -> None:
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
    metadata.presence = Presence.DELETED if record.deleted else Presence.HERE
    metadata.hold, metadata.remote, metadata.reason, metadata.waits_for = Hold.NONE, None, "", ""


def _hold(page: MergePage, record: RemoteRecord, hold: Hold, reason: str, *, waits_for: str = "") -> None:
    page.upserts.pop(record.key, None)
    metadata = page.metadata_of(record.key)
    metadata.hold, metadata.remote, metadata.reason, metadata.waits_for = hold, record.wire, reason, waits_for


def _quarantine(page: MergePage, record: RemoteRecord, reason: str) -> None:
    known = page.metadata_of(record.key)
    is_news = known.hold != Hold.QUARANTINED or (known.remote or {}).get("_version") != record.version
    _hold(page, record, Hold.QUARANTINED, reason)
    if is_news:
        conflict.record(Conflict.Kind.QUARANTINED, page.sync, record.key, reason=reason, remote=record.wire)


def _hold_orphans(page: MergePage) -> None:
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


def _orphan(page: MergePage, key: str, name: str, target: SyncedModel, parent: str) -> None:
    binding = page.sync.by_wire_name[name]
    metadata = RecordMetadata.objects.using(page.using)
    if (
        binding.field.null
        and metadata.filter(model=target.label, record_key=parent, presence=Presence.DELETED).exists()
    ):
        page.upserts[key][binding.attname] = None
        return
    known, record = page.metadata[key], page.remotes[key]
    stored = RecordMetadata.objects.using(page.using).filter(pk=known.pk).first() if known.pk else None
    known.version = stored.version if stored else None
    known.last_changed_at = stored.last_changed_at if stored else None
    reason = f"Its {name} points to {target.name} {parent}, which is not here yet."
    _hold(page, record, Hold.MISSING_PARENT, reason, waits_for=f"{target.label} {parent}")


def _upsert_singly(page: MergePage) -> None:
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


def _store_metadata(page: MergePage) -> None:
    names = ["version", "last_changed_at", "presence", "hold", "remote", "reason", "waits_for", "seen_in_run"]
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
