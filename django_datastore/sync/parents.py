"""Whether the rows that records point to are here. A record without its parent is held until the parent arrives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models

from django_datastore.introspection import FieldBinding, SyncedModel
from django_datastore.models import RecordMetadata
from django_datastore.storage import metadata, rows
from django_datastore.storage.wire_rows import wire_rows
from django_datastore.sync.classifying import Apply, HoldBack

Hold = RecordMetadata.Hold
Presence = RecordMetadata.Presence


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
    wanted: Mapping[str, Apply],
    using: str,
    *,
    together: frozenset[tuple[str, str]] = frozenset(),
) -> Family:
    """Look for the parents of records that are to be written, where these may be parents of each other.

    `together` are records, by label and key, that will be here with them.
    """
    pointers = list(_pointers(synced, wanted.values()))
    if not pointers:
        return Family()
    absent = _absent(pointers, using) - together
    family = Family()
    coming = set(wanted)
    lost = _lost(synced, pointers, absent, coming)
    deleted = _deleted(lost, using)
    while lost:
        for pointer in lost:
            if pointer.binding.field.null and (pointer.target.label, pointer.parent) in deleted:
                names = family.detached.get(pointer.key, frozenset())
                family.detached[pointer.key] = names | {pointer.binding.wire_name}
            else:
                family.orphans[pointer.key] = _orphan(wanted[pointer.key], pointer)
                coming.discard(pointer.key)
        gone = {(pointer.key, pointer.binding.wire_name) for pointer in lost}
        pointers = [item for item in pointers if (item.key, item.binding.wire_name) not in gone]
        lost = _lost(synced, pointers, absent, coming)  # whoever pointed to an orphan is one, too
    return family


def _pointers(synced: SyncedModel, wanted: Iterable[Apply]) -> Iterable[_Pointer]:
    for binding, target in synced.foreign_keys:
        name = binding.wire_name
        keys: dict[Any, str | None] = {}
        for item in wanted:
            value = item.record.wire.get(name)
            if value is None or name in item.without:
                continue
            parent = keys[value] if isinstance(value, str) and value in keys else _key(binding, target, value)
            if isinstance(value, str):
                keys[value] = parent
            if parent is not None:  # else its value will be found not to fit
                yield _Pointer(item.record.key, binding, target, parent)


def _key(binding: FieldBinding, target: SyncedModel, value: Any) -> str | None:
    try:
        return target.key_of_pk(binding.to_python(value))
    except ValueError:
        return None


def _absent(pointers: Iterable[_Pointer], using: str) -> set[tuple[str, str]]:
    """The parents that have no row, as label and key."""
    parents: dict[str, tuple[SyncedModel, set[str]]] = {}
    for pointer in pointers:
        parents.setdefault(pointer.target.label, (pointer.target, set()))[1].add(pointer.parent)
    return {(label, key) for label, (target, keys) in parents.items() for key in keys - rows.here(target, keys, using)}


def _lost(
    synced: SyncedModel, pointers: Iterable[_Pointer], absent: set[tuple[str, str]], coming: set[str]
) -> list[_Pointer]:
    return [
        pointer
        for pointer in pointers
        if (pointer.target.label, pointer.parent) in absent
        and not (pointer.target.label == synced.label and pointer.parent in coming)
        and pointer.key in coming
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


def _orphan(item: Apply, pointer: _Pointer) -> HoldBack:
    name = pointer.binding.wire_name
    reason = f"Its {name} points to {pointer.target.name} {pointer.parent}, which is not here yet."
    return HoldBack(item.record, Hold.MISSING_PARENT, reason, waits_for=f"{pointer.target.label} {pointer.parent}")


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
