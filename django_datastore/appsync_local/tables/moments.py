"""Time, and the order of writes: what `startedAt` and `_lastChangedAt` promise each other, over all processes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connections, transaction

from django_datastore.appsync_local.tables.statements import Statements

logger = logging.getLogger(__name__)

_STALE_MS = 1000
_PATIENCE_MS = 100


class Clock:
    """Time in epoch milliseconds. Tests give it a `now` of their own."""

    def __init__(self, now: Callable[[], int] | None = None) -> None:
        self.now = now or (lambda: time.time_ns() // 1_000_000)


class Moments:
    """Tells times so that a sync's `startedAt` never overlooks a write, whichever process made it.

    Writes take turns: each locks the one `Moment` row until it is committed, and is no earlier than the write before it
    and than what was promised. So a write that a reader does not see yet comes after everything the reader does see of
    that row, and `max(last_write, promised)` is a `startedAt` it cannot precede. Where that would lie in the past, or
    would show the last write once more, the reader first promises that later writes are later. No two clocks have to
    agree for any of this.
    """

    def __init__(self, alias: str, clock: Clock, statements: Statements) -> None:
        self._alias = alias
        self._now = clock.now
        self._sql = statements

    @contextmanager
    def writing(self) -> Iterator[int]:
        """A transaction and the time of everything it writes.

        It waits for the write before it, in whichever process: so there are no deadlocks, and commits come in order.
        """
        with transaction.atomic(using=self._alias):
            [(moment,)] = self._select(self._sql.begin, self._now(), 0)
            yield moment

    def start(self) -> int:
        """A `startedAt` for a reader that has not read anything yet."""
        now = self._now()
        row = self._select(self._sql.moment)
        if not row:
            self._select(self._sql.first, 0, now)
            row = self._select(self._sql.moment)
        [(last_write, promised)] = row
        if promised <= last_write or now - promised >= _STALE_MS:
            [(last_write, promised)] = self._promise(max(now, last_write + 1)) or row
        return max(int(last_write), int(promised))

    def _promise(self, moment: int) -> list[tuple[Any, ...]]:
        """Makes later writes no earlier than `moment`; nothing while a write is under way.

        A reader does not wait for a long write: the statement skips the lock, and SQLite soon gives up.
        """
        if connections[self._alias].vendor != "sqlite":
            return self._select(self._sql.promise, moment)
        [(patience,)] = self._select("PRAGMA busy_timeout")
        self._select(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
        try:
            return self._select(self._sql.promise, moment)
        except OperationalError:
            logger.debug("A promise was not made: a write is under way.", extra={"action": "promise_skipped"})
            return []
        finally:
            self._select(f"PRAGMA busy_timeout = {int(patience)}")

    def _select(self, statement: str, *values: int) -> list[tuple[Any, ...]]:
        with connections[self._alias].cursor() as cursor:
            cursor.execute(statement, values)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows
