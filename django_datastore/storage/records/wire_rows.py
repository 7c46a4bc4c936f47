"""Wire records as rows the database's driver takes, compiled for a model and a database.

The usual values of Django's own fields cross without the field's help: a UUID in small letters, a text that is not too
long, an integer that fits. All others take the long way, by the binding and the field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, TypeAlias

from django.conf import settings
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from django_datastore.introspection import FieldBinding, SyncedModel
from django_datastore.introspection.columns import UUIDColumn
from django_datastore.storage.serialization import is_canonical_uuid
from django_datastore.types import WireRecord

AnyField: TypeAlias = "models.Field[Any, Any]"
Converter: TypeAlias = Callable[[Any], Any]

_MOST_REMEMBERED = 5000
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_TEXTS = (models.CharField, models.TextField, models.EmailField, models.URLField, models.SlugField)
_INTEGERS = (
    *(models.IntegerField, models.BigIntegerField, models.SmallIntegerField),
    *(models.PositiveIntegerField, models.PositiveBigIntegerField, models.PositiveSmallIntegerField),
)
_PLAIN = frozenset(
    {
        *(*_TEXTS, *_INTEGERS, models.UUIDField, models.BooleanField, models.FloatField, models.DecimalField),
        *(models.DateTimeField, models.DateField, models.TimeField, models.DurationField, models.JSONField),
        *(models.ForeignKey, models.OneToOneField, models.BinaryField, models.GenericIPAddressField),
        *(models.AutoField, models.BigAutoField, models.SmallAutoField, models.FileField, models.FilePathField),
    }
)
"""Fields of Django's own, whose values need no SQL around them. A subclass may do anything, so it is not among them."""


class WireRows:
    """How records of one model become rows of its table in one database."""

    def __init__(self, synced: SyncedModel, using: str) -> None:
        self.synced = synced
        self.using = using
        connection = connections[using]
        bound = {item.field: item for item in synced.bindings}
        self.bindings = tuple(item for item in synced.bindings if not item.field.generated)
        self.others = tuple(
            field
            for field in synced.model._meta.concrete_fields
            if field not in bound and not field.generated and not _is_filled_by_database(field)
        )
        self.fields: tuple[AnyField, ...] = (*(item.field for item in self.bindings), *self.others)
        """The columns of a new row, in the order of `row`."""
        self.is_plain = all(type(field) in _PLAIN for field in self.fields)
        """Whether rows can be written past Django's own INSERT."""
        self.row: Callable[[str, WireRecord], tuple[Any, ...]] = _compiled(
            [(item.wire_name, _reader(item, connection)) for item in self.bindings],
            [_default(field, connection) for field in self.others],
            synced.key_bindings[0].wire_name if _is_uuid_key(synced) and not _is_choosy(synced, connection) else None,
            is_native=connection.features.has_native_uuid_field,
        )
        """A record, by its key and its fields, as a new row.

        Raises `KeyError` for a record that lacks a field, `ValueError` for one that does not fit.
        """


def _compiled(
    readers: Sequence[tuple[str, Converter]], defaults: Sequence[Any], uuid_key: str | None, *, is_native: bool
) -> Callable[[str, WireRecord], tuple[Any, ...]]:
    """One function for all columns: a loop over them would cost as much as the conversions.

    A key that is one UUID is taken from the record key, which spells it as Python does.
    """
    known: dict[str, Any] = {}
    parts = []
    for position, (name, read) in enumerate(readers):
        known[f"read{position}"] = read
        parts.append(_key_source(is_native) if name == uuid_key else f"read{position}(wire[{name!r}])")
    for position, value in enumerate(defaults):
        known[f"default{position}"] = value
        parts.append(f"default{position}()" if callable(value) else f"default{position}")
    exec(f"def row(key, wire):\n    return ({', '.join(parts)},)\n", known)
    found: Callable[[str, WireRecord], tuple[Any, ...]] = known["row"]
    return found


def _key_source(is_native: bool) -> str:
    return "key[2:-2]" if is_native else "key[2:-2].replace('-', '')"


def _is_uuid_key(synced: SyncedModel) -> bool:
    return len(synced.key_bindings) == 1 and type(synced.key_bindings[0].field) is models.UUIDField


def _is_choosy(synced: SyncedModel, connection: BaseDatabaseWrapper) -> bool:
    return UUIDColumn(synced.key_bindings[0].field, connection).is_choosy


@lru_cache(maxsize=1024)
def wire_rows(synced: SyncedModel, using: str) -> WireRows:
    """The compiled columns, made once."""
    return WireRows(synced, using)


@lru_cache(maxsize=1024)
def key_reader(synced: SyncedModel, using: str) -> Callable[[str], Any] | None:
    """Record key to the database's value for a key of one plain column, or None where Django must do it."""
    if _is_uuid_key(synced):
        if connections[using].features.has_native_uuid_field:
            return lambda key: key[2:-2]
        return lambda key: key[2:-2].replace("-", "")
    if len(synced.key_bindings) != 1 or type(synced.key_bindings[0].field) not in _TEXTS:
        return None
    return lambda key: key[2:-2] if "\\" not in key else json.loads(key)[0]


def _is_filled_by_database(field: AnyField) -> bool:
    return isinstance(field, models.AutoField) or (field.has_db_default() and not field.has_default())


def _default(field: AnyField, connection: BaseDatabaseWrapper) -> Any:
    """What a column that is not synced gets, as Django would give it; a function where each row has its own."""
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return lambda: field.get_db_prep_save(field.pre_save(field.model(), True), connection)
    if callable(field.default):
        return lambda: field.get_db_prep_save(field.get_default(), connection)
    return field.get_db_prep_save(field.get_default(), connection)


