"""The kinds of values Django's fields have, and the AppSync scalar each kind of field is by default."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, TypeAlias

from django.db import models

AnyField: TypeAlias = "models.Field[Any, Any]"
"""A field of a model we do not know."""


class Kind(StrEnum):
    """What the values of a column are in Python."""

    TEXT = "text"
    FILE = "file"
    ADDRESS = "address"
    INTEGER = "integer"
    FLOAT = "float"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    UUID = "uuid"
    DATETIME = "datetime"
    DATE = "date"
    TIME = "time"
    DURATION = "duration"
    BINARY = "binary"
    JSON = "json"
    ARRAY = "array"
    OTHER = "other"
    """Classes we do not know; their values cross as `dumpdata` writes and `loaddata` reads them."""


FIELDS: tuple[tuple[type[AnyField], Kind, str | None], ...] = (
    (models.UUIDField, Kind.UUID, "ID"),
    (models.EmailField, Kind.TEXT, "AWSEmail"),
    (models.URLField, Kind.TEXT, "AWSURL"),
    (models.CharField, Kind.TEXT, "String"),
    (models.TextField, Kind.TEXT, "String"),
    (models.FilePathField, Kind.TEXT, "String"),
    (models.FileField, Kind.FILE, "String"),
    (models.GenericIPAddressField, Kind.ADDRESS, "AWSIPAddress"),
    (models.BooleanField, Kind.BOOLEAN, "Boolean"),
    (models.FloatField, Kind.FLOAT, "Float"),
    (models.DecimalField, Kind.DECIMAL, "Float"),
    (models.IntegerField, Kind.INTEGER, "Int"),
    (models.DateTimeField, Kind.DATETIME, "AWSDateTime"),
    (models.DateField, Kind.DATE, "AWSDate"),
    (models.TimeField, Kind.TIME, "AWSTime"),
    (models.DurationField, Kind.DURATION, "String"),
    (models.JSONField, Kind.JSON, "AWSJSON"),
    (models.BinaryField, Kind.BINARY, None),
)
"""The kind and the default scalar of each class of field; the first class that matches counts."""

_VALUE_METHODS = ("to_python", "get_prep_value", "get_db_prep_value", "get_db_prep_save", "from_db_value")


def value_field(field: AnyField) -> AnyField:
    """The field that knows the values' type: a foreign key's is its target, a generated column's its output."""
    if isinstance(field, models.ForeignKey):
        return value_field(field.target_field)
    output = field.output_field if isinstance(field, models.GeneratedField) else None
    return field if output is None else value_field(output)


def kind_of(field: AnyField) -> Kind:
    """The kind of a value field."""
    if is_array(field):
        return Kind.ARRAY
    return next((kind for base, kind, _ in FIELDS if isinstance(field, base)), Kind.OTHER)


def default_scalar(field: AnyField) -> str | None:
    """The scalar of a value field that is no array; None where somebody has to name one."""
    return next((scalar for base, _, scalar in FIELDS if isinstance(field, base)), None)


def is_array(field: AnyField) -> bool:
    """Whether it is PostgreSQL's ArrayField, whose module cannot be imported without psycopg."""
    return any(base.__module__ == "django.contrib.postgres.fields.array" for base in type(field).__mro__)


def is_custom(field: AnyField) -> bool:
    """Whether somebody's own code takes part in how its values are read or written."""
    return any(name in vars(owner) for owner in _foreign_classes(field) for name in _VALUE_METHODS)


def _foreign_classes(field: AnyField) -> Iterator[type]:
    return (owner for owner in type(field).__mro__ if not owner.__module__.startswith("django."))
