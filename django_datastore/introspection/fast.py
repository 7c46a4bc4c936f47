"""Shortcuts for the values nearly every record holds. What they do not know at a glance goes the whole way."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings

from django_datastore.introspection.columns import Column, IntegerColumn, TextColumn
from django_datastore.introspection.kinds import Kind

Convert = Callable[[Any], Any]
_UTC = datetime.UTC
_datetime = datetime.datetime


def encoder(kind: Kind, scalar: str, whole: Convert) -> Convert:
    """`whole`, with a shortcut for values that need no conversion."""
    build = _ENCODERS.get((kind, scalar))
    return whole if build is None else build(whole)


def decoder(kind: Kind, scalar: str, column: Column, whole: Convert) -> Convert:
    """The same for received values."""
    build = _DECODERS.get((kind, scalar))
    return whole if build is None else build(whole, column)


def enum_encoder(values: Mapping[str, str], whole: Convert) -> Convert:
    """A look into the enum's table."""
    known: dict[Any, Any] = {None: None, **values}

    def encode(value: Any) -> Any:
        if value is None or type(value) is str:
            found = known.get(value, whole)
            return whole(value) if found is whole else found
        return whole(value)

    return encode


# -- out -----------------------------------------------------------------------------------------------------------


def _encode_text(whole: Convert) -> Convert:
    def encode(value: Any) -> Any:
        if value is None or (type(value) is str and value.isascii()):
            return value
        return whole(value)

    return encode


def _encode_integer(low: int, high: int) -> Callable[[Convert], Convert]:
    def build(whole: Convert) -> Convert:
        def encode(value: Any) -> Any:
            if value is None or (type(value) is int and low <= value <= high):
                return value
            return whole(value)

        return encode

    return build


def _encode_float(whole: Convert) -> Convert:
    infinite = float("inf")

    def encode(value: Any) -> Any:
        if value is None or (type(value) is float and -infinite < value < infinite):
            return value
        return whole(value)

    return encode


def _encode_boolean(whole: Convert) -> Convert:
    def encode(value: Any) -> Any:
        if value is True or value is False or value is None:
            return value
        return whole(value)

    return encode


def _encode_uuid(whole: Convert) -> Convert:
    kind = uuid.UUID

    def encode(value: Any) -> Any:
        if type(value) is kind:
            text = f"{value.int:032x}"
            return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        return None if value is None else whole(value)

    return encode


def _encode_moment(whole: Convert) -> Convert:
    def encode(value: Any) -> Any:
        if type(value) is _datetime and value.tzinfo is _UTC:
            text = value.isoformat()
            if len(text) == 25:  # 2026-02-03T04:05:06+00:00
                return text[:19] + ".000Z"
            return (text[:23] if text[23:26] == "000" else text[:26]) + "Z"
        return None if value is None else whole(value)

    return encode


def _encode_iso(kind: type) -> Callable[[Convert], Convert]:
    def build(whole: Convert) -> Convert:
        def encode(value: Any) -> Any:
            if type(value) is kind and getattr(value, "tzinfo", None) is None:
                return str(value)  # in ISO format
            return None if value is None else whole(value)

        return encode

    return build


_ENCODERS: dict[tuple[Kind, str], Callable[[Convert], Convert]] = {
    (Kind.TEXT, "String"): _encode_text,
    (Kind.TEXT, "ID"): _encode_text,
    (Kind.FILE, "String"): _encode_text,
    (Kind.INTEGER, "Int"): _encode_integer(-(2**31), 2**31 - 1),
    (Kind.INTEGER, "AWSTimestamp"): _encode_integer(-(2**63), 2**63 - 1),
    (Kind.FLOAT, "Float"): _encode_float,
    (Kind.BOOLEAN, "Boolean"): _encode_boolean,
    (Kind.UUID, "ID"): _encode_uuid,
    (Kind.UUID, "String"): _encode_uuid,
    (Kind.DATETIME, "AWSDateTime"): _encode_moment,
    (Kind.DATE, "AWSDate"): _encode_iso(datetime.date),
    (Kind.TIME, "AWSTime"): _encode_iso(datetime.time),
}


# -- in ------------------------------------------------------------------------------------------------------------


def _decode_text(whole: Convert, column: Column) -> Convert:
    longest = column.longest if isinstance(column, TextColumn) else None
    if longest is None:

        def decode_any(wire: Any) -> Any:
            return wire if type(wire) is str and wire.isascii() else whole(wire)

        return decode_any

    def decode(wire: Any) -> Any:
        return wire if type(wire) is str and len(wire) <= longest and wire.isascii() else whole(wire)

    return decode


def _decode_integer(whole: Convert, column: Column) -> Convert:
    low, high = column.range if isinstance(column, IntegerColumn) else (0, 0)
    low, high = max(low, -(2**31)), min(high, 2**31 - 1)

    def decode(wire: Any) -> Any:
        return wire if type(wire) is int and low <= wire <= high else whole(wire)

    return decode


def _decode_float(whole: Convert, column: Column) -> Convert:
    infinite = float("inf")

    def decode(wire: Any) -> Any:
        return wire if type(wire) is float and -infinite < wire < infinite else whole(wire)

    return decode


def _decode_boolean(whole: Convert, column: Column) -> Convert:
    def decode(wire: Any) -> Any:
        return wire if wire is True or wire is False else whole(wire)

    return decode


def _decode_moment(whole: Convert, column: Column) -> Convert:
    def decode(wire: Any) -> Any:
        # 2026-02-03T04:05:06.123456Z has 27 characters
        if type(wire) is str and 20 <= len(wire) <= 27 and wire[10] == "T" and wire[-1] == "Z" and settings.USE_TZ:
            try:
                return _datetime.fromisoformat(wire)
            except ValueError:
                pass
        return whole(wire)

    return decode


def _decode_date(whole: Convert, column: Column) -> Convert:
    def decode(wire: Any) -> Any:
        if type(wire) is str and len(wire) == 10 and wire[4] == "-":
            try:
                return datetime.date.fromisoformat(wire)
            except ValueError:
                pass
        return whole(wire)

    return decode


_DECODERS: dict[tuple[Kind, str], Callable[[Convert, Column], Convert]] = {
    (Kind.TEXT, "String"): _decode_text,
    (Kind.TEXT, "ID"): _decode_text,
    (Kind.INTEGER, "Int"): _decode_integer,
    (Kind.FLOAT, "Float"): _decode_float,
    (Kind.BOOLEAN, "Boolean"): _decode_boolean,
    (Kind.DATETIME, "AWSDateTime"): _decode_moment,
    (Kind.DATE, "AWSDate"): _decode_date,
}
