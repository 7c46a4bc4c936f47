"""The change log, written: one row for each write to storage, in its transaction. Hubs read it (`observe.changes`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from django.db import connections
from django.utils import timezone

from django_datastore.models import Change
from django_datastore.types import OpType, WireRecord

Entry: TypeAlias = tuple[OpType, str, WireRecord | None]
"""What happened to one row: the operation, its record key, and for a deleted row the wire record it was."""

_TRANSACTION = {"postgresql": "pg_current_xact_id()::text::bigint"}
"""How a database tells the number of the running transaction; readers need it where ids are not in commit order."""


def append(label: str, entries: Sequence[Entry], using: str) -> None:
    """Log one write to the model `label`; nothing for no entries."""
    if not entries:
        return
    connection = connections[using]
    values = [label, Change._meta.get_field("entries").get_prep_value([list(entry) for entry in entries])]
    values.append(connection.ops.adapt_datetimefield_value(timezone.now()))
    with connection.cursor() as cursor:
        cursor.execute(insert_sql(using), values)


def insert_sql(using: str) -> str:
    """The INSERT of one row: model, entries as JSON text, moment."""
    connection = connections[using]
    quote = connection.ops.quote_name
    columns = ", ".join(map(quote, ("model", "entries", "created_at", "transaction_id")))
    transaction_id = _TRANSACTION.get(connection.vendor, "NULL")
    return f"INSERT INTO {quote(Change._meta.db_table)} ({columns}) VALUES (%s, %s, %s, {transaction_id})"
