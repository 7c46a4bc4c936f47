"""Whether the rows that records point to are here. A record without its parent is held until the parent arrives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models

from django_datastore.introspection import FieldBinding, SyncedModel
from django_datastore.models import RecordMetadata
from django_datastore.storage.records import metadata, rows
from django_datastore.storage.records.wire_rows import wire_rows
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.sync.classifying import HoldBack

Hold = RecordMetadata.Hold
Presence = RecordMetadata.Presence
_NOTHING: Mapping[str, frozenset[str]] = {}


@dataclass(frozen=True, slots=True)
class Family:
    """What is to become of records because of their parents."""

    orphans: dict[str, HoldBack] = field(default_factory=dict)
    """Records whose parent is not here yet."""
    detached: dict[str, frozenset[str]] = field(default_factory=dict)
    """Fields that stay empty, since their parent is deleted; by record key."""


@dataclass(frozen=True, slots=True)
class _Pointer:
    key: str
    binding: FieldBinding
    target: SyncedModel
    parent: str


def reunite(
    synced: SyncedModel,
    records: Mapping[str, RemoteRecord],
    using: str,
    *,
    without: Mapping[str, frozenset[str]] = _NOTHING,
    together: frozenset[tuple[str, str]] = frozenset(),
) -> Family:
    """Look for the parents of records that are to be written, where these may be parents of each other.

    `without` are wire fields that are not written, by record key. `together` are records, by label and key, that will
    be here with them.
    """
    pointers = [
        pointer
        for binding, target in synced.foreign_keys
        for pointer in _dangling(binding, target, records, using)
        if binding.wire_name not in without.get(pointer.key, ()) and (target.label, pointer.parent) not in together
    ]
    if not pointers:
        return Family()
    family = Family()
    coming = set(records)
    lost = _lost(synced, pointers, coming)
    deleted = _deleted(lost, using)
    while lost:
        for pointer in lost:
            if pointer.binding.field.null and (pointer.target.label, pointer.parent) in deleted:
                names = family.detached.get(pointer.key, frozenset())
                family.detached[pointer.key] = names | {pointer.binding.wire_name}
            else:
                family.orphans[pointer.key] = _orphan(records[pointer.key], pointer)
                coming.discard(pointer.key)
        gone = {(pointer.key, pointer.binding.wire_name) for pointer in lost}
        pointers = [item for item in pointers if (item.key, item.binding.wire_name) not in gone]
        lost = _lost(synced, pointers, coming)  # whoever pointed to an orphan is one, too
    return family


def _dangling(
    binding: FieldBinding, target: SyncedModel, records: Mapping[str, RemoteRecord], using: str
) -> Iterator[_Pointer]:
    """The records whose parent by this foreign key has no row."""
    name = binding.wire_name
    values = {value for item in records.values() if type(value := item.wire.get(name)) is str or type(value) is int}
    keys = {value: key for value in values if (key := _key(binding, target, value)) is not None}
    absent = set(keys.values()) - rows.here(target, set(keys.values()), using)
    if not absent:
        return
    for key, item in records.items():
        value = item.wire.get(name)
        parent = keys.get(value) if type(value) is str or type(value) is int else None
        if parent in absent:
            yield _Pointer(key, binding, target, parent)


def _key(binding: FieldBinding, target: SyncedModel, value: Any) -> str | None:
    """The record key of a parent; None for a value that will be found not to fit."""
    try:
        return target.key_of_pk(binding.to_python(value))
    except ValueError:
        return None


def _lost(synced: SyncedModel, pointers: Iterable[_Pointer], coming: set[str]) -> list[_Pointer]:
    """Those that point neither to a row nor to a record that is coming with them."""
    return [
        pointer
        for pointer in pointers
        if not (pointer.target.label == synced.label and pointer.parent in coming) and pointer.key in coming
    ]


def _deleted(lost: Iterable[_Pointer], using: str) -> set[tuple[str, str]]:
    """The missing parents that AppSync has told us are deleted."""
    by_label: dict[str, set[str]] = {}
    for pointer in lost:
        by_label.setdefault(pointer.target.label, set()).add(pointer.parent)
    return {
        (label, key)
        for label, keys in by_label.items()
        for key, known in metadata.read(label, keys, using).items()
        if known.presence == Presence.DELETED
    }


def _orphan(record: RemoteRecord, pointer: _Pointer) -> HoldBack:
    name = pointer.binding.wire_name
    reason = f"Its {name} points to {pointer.target.name} {pointer.parent}, which is not here yet."
    return HoldBack(record, Hold.MISSING_PARENT, reason, waits_for=f"{pointer.target.label} {pointer.parent}")


def missing_default(synced: SyncedModel, using: str) -> str | None:
    """Why no new row can be stored: a foreign key that is not synced has a default that points to nothing."""
    for item in wire_rows(synced, using).others:
        if (
            not isinstance(item, models.ForeignKey)
            or not getattr(item, "db_constraint", True)
            or callable(item.default)
        ):
            continue
        value = item.get_default()
        target: models.QuerySet[Any] = models.QuerySet(item.related_model, using=using)
        if value is not None and not target.filter(**{item.target_field.name: value}).exists():
            return f"The default of {item.name}, {value!r}, points to no {item.related_model._meta.label}."
    return None
