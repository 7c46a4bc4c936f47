"""What a column of each kind does to a value: how Django reads what was assigned, and what comes back after saving.

assigned ─coerce─▶ Python value ─given_back─▶ what the column will give back      (a save)
received ─────────────────────────take──────▶ what may be stored, or ValueError   (a record made elsewhere)
"""

from __future__ import annotations

import datetime
import decimal
import json
import re
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.utils import validate_file_name
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from django_datastore.introspection.kinds import AnyField, Kind, is_custom, kind_of

_LENGTH = re.compile(r"char(?:acter)?(?: varying)?\((\d+)\)")
_SQLITE_DIGITS = decimal.Context(prec=15)
"""SQLite keeps decimals as floating point numbers; Django reads 15 digits of them."""
_HOST_MASKS = {True: "/128", False: "/32"}


class Column:
    """A column whose values are taken and given back as they are; the base of the others."""

    def __init__(self, field: AnyField, connection: BaseDatabaseWrapper) -> None:
        self.field = field
        self.connection = connection

    def coerce(self, value: Any) -> Any:
        """What a person assigned, in the Python type of the field; raises for what the field does not take."""
        return self.field.to_python(value)

    def given_back(self, value: Any) -> Any:
        """What the column will hold after the save."""
        return value

    def take(self, value: Any) -> Any:
        """A received value, as it may be stored; `ValueError` if the column could not give it back."""
        back = self.given_back(value)
        if back != value:
            raise ValueError(f"the column would give back {back!s}")
        return back

    def round(self, value: Any) -> Any:
        """`take` for numbers that came through a Float, which has no exact decimals: the column's digits are enough."""
        return self.take(value)


class TextColumn(Column):
    """Text of any kind of field."""

    def coerce(self, value: Any) -> str:
        """Plain `str`; members of enums become their value, as in the column."""
        return str.__str__(value) if isinstance(value, str) else str(value)

    def given_back(self, value: str) -> str:
        """The text; `ValueError` for half an emoji, which neither UTF-8 nor AppSync can carry."""
        if not value.isascii():
            check_unicode(value)
        return value

    def take(self, value: str) -> str:
        """The text, if it fits where the database counts letters."""
        self.given_back(value)
        if (longest := self.longest) is not None and len(value) > longest:
            raise ValueError(f"the text has {len(value)} characters, and the column takes {longest}")
        return value

    @property
    def longest(self) -> int | None:
        """The characters the database lets in; None where it does not count."""
        if self.connection.vendor == "sqlite":
            return None
        found = _LENGTH.search(self.field.db_type(self.connection) or "")
        return int(found[1]) if found else None


class FileColumn(TextColumn):
    """The name of a file in its storage."""

    def take(self, value: str) -> str:
        """The name, unless it leads out of the storage."""
        try:
            validate_file_name(value or "name", allow_relative_path=True)
        except SuspiciousFileOperation as exc:
            raise ValueError(str(exc)) from exc
        return super().take(value)


class AddressColumn(TextColumn):
    """An address of the internet; PostgreSQL may spell one as a network of one host."""

    def coerce(self, value: Any) -> str:
        """The address in Django's spelling."""
        text = str(value).strip()
        text = text.removesuffix(_HOST_MASKS[":" in text])
        return str(self.field.to_python(text))

    def take(self, value: str) -> str:
        """The address; `ValueError` for a network, which no field for addresses gives back."""
        found = self.coerce(value)
        if "/" in found:
            raise ValueError(f"{value!r} is a network, not an address")
        return found


class IntegerColumn(Column):
    """Whole numbers."""

    def coerce(self, value: Any) -> int:
        """A plain `int`, as Django makes it: `"12"`, `True`, members of enums, `3.7`."""
        return int(value)

    def take(self, value: int) -> int:
        """The number, if the column's type has room for it."""
        low, high = self.range
        if not low <= value <= high:
            raise ValueError(f"it is out of the column's range, {low} to {high}")
        return value

    @property
    def range(self) -> tuple[int, int]:
        """The least and the greatest number of the column's type."""
        return self.connection.ops.integer_field_range(self.field.get_internal_type())


class FloatColumn(Column):
    """Floating point numbers."""

    def coerce(self, value: Any) -> float:
        """A plain `float`."""
        return float(value)

    def given_back(self, value: float) -> float:
        """The number; PostgreSQL knows no negative zero."""
        return value + 0.0

    def take(self, value: float) -> float:
        """The number: AppSync's Float and the column are the same."""
        return value


