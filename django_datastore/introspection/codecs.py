"""How values of each kind cross as each AWS scalar: the table of all pairs that mean something, and nothing else."""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import json
import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.utils.dateparse import parse_duration
from django.utils.duration import duration_iso_string

from django_datastore.introspection.columns import check_unicode, is_json_null
from django_datastore.introspection.kinds import AnyField, Kind, default_scalar, is_array, kind_of, value_field
from django_datastore.schema.scalars import SCALARS

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Codec:
    """How one kind of value crosses as one scalar. Both ways raise `ValueError` for what does not fit."""

    encode: Convert
    """The wire value of what a column gives back; None for Django's blank where AppSync takes no empty text."""
    decode: Convert
    """The Python value of a wire value that is not null."""
    is_rounded: bool = False
    """The scalar has no exact decimals, the column has: what comes in is rounded to the column's digits."""


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
_MICROSECOND = datetime.timedelta(microseconds=1)
_FRACTION = re.compile(r"\.(\d{7,9})")
_WHOLE = re.compile(r"-?(?:0|[1-9]\d*)", re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,4})?", re.ASCII)
_TOO_FINE = "its fraction of a second has more than six digits, and columns give back six"


def text_of(wire: Any) -> str:
    """A wire value that must be text."""
    if not isinstance(wire, str):
        raise ValueError(f"it is a {_json_name(wire)}, not a text")
    return wire


def _json_name(wire: Any) -> str:
    names = {bool: "boolean", int: "number", float: "number", list: "list", dict: "object", type(None): "null"}
    return names.get(type(wire), type(wire).__name__)


# -- text ----------------------------------------------------------------------------------------------------------

_TEXT = Codec(lambda value: value, text_of)


def _formatted(scalar: str) -> Codec:
    """Text in the scalar's format; blank is null."""
    parse = SCALARS[scalar].parse

    def encode(value: str) -> Any:
        return parse(value) if value else None

    return Codec(encode, lambda wire: parse(text_of(wire)))


# -- numbers -------------------------------------------------------------------------------------------------------


def _number(scalar: str) -> Codec:
    parse = SCALARS[scalar].parse
    return Codec(parse, parse)


def _whole_float(wire: Any) -> int:
    number = SCALARS["Float"].parse(wire)
    if int(number) != number:  # type: ignore[call-overload]  # it is a number
        raise ValueError("it has a fraction, and the column holds whole numbers")
    return int(number)  # type: ignore[call-overload, no-any-return]


def _float_of_int(value: int) -> float:
    """A whole number that a double holds as it is."""
    found = float(value)
    if found != value:
        raise ValueError("a Float holds about 15 digits of it")
    return found


def _float_of_decimal(value: decimal.Decimal | int) -> float:
    """A number that a double's own spelling brings back."""
    found = float(value)
    if decimal.Decimal(repr(found)) != value:
        raise ValueError("a Float holds about 15 digits of it")
    return found


def _float_of(wire: Any) -> float:
    number = SCALARS["Float"].parse(wire)
    found = float(number)  # type: ignore[arg-type]
    if found != number:
        raise ValueError("it has more digits than a column of floating point numbers gives back")
    return found


def _whole_of_text(wire: Any) -> int:
    text = text_of(wire)
    if not _WHOLE.fullmatch(text) or text == "-0":
        raise ValueError("it is no whole number in its usual spelling")
    return int(text)


def _float_of_text(wire: Any) -> float:
    text = text_of(wire)
    if not _NUMBER.fullmatch(text) or not math.isfinite(found := float(text)):
        raise ValueError("it is no number")
    return found


def _decimal_of_text(wire: Any) -> decimal.Decimal:
    text = text_of(wire)
    if not _NUMBER.fullmatch(text):
        raise ValueError("it is no decimal number")
    return decimal.Decimal(text)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("AppSync's Float holds neither infinity nor 'not a number'")
    return value


_WHOLE_TEXT = Codec(str, _whole_of_text)
_DECIMAL_TEXT = Codec(lambda value: f"{value:f}", _decimal_of_text)
_FLOAT_TEXT = Codec(lambda value: repr(_finite(value)), _float_of_text)


