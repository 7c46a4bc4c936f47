"""How JSON crosses: as JSON texts, and value by value."""

from __future__ import annotations

import decimal
import json
from typing import Any

from django_datastore.introspection.codecs.base import Codec, Convert, json_name, text_of
from django_datastore.introspection.codecs.numbers import finite, float_of_decimal, float_of_spelling
from django_datastore.introspection.columns import check_unicode, is_json_null
from django_datastore.introspection.kinds import AnyField
from django_datastore.schema.scalars import SCALARS


def json_text(encoder: type[json.JSONEncoder] | None) -> Convert:
    kept = (encoder or json.JSONEncoder)(ensure_ascii=False, allow_nan=False)
    escaped = (encoder or json.JSONEncoder)(allow_nan=False)

    def encode(value: Any) -> str:
        if is_json_null(value):
            return "null"
        try:
            text = kept.encode(value)
        except RecursionError as exc:
            raise ValueError("the value is nested too deeply for JSON") from exc
        if not text.isascii():
            try:
                check_unicode(text)
            except ValueError:
                return escaped.encode(value)  # in JSON half a character has a spelling that everyone can carry
        return text

    return encode


def _no_json(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_PLAIN_DECODER = json.JSONDecoder(parse_constant=_no_json, parse_float=float_of_spelling)


def json_of(decoder: type[json.JSONDecoder] | None) -> Convert:
    def decode(wire: Any) -> Any:
        text = text_of(wire)
        try:
            found = _PLAIN_DECODER.decode(text)  # for its checks, even where the field has a decoder of its own
            return found if decoder is None else json.loads(text, cls=decoder)
        except RecursionError as exc:
            raise ValueError("the JSON text is nested too deeply") from exc
        except ValueError as exc:
            raise ValueError(f"it is no JSON text: {exc}") from exc

    return decode


def json_meaning(wire: Any) -> Any:
    """What JSON texts say, whatever their spelling: numbers by value, `null` as null, in lists element by element."""
    if isinstance(wire, list):
        return [json_meaning(item) for item in wire]
    if not isinstance(wire, str):
        return wire
    return json.loads(wire, parse_float=decimal.Decimal, parse_int=decimal.Decimal)


def _json(field: AnyField) -> Codec:
    return Codec(json_text(getattr(field, "encoder", None)), json_of(getattr(field, "decoder", None)))


def _json_as_text(value: str) -> str | None:
    """A text column that holds JSON texts: they cross as they are."""
    return str(SCALARS["AWSJSON"].parse(value)) if value else None


TEXT_JSON = Codec(_json_as_text, lambda wire: str(SCALARS["AWSJSON"].parse(text_of(wire))))


def inside_json(field: AnyField, scalar: str) -> Codec:
    """One JSON value as one scalar: a whole JSON field, or an element of the list it holds."""
    if scalar == "AWSJSON":
        return _json(field)
    if scalar not in SCALARS:
        return Codec(_any_json, _any_json)
    parse, expected = SCALARS[scalar].parse, SCALARS[scalar].types

    def check(value: Any) -> Any:
        if isinstance(value, bool) is not (scalar == "Boolean") or not isinstance(value, expected):
            raise ValueError(f"{value!r:.40} is a {json_name(value)}, and the type is {scalar}")
        if isinstance(value, str):
            check_unicode(value)
        elif isinstance(value, float):
            finite(value)
        if scalar == "Float" and isinstance(value, int) and abs(value) > 2**53:
            return float_of_decimal(value)  # PostgreSQL writes floats in JSON as whole numbers, if they are
        return parse(value)

    return Codec(check, check)


def _any_json(value: Any) -> Any:
    """A value of a type of the API's own: an enum's or a nested type's."""
    if isinstance(value, str):
        check_unicode(value)
    elif isinstance(value, dict):
        return {str(name): _any_json(item) for name, item in value.items()}
    elif isinstance(value, list | tuple):
        return [_any_json(item) for item in value]
    elif isinstance(value, float):
        finite(value)
    elif value is not None and not isinstance(value, int):
        raise ValueError(f"a {type(value).__name__} is no JSON value")
    return value


def plain_json(field: AnyField) -> Convert:
    """What a JSON column gives back for values its own encoder knows (dates, decimals)."""
    encoder, decoder = getattr(field, "encoder", None), getattr(field, "decoder", None)
    if encoder is None:
        return lambda value: value
    return lambda value: json.loads(json.dumps(value, cls=encoder, allow_nan=False), cls=decoder)
