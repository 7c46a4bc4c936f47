"""The scalars AppSync knows: GraphQL's own and the AWS ones, with the input each of them takes."""

from __future__ import annotations

import datetime
import ipaddress
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_OFFSET = r"(?:Z|[+-](?P<hours>\d{2}):(?P<minutes>\d{2})(?::(?P<seconds>\d{2}))?)"
_CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?"
_DATE = re.compile(rf"(?P<date>-?\d{{4,}}-\d{{2}}-\d{{2}})(?:{_OFFSET})?", re.ASCII)
_TIME = re.compile(rf"(?P<time>{_CLOCK})(?:{_OFFSET})?", re.ASCII)
_DATE_TIME = re.compile(rf"(?P<date>-?\d{{4,}}-\d{{2}}-\d{{2}})T(?P<time>{_CLOCK}){_OFFSET}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)*")
_PHONE = re.compile(r"\+?[0-9(][0-9 ().\-]{1,30}")
_INT32 = 2**31
_INT64 = 2**63
_MAX_OFFSET_SECONDS = 18 * 60 * 60


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar type: its name, the Python types its stored values have, and how an input value is checked."""

    name: str
    types: tuple[type, ...]
    parse: Callable[[object], object]
    """The value to store for an input value; raises `ValueError` for one AppSync would refuse."""
    fits: Callable[[Any], object] | None = None
    """True for a stored text that has the format; None where its Python type says enough. It is asked for every value
    that goes out, so it is quick: a 31st of February passes."""


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no string")
    return value


def _identifier(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _string(value)


def _integer(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no integer")
    return value


def _int32(value: object) -> int:
    number = _integer(value)
    if not -_INT32 <= number < _INT32:
        raise ValueError(f"{number} is beyond 32 bits")
    return number


def _timestamp(value: object) -> int:
    number = _integer(value)
    if not -_INT64 <= number < _INT64:
        raise ValueError(f"{number} is beyond 64 bits")
    return number


def _float(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{value!r} is no number")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is no boolean")
    return value


def _match(pattern: re.Pattern[str], value: object, expected: str) -> re.Match[str]:
    text = _string(value)
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no {expected}")
    return found


def _check_moment(found: re.Match[str]) -> None:
    """Refuses a 31st of February and a 25th hour; raises `ValueError`."""
    parts = found.groupdict()
    date, time = parts.get("date"), parts.get("time")
    if date is not None:
        year, month, day = date.rsplit("-", 2)
        datetime.date(2000 + int(year) % 400, int(month), int(day))  # the calendar repeats itself; Python's has an end
    if time is not None:
        datetime.time.fromisoformat(re.sub(r"\.\d+", "", time))
    hours, minutes, seconds = (int(parts.get(name) or 0) for name in ("hours", "minutes", "seconds"))
    if max(minutes, seconds) > 59 or (hours * 60 + minutes) * 60 + seconds > _MAX_OFFSET_SECONDS:
        raise ValueError(f"{found.group()!r} has an impossible offset")


def _date(value: object) -> str:
    _check_moment(found := _match(_DATE, value, "date such as 2000-01-31"))
    return found.string


def _time(value: object) -> str:
    _check_moment(found := _match(_TIME, value, "time such as 12:30:00.000"))
    return found.string


def _date_time(value: object) -> str:
    _check_moment(found := _match(_DATE_TIME, value, "date and time such as 2000-01-31T12:30:00.000Z"))
    return found.string


def _email(value: object) -> str:
    return _match(_EMAIL, value, "e-mail address").string


def _phone(value: object) -> str:
    return _match(_PHONE, value, "phone number").string


def _json(value: object) -> str:
    text = _string(value)
    try:
        json.loads(text, parse_constant=_no_json)
    except RecursionError as exc:
        raise ValueError("the JSON text is nested too deeply") from exc
    return text


def _no_json(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


def _url(value: object) -> str:
    text = _string(value)
    parts = urlsplit(text)
    is_whole = parts.scheme and (parts.netloc or parts.path) and "//" not in parts.path
    if not is_whole or any(mark.isspace() for mark in text):
        raise ValueError(f"{text!r} is no URL")
    return text


def _ip_address(value: object) -> str:
    text = _string(value)
    ipaddress.ip_interface(text)
    if "/" in text and not text.partition("/")[2].isdigit():
        raise ValueError(f"{text!r} has a mask that is no prefix length")
    return text


def _is_parsed_by(parse: Callable[[object], object]) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return fits


BUILT_IN = ("ID", "String", "Int", "Float", "Boolean")
"""The scalars every GraphQL schema has."""

SCALARS: Mapping[str, Scalar] = {
    item.name: item
    for item in (
        Scalar("ID", (str,), _identifier),
        Scalar("String", (str,), _string),
        Scalar("Int", (int,), _int32),
        Scalar("Float", (float, int), _float),
        Scalar("Boolean", (bool,), _boolean),
        Scalar("AWSDate", (str,), _date, _DATE.fullmatch),
        Scalar("AWSTime", (str,), _time, _TIME.fullmatch),
        Scalar("AWSDateTime", (str,), _date_time, _DATE_TIME.fullmatch),
        Scalar("AWSTimestamp", (int,), _timestamp),
        Scalar("AWSEmail", (str,), _email, _EMAIL.fullmatch),
        Scalar("AWSJSON", (str,), _json),
        Scalar("AWSURL", (str,), _url, _is_parsed_by(_url)),
        Scalar("AWSPhone", (str,), _phone, _PHONE.fullmatch),
        Scalar("AWSIPAddress", (str,), _ip_address, _is_parsed_by(_ip_address)),
    )
}
"""Every scalar by name."""
