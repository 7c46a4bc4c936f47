"""`CapturedModel`: what capturing needs to know of a registered model, worked out once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.fields.proxy import OrderWrt

from django_datastore.introspection import FieldBinding, SyncedModel
from django_datastore.types import WireRecord

Row: TypeAlias = Sequence[Any]
"""The values of some columns, in their order."""

_DATES = (models.DateField, models.DateTimeField, models.TimeField)
_DJANGOS_OWN = {kind.pre_save for kind in (models.Field, models.FileField, *_DATES)}
"""What sets the attribute of the instance where it gives a value of its own."""

UNKNOWN: Final = object()
"""A JSON value that is not worked out yet."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a write changed, by wire name: what AppSync has to be told, and what was there before."""

    changed: WireRecord
    base: WireRecord


@dataclass(frozen=True, eq=False, slots=True)
class Column:
    """One synced column of the model."""

    field: models.Field[Any, Any]
    binding: FieldBinding
    attname: str
    wire_name: str
    encode: Callable[[Any], Any]
    """A Python value as JSON value. Raises `ValidationError` for one that AppSync would refuse."""
    is_key: bool
    is_sent: bool
    """Whether a change of it is sent; keys address a record, and some fields only the server sets."""
    is_set_by_saving: bool
    """Whether saving gives it a value of its own (`auto_now`, files, an order, fields of third parties)."""
    is_read_back: bool
    """Whether the instance may not know what was stored (in models with fields of third parties)."""
    parent: SyncedModel | None
    """The registered model a foreign key points to."""


class CapturedModel:
    """A registered model, or its historical twin in a data migration, as the captures see it."""

    def __init__(self, synced: SyncedModel, model: type[models.Model] | None = None) -> None:
        self.synced = synced
        self.model = model or synced.model
        self.label = synced.label

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.model._meta.label}>"

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The synced columns this model has, in model order."""
        parents = {binding.attname: target for binding, target in self.synced.foreign_keys}
        fields = {item.attname: item for item in self.model._meta.concrete_fields}
        is_moved = _is_moved(self.model)
        return tuple(
            _column(self.synced, binding, fields[binding.attname], parents.get(binding.attname), is_moved)
            for binding in self.synced.bindings
            if binding.attname in fields
        )

    def forget_relations(self) -> None:
        """Look for the models that foreign keys point to once more: one was registered, or is no longer."""
        for name, item in vars(CapturedModel).items():
            if isinstance(item, cached_property):
                self.__dict__.pop(name, None)

    @cached_property
    def by_wire_name(self) -> Mapping[str, Column]:
        """The columns by wire name."""
        return {column.wire_name: column for column in self.columns}

    @cached_property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns of the primary key, in key order."""
        found = {column.binding: column for column in self.columns}
        return tuple(found[binding] for binding in self.synced.key_bindings)

    @cached_property
    def foreign_keys(self) -> tuple[Column, ...]:
        """The columns that point to registered models."""
        return tuple(column for column in self.columns if column.parent is not None)

    @cached_property
    def has_pointing_key(self) -> bool:
        """Whether a part of the key is a foreign key to a registered model."""
        return any(column.parent is not None for column in self.key_columns)

    @cached_property
    def sets_key_by_saving(self) -> bool:
        """Whether saving may give a part of the key another value than the instance has."""
        return any(column.is_set_by_saving or column.is_read_back for column in self.key_columns)

    @cached_property
    def is_circular(self) -> bool:
        """Whether foreign keys lead from this model back to it, so that records may wait for each other."""
        return self.label in _labels_above(self.synced)

    @cached_property
    def may_surprise(self) -> bool:
        """Whether saving gives some field a value that is not one of Django's time stamps."""
        return any(
            column.is_read_back or (column.is_set_by_saving and not isinstance(column.field, _DATES))
            for column in self.columns
        )

    def named(self, names: Collection[str]) -> tuple[Column, ...]:
        """The columns that an update of these fields writes, with those that travel with them."""
        written = {column.wire_name for column in self.columns if {column.field.name, column.attname} & set(names)}
        sent = self.with_companions(written)
        return tuple(column for column in self.columns if column.wire_name in sent)

    def with_companions(self, wire_names: Iterable[str]) -> set[str]:
        """These fields, and those of the same composite index keys: they travel together, or AppSync refuses them."""
        names = set(wire_names)
        return names.union(*(group for group in self.synced.together if names & set(group)))

    def pk_of(self, key_values: Row) -> Any:
        """The primary key of key values: a tuple for a composite key."""
        return tuple(key_values) if len(self.key_columns) > 1 else key_values[0]

    def key_in(self, row: Row) -> Row:
        """The key values in a row of all columns."""
        return [row[self.columns.index(column)] for column in self.key_columns]

    def key_of(self, pk: Any) -> str:
        """The record key of a primary key."""
        return self.synced.key_of_pk(pk)

    def known_key(self, instance: models.Model) -> str | None:
        """The record key of an instance; None if it gets its key by saving. Raises `ValidationError`."""
        parts = [instance.__dict__.get(column.attname) for column in self.key_columns]
        if any(part is None or is_expression(part) for part in parts):
            return None
        try:
            return self.synced.key_of(instance)
        except ValueError as exc:
            name = self.key_columns[0].field.name
            raise ValidationError(
                {name: [f"A {self.synced.name} with the key {instance.pk!r} cannot be synced: {exc}. Give it a key."]}
            ) from exc

    # -- what a write changes ----------------------------------------------------------------------------------------

    def given(self, columns: Iterable[Column], row: Row) -> WireRecord:
        """What a new row says, by wire name and without nulls. Raises `ValidationError`."""
        wires = [(column, column.encode(value)) for column, value in zip(columns, row, strict=True) if column.is_sent]
        return {column.wire_name: wire for column, wire in wires if wire is not None}

    def everything(self, row: Row | None) -> Difference:
        """All that an update of a row nobody saw before may have changed."""
        known = () if row is None else zip(self.columns, row, strict=True)
        return Difference({column.wire_name: encoded(column, value) for column, value in known if column.is_sent}, {})

    def difference(
        self, columns: Sequence[Column], row: Row, stored: Row, wires: Row | None = None
    ) -> Difference | None:
        """How a row differs from what was stored before; None where it does not. Raises `ValidationError`.

        `wires` are the row's JSON values, where they are known already; `UNKNOWN` among them is worked out.
        """
        is_changed = False
        changed: WireRecord = {}
        base: WireRecord = {}
        for position, (column, value, before) in enumerate(zip(columns, row, stored, strict=True)):
            if value is before or identical(value, before):
                continue
            if not column.is_sent:
                is_changed = True
                continue
            now = UNKNOWN if wires is None else wires[position]
            if now is UNKNOWN:
                now = column.encode(value)
            then = encoded(column, before)
            if identical(now, then):
                continue
            is_changed = True
            changed[column.wire_name], base[column.wire_name] = now, then
        if changed and self.synced.together:
            self._take_along(columns, row, stored, changed, base)
        return Difference(changed, base) if is_changed else None

    def _take_along(
        self, columns: Sequence[Column], row: Row, stored: Row, changed: WireRecord, base: WireRecord
    ) -> None:
        names = self.with_companions(changed)
        for column, value, before in zip(columns, row, stored, strict=True):
            if column.wire_name in names and column.wire_name not in changed:
                changed[column.wire_name], base[column.wire_name] = column.encode(value), encoded(column, before)

    def snapshot(self, columns: Iterable[Column], row: Row) -> WireRecord:
        """The wire record of a stored row."""
        return {column.wire_name: column.binding.shown(value) for column, value in zip(columns, row, strict=True)}


