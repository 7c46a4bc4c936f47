"""Which column each kind of field has, and arrays of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from django_datastore.introspection.columns.base import BinaryColumn, Column, JSONColumn, UUIDColumn
from django_datastore.introspection.columns.custom import CustomColumn, OtherColumn
from django_datastore.introspection.columns.numbers import DecimalColumn, FloatColumn, IntegerColumn
from django_datastore.introspection.columns.texts import AddressColumn, FileColumn, TextColumn
from django_datastore.introspection.columns.times import DateColumn, DateTimeColumn, DurationColumn, TimeColumn
from django_datastore.introspection.kinds import AnyField, Kind, is_custom, kind_of


class ArrayColumn(Column):
    """PostgreSQL's arrays. Their nulls stay null."""

    def __init__(self, field: AnyField, connection: BaseDatabaseWrapper) -> None:
        super().__init__(field, connection)
        self.inner = column_of(field.base_field, connection)  # type: ignore[attr-defined]  # an ArrayField

    def coerce(self, value: Any) -> list[Any]:
        """A list of the inner field's values."""
        if isinstance(value, str):
            value = self.field.to_python(value)
        return _each(self.inner.coerce, value)

    def given_back(self, value: list[Any]) -> list[Any]:
        """What the column will hold, element by element."""
        return _each(self.inner.given_back, value)

    def take(self, value: list[Any]) -> list[Any]:
        """As the inner field takes each element."""
        return _each(self.inner.take, value)

    def round(self, value: list[Any]) -> list[Any]:
        """As the inner field does."""
        return _each(self.inner.round, value)


def _each(convert: Callable[[Any], Any], values: Any) -> list[Any]:
    return [None if item is None else convert(item) for item in values]


_COLUMNS: dict[Kind, type[Column]] = {
    Kind.TEXT: TextColumn,
    Kind.FILE: FileColumn,
    Kind.ADDRESS: AddressColumn,
    Kind.INTEGER: IntegerColumn,
    Kind.FLOAT: FloatColumn,
    Kind.DECIMAL: DecimalColumn,
    Kind.DATETIME: DateTimeColumn,
    Kind.DATE: DateColumn,
    Kind.TIME: TimeColumn,
    Kind.DURATION: DurationColumn,
    Kind.UUID: UUIDColumn,
    Kind.BINARY: BinaryColumn,
    Kind.JSON: JSONColumn,
    Kind.ARRAY: ArrayColumn,
    Kind.OTHER: OtherColumn,
}


def column_of(field: AnyField, connection: BaseDatabaseWrapper) -> Column:
    """What a value field's column does to values on that database."""
    kind = kind_of(field)
    plain = _COLUMNS.get(kind, Column)(field, connection)
    if kind not in (Kind.ARRAY, Kind.OTHER) and is_custom(field):
        return CustomColumn(field, connection, plain)
    return plain
