"""Transactions that write: one place for what SQLite needs, and for which database the outbox lies in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_datastore.models import Lease, MutationEvent

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


def _take_write_lock(connection: BaseDatabaseWrapper) -> None:
    if connection.vendor == "sqlite" and getattr(connection, "transaction_mode", None) != "IMMEDIATE":
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_WRITE_LOCK)