def _decimal_float(wire: Any) -> decimal.Decimal:
    return decimal.Decimal(repr(SCALARS["Float"].parse(wire)))


def _whole_decimal(scalar: str) -> Codec:
    parse = SCALARS[scalar].parse

    def encode(value: decimal.Decimal) -> Any:
        if value != value.to_integral_value():
            raise ValueError(f"{scalar} holds whole numbers")
        return parse(int(value))

    return Codec(encode, lambda wire: decimal.Decimal(str(parse(wire))))


# -- days and times ------------------------------------------------------------------------------------------------


def moment_text(value: datetime.datetime) -> str:
    """An aware moment as AppSync writes it: in UTC, with milliseconds, with microseconds where there are any."""
    text = value.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return (text.removesuffix("000")) + "Z"


def _moment_of(wire: Any) -> datetime.datetime:
    text = str(SCALARS["AWSDateTime"].parse(wire))
    _check_fraction(text)
    return datetime.datetime.fromisoformat(text)


def _check_fraction(text: str) -> None:
    found = _FRACTION.search(text)
    if found and found[1][6:].strip("0"):
        raise ValueError(_TOO_FINE)


def _seconds_since_epoch(value: datetime.datetime) -> int:
    return (value - EPOCH) // _SECOND


def _moment_of_seconds(wire: Any) -> datetime.datetime:
    return EPOCH + SCALARS["AWSTimestamp"].parse(wire) * _SECOND  # type: ignore[no-any-return, operator]


def _date_of(wire: Any) -> datetime.date:
    text = str(SCALARS["AWSDate"].parse(wire))
    if text[10:] not in ("", "Z", "+00:00", "-00:00", "+00:00:00", "-00:00:00"):
        raise ValueError("the date has an offset, which no column for dates gives back")
    return datetime.date.fromisoformat(text[:10])


def _time_of(wire: Any) -> datetime.time:
    text = str(SCALARS["AWSTime"].parse(wire))
    _check_fraction(text)
    return datetime.time.fromisoformat(text)


_MOMENT = Codec(moment_text, _moment_of)
_DATE = Codec(lambda value: value.isoformat(), _date_of)
_TIME = Codec(lambda value: value.isoformat(), _time_of)


def _span_of(wire: Any) -> datetime.timedelta:
    text = text_of(wire)
    found = parse_duration(text) if text.lstrip("-+").startswith("P") else None
    if found is None:
        raise ValueError("it is no duration such as 'P1DT02H03M04.5S'")
    _check_fraction(text)
    return found


