"""The change log, written: a row for each write to storage, in its transaction. Hubs read it (`observe.changes`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TypeAlias

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from django_datastore.fields import to_json
from django_datastore.models import Change
from django_datastore.storage.compiled import once
from django_datastore.types import OpType, WireRecord

Entry: TypeAlias = tuple[OpType, str, WireRecord | None]
"""What happened to one row: the operation, its record key, and for a deleted row the wire record it was."""

_LONG = 1_000_000
"""Characters of a row. MariaDB takes statements of 16 MB, unless it is told otherwise."""
_TRANSACTION = {"postgresql": "pg_current_xact_id()::text::bigint"}
"""How a database tells the number of the running transaction; readers need it where ids are not in commit order."""


def append(label: str, entries: Sequence[Entry], using: str) -> None:
    """Log one write to the model `label`; nothing for no entries."""
    if not entries:
        return
    connection = connections[using]
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        statement = once(connection, insert_sql, insert_sql)
        for text in _texts(entries):
            cursor.execute(statement, {"model": label, "entries": text, "now": now})


def _texts(entries: Sequence[Entry]) -> Iterator[str]:
    """The entries as JSON, in parts where they are long: snapshots of deleted rows may be of any length."""
    text = to_json(entries)
    if len(text) <= _LONG or len(entries) == 1:
        yield text
    else:
        middle = len(entries) // 2
        yield from _texts(entries[:middle])
        yield from _texts(entries[middle:])


def one(op_type: OpType, key: str, snapshot: WireRecord | None) -> str:
    """The entries of a single changed row as text."""
    return f'[["{op_type}",{to_json(key)},{"null" if snapshot is None else to_json(snapshot)}]]'


def insert_sql(connection: BaseDatabaseWrapper) -> str:
    """The INSERT of one row, with parameters `model`, `entries` (JSON text) and `now`."""
    quote = connection.ops.quote_name
    columns = ", ".join(map(quote, ("model", "entries", "created_at", "transaction_id")))
    transaction_id = _TRANSACTION.get(connection.vendor, "NULL")
    values = f"%(model)s, %(entries)s, %(now)s, {transaction_id}"
    return f"INSERT INTO {quote(Change._meta.db_table)} ({columns}) VALUES ({values})"


def prune(older_than: timedelta, using: str) -> int:
    """Forget changes that every reader has read long ago; how many.

    The oldest come first by id, too. So no index of the moments is needed, which each write would have to keep. What a
    clock that ran far ahead has written does not count: it would keep what came before and after for as long.
    """
    now = timezone.now()
    changes = Change.objects.using(using).order_by("id")
    near = changes.filter(created_at__range=(now - older_than, now + older_than))
    young = near.values_list("id", flat=True).first()
    old = changes.filter(created_at__lt=now - older_than) if young is None else changes.filter(id__lt=young)
    return old.delete()[0]
