"""Conditions such as "one of these thousand keys", in one parameter where the database can read a list."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from django.db import connections

T = TypeVar("T")

_CHUNK = 1000


def among(column: str, db_type: str, values: Sequence[Any], using: str) -> tuple[str, list[Any]]:
    """SQL and parameters for `column IN values`; the values are such as the database's driver takes, no nulls.

    Values of one statement are limited where each is a parameter of its own: see `chunks`.
    """
    connection = connections[using]
    quoted = connection.ops.quote_name(column)
    if connection.vendor == "postgresql":
        return f"{quoted} = ANY(%s::{db_type.partition('(')[0]}[])", [array(values)]
    if connection.vendor == "sqlite" and all(type(value) in (str, int) for value in values):
        return f"{quoted} IN (SELECT value FROM json_each(%s))", [json.dumps(list(values))]
    return f"{quoted} IN ({', '.join(['%s'] * len(values))})", list(values)


def array(values: Sequence[Any]) -> Any:
    """The values as PostgreSQL spells an array, which for plain texts is nearly JSON; psycopg escapes one by one."""
    try:
        is_plain = "".join(values).isprintable()
    except TypeError:  # not only texts
        is_plain = False
    return f"{{{json.dumps(list(values), ensure_ascii=False)[1:-1]}}}" if is_plain else list(values)


def chunks(values: Sequence[T], size: int = _CHUNK) -> Iterator[Sequence[T]]:
    """The values in handy parts."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
