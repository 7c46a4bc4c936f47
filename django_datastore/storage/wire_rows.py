"""Wire records as rows the database's driver takes, compiled for a model and a database.

The usual values of Django's own fields cross without the field's help: a UUID in small letters, a text that is not too
long, an integer that fits. All others take the long way, by the binding and the field.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, TypeAlias

from django.conf import settings
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from django_datastore.introspection import FieldBinding, SyncedModel
from django_datastore.types import WireRecord

AnyField: TypeAlias = "models.Field[Any, Any]"
Converter: TypeAlias = Callable[[Any], Any]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
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
        self._readers = tuple((item.wire_name, _reader(item, connection)) for item in self.bindings)
        self._defaults = tuple(_default(field, connection) for field in self.others)
        self._has_same_defaults = not any(callable(value) for value in self._defaults)

    def row(self, wire: WireRecord) -> tuple[Any, ...]:
        """A new row; raises `KeyError` for a record that lacks a field, `ValueError` for one that does not fit."""
        values = [read(wire[name]) for name, read in self._readers]
        if self._has_same_defaults:
            return (*values, *self._defaults)
        return (*values, *(value() if callable(value) else value for value in self._defaults))


@lru_cache(maxsize=1024)
def wire_rows(synced: SyncedModel, using: str) -> WireRows:
    """The compiled columns, made once."""
    return WireRows(synced, using)


@lru_cache(maxsize=1024)
def key_reader(synced: SyncedModel, using: str) -> Converter | None:
    """Wire key to the database's value for a key of one plain column, or None where Django must do it."""
    if len(synced.key_bindings) != 1 or type(synced.key_bindings[0].field) not in (models.UUIDField, *_TEXTS):
        return None
    return _reader(synced.key_bindings[0], connections[using])


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
        return _quick_uuid(connection, slowly)
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
        if type(wire) is list and all(type(item) is str for item in wire):
            text = "".join(wire)
            if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
                return '["' + '", "'.join(wire) + '"]' if wire else "[]"
        return slowly(wire)

    return read


def _quick_uuid(connection: BaseDatabaseWrapper, slowly: Converter) -> Converter:
    is_uuid = _UUID.fullmatch
    if connection.features.has_native_uuid_field:
        return lambda wire: wire if type(wire) is str and is_uuid(wire) else slowly(wire)
    return lambda wire: wire.replace("-", "") if type(wire) is str and is_uuid(wire) else slowly(wire)


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
    is_moment = _MOMENT.fullmatch
    if not settings.USE_TZ or connection.timezone not in (UTC, timezone.get_fixed_timezone(0)):
        return slowly
    if connection.vendor == "postgresql":
        return lambda wire: (
            wire if type(wire) is str and is_moment(wire) and datetime.fromisoformat(wire) else slowly(wire)
        )

    def read(wire: Any) -> Any:
        if type(wire) is not str or not is_moment(wire) or not datetime.fromisoformat(wire):
            return slowly(wire)
        fraction = wire[19:23]
        return f"{wire[:10]} {wire[11:19]}" if fraction == ".000" else f"{wire[:10]} {wire[11:19]}{fraction}000"

    return read
