"""Fields of somebody's own: subclasses of Django's that convert values, and classes we do not know."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from django_datastore.introspection.columns.base import Column
from django_datastore.introspection.kinds import AnyField, Kind, kind_of


class CustomColumn(Column):
    """A field whose class converts values by itself: they are written and read as Django does it, to see the outcome.

    Values that are no plain ones of their kind cross as what the field writes (a member of an enum as its text).
    """

    def __init__(self, field: AnyField, connection: BaseDatabaseWrapper, plain: Column) -> None:
        super().__init__(field, connection)
        self.plain = plain
        self.type = _PLAIN.get(kind_of(field), object)

    def coerce(self, value: Any) -> Any:
        """What the column will give back, as a plain value."""
        written = self._as_read(self.field.get_db_prep_save(value, self.connection))
        back = written
        for convert in self._converters():
            back = convert(back, None, self.connection)
        if back is None:
            return None
        return self.plain.coerce(back if self._is_plain(back) else self._unpacked(written))

    def _as_read(self, written: Any) -> Any:
        """What the driver gives back for what Django hands it."""
        if isinstance(written, decimal.Decimal) and self.connection.vendor == "sqlite":
            return float(written)
        dumps, found = getattr(written, "dumps", None), getattr(written, "obj", None)
        return written if dumps is None else dumps(found)  # psycopg's wrapper of JSON

    def _converters(self) -> list[Any]:
        expression: Any = self.field.get_col("t")
        return [*self.connection.ops.get_db_converters(expression), *self.field.get_db_converters(self.connection)]

    def _is_plain(self, value: Any) -> bool:
        if self.type is object:
            return _is_json(value)
        return isinstance(value, self.type)

    def _unpacked(self, written: Any) -> Any:
        if self.type is object and isinstance(written, str):
            return json.loads(written)
        if isinstance(written, self.type):
            return written
        raise ValueError(f"{type(self.field).__name__} makes a {type(written).__name__} of it")

    def given_back(self, value: Any) -> Any:
        """As the plain column of its kind."""
        return value if value is None else self.plain.given_back(value)

    def take(self, value: Any) -> Any:
        """What the field makes of a plain value, if it can write that."""
        return self._made(self.plain.take(value))

    def round(self, value: Any) -> Any:
        """As above."""
        return self._made(self.plain.round(value))

    def _made(self, value: Any) -> Any:
        if self.type is object and hasattr(self.field, "from_db_value"):
            made = self.field.from_db_value(json.dumps(value), None, self.connection)
        else:
            made = self.field.to_python(value)
        self.coerce(made)
        return made


_PLAIN: dict[Kind, type] = {
    Kind.TEXT: str,
    Kind.FILE: str,
    Kind.ADDRESS: str,
    Kind.INTEGER: int,
    Kind.FLOAT: float,
    Kind.DECIMAL: decimal.Decimal,
    Kind.BOOLEAN: bool,
    Kind.UUID: uuid.UUID,
    Kind.BINARY: bytes,
    Kind.DATE: datetime.date,
    Kind.DATETIME: datetime.datetime,
    Kind.TIME: datetime.time,
    Kind.DURATION: datetime.timedelta,
}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


class OtherColumn(Column):
    """A field of a class we do not know. Its values are texts, as `dumpdata` writes and `loaddata` reads them."""

    def coerce(self, value: Any) -> str | None:
        """The text `dumpdata` writes."""
        text = self.field.value_to_string(_Holder(self.field.attname, value))  # type: ignore[arg-type]
        return None if text is None else str(text)

    def take(self, value: str) -> Any:
        """What `loaddata` makes of the text, if it is written as the same text again."""
        made = self.field.to_python(value)
        self.field.get_db_prep_save(made, self.connection)
        if not _means(back := self.coerce(made), value):
            raise ValueError(f"the column would give back {back!r}")
        return made


class _Holder:
    """What `value_to_string` takes for a model instance."""

    def __init__(self, attname: str, value: Any) -> None:
        setattr(self, attname, value)


def _means(one: str | None, other: str) -> bool:
    if one == other:
        return True
    try:
        return bool(json.loads(one or "") == json.loads(other))
    except ValueError:
        return False
