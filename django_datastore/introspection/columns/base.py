"""The base of all columns, and those that change nothing."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from django_datastore.introspection.kinds import AnyField


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


class UUIDColumn(Column):
    """UUIDs. MariaDB's own type refuses some, such as no version of the standard makes, and a few of version 8.

    Which they are is in its seventh and ninth byte; Amplify's clients make none of them.
    """

    def take(self, value: uuid.UUID) -> uuid.UUID:
        """The UUID, if the database has a way to keep it."""
        octets = value.bytes
        if octets[6] & -octets[8] & 0x80 and self.is_choosy:
            raise ValueError("MariaDB's type for UUIDs holds none of this version and variant")
        return value

    @property
    def is_choosy(self) -> bool:
        """Whether the column is of that type."""
        return self.connection.vendor == "mysql" and self.field.db_type(self.connection) == "uuid"


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
