"""One synced column and how its values cross: Python here, JSON on the wire."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connections, models, router

from django_datastore.introspection import codecs, fast
from django_datastore.introspection.codecs import Codec
from django_datastore.introspection.columns import Column, CustomColumn, column_of, is_json_null
from django_datastore.introspection.kinds import AnyField, Kind, kind_of, value_field
from django_datastore.schema.types import FieldSchema

__all__ = ["AnyField", "FieldBinding"]

_WAYS_OUT = {
    "Int": "AppSync's Int has 32 bits: let `types` of the registration say 'String', 'Float' or 'AWSTimestamp'.",
    "Float": "Store a number, or null; where every digit counts, let `types` of the registration say 'String'.",
}
_WAY_OUT = "Store a value that fits, or exclude the field in the registration."


@dataclass(frozen=True, eq=False)
class FieldBinding:
    """One synced column: the Django field, its wire field, and how values cross.

    Out: whatever a person may assign, as it will be once it is saved. In: what the column can give back, or not at all.
    """

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
    def is_generated(self) -> bool:
        """Whether the database computes the column: it is read and never written."""
        return isinstance(self.field, models.GeneratedField)

    def is_plain(self, kind: Kind) -> bool:
        """Whether its values are of that kind, and no code but Django's own reads and writes them."""
        return self._kind is kind and not self._is_custom

    def to_wire(self, value: Any) -> Any:
        """A value that is stored or about to be, as the JSON value it will have once it is saved.

        Raises Django's `ValidationError`, which names the field, for what the field or AppSync would refuse.
        """
        return self.encode(value)

    def to_python(self, wire: Any) -> Any:
        """A received JSON value as the column may store it; `ValueError` for what it could not give back."""
        return self.decode(wire)

    @cached_property
    def encode(self) -> Callable[[Any], Any]:
        """`to_wire` as a function, with shortcuts for the common types."""
        if self._is_custom or self.schema.is_list:
            return self._encode
        if self.enum:
            return fast.enum_encoder(self.enum, self._encode)
        return fast.encoder(self._kind, self.schema.type, self._column, self._encode)

    @cached_property
    def decode(self) -> Callable[[Any], Any]:
        """`to_python` as a function, with shortcuts for the common types."""
        if self._is_custom or self.schema.is_list or self.enum:
            return self._decode
        return fast.decoder(self._kind, self.schema.type, self._column, self._decode)

    def same(self, one: Any, other: Any) -> bool:
        """Whether two wire values mean the same, whatever their spelling (dates, JSON texts)."""
        if one == other and type(one) is type(other):
            return True
        try:
            return bool(self._meaning(one) == self._meaning(other))
        except (ArithmeticError, ValueError):
            return bool(one == other)

    def _meaning(self, wire: Any) -> Any:
        if self.schema.type == "AWSJSON":
            return codecs.json_meaning(wire)
        return None if wire is None else self.decode(wire)

    # -- operands of predicates: compared with the column, not stored in it --------------------------------------------

    def operand_to_wire(self, value: Any) -> Any:
        """What a predicate compares with; `ValueError` for what has no wire value."""
        if value is None:
            return None
        found = self._coerced(value)
        if self._kind in (Kind.TEXT, Kind.FILE, Kind.ADDRESS):
            return self.enum.get(found, found)
        return self._codec.encode(found)

    def shown(self, value: Any) -> Any:
        """The same for whoever looks at a stored row: what AppSync would refuse is shown as it is stored."""
        try:
            return self.encode(value)
        except ValidationError:
            text = json.dumps(value, default=str)
            return text if self.schema.type == "AWSJSON" and not self.schema.is_list else json.loads(text)

    def operand_to_python(self, wire: Any) -> Any:
        """The same for a JSON value in a filter."""
        if wire is None:
            return None
        if self._kind in (Kind.TEXT, Kind.FILE, Kind.ADDRESS) and not self.schema.is_list:
            return self._from_enum.get(codecs.text_of(wire), wire)
        if self._kind is Kind.INTEGER and type(wire) is int:
            return wire  # one that no column holds is above or below all, and equals none
        try:
            found = self._codec.decode(wire)
        except ValueError:
            if not isinstance(wire, str) or self._kind not in _SPELLED_AS_TEXT:
                raise
            found = self._coerced(wire)
        return self._column.take(found) if self._kind is Kind.DATETIME else found

    # -- the whole way -----------------------------------------------------------------------------------------------

    def _coerced(self, value: Any) -> Any:
        try:
            return self._column.coerce(value)
        except ValidationError as exc:
            raise ValueError("; ".join(exc.messages)) from exc
        except (ArithmeticError, TypeError) as exc:
            raise ValueError(str(exc)) from exc

    @cached_property
    def _value_field(self) -> AnyField:
        return value_field(self.field)

    @cached_property
    def _kind(self) -> Kind:
        return kind_of(self._value_field)

    @cached_property
    def _column(self) -> Column:
        return column_of(self._value_field, connections[router.db_for_write(self.field.model)])

    @cached_property
    def _is_custom(self) -> bool:
        return isinstance(self._column, CustomColumn)

    @cached_property
    def _codec(self) -> Codec:
        if self.schema.is_list:
            found = codecs.list_codec(self._value_field, self.schema.type)
        else:
            found = codecs.codec(self._value_field, "String" if self.enum else self.schema.type)
        return found or Codec(self._no_codec, self._no_codec)

    def _no_codec(self, value: Any) -> Any:
        kind = f"[{self.schema.type}]" if self.schema.is_list else self.schema.type
        raise ValueError(f"a {type(self._value_field).__name__} cannot be {kind}")

    @cached_property
    def _from_enum(self) -> Mapping[str, str]:
        return {wire: stored for stored, wire in self.enum.items()}

    def _encode(self, value: Any) -> Any:
        if value is None:
            return self._null()
        try:
            wire = self._encoded(value)
        except ValidationError as exc:
            raise self._refused(value, "; ".join(exc.messages)) from exc
        except Exception as exc:  # a field of somebody's own may raise anything
            if not isinstance(exc, _BAD_VALUE) and not self._is_custom:
                raise
            raise self._refused(value, str(exc) or type(exc).__name__) from exc
        if wire is None and (self.schema.is_list_required if self.schema.is_list else self.schema.is_required):
            raise self._refused(
                value, f"it is blank, which {self.schema.type} does not take, and the field is required"
            )
        return wire

    def _encoded(self, value: Any) -> Any:
        if hasattr(value, "resolve_expression") and not is_json_null(value):
            raise TypeError("only the database knows the value of an expression; it must be read back first")
        found = self._column.coerce(value)
        if found is None or (self.enum and found == ""):
            return None
        found = self._column.given_back(found)
        if self.enum:
            return self._enum_value(found, self.enum)
        return self._codec.encode(found)

    def _null(self) -> Any:
        """Null; where the column takes none, Django can only have read JSON's null."""
        is_json = self._kind is Kind.JSON and self.schema.type == "AWSJSON" and not self.schema.is_list
        return "null" if is_json and not self.field.null else None

    @staticmethod
    def _enum_value(value: Any, known: Mapping[str, str]) -> str:
        try:
            return known[value]
        except (KeyError, TypeError):
            raise ValueError(f"it is none of the choices: {', '.join(known)}") from None

    def _refused(self, value: Any, reason: str) -> ValidationError:
        label = f"{self.field.model._meta.object_name}.{self.field.name}"
        way_out = _WAYS_OUT.get(self.schema.type, _WAY_OUT)
        text = f"{_shown(value)} cannot be synced as {self.schema.type} of {label}: {reason}. {way_out}"
        return ValidationError({self.field.name: [text]})

    def _decode(self, wire: Any) -> Any:
        if wire is None:
            return self._empty()
        try:
            return self._decoded(wire)
        except ValidationError as exc:
            raise self._unfit(wire, "; ".join(exc.messages)) from exc
        except Exception as exc:
            if not isinstance(exc, _BAD_VALUE) and not self._is_custom:
                raise
            raise self._unfit(wire, str(exc) or type(exc).__name__) from exc

    def _decoded(self, wire: Any) -> Any:
        if self.enum:
            return self._column.take(self._enum_value(wire, self._from_enum))
        found = self._codec.decode(wire)
        if self._kind is Kind.JSON and found is None:
            return models.Value(None, self._value_field)
        return self._column.round(found) if self._codec.is_rounded else self._column.take(found)

    def _unfit(self, wire: Any, reason: str) -> ValueError:
        return ValueError(f"{self.wire_name}: {_shown(wire)} does not fit {self.field}: {reason}")

    def _empty(self) -> Any:
        """What a null becomes: null, else the default, else Django's empty string. A key has none of these."""
        if self.field.null:
            return None
        if self.field in self.field.model._meta.pk_fields:
            raise ValueError(f"{self.wire_name} is null, and it is part of the key of {self.field.model._meta.label}")
        if self.field.has_default():
            return self._default()
        if self.field.has_db_default() and not hasattr(self.field.db_default, "resolve_expression"):
            return self.field.db_default
        if self.field.empty_strings_allowed and self.field.blank:
            return ""
        raise ValueError(f"{self.wire_name} is null, and the field {self.field} takes no null")

    def _default(self) -> Any:
        try:
            return self.field.get_default()
        except Exception as exc:  # a function of somebody's own
            reason = f"the default of {self.field} raises {type(exc).__name__}: {exc}"
            raise ValueError(f"{self.wire_name} is null, and {reason}") from exc


_SPELLED_AS_TEXT = (Kind.INTEGER, Kind.FLOAT, Kind.DECIMAL, Kind.BOOLEAN)
"""What a filter may hold as text: browsers read numbers from input fields."""

_BAD_VALUE = (ArithmeticError, AttributeError, KeyError, OSError, TypeError, ValueError)
"""What conversions raise for a value that does not fit."""


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # a value of somebody's own class
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."
