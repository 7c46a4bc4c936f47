"""What makes two statements the same: their SQL and the values of their parameters, in full.

Live queries are shared by it, between users too, so it must never call two statements one that are not. The `repr` of
a parameter is no value: psycopg's wrappers cut theirs.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Hashable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.safestring import SafeString

_HASHABLE = (type(None), bool, int, str, bytes, uuid.UUID, datetime.date, datetime.timedelta)
"""Kinds whose equal values are one value to a database."""
_SPELLED = (float, decimal.Decimal, datetime.datetime, datetime.time)
"""Kinds that have equal values with different spellings, which a database may tell apart."""


def of_statement(sql: str, parameters: Sequence[Any], connection: BaseDatabaseWrapper) -> tuple[Hashable, ...]:
    """The identity of a statement; it equals no other if it has a parameter of a kind that is not known.

    PostgreSQL's driver says itself what it would send, wrappers and all; what it cannot send raises as execution does.
    """
    compose = getattr(connection.ops, "compose_sql", None)
    if compose is not None:
        with connection.wrap_database_errors:
            return (compose(sql, parameters),)
    return (sql, *map(of_value, parameters))


def of_value(value: Any) -> Hashable:
    """The identity of a parameter. Kinds are told apart, since 1, 1.0 and True are equal in Python."""
    kind = type(value)
    if kind in _HASHABLE:
        return (kind, value)
    if kind in _SPELLED:
        return (kind, str(value), getattr(value, "fold", 0))
    if kind is SafeString:
        return (str, str(value))
    if kind in (memoryview, bytearray):
        return (bytes, bytes(value))
    if kind in (list, tuple):
        return (kind, *map(of_value, value))
    if kind is dict:
        return (kind, *((of_value(name), of_value(item)) for name, item in value.items()))
    if isinstance(value, enum.Enum):
        return (kind, of_value(value.value))
    return _Unlike()


class _Unlike:
    """Equal to itself alone."""
