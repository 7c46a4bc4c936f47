"""The table of all pairs of kind and scalar that mean something, and lists of them."""

from __future__ import annotations

from typing import Any

from django_datastore.introspection.codecs.base import Codec, Convert, json_name
from django_datastore.introspection.codecs.json_values import TEXT_JSON, inside_json, json_of, json_text, plain_json
from django_datastore.introspection.codecs.numbers import (
    DECIMAL_TEXT,
    FLOAT_TEXT,
    WHOLE_TEXT,
    decimal_float,
    finite,
    float_of,
    float_of_decimal,
    float_of_int,
    number,
    whole_decimal,
    whole_float,
)
from django_datastore.introspection.codecs.texts import BINARY, BOOLEAN, TEXT, UUID, formatted
from django_datastore.introspection.codecs.times import (
    DATE,
    MOMENT,
    SPAN_FLOAT,
    SPAN_INT,
    SPAN_TEXT,
    TIME,
    moment_of_seconds,
    seconds_since_epoch,
)
from django_datastore.introspection.kinds import AnyField, Kind, default_scalar, is_array, kind_of, value_field
from django_datastore.schema.scalars import SCALARS

_TEXTS = ("ID", "String")
_FORMATS = ("AWSDate", "AWSTime", "AWSDateTime", "AWSEmail", "AWSURL", "AWSPhone", "AWSIPAddress")

CODECS: dict[tuple[Kind, str], Codec] = {
    **{(kind, scalar): TEXT for kind in (Kind.TEXT, Kind.FILE, Kind.ADDRESS, Kind.OTHER) for scalar in _TEXTS},
    **{(Kind.TEXT, scalar): formatted(scalar) for scalar in _FORMATS},
    (Kind.TEXT, "AWSJSON"): TEXT_JSON,
    (Kind.OTHER, "AWSJSON"): TEXT_JSON,
    (Kind.ADDRESS, "AWSIPAddress"): formatted("AWSIPAddress"),
    (Kind.INTEGER, "Int"): number("Int"),
    (Kind.INTEGER, "AWSTimestamp"): number("AWSTimestamp"),
    (Kind.INTEGER, "Float"): Codec(float_of_int, whole_float),
    **{(Kind.INTEGER, scalar): WHOLE_TEXT for scalar in _TEXTS},
    (Kind.FLOAT, "Float"): Codec(finite, float_of),
    (Kind.FLOAT, "String"): FLOAT_TEXT,
    (Kind.DECIMAL, "Float"): Codec(float_of_decimal, decimal_float, is_rounded=True),
    (Kind.DECIMAL, "Int"): whole_decimal("Int"),
    (Kind.DECIMAL, "AWSTimestamp"): whole_decimal("AWSTimestamp"),
    **{(Kind.DECIMAL, scalar): DECIMAL_TEXT for scalar in _TEXTS},
    (Kind.BOOLEAN, "Boolean"): BOOLEAN,
    **{(Kind.UUID, scalar): UUID for scalar in _TEXTS},
    **{(Kind.DATETIME, scalar): MOMENT for scalar in (*_TEXTS, "AWSDateTime")},
    (Kind.DATETIME, "AWSTimestamp"): Codec(seconds_since_epoch, moment_of_seconds),
    **{(Kind.DATE, scalar): DATE for scalar in (*_TEXTS, "AWSDate")},
    **{(Kind.TIME, scalar): TIME for scalar in (*_TEXTS, "AWSTime")},
    (Kind.DURATION, "String"): SPAN_TEXT,
    (Kind.DURATION, "Int"): SPAN_INT,
    (Kind.DURATION, "Float"): SPAN_FLOAT,
    (Kind.BINARY, "String"): BINARY,
}
"""Every pair of kind and scalar whose values cross exactly. JSON fields take any scalar, arrays AWSJSON and lists."""


def codec(field: AnyField, scalar: str) -> Codec | None:
    """How a value field crosses as a scalar; None if it cannot."""
    kind = kind_of(field)
    if kind is Kind.JSON:
        return inside_json(field, scalar)
    if kind is Kind.ARRAY:
        return _array_json(field) if scalar == "AWSJSON" else None
    if scalar not in SCALARS and kind in (Kind.TEXT, Kind.OTHER):
        return TEXT  # an enum of the API's own
    return CODECS.get((kind, scalar))


def allowed_scalars(field: AnyField) -> list[str]:
    """The types somebody may name for a field."""
    if kind_of(field) is Kind.JSON:
        return [*SCALARS, *(f"[{name}]" for name in SCALARS)]
    found = [name for name in SCALARS if codec(field, name)]
    return found + [f"[{name}]" for name in SCALARS if list_codec(field, name)]


def list_codec(field: AnyField, scalar: str) -> Codec | None:
    """How a field that holds lists crosses as a list of scalars; None if it cannot."""
    if is_array(field):
        inner = value_field(field.base_field)  # type: ignore[attr-defined]  # an ArrayField
        return None if is_array(inner) or (found := codec(inner, scalar)) is None else _list_of(found)
    if kind_of(field) is not Kind.JSON:
        return None
    found, plain = inside_json(field, scalar), plain_json(field)
    return _list_of(found, plain)


def _list_of(element: Codec, plain: Convert = lambda value: value) -> Codec:
    def encode(values: Any) -> list[Any]:
        if not isinstance(values, list | tuple):
            raise ValueError(f"it is a {json_name(values)}, not a list")
        return _each(element.encode, plain(values))

    def decode(wire: Any) -> list[Any]:
        if not isinstance(wire, list):
            raise ValueError(f"it is a {json_name(wire)}, not a list")
        return _each(element.decode, wire)

    return Codec(encode, decode, element.is_rounded)


def _each(convert: Convert, values: Any) -> list[Any]:
    """Null elements stay null."""
    return [None if item is None else convert(item) for item in values]


def _array_json(field: AnyField) -> Codec:
    """An array of any depth as one JSON text of what its elements are on the wire."""
    inner = value_field(field.base_field)  # type: ignore[attr-defined]  # an ArrayField
    found = _list_of(_array_element(inner))
    dumps, loads = json_text(None), json_of(None)
    return Codec(lambda value: dumps(found.encode(value)), lambda wire: found.decode(loads(wire)), found.is_rounded)


def _array_element(inner: AnyField) -> Codec:
    if is_array(inner):
        deeper = value_field(inner.base_field)  # type: ignore[attr-defined]  # an ArrayField
        return _list_of(_array_element(deeper))
    return codec(inner, default_scalar(inner) or "String") or TEXT