class DecimalColumn(Column):
    """Numbers with a fixed count of decimals."""

    def given_back(self, value: decimal.Decimal) -> decimal.Decimal:
        """The number in the column's decimals, rounded as the database does; `ValueError` if it has too many digits."""
        before = self.max_digits - self.decimal_places
        if value and value.adjusted() < before:
            value = self._rounded(value)
        if value and value.adjusted() >= before:
            raise ValueError(f"it has more digits than the column takes, {before} before the point")
        return value if value else abs(self._rounded(value))  # no database gives back a negative zero

    def round(self, value: decimal.Decimal) -> decimal.Decimal:
        """The number in the column's decimals."""
        return self.given_back(value)

    def _rounded(self, value: decimal.Decimal) -> decimal.Decimal:
        step = decimal.Decimal(1).scaleb(-self.decimal_places)
        rounding, wide = decimal.ROUND_HALF_UP, decimal.Context(prec=self.max_digits + 1)
        if self.connection.vendor == "sqlite":
            value = _SQLITE_DIGITS.create_decimal_from_float(float(value))
            rounding = decimal.ROUND_HALF_EVEN
        return value.quantize(step, rounding=rounding, context=wide)

    @property
    def max_digits(self) -> int:
        """All digits, before and after the point."""
        return int(getattr(self.field, "max_digits", None) or 1000)

    @property
    def decimal_places(self) -> int:
        """The digits after the point."""
        return int(getattr(self.field, "decimal_places", None) or 0)


class DateTimeColumn(Column):
    """Moments. Without time zones (`USE_TZ = False`) the column holds local times of the default time zone."""

    def coerce(self, value: Any) -> datetime.datetime:
        """An aware moment; naive ones and dates are local, as Django takes them."""
        if isinstance(value, datetime.datetime):
            found = value
        elif isinstance(value, datetime.date):
            found = datetime.datetime(value.year, value.month, value.day)
        else:
            found = self.field.to_python(value)
        return _aware(found) if timezone.is_naive(found) else found

    def given_back(self, value: datetime.datetime) -> datetime.datetime:
        """The moment in UTC."""
        return value.astimezone(datetime.UTC)

    def take(self, value: datetime.datetime) -> datetime.datetime:
        """As the column has it: aware, or a local time that says which moment is meant."""
        found = value.astimezone(datetime.UTC)
        if settings.USE_TZ:
            return found
        local = found.astimezone(timezone.get_default_timezone()).replace(tzinfo=None, fold=0)
        if _aware(local).astimezone(datetime.UTC) != found:  # never across zones: such an hour equals nothing there
            raise ValueError(
                f"{found.isoformat()} is in the hour that clocks show twice; a local time cannot say which"
            )
        return local


def _aware(naive: datetime.datetime) -> datetime.datetime:
    zone = timezone.get_default_timezone()
    aware = timezone.make_aware(naive.replace(fold=0) if not settings.USE_TZ else naive, zone)
    if not settings.USE_TZ and aware.astimezone(datetime.UTC).astimezone(zone).replace(tzinfo=None) != aware.replace(
        tzinfo=None
    ):
        raise ValueError(f"no clock of {zone} shows {naive.isoformat()}: the hour is skipped that night")
    return aware


class DateColumn(Column):
    """Days."""


class TimeColumn(Column):
    """Times of day, which have no offset in Django."""

    def given_back(self, value: datetime.time) -> datetime.time:
        """The time, or what the database says to one with an offset."""
        self.connection.ops.adapt_timefield_value(value)
        return value.replace(tzinfo=None, fold=0)

    def take(self, value: datetime.time) -> datetime.time:
        """The time; one in UTC is taken as it is, for some clients write no other."""
        if value.utcoffset():
            raise ValueError(f"the time {value.isoformat()} has an offset, which no column for times gives back")
        return value.replace(tzinfo=None)


class DurationColumn(Column):
    """Spans of time."""

    def given_back(self, value: datetime.timedelta) -> datetime.timedelta:
        """The span, if the database has room for its microseconds."""
        if not self.connection.features.has_native_duration_field and not -(2**63) <= _microseconds(value) < 2**63:
            raise ValueError(f"{value} is out of the range of the column, 292,000 years")
        return value


def _microseconds(value: datetime.timedelta) -> int:
    return value // datetime.timedelta(microseconds=1)


class BinaryColumn(Column):
    """Bytes."""

    def coerce(self, value: Any) -> bytes:
        """Plain `bytes`."""
        return value.encode() if isinstance(value, str) else bytes(value)


class JSONColumn(Column):
    """JSON values, with whatever encoder the field has."""

    def coerce(self, value: Any) -> Any:
        """The value; JSON's null (`Value(None, JSONField())`) stays marked."""
        return value

    def take(self, value: Any) -> Any:
        """The value: it came out of JSON and goes into JSON."""
        return value


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


def check_unicode(text: str) -> None:
    """`ValueError` for a lone surrogate: half a character, which neither UTF-8 nor AppSync can carry."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(f"the text holds half a character ({text[exc.start]!r})") from exc


def is_json_null(value: Any) -> bool:
    """Whether it is JSON's null, as Django marks it: `Value(None, JSONField())`, `JSONNull()`."""
    if isinstance(value, models.Value):
        return value.value is None
    return type(value).__name__ == "JSONNull"
