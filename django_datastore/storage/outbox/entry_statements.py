"""The compiled statements behind `entries`: INSERTs of entries, with the change in one message where that can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max
from django.utils import timezone

from django_datastore.fields import to_json
from django_datastore.models import MutationEvent, RecordMetadata
from django_datastore.storage import change_log
from django_datastore.storage.captured import CapturedModel
from django_datastore.storage.compiled import once
from django_datastore.storage.keysets import among
from django_datastore.types import OpType

if TYPE_CHECKING:
    from django_datastore.storage.outbox.entries import Write
    from django_datastore.storage.outbox.references import Lane

_GIVEN = {
    **{name: f"%({name})s" for name in ("model", "record_key", "operation", "data", "base", "condition", "waits_for")},
    "shape": "%(shape)s",
    "next_attempt_at": "%(now)s",
    "created_at": "%(now)s",
}
"""The columns that differ from entry to entry; all others have their defaults in the database."""
_REWRITTEN = (
    *("operation", "data", "base", "waits_for"),
    *("state", "attempts", "next_attempt_at", "error_type", "last_error"),
)
"""The columns that coalescing changes."""


@dataclass(frozen=True, slots=True)
class _Statements:
    """The INSERTs, for one connection."""

    first: str
    """Of an entry, if its lane is empty."""
    first_delete: str
    """Of a delete, if its lane is empty and AppSync is not known to have deleted the record."""
    every: str
    """Of entries whose lanes are known to be empty: one for each set of parameters, or all of a JSON array."""
    change: str
    """Of the change."""
    go_together: bool
    """Whether two statements go to the database as one message, as the driver puts their parameters in."""
    event: Callable[[Any], int | None]
    """The id of the entry that the cursor has just inserted; None if there is none."""


def insert_first(captured: CapturedModel, written: Write, waits_for: Sequence[Lane], using: str) -> int | None:
    """Insert entry and change of a write; no entry, and None, where something waits or AppSync knows."""
    statements = once(using, insert_first, _compile)
    connection = connections[using]
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    statement = statements.first_delete if written.op_type is OpType.DELETE else statements.first
    change = {"model": captured.label, "entries": change_log.one(*written.change), "now": now}
    parameters = _parameters(captured, written, waits_for, now)
    with connection.cursor() as cursor:
        if statements.go_together:
            cursor.execute(f"{statements.change}; {statement}", {**parameters, **change})
        else:
            cursor.execute(statements.change, change)
            cursor.execute(statement, parameters)
        return statements.event(cursor)


def insert_all(
    captured: CapturedModel, writes: Sequence[Write], waits_for: Sequence[Sequence[Lane]], using: str
) -> None:
    """Insert the entries of lanes that are known to be empty, and locked by their rows."""
    if not writes:
        return
    statements = once(using, insert_first, _compile)
    connection = connections[using]
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            entries = f"[{','.join(map(_as_json, writes, waits_for))}]"
            parameters = {"model": captured.label, "shape": captured.synced.shape, "now": now, "entries": entries}
            cursor.execute(statements.every, parameters)
        else:
            rows = [_parameters(captured, each, lanes, now) for each, lanes in zip(writes, waits_for, strict=True)]
            cursor.executemany(statements.every, rows)


def rewrite_all(entries: Sequence[MutationEvent], using: str) -> None:
    """Store what coalescing made of entries."""
    if not entries:
        return
    connection = connections[using]
    fields = [item for item in MutationEvent._meta.concrete_fields if item.name in _REWRITTEN]
    rows = [
        [*(item.get_db_prep_save(getattr(each, item.attname), connection) for item in fields), each.pk]
        for each in entries
    ]
    with connection.cursor() as cursor:
        cursor.executemany(once(using, rewrite_all, _compile_rewrite), rows)


def _compile_rewrite(connection: BaseDatabaseWrapper) -> str:
    quote = connection.ops.quote_name
    columns = [str(item.column) for item in MutationEvent._meta.concrete_fields if item.name in _REWRITTEN]
    values = ", ".join(f"{quote(column)} = %s" for column in columns)
    return f"UPDATE {quote(MutationEvent._meta.db_table)} SET {values} WHERE {quote('id')} = %s"


def _as_json(written: Write, waits_for: Sequence[Lane]) -> str:
    """A write as the record that PostgreSQL reads: one parameter is cheaper there than many."""
    base = to_json(written.base) if written.base else "{}"
    condition = "null" if written.condition is None else to_json(written.condition)
    return (
        f'{{"record_key":{to_json(written.key)},"operation":"{written.operation}","data":{to_json(written.changed)},'
        f'"base":{base},"condition":{condition},"waits_for":{to_json(waits_for) if waits_for else "[]"}}}'
    )


def lanes_among(captured: CapturedModel, keys: Sequence[str], using: str) -> set[str]:
    """Those of the records for which something waits."""
    if not keys:
        return set()
    connection = connections[using]
    table = connection.ops.quote_name(MutationEvent._meta.db_table)
    condition, parameters = among("record_key", "varchar", keys, using)
    with connection.cursor() as cursor:
        statement = f"SELECT record_key FROM {table} WHERE model = %s AND {condition}"
        cursor.execute(statement, [captured.label, *parameters])
        return {key for (key,) in cursor.fetchall()}


def last_ids(captured: CapturedModel, keys: Sequence[str], using: str) -> dict[str, int]:
    """The last entry of each lane."""
    waiting = MutationEvent.objects.using(using).filter(model=captured.label, record_key__in=keys)
    return dict(waiting.values_list("record_key").annotate(Max("id")))


def _parameters(captured: CapturedModel, written: Write, waits_for: Sequence[Lane], now: Any) -> dict[str, Any]:
    return {
        "model": captured.label,
        "record_key": written.key,
        "operation": written.operation.value,
        "data": to_json(written.changed),
        "base": to_json(written.base) if written.base else "{}",
        "condition": None if written.condition is None else to_json(written.condition),
        "waits_for": to_json(waits_for) if waits_for else "[]",
        "shape": captured.synced.shape,
        "now": now,
    }


def _compile(connection: BaseDatabaseWrapper) -> _Statements:
    quote = connection.ops.quote_name
    columns = ", ".join(map(quote, _GIVEN))
    values = ", ".join(_GIVEN.values())
    outbox, metadata = quote(MutationEvent._meta.db_table), quote(RecordMetadata._meta.db_table)
    source = " FROM DUAL" if connection.vendor == "mysql" else ""
    is_empty = f"NOT EXISTS (SELECT 1 FROM {outbox} earlier WHERE {_lane('earlier', connection)})"
    is_known = (
        f"NOT EXISTS (SELECT 1 FROM {metadata} known WHERE {_lane('known', connection)} "
        f"AND known.presence = '{RecordMetadata.Presence.DELETED.value}')"
    )
    first = f"INSERT INTO {outbox} ({columns}) SELECT {values}{source} WHERE {is_empty}"
    first_delete = f"{first} AND {is_known}"
    is_postgresql = connection.vendor == "postgresql"
    if is_postgresql:
        first, first_delete = f"{first} RETURNING id", f"{first_delete} RETURNING id"
    go_together = is_postgresql and connection.settings_dict["OPTIONS"].get("server_side_binding") is not True
    return _Statements(
        first=first,
        first_delete=first_delete,
        every=_every(connection, outbox, columns),
        change=change_log.insert_sql(connection),
        go_together=go_together,
        event=_event_returned if is_postgresql else _event_inserted,
    )


def _event_inserted(cursor: Any) -> int | None:
    return cursor.lastrowid if cursor.rowcount else None


def _event_returned(cursor: Any) -> int | None:
    """psycopg 3 begins with the result of the first statement, psycopg 2 knows that of the last one only."""
    if cursor.description is None:
        cursor.nextset()
    found = cursor.fetchone()
    return None if found is None else found[0]


def _every(connection: BaseDatabaseWrapper, outbox: str, columns: str) -> str:
    if connection.vendor != "postgresql":
        return f"INSERT INTO {outbox} ({columns}) VALUES ({', '.join(_GIVEN.values())})"
    read = {
        name: f"entry.{name}::text" for name in ("record_key", "operation", "data", "base", "condition", "waits_for")
    }
    return (
        f"INSERT INTO {outbox} ({columns}) SELECT {', '.join({**_GIVEN, **read}.values())} "
        "FROM json_to_recordset(%(entries)s::json) "
        "AS entry(record_key text, operation text, data json, base json, condition json, waits_for json)"
    )


def _lane(alias: str, connection: BaseDatabaseWrapper) -> str:
    cast = "::varchar" if connection.vendor == "postgresql" else ""  # the type they have as values, too
    return f"{alias}.model = %(model)s{cast} AND {alias}.record_key = %(record_key)s{cast}"
