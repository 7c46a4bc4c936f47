"""How moments, days, times of day and spans of time cross."""

from __future__ import annotations

import datetime
import re
from typing import Any

from django.utils.dateparse import parse_duration
from django.utils.duration import duration_iso_string

from django_datastore.introspection.codecs.base import Codec, text_of
from django_datastore.introspection.codecs.numbers import float_of
from django_datastore.schema.scalars import SCALARS

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_SECOND = datetime.timedelta(seconds=1)
_FRACTION = re.compile(r"\.(\d{7,9})")


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
        raise ValueError("its fraction of a second has more than six digits, and columns give back six")


def seconds_since_epoch(value: datetime.datetime) -> int:
    return (value - _EPOCH) // _SECOND


def moment_of_seconds(wire: Any) -> datetime.datetime:
    return _EPOCH + SCALARS["AWSTimestamp"].parse(wire) * _SECOND  # type: ignore[no-any-return, operator]


def _date_of(wire: Any) -> datetime.date:
    text = str(SCALARS["AWSDate"].parse(wire))
    if text[10:] not in ("", "Z", "+00:00", "-00:00", "+00:00:00", "-00:00:00"):
        raise ValueError("the date has an offset, which no column for dates gives back")
    return datetime.date.fromisoformat(text[:10])


def _time_of(wire: Any) -> datetime.time:
    text = str(SCALARS["AWSTime"].parse(wire))
    _check_fraction(text)
    return datetime.time.fromisoformat(text)


MOMENT = Codec(moment_text, _moment_of)
DATE = Codec(lambda value: value.isoformat(), _date_of)
TIME = Codec(lambda value: value.isoformat(), _time_of)


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


SPAN_TEXT = Codec(duration_iso_string, _span_of)
SPAN_INT = Codec(_span_seconds, lambda wire: SCALARS["Int"].parse(wire) * _SECOND)  # type: ignore[operator]
SPAN_FLOAT = Codec(_span_float, lambda wire: datetime.timedelta(seconds=float_of(wire)))
