"""Statements that every write needs, built once for each connection: building takes Django longer than running them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")

_COMPILED = "_datastore_compiled"


def once(connection: BaseDatabaseWrapper, key: Hashable, build: Callable[[BaseDatabaseWrapper], T]) -> T:
    """What `build` makes for a connection, made the first time it is asked for.

    Kept on the connection, not by database: converters are bound to theirs, and both go together.
    """
    made: dict[Hashable, T] = connection.__dict__.setdefault(_COMPILED, {})
    found = made.get(key)
    if found is None:
        found = made[key] = build(connection)
    return found
