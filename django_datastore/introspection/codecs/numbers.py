"""How numbers cross: as numbers where the scalar holds them exactly, else as text."""

from __future__ import annotations

import decimal
import math
import re
from typing import Any

from django_datastore.introspection.codecs.base import Codec, text_of
from django_datastore.schema.scalars import SCALARS

_FLOAT_DIGITS = 17
"""The digits that tell any two doubles apart; some clients write all of them, some the fewest that do."""
_WHOLE = re.compile(r"-?(?:0|[1-9]\d*)", re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,4})?", re.ASCII)


def number(scalar: str) -> Codec:
    parse = SCALARS[scalar].parse
    return Codec(parse, parse)


def whole_float(wire: Any) -> int:
    number = SCALARS["Float"].parse(wire)
    if int(number) != number:  # type: ignore[call-overload]  # it is a number
        raise ValueError("it has a fraction, and the column holds whole numbers")
    return int(number)  # type: ignore[call-overload, no-any-return]


def float_of_int(value: int) -> float:
    """A whole number that a double holds as it is."""
    found = float(value)
    if found != value:
        raise ValueError("a Float holds about 15 digits of it")
    return found


def float_of_decimal(value: decimal.Decimal | int) -> float:
    """A number that a double's own spelling brings back."""
    found = float(value)
    if decimal.Decimal(repr(found)) != value:
        raise ValueError("a Float holds about 15 digits of it")
    return found


def float_of(wire: Any) -> float:
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
    if not _NUMBER.fullmatch(text):
        raise ValueError("it is no number")
    return float_of_spelling(text)


def float_of_spelling(text: str) -> float:
    """The double a number is spelled for; `ValueError` for more digits than a double gives back."""
    found = finite(float(text))
    if len(text) > _FLOAT_DIGITS:
        exact = decimal.Decimal(text)
        if len(exact.as_tuple().digits) > _FLOAT_DIGITS and decimal.Decimal(repr(found)) != exact:
            raise ValueError(f"a floating point number gives back {_FLOAT_DIGITS} digits at most, {found!r}")
    return found


def _decimal_of_text(wire: Any) -> decimal.Decimal:
    text = text_of(wire)
    if not _NUMBER.fullmatch(text):
        raise ValueError("it is no decimal number")
    return decimal.Decimal(text)


def finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("AppSync's Float holds neither infinity nor 'not a number'")
    return value


WHOLE_TEXT = Codec(str, _whole_of_text)
DECIMAL_TEXT = Codec(lambda value: f"{value:f}", _decimal_of_text)
FLOAT_TEXT = Codec(lambda value: repr(finite(value)), _float_of_text)


def decimal_float(wire: Any) -> decimal.Decimal:
    return decimal.Decimal(repr(SCALARS["Float"].parse(wire)))


def whole_decimal(scalar: str) -> Codec:
    parse = SCALARS[scalar].parse

    def encode(value: decimal.Decimal) -> Any:
        if value != value.to_integral_value():
            raise ValueError(f"{scalar} holds whole numbers")
        return parse(int(value))

    return Codec(encode, lambda wire: decimal.Decimal(str(parse(wire))))