def encoded(column: Column, stored: Any) -> Any:
    """A stored value as JSON value; null for one that never should have been stored, which AppSync cannot have."""
    try:
        return column.encode(stored)
    except ValidationError:
        return None


def identical(one: Any, other: Any) -> bool:
    """Whether two values are the same to the last detail: Python holds 1, 1.0 and True for equal, JSON does not."""
    if type(one) is type(other) and not isinstance(one, (dict, list)):
        return bool(one == other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(identical(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(identical, one, other))
    return bool(one == other) and (type(one) is type(other) or (isinstance(one, str) and isinstance(other, str)))


_registered: dict[type[models.Model], CapturedModel] = {}
_touched: WeakKeyDictionary[type[models.Model], tuple[CapturedModel, ...]] = WeakKeyDictionary()
"""Weak: every state of a migration has model classes of its own."""


def add(captured: CapturedModel) -> None:
    """Capture the writes to a model from now on."""
    _registered[captured.model] = captured
    _look_again()


def remove(model: type[models.Model]) -> None:
    """Capture them no longer."""
    _registered.pop(model, None)
    _look_again()


def _look_again() -> None:
    _touched.clear()
    for each in _registered.values():
        each.forget_relations()


def find(model: type[models.Model]) -> CapturedModel | None:
    """What is captured of a table: a model's own, or its proxy's."""
    return _registered.get(model) or _registered.get(model._meta.concrete_model)  # type: ignore[arg-type]


def touched_by(model: type[models.Model]) -> tuple[CapturedModel, ...]:
    """The captured models whose tables a write through `model` may reach: its own and its multi-table parents'."""
    found = _touched.get(model)
    if found is None:
        concrete = model._meta.concrete_model or model
        lineage = (concrete, *concrete._meta.all_parents)
        found = _touched[model] = tuple(_registered[item] for item in lineage if item in _registered)
    return found


def is_expression(value: Any) -> bool:
    """Whether only the database knows what this will be (`F("rating") + 1`, a database default)."""
    return hasattr(value, "resolve_expression")


def _labels_above(synced: SyncedModel) -> set[str]:
    """The models that foreign keys lead to from this one, directly or not."""
    found: set[str] = set()
    todo = [target for _, target in synced.foreign_keys]
    while todo:
        target = todo.pop()
        if target.label not in found:
            found.add(target.label)
            todo.extend(above for _, above in target.foreign_keys)
    return found


def _column(
    synced: SyncedModel,
    binding: FieldBinding,
    field: models.Field[Any, Any],
    parent: SyncedModel | None,
    is_moved: bool,
) -> Column:
    is_key = binding in synced.key_bindings
    return Column(
        field=field,
        binding=binding,
        attname=binding.attname,
        wire_name=binding.wire_name,
        encode=binding.encode,
        is_key=is_key,
        is_sent=not is_key and not binding.schema.is_read_only,
        is_set_by_saving=is_moved or _is_set_by_saving(field),
        is_read_back=is_moved,
        parent=parent,
    )


def _is_set_by_saving(field: models.Field[Any, Any]) -> bool:
    if isinstance(field, _DATES) and not _has_own_pre_save(field):
        return bool(field.auto_now or field.auto_now_add)
    return isinstance(field, OrderWrt) or type(field).pre_save is not models.Field.pre_save


def _is_moved(model: type[models.Model]) -> bool:
    """Whether a field of third parties runs code while a row is saved: it has the whole instance in its hands."""
    return any(map(_has_own_pre_save, model._meta.concrete_fields))


def _has_own_pre_save(field: models.Field[Any, Any]) -> bool:
    return type(field).pre_save not in _DJANGOS_OWN
