"""Transactions that write: what SQLite needs, beginning again after a deadlock, and where the outbox lies."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_datastore.models import Lease, MutationEvent
from django_datastore.storage.refusals import may_pass

logger = logging.getLogger(__name__)

_TRIES = 5
_PAUSE_SECONDS = 0.05

P = ParamSpec("P")
R = TypeVar("R")

_TAKE_WRITE_LOCK = f"UPDATE {Lease._meta.db_table} SET name = name WHERE 0"


def outbox_alias() -> str:
    """The database the outbox lies in."""
    return router.db_for_write(MutationEvent)


@contextmanager
def write_transaction(using: str | None = None, *, savepoint: bool = False) -> Iterator[None]:
    """A transaction (or part of the running one) that reads and then writes.

    SQLite cannot turn a reading transaction into a writing one once somebody else has written, and fails at once. So
    the write lock is taken first, with the patience of the connection's `timeout`.
    """
    alias = using or outbox_alias()
    with transaction.atomic(using=alias, savepoint=savepoint):
        _take_write_lock(connections[alias])
        yield


def begun_again(work: Callable[P, R]) -> Callable[P, R]:
    """For work in one transaction: after a deadlock, a lock not got or a lost connection it is done again, a few times.

    Inside another transaction the failure goes up: that one must be begun again as a whole.
    """

    @wraps(work)
    def repeated(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, _TRIES):
            connection = connections[outbox_alias()]
            if connection.in_atomic_block:
                break
            try:
                return work(*args, **kwargs)
            except (OperationalError, InterfaceError) as exc:
                if not may_pass(exc):
                    raise
                logger.info("Begun again: %s", type(exc).__name__, extra={"action": "begun_again", "attempt": attempt})
            connection.close_if_unusable_or_obsolete()
            time.sleep(_PAUSE_SECONDS * attempt * random.uniform(0.5, 1.5))
        return work(*args, **kwargs)

    return repeated


def _take_write_lock(connection: BaseDatabaseWrapper) -> None:
    if connection.vendor == "sqlite" and getattr(connection, "transaction_mode", None) != "IMMEDIATE":
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_WRITE_LOCK)
