"""Records of a model's first sync. Nearly all are new, so they are not looked up: the database says if one is not.

whole living records ── the database takes them all ─▶ rows, what is known of them, and the log, at once
                     └─ it refuses one ──────────────▶ nothing
all others ──────────────────────────────────────────▶ left to a merge (see `merging`)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db import transaction

from django_datastore.introspection import SyncedModel
from django_datastore.storage import bulk
from django_datastore.storage.records import metadata, rows
from django_datastore.storage.records.wire_rows import wire_rows
from django_datastore.storage.refusals import raise_trouble
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.sync import lanes, parents, reporting
from django_datastore.sync.removing import Removed
from django_datastore.sync.writing import Written


@dataclass(frozen=True, slots=True)
class Arrived:
    """What was stored."""

    keys: Collection[str] = ()
    releases: bool = False
    """Whether anything of any model is held back, which these records may release."""


NONE = Arrived()


def store(synced: SyncedModel, records: Mapping[str, RemoteRecord], using: str) -> Arrived:
    """Store those records that are as new ones usually are, if none of them is known. Call it in a transaction."""
    if parents.missing_default(synced, using) is not None:
        return NONE
    run, has_holds = metadata.lock(synced.label, using)
    new = _usual(synced, records, using)
    if not new:
        return NONE
    try:
        with transaction.atomic(using=using):
            table = wire_rows(synced, using)
            bulk.insert(synced.model, table.fields, [row for item in new.values() if (row := item.row)], using)
            rows.check_now(using)
            metadata.add(synced.label, new.values(), run, using)
    except Exception as exc:  # one of them is known, or does not fit
        raise_trouble(exc)
        return NONE
    reporting.tell(synced, Written(inserted=list(new)), Removed(), using)
    return Arrived(new.keys(), has_holds)


def _usual(synced: SyncedModel, records: Mapping[str, RemoteRecord], using: str) -> dict[str, RemoteRecord]:
    """Records that are ready to be written, without unsent edits, and whose parents are here or among them."""
    edited = lanes.of_records(synced.label, records, using)
    ready = {key: record for key, record in records.items() if record.row is not None and key not in edited}
    family = parents.reunite(synced, ready, using)
    for key in family.orphans.keys() | family.detached.keys():
        del ready[key]
    return ready
