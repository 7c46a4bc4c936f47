"""One synced column and how its values cross: Python here, JSON on the wire."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from django_datastore.schema.types import FieldSchema

AnyField: TypeAlias = "models.Field[Any, Any]"
"""A field of a model we do not know."""


_TAKE_EMPTY = ("String", "ID", "AWSJSON")
"""The scalars for which an empty text is a value."""


@dataclass(frozen=True, eq=False)
class FieldBinding:
    """One synced column: the Django field, its wire field, and how values cross."""

    field: AnyField
    schema: FieldSchema
    enum: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Stored value to enum value, for fields with choices."""

    @cached_property
    def attname(self) -> str:
        """The attribute on instances: `blog_id` for a foreign key `blog`."""
        return self.field.attname

    @cached_property
    def wire_name(self) -> str:
        """The name on the wire."""
        return self.schema.name

    @cached_property
    def related_model(self) -> type[models.Model] | None:
        """The model a foreign key points to."""
        return self.field.related_model if self.field.is_relation else None

    @cached_property
    def _value_field(self) -> AnyField:
        """The field that knows the values' type: a foreign key's is its target."""
        found = self.field
        while isinstance(found, models.ForeignKey):
            found = found.target_field
        return found

    @cached_property
    def _from_enum(self) -> Mapping[str, str]:
        return {wire: stored for stored, wire in self.enum.items()}

    @property
    def encode(self) -> Any:
        return self.to_wire

    def to_wire(self, value: Any) -> Any:
        """A Python value as JSON value; raises `ValueError` for one the field does not take."""
        if value is None:
            return None
        if self.schema.is_list:
            return [_format(item, self.schema.type) for item in value]
        try:
            value = self._value_field.to_python(value)
        except ValidationError as exc:
            raise ValueError(f"{self.field}: {'; '.join(exc.messages)}") from exc
        if value is None or (value == "" and self.schema.type not in _TAKE_EMPTY):
            return None  # Django's blank is no e-mail address, URL or enum value
        if self.enum:
            return self.enum.get(str(value), str(value))
        if self.schema.type == "AWSJSON":
            return json.dumps(value, cls=getattr(self._value_field, "encoder", None), ensure_ascii=False)
        return _format(value, self.schema.type)

    def to_python(self, wire: Any) -> Any:
        """A JSON value as the field's Python value; raises `ValueError` for one that does not fit."""
        if wire is None:
            return self._empty()
        if self.schema.is_list:
            if not isinstance(wire, list):
                raise ValueError(f"{self.wire_name} must be a list, not {type(wire).__name__}")
            return wire
        if self.schema.type == "AWSJSON":
            return _parse_json(wire, self._value_field)
        if self.enum:
            wire = self._from_enum.get(str(wire), wire)
        try:
            return self._value_field.to_python(_parse(wire, self.schema.type))
        except ValidationError as exc:
            raise ValueError(f"{self.wire_name}: {'; '.join(exc.messages)}") from exc
        except (TypeError, decimal.InvalidOperation) as exc:
            raise ValueError(f"{self.wire_name}: {exc}") from exc

    def same(self, one: Any, other: Any) -> bool:
        """Whether two wire values mean the same, whatever their spelling (dates, JSON texts)."""
        if one == other:
            return True
        if one is None or other is None:
            return False
        try:
            return bool(self.to_python(one) == self.to_python(other))
        except ValueError:
            return False

    def _empty(self) -> Any:
        """What a null becomes: null, else the default, else Django's empty string."""
        if self.field.null:
            return None
        if self.field.has_default():
            return self.field.get_default()
        if self.field.empty_strings_allowed and self.field.blank:
            return ""
        raise ValueError(f"{self.wire_name} is null, and the field {self.field} takes no null")


def _format(value: Any, scalar: str) -> Any:
    match value:
        case datetime.datetime():
            if timezone.is_naive(value) and settings.USE_TZ:
                value = timezone.make_aware(value)
            if timezone.is_naive(value):
                return value.isoformat(timespec="auto") + "Z"
            utc = value.astimezone(datetime.UTC).replace(tzinfo=None)
            return utc.isoformat(timespec="microseconds" if utc.microsecond % 1000 else "milliseconds") + "Z"
        case datetime.date() | datetime.time():
            return value.isoformat()
        case decimal.Decimal():
            return float(value)
        case bool() | int() | float():
            return str(value) if scalar in ("ID", "String") else value
    return value if isinstance(value, dict) else str(value)


def _parse(wire: Any, scalar: str) -> Any:
    if scalar == "AWSDateTime" and isinstance(wire, str):
        parsed = datetime.datetime.fromisoformat(wire)
        if settings.USE_TZ and timezone.is_naive(parsed):
            return parsed.replace(tzinfo=datetime.UTC)
        if not settings.USE_TZ and timezone.is_aware(parsed):
            return parsed.astimezone(datetime.UTC).replace(tzinfo=None)
        return parsed
    if scalar == "AWSDate" and isinstance(wire, str):
        return wire[:10]
    if scalar == "AWSTime" and isinstance(wire, str):
        return datetime.time.fromisoformat(wire).replace(tzinfo=None)
    if scalar == "Float" and isinstance(wire, float):
        return repr(wire)
    return wire


def _parse_json(wire: Any, value_field: AnyField) -> Any:
    if not isinstance(wire, str):
        return wire
    try:
        return json.loads(wire, cls=getattr(value_field, "decoder", None))
    except json.JSONDecodeError as exc:
        raise ValueError(f"not JSON: {exc}") from exc