def _reader(item: FieldBinding, connection: BaseDatabaseWrapper) -> Converter:
    """Wire value to database value."""
    field = item.field

    def slowly(wire: Any) -> Any:
        value = item.to_python(wire)
        if value is None and not field.null and (getattr(field, "auto_now", False) or _is_made_now(field)):
            value = field.pre_save(field.model(), True)
        return field.get_db_prep_save(value, connection)

    def slowly_or_null(wire: Any) -> Any:
        return None if wire is None else slowly(wire)

    target = _value_field(field)
    otherwise = slowly_or_null if field.null else slowly
    if type(field) not in _PLAIN or type(target) not in _PLAIN:
        return slowly
    return _quick(target, item, connection, otherwise)


def _is_made_now(field: AnyField) -> bool:
    return bool(getattr(field, "auto_now_add", False))


def _value_field(field: AnyField) -> AnyField:
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    return field


def _quick(field: AnyField, item: FieldBinding, connection: BaseDatabaseWrapper, slowly: Converter) -> Converter:
    """The short way for the usual values of a field; `slowly` for all others."""
    kind, scalar = type(field), item.schema.type
    if item.schema.is_list:
        is_plain = kind is models.JSONField and scalar in ("String", "ID") and not _has_own_json(field)
        return _quick_texts(slowly) if is_plain else slowly
    if item.enum:
        return _quick_enum(item, slowly)
    if kind is models.UUIDField:
        read = _quick_uuid(field, connection, slowly)
        return _remembered(read) if item.field.is_relation else read
    if kind in _TEXTS and scalar in ("String", "ID"):
        return _quick_text(field, slowly)
    if kind in _INTEGERS and scalar == "Int":
        return _quick_integer(field, connection, slowly)
    if kind is models.BooleanField and scalar == "Boolean":
        return lambda wire: wire if type(wire) is bool else slowly(wire)
    if kind is models.DateTimeField and scalar == "AWSDateTime":
        return _quick_moment(connection, slowly)
    if kind is models.DateField and scalar == "AWSDate":
        return lambda wire: (
            str(date.fromisoformat(wire)) if type(wire) is str and _DAY.fullmatch(wire) else slowly(wire)
        )
    return slowly


def _has_own_json(field: AnyField) -> bool:
    return getattr(field, "encoder", None) is not None or getattr(field, "decoder", None) is not None


def _quick_enum(item: FieldBinding, slowly: Converter) -> Converter:
    stored = {wire: value for value, wire in item.enum.items() if type(value) is str}
    return lambda wire: stored[wire] if type(wire) is str and wire in stored else slowly(wire)


def _quick_texts(slowly: Converter) -> Converter:
    """A list of texts as JSON text, in the spelling of `json.dumps`."""

    def read(wire: Any) -> Any:
        if type(wire) is not list or not wire:
            return slowly(wire)
        try:
            text = "".join(wire)
        except TypeError:  # not only texts
            return slowly(wire)
        if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
            return '["' + '", "'.join(wire) + '"]'
        return slowly(wire)

    return read


def _quick_uuid(field: AnyField, connection: BaseDatabaseWrapper, slowly: Converter) -> Converter:
    if UUIDColumn(field, connection).is_choosy:  # it keeps all of the versions up to 7
        return lambda wire: wire if type(wire) is str and is_canonical_uuid(wire) and wire[14] < "8" else slowly(wire)
    if connection.features.has_native_uuid_field:
        return lambda wire: wire if type(wire) is str and is_canonical_uuid(wire) else slowly(wire)
    return lambda wire: wire.replace("-", "") if type(wire) is str and is_canonical_uuid(wire) else slowly(wire)


def _remembered(read: Converter) -> Converter:
    """For foreign keys: many records have the same parent."""
    known: dict[str, Any] = {}

    def read_once(wire: Any) -> Any:
        if type(wire) is not str:
            return read(wire)
        found = known.get(wire)
        if found is None:
            if len(known) >= _MOST_REMEMBERED:
                known.clear()
            found = known[wire] = read(wire)
        return found

    return read_once


def _quick_text(field: AnyField, slowly: Converter) -> Converter:
    longest = field.max_length or 2**31

    def read(wire: Any) -> Any:
        if type(wire) is str and 0 < len(wire) <= longest and wire.isascii() and "\x00" not in wire:
            return wire
        return slowly(wire)

    return read


def _quick_integer(field: AnyField, connection: BaseDatabaseWrapper, slowly: Converter) -> Converter:
    lowest, highest = connection.ops.integer_field_range(field.get_internal_type())
    lowest = -(2**31) if lowest is None else lowest
    highest = 2**31 - 1 if highest is None else highest
    return lambda wire: wire if type(wire) is int and lowest <= wire <= highest else slowly(wire)


def _quick_moment(connection: BaseDatabaseWrapper, slowly: Converter) -> Converter:
    """Moments as AppSync spells them: `2026-01-02T03:04:05.678Z`."""
    if not settings.USE_TZ or connection.timezone not in (UTC, timezone.get_fixed_timezone(0)):
        return slowly
    as_is = connection.vendor == "postgresql"

    def read(wire: Any) -> Any:
        if type(wire) is not str or len(wire) != 24:
            return slowly(wire)
        if wire[23] != "Z" or wire[19] != "." or wire[10] != "T" or wire[7] != "-" or wire[:2] == "00":
            return slowly(wire)
        datetime.fromisoformat(wire)  # raises ValueError for the 30th of February
        if as_is:
            return wire
        return f"{wire[:10]} {wire[11:19]}" if wire[20:23] == "000" else f"{wire[:10]} {wire[11:23]}000"

    return read