def _span_seconds(value: datetime.timedelta) -> int:
    if value % _SECOND:
        raise ValueError("Int holds whole seconds")
    return int(SCALARS["Int"].parse(value // _SECOND))  # type: ignore[call-overload, no-any-return]


def _span_float(value: datetime.timedelta) -> float:
    found = value.total_seconds()
    if datetime.timedelta(seconds=found) != value:
        raise ValueError("a Float does not hold all of its microseconds")
    return found


_SPAN_TEXT = Codec(duration_iso_string, _span_of)
_SPAN_INT = Codec(_span_seconds, lambda wire: SCALARS["Int"].parse(wire) * _SECOND)  # type: ignore[operator]
_SPAN_FLOAT = Codec(_span_float, lambda wire: datetime.timedelta(seconds=_float_of(wire)))


# -- keys, bytes, JSON ---------------------------------------------------------------------------------------------


def _uuid_of(wire: Any) -> uuid.UUID:
    """A UUID in any letters, with its hyphens or without."""
    text = text_of(wire)
    found = uuid.UUID(text)
    if text.lower() not in (str(found), found.hex):
        raise ValueError("it is no UUID in its usual spelling")
    return found


_UUID = Codec(str, _uuid_of)
_BOOLEAN = Codec(SCALARS["Boolean"].parse, SCALARS["Boolean"].parse)


def _bytes_of(wire: Any) -> bytes:
    text = text_of(wire)
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ValueError("it is no base64 text") from exc
    if base64.b64encode(found).decode() != text:
        raise ValueError("it is no base64 text in its usual spelling")
    return found


_BINARY = Codec(lambda value: base64.b64encode(value).decode(), _bytes_of)


def _json_text(encoder: type[json.JSONEncoder] | None) -> Convert:
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


def _finite_number(text: str) -> float:
    found = float(text)
    return found if math.isfinite(found) else _no_json(text)


_PLAIN_DECODER = json.JSONDecoder(parse_constant=_no_json, parse_float=_finite_number)


def _json_of(decoder: type[json.JSONDecoder] | None) -> Convert:
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
    return Codec(_json_text(getattr(field, "encoder", None)), _json_of(getattr(field, "decoder", None)))


def _json_as_text(value: str) -> str | None:
    """A text column that holds JSON texts: they cross as they are."""
    return str(SCALARS["AWSJSON"].parse(value)) if value else None


_TEXT_JSON = Codec(_json_as_text, lambda wire: str(SCALARS["AWSJSON"].parse(text_of(wire))))


# -- values inside JSON --------------------------------------------------------------------------------------------


def _inside_json(field: AnyField, scalar: str) -> Codec:
    """One JSON value as one scalar: a whole JSON field, or an element of the list it holds."""
    if scalar == "AWSJSON":
        return _json(field)
    if scalar not in SCALARS:
        return Codec(_any_json, _any_json)
    parse, expected = SCALARS[scalar].parse, SCALARS[scalar].types

    def check(value: Any) -> Any:
        if isinstance(value, bool) is not (scalar == "Boolean") or not isinstance(value, expected):
            raise ValueError(f"{value!r:.40} is a {_json_name(value)}, and the type is {scalar}")
        if isinstance(value, str):
            check_unicode(value)
        elif isinstance(value, float):
            _finite(value)
        if scalar == "Float" and isinstance(value, int) and abs(value) > 2**53:
            return _float_of_decimal(value)  # PostgreSQL writes floats in JSON as whole numbers, if they are
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
        _finite(value)
    elif value is not None and not isinstance(value, int):
        raise ValueError(f"a {type(value).__name__} is no JSON value")
    return value


def _plain_json(field: AnyField) -> Convert:
    """What a JSON column gives back for values its own encoder knows (dates, decimals)."""
    encoder, decoder = getattr(field, "encoder", None), getattr(field, "decoder", None)
    if encoder is None:
        return lambda value: value
    return lambda value: json.loads(json.dumps(value, cls=encoder, allow_nan=False), cls=decoder)


# -- lists ---------------------------------------------------------------------------------------------------------


def list_codec(field: AnyField, scalar: str) -> Codec | None:
    """How a field that holds lists crosses as a list of scalars; None if it cannot."""
    if is_array(field):
        inner = value_field(field.base_field)  # type: ignore[attr-defined]  # an ArrayField
        return None if is_array(inner) or (found := codec(inner, scalar)) is None else _list_of(found)
    if kind_of(field) is not Kind.JSON:
        return None
    found, plain = _inside_json(field, scalar), _plain_json(field)
    return _list_of(found, plain)


def _list_of(element: Codec, plain: Convert = lambda value: value) -> Codec:
    def encode(values: Any) -> list[Any]:
        if not isinstance(values, list | tuple):
            raise ValueError(f"it is a {_json_name(values)}, not a list")
        return _each(element.encode, plain(values))

    def decode(wire: Any) -> list[Any]:
        if not isinstance(wire, list):
            raise ValueError(f"it is a {_json_name(wire)}, not a list")
        return _each(element.decode, wire)

    return Codec(encode, decode, element.is_rounded)


def _each(convert: Convert, values: Any) -> list[Any]:
    """Null elements stay null."""
    return [None if item is None else convert(item) for item in values]


def _array_json(field: AnyField) -> Codec:
    """An array of any depth as one JSON text of what its elements are on the wire."""
    inner = value_field(field.base_field)  # type: ignore[attr-defined]  # an ArrayField
    found = _list_of(_array_element(inner))
    dumps, loads = _json_text(None), _json_of(None)
    return Codec(lambda value: dumps(found.encode(value)), lambda wire: found.decode(loads(wire)), found.is_rounded)


def _array_element(inner: AnyField) -> Codec:
    if is_array(inner):
        deeper = value_field(inner.base_field)  # type: ignore[attr-defined]  # an ArrayField
        return _list_of(_array_element(deeper))
    return codec(inner, default_scalar(inner) or "String") or _TEXT


# -- the table -----------------------------------------------------------------------------------------------------

_TEXTS = ("ID", "String")
_FORMATS = ("AWSDate", "AWSTime", "AWSDateTime", "AWSEmail", "AWSURL", "AWSPhone", "AWSIPAddress")

CODECS: dict[tuple[Kind, str], Codec] = {
    **{(kind, scalar): _TEXT for kind in (Kind.TEXT, Kind.FILE, Kind.ADDRESS, Kind.OTHER) for scalar in _TEXTS},
    **{(Kind.TEXT, scalar): _formatted(scalar) for scalar in _FORMATS},
    (Kind.TEXT, "AWSJSON"): _TEXT_JSON,
    (Kind.OTHER, "AWSJSON"): _TEXT_JSON,
    (Kind.ADDRESS, "AWSIPAddress"): _formatted("AWSIPAddress"),
    (Kind.INTEGER, "Int"): _number("Int"),
    (Kind.INTEGER, "AWSTimestamp"): _number("AWSTimestamp"),
    (Kind.INTEGER, "Float"): Codec(_float_of_int, _whole_float),
    **{(Kind.INTEGER, scalar): _WHOLE_TEXT for scalar in _TEXTS},
    (Kind.FLOAT, "Float"): Codec(_finite, _float_of),
    (Kind.FLOAT, "String"): _FLOAT_TEXT,
    (Kind.DECIMAL, "Float"): Codec(_float_of_decimal, _decimal_float, is_rounded=True),
    (Kind.DECIMAL, "Int"): _whole_decimal("Int"),
    (Kind.DECIMAL, "AWSTimestamp"): _whole_decimal("AWSTimestamp"),
    **{(Kind.DECIMAL, scalar): _DECIMAL_TEXT for scalar in _TEXTS},
    (Kind.BOOLEAN, "Boolean"): _BOOLEAN,
    **{(Kind.UUID, scalar): _UUID for scalar in _TEXTS},
    **{(Kind.DATETIME, scalar): _MOMENT for scalar in (*_TEXTS, "AWSDateTime")},
    (Kind.DATETIME, "AWSTimestamp"): Codec(_seconds_since_epoch, _moment_of_seconds),
    **{(Kind.DATE, scalar): _DATE for scalar in (*_TEXTS, "AWSDate")},
    **{(Kind.TIME, scalar): _TIME for scalar in (*_TEXTS, "AWSTime")},
    (Kind.DURATION, "String"): _SPAN_TEXT,
    (Kind.DURATION, "Int"): _SPAN_INT,
    (Kind.DURATION, "Float"): _SPAN_FLOAT,
    (Kind.BINARY, "String"): _BINARY,
}
"""Every pair of kind and scalar whose values cross exactly. JSON fields take any scalar, arrays AWSJSON and lists."""


def codec(field: AnyField, scalar: str) -> Codec | None:
    """How a value field crosses as a scalar; None if it cannot."""
    kind = kind_of(field)
    if kind is Kind.JSON:
        return _inside_json(field, scalar)
    if kind is Kind.ARRAY:
        return _array_json(field) if scalar == "AWSJSON" else None
    if scalar not in SCALARS and kind in (Kind.TEXT, Kind.OTHER):
        return _TEXT  # an enum of the API's own
    return CODECS.get((kind, scalar))


def allowed_scalars(field: AnyField) -> list[str]:
    """The types somebody may name for a field."""
    if kind_of(field) is Kind.JSON:
        return [*SCALARS, *(f"[{name}]" for name in SCALARS)]
    found = [name for name in SCALARS if codec(field, name)]
    return found + [f"[{name}]" for name in SCALARS if list_codec(field, name)]
