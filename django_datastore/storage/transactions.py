"""Transactions that write: one place for what SQLite needs, and for which database the outbox lies in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, router, transaction

from django_datastore.models import Lease, MutationEvent


def outbox_alias() -> str:
    """The database the outbox lies in."""
    return router.db_for_write(MutationEvent)


@contextmanager
def write_transaction(using: str | None = None) -> Iterator[None]:
    """A transaction (or part of the running one) that will write.

    SQLite cannot turn a reading transaction into a writing one once somebody else has written, and fails at once. So an
    outermost transaction takes the write lock first, with the patience of the connection's `timeout`.
    """
    alias = using or outbox_alias()
    connection = connections[alias]
    outermost = not connection.in_atomic_block
    with transaction.atomic(using=alias, savepoint=False):
        if outermost and connection.vendor == "sqlite" and getattr(connection, "transaction_mode", None) != "IMMEDIATE":
            with connection.cursor() as cursor:
                cursor.execute(f"UPDATE {Lease._meta.db_table} SET name = name WHERE 0")
        yield
