"""The merger's reads and writes of rows: set-wise, with statements of its own, values as they are, no signals.

What people's code writes is captured for the outbox; what is written here is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from django.db import connections, models
from django.db.models.sql import DeleteQuery, InsertQuery, UpdateQuery

from django_datastore.introspection import SyncedModel
from django_datastore.storage import bulk
from django_datastore.storage.keysets import among, chunks
from django_datastore.storage.records.wire_rows import key_reader, wire_rows

Values: TypeAlias = dict[str, Any]
"""Column values by attribute name."""

_CHUNK = 500


def here(synced: SyncedModel, keys: Iterable[str], using: str, *, lock: bool = False) -> set[str]:
    """Those of `keys` that have a row. `lock` locks these, in the order of their keys."""
    wanted = list(keys)
    if not wanted:
        return set()
    read = key_reader(synced, using)
    if read is None:
        return _here_by_django(synced, wanted, using, lock=lock)
    by_value = {read(key): key for key in wanted}
    field = synced.key_bindings[0].field
    found: set[str] = set()
    with connections[using].cursor() as cursor:
        for chunk in chunks(list(by_value)):
            cursor.execute(*_select_keys(synced, field, chunk, using, lock=lock))
            found.update(key for (value,) in cursor.fetchall() if (key := by_value.get(_comparable(value))) is not None)
    return found


def _select_keys(
    synced: SyncedModel, field: Any, values: Sequence[Any], using: str, *, lock: bool
) -> tuple[str, list[Any]]:
    connection = connections[using]
    quote = connection.ops.quote_name
    condition, parameters = among(field.column, field.db_type(connection), values, using)
    statement = f"SELECT {quote(field.column)} FROM {quote(synced.model._meta.db_table)} WHERE {condition}"
    if lock and connection.features.has_select_for_update:
        statement += f" ORDER BY {quote(field.column)} FOR UPDATE"
    return statement, parameters


def _comparable(value: Any) -> str:
    """PostgreSQL gives a UUID back for the text it was given."""
    return str(value)


def _here_by_django(synced: SyncedModel, keys: Sequence[str], using: str, *, lock: bool) -> set[str]:
    found: set[str] = set()
    for chunk in chunks(keys, _CHUNK):
        found.update(
            synced.key_of_pk(pk) for pk in _queryset(synced, chunk, using, lock=lock).values_list("pk", flat=True)
        )
    return found & set(keys)


def stored(synced: SyncedModel, keys: Iterable[str], using: str, *, lock: bool = False) -> dict[str, Values]:
    """The stored rows among `keys`, by record key: the synced columns."""
    names = [item.attname for item in synced.bindings]
    found: dict[str, Values] = {}
    for chunk in chunks(list(keys), _CHUNK):
        for pk, *values in _queryset(synced, chunk, using, lock=lock).values_list("pk", *names):
            found[synced.key_of_pk(pk)] = dict(zip(names, values, strict=True))
    return found


def _queryset(synced: SyncedModel, keys: Sequence[str], using: str, *, lock: bool = False) -> models.QuerySet[Any]:
    """Past the model's managers, which may hide rows."""
    rows: models.QuerySet[Any] = models.QuerySet(synced.model, using=using)
    rows = rows.filter(pk__in=[synced.pk_of(key) for key in keys])
    return rows.select_for_update().order_by("pk") if lock else rows


def insert(synced: SyncedModel, rows: Sequence[Values], using: str) -> None:
    """Add rows by Django's own INSERT, whatever their fields are. Columns that are not named get their defaults."""
    instances = [_instance(synced, values) for values in rows]
    fields = [
        field
        for field in synced.model._meta.concrete_fields
        if not field.generated and not isinstance(field, models.AutoField)
    ]
    limit = max(1, connections[using].ops.bulk_batch_size(fields, instances)) if instances else 1
    for chunk in chunks(instances, limit):
        query = InsertQuery(synced.model)
        query.insert_values(fields, list(chunk), raw=True)
        query.get_compiler(using=using).execute_sql()


def _instance(synced: SyncedModel, values: Values) -> models.Model:
    """A new row. A time stamp Django would set by itself, and the record does not carry, is set as Django would."""
    instance = synced.model(**values)
    for item in synced.model._meta.concrete_fields:
        is_automatic = getattr(item, "auto_now", False) or getattr(item, "auto_now_add", False)
        if is_automatic and getattr(instance, item.attname) is None:
            item.pre_save(instance, True)
    return instance


def update(synced: SyncedModel, rows: Mapping[str, Values], using: str) -> None:
    """Change rows. An existing row is updated and nothing else: the insert half of an upsert would be checked, too."""
    by_names: dict[tuple[str, ...], list[tuple[str, Values]]] = {}
    for key, values in rows.items():
        by_names.setdefault(tuple(values), []).append((key, values))
    for names, group in by_names.items():
        if not names:
            continue
        if wire_rows(synced, using).is_plain:
            _update_plain(synced, names, group, using)
        else:
            for key, values in group:
                _update_one(synced, key, values, using)


def _update_plain(synced: SyncedModel, names: Sequence[str], group: Sequence[tuple[str, Values]], using: str) -> None:
    connection = connections[using]
    by_attname = {field.attname: field for field in synced.model._meta.concrete_fields}
    fields = [by_attname[name] for name in names]
    keys = [item.field for item in synced.key_bindings]
    rows = []
    for key, values in group:
        pk = synced.pk_of(key)
        parts = pk if len(keys) > 1 else (pk,)
        row = [field.get_db_prep_value(part, connection) for field, part in zip(keys, parts, strict=True)]
        row += [field.get_db_prep_save(values[name], connection) for field, name in zip(fields, names, strict=True)]
        rows.append(tuple(row))
    bulk.update(synced.model, keys, fields, rows, using)


def _update_one(synced: SyncedModel, key: str, values: Values, using: str) -> None:
    query = UpdateQuery(synced.model)
    by_attname = {field.attname: field for field in synced.model._meta.concrete_fields}
    query.add_update_fields([(by_attname[name], None, value) for name, value in values.items()])
    query.add_q(models.Q(pk=synced.pk_of(key)))
    statement, parameters = query.get_compiler(using=using).as_sql()
    with connections[using].cursor() as cursor:
        cursor.execute(statement, parameters)


def delete(synced: SyncedModel, keys: Sequence[str], using: str) -> None:
    """Remove rows and nothing else: what hangs on them must be gone already (see `dependents`)."""
    for chunk in chunks(keys, _CHUNK):
        _delete_where(synced, chunk, using)


def _delete_where(synced: SyncedModel, keys: Sequence[str], using: str) -> None:
    query = DeleteQuery(synced.model)
    query.add_q(models.Q(pk__in=[synced.pk_of(key) for key in keys]))
    statement, parameters = query.get_compiler(using=using).as_sql()
    with connections[using].cursor() as cursor:
        cursor.execute(statement, parameters)


def check_now(using: str) -> None:
    """Let the database check now what it would check at the end of the transaction, so that a savepoint can undo it.

    PostgreSQL only. MariaDB checks each statement; on SQLite the writer looks for parents beforehand.
    """
    if connections[using].vendor == "postgresql":
        connections[using].check_constraints()
