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
from django_datastore.storage import bulk, change_log
from django_datastore.storage.captured import CapturedModel
from django_datastore.storage.compiled import once
from django_datastore.storage.keysets import among
from django_datastore.types import OpType

if TYPE_CHECKING:
    from django_datastore.storage.outbox.entries import Write
    from django_datastore.storage.outbox.references import Lane

_CONTENTS = ("operation", "data", "base", "condition", "waits_for")
"""The columns that say what is to be told AppSync."""
_GIVEN = {
    **{name: f"%({name})s" for name in ("model", "record_key", *_CONTENTS, "shape")},
    **dict.fromkeys(("next_attempt_at", "created_at"), "%(now)s"),
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
    change: str
    """Of the change."""
    go_together: bool
    """Whether two statements go to the database as one message, as the driver puts their parameters in."""
    event: Callable[[Any], int | None]
    """The id of the entry that the cursor has just inserted; None if there is none."""


def insert_first(captured: CapturedModel, written: Write, waits_for: Sequence[Lane], using: str) -> int | None:
    """Insert entry and change of a write; no entry, and None, where something waits or AppSync knows."""
    connection = connections[using]
    statements = once(connection, insert_first, _compile)
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    statement = statements.first_delete if written.op_type is OpType.DELETE else statements.first
    change = {"model": captured.label, "entries": change_log.one(*written.change), "now": now}
    contents = dict(zip(_CONTENTS, _contents(written, waits_for), strict=True))
    entry = {**contents, "model": captured.label, "record_key": written.key, "shape": captured.synced.shape, "now": now}
    with connection.cursor() as cursor:
        if statements.go_together:
            cursor.execute(f"{statements.change}; {statement}", {**entry, **change})
        else:
            cursor.execute(statements.change, change)
            cursor.execute(statement, entry)
        return statements.event(cursor)


def insert_all(
    captured: CapturedModel, writes: Sequence[Write], waits_for: Sequence[Sequence[Lane]], using: str
) -> None:
    """Insert the entries of lanes that are known to be empty, and locked by their rows."""
    if not writes:
        return
    now = connections[using].ops.adapt_datetimefield_value(timezone.now())
    same = {"model": captured.label, "shape": captured.synced.shape, "next_attempt_at": now, "created_at": now}
    bulk.insert(
        MutationEvent,
        [_field(name) for name in ("record_key", *_CONTENTS)],
        [(each.key, *_contents(each, lanes)) for each, lanes in zip(writes, waits_for, strict=True)],
        using,
        same={_field(name): value for name, value in same.items()},
    )


def rewrite_all(entries: Sequence[MutationEvent], using: str) -> None:
    """Store what coalescing made of entries."""
    connection = connections[using]
    fields = [_field(name) for name in _REWRITTEN]
    rows = [
        (each.pk, *(item.get_db_prep_save(getattr(each, item.attname), connection) for item in fields))
        for each in entries
    ]
    bulk.update(MutationEvent, [_field("id")], fields, rows, using)


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


def _contents(written: Write, waits_for: Sequence[Lane]) -> tuple[str | None, ...]:
    """The values of the columns `_CONTENTS`."""
    return (
        written.operation.value,
        to_json(written.changed),
        to_json(written.base) if written.base else "{}",
        None if written.condition is None else to_json(written.condition),
        to_json(waits_for) if waits_for else "[]",
    )


def _field(name: str) -> Any:
    return MutationEvent._meta.get_field(name)


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
    return _Statements(
        first=first,
        first_delete=first_delete,
        change=change_log.insert_sql(connection),
        go_together=is_postgresql and _binds_by_itself(connection),
        event=_event_returned if is_postgresql else _event_inserted,
    )


def _binds_by_itself(connection: Any) -> bool:
    """Whether the driver writes parameters into the text, of which the server takes several statements."""
    client_cursor = getattr(connection.Database, "ClientCursor", None)
    factory = connection.connection.cursor_factory
    return client_cursor is None or (isinstance(factory, type) and issubclass(factory, client_cursor))


def _event_inserted(cursor: Any) -> int | None:
    return cursor.lastrowid if cursor.rowcount else None


def _event_returned(cursor: Any) -> int | None:
    """psycopg 3 begins with the result of the first statement, psycopg 2 knows that of the last one only."""
    if cursor.description is None:
        cursor.nextset()
    found = cursor.fetchone()
    return None if found is None else found[0]


def _lane(alias: str, connection: BaseDatabaseWrapper) -> str:
    cast = "::varchar" if connection.vendor == "postgresql" else ""  # the type they have as values, too
    return f"{alias}.model = %(model)s{cast} AND {alias}.record_key = %(record_key)s{cast}"
