"""Many rows into one table, as fast as the database's driver does it. Past the ORM: nobody hears of it.

PostgreSQL: `COPY`, and for changes `COPY` into a temporary table. SQLite: a hundred new rows in a statement, since a
statement for each row lets another thread in between each time. MariaDB: `executemany`, of which its driver makes such
statements. Rows are tuples of values such as the driver takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

AnyField: TypeAlias = "models.Field[Any, Any]"
Row: TypeAlias = tuple[Any, ...]

_FEW = 50
"""Changed rows for which PostgreSQL needs no temporary table."""
_STAGE = "datastore_stage"
_TOGETHER = 100
"""Rows that one statement adds on SQLite. More are not faster."""


def insert(
    model: type[models.Model],
    fields: Sequence[AnyField],
    rows: Sequence[Row],
    using: str,
    *,
    same: Mapping[AnyField, Any] | None = None,
) -> None:
    """Add rows with the columns of `fields`, and with those of `same`, whose value all of them share.

    The database fills in the others.
    """
    if not rows:
        return
    connection = connections[using]
    target = _target(connection, model._meta.db_table, (*fields, *(same or ())))
    shared = tuple(same.values()) if same else ()
    if connection.vendor == "postgresql" and _can_copy(connection) and len(rows) > 1:
        _copy(connection, target, rows, shared)
    elif connection.vendor == "sqlite":
        _insert_together(connection, target, rows, shared)
    else:
        _insert_many(connection, target, rows, shared)


def _insert_many(connection: BaseDatabaseWrapper, target: str, rows: Sequence[Row], shared: Row) -> None:
    marks = _marks(len(rows[0]) + len(shared))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {target} VALUES {marks}", [row + shared for row in rows] if shared else rows)


def _insert_together(connection: BaseDatabaseWrapper, target: str, rows: Sequence[Row], shared: Row) -> None:
    most = connection.features.max_query_params or len(rows[0]) * _TOGETHER
    count = min((most - len(shared)) // len(rows[0]), _TOGETHER)
    whole = len(rows) - len(rows) % count if count > 1 else 0
    if whole:
        many = ", ".join([_marks(len(rows[0]))] * count)
        source = f"SELECT *, {', '.join(['%s'] * len(shared))} FROM (VALUES {many})" if shared else f"VALUES {many}"
        parts = [[*shared, *chain.from_iterable(rows[start : start + count])] for start in range(0, whole, count)]
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO {target} {source}", parts)
    if rest := rows[whole:]:
        _insert_many(connection, target, rest, shared)


def _marks(count: int) -> str:
    return f"({', '.join(['%s'] * count)})"


def update(
    model: type[models.Model], keys: Sequence[AnyField], fields: Sequence[AnyField], rows: Sequence[Row], using: str
) -> None:
    """Change the columns of `fields` in the rows that the columns of `keys` name. A row: its key, then its values."""
    if not rows or not fields:
        return
    connection = connections[using]
    if connection.vendor == "postgresql" and _can_copy(connection) and len(rows) > _FEW:
        _update_from_stage(connection, model, keys, fields, rows)
        return
    assigned = ", ".join(f"{_column(connection, field)} = %s" for field in fields)
    named = " AND ".join(f"{_column(connection, field)} = %s" for field in keys)
    count = len(keys)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {connection.ops.quote_name(model._meta.db_table)} SET {assigned} WHERE {named}",
            [(*row[count:], *row[:count]) for row in rows],
        )


def _update_from_stage(
    connection: BaseDatabaseWrapper,
    model: type[models.Model],
    keys: Sequence[AnyField],
    fields: Sequence[AnyField],
    rows: Sequence[Row],
) -> None:
    columns = [_column(connection, field) for field in (*keys, *fields)]
    table = connection.ops.quote_name(model._meta.db_table)
    with transaction.atomic(using=connection.alias, savepoint=False), connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE {_STAGE} ON COMMIT DROP AS SELECT {', '.join(columns)} FROM {table} LIMIT 0"
        )
        _copy(connection, f"{_STAGE} ({', '.join(columns)})", rows)
        assigned = ", ".join(f"{name} = {_STAGE}.{name}" for name in columns[len(keys) :])
        named = " AND ".join(f"{table}.{name} = {_STAGE}.{name}" for name in columns[: len(keys)])
        cursor.execute(f"UPDATE {table} SET {assigned} FROM {_STAGE} WHERE {named}")
        cursor.execute(f"DROP TABLE {_STAGE}")


def _target(connection: BaseDatabaseWrapper, table: str, fields: Sequence[AnyField]) -> str:
    return f"{connection.ops.quote_name(table)} ({', '.join(_column(connection, field) for field in fields)})"


def _column(connection: BaseDatabaseWrapper, field: AnyField) -> str:
    return connection.ops.quote_name(str(field.column))


def _can_copy(connection: BaseDatabaseWrapper) -> bool:
    """Psycopg 3 adapts Python values for `COPY`; psycopg 2 does not."""
    return hasattr(getattr(connection, "Database", None), "AsyncConnection")


def _copy(connection: BaseDatabaseWrapper, target: str, rows: Sequence[Row], shared: Row = ()) -> None:
    """Raises what Django would: the driver's own way to copy does not lead through it."""
    copying = f"COPY {target} FROM STDIN"
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(copying) as copy:
        for row in rows:
            copy.write_row(row + shared)
