"""Stored rows of registered models, read before and after a write: one by its key, or many, and locked."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, Q, QuerySet

from django_datastore.storage.captured import CapturedModel, Column, Row
from django_datastore.storage.compiled import once

Rows: TypeAlias = dict[Any, Row]
"""Rows by primary key."""

_FEW = 50
"""So many keys are cheaper as parameters of their own."""


@dataclass(frozen=True, slots=True)
class _OneRow:
    """The compiled read of one row."""

    statement: str
    parameters: Callable[[Any], Sequence[Any]]
    converters: tuple[tuple[int, Sequence[Any], Any], ...]


def row(captured: CapturedModel, pk: Any, using: str) -> Row | None:
    """The synced columns of one row, locked; None if there is none. Call it in a transaction."""
    connection = connections[using]
    try:
        read = once(connection, (row, captured), lambda _: _compile_one(captured, pk, connection))
    except EmptyResultSet:  # the column could not hold such a key
        return None
    with connection.cursor() as cursor:
        cursor.execute(read.statement, read.parameters(pk))
        found: Row | None = cursor.fetchone()
    if found is None or not read.converters:
        return found
    values = list(found)
    for position, converters, expression in read.converters:
        for convert in converters:
            values[position] = convert(values[position], expression, connection)
    return values


def rows(
    captured: CapturedModel, pks: Collection[Any], columns: Sequence[Column], using: str, *, lock: bool = False
) -> Rows:
    """The rows among these primary keys. `lock` locks them, in key order."""
    if not pks:
        return {}
    if len(pks) == 1 and lock and columns is captured.columns:
        (pk,) = pks
        found = row(captured, pk, using)
        return {} if found is None else {captured.pk_of(captured.key_in(found)): found}
    return rows_of(captured, _plain(captured, using).filter(among(captured.model, pks, using)), columns, lock=lock)


def rows_of(captured: CapturedModel, queryset: QuerySet[Any], columns: Sequence[Column], *, lock: bool = False) -> Rows:
    """The rows a query finds. `lock` locks them, in key order; the query must be one that can be locked."""
    names = [column.attname for column in captured.key_columns]
    if lock:
        queryset = queryset.select_for_update().order_by(*names)
    found = queryset.values_list(*names, *(column.attname for column in columns))
    width = len(names)
    return {captured.pk_of(each[:width]): each[width:] for each in found}


def among(model: type[models.Model], pks: Collection[Any], using: str) -> Q:
    """The rows with these primary keys, however many, as one condition; with one parameter where there can be many."""
    connection = connections[using]
    fields = model._meta.pk_fields
    if len(pks) > _FEW:
        parts = [(pk,) for pk in pks] if len(fields) == 1 else pks
        prepared = [
            [field.get_db_prep_value(part, connection) for field, part in zip(fields, key, strict=True)]
            for key in parts
        ]
        if connection.vendor == "postgresql":
            arrays = ", ".join(f"%s::{_unbounded(field.db_type(connection))}[]" for field in fields)
            return Q(
                _KeyAmong(
                    fields, f"SELECT * FROM unnest({arrays})", [list(each) for each in zip(*prepared, strict=True)]
                )
            )
        if connection.vendor == "sqlite" and all(isinstance(value, str | int) for key in prepared for value in key):
            columns = ", ".join(f"json_extract(value, '$[{position}]')" for position in range(len(fields)))
            return Q(_KeyAmong(fields, f"SELECT {columns} FROM json_each(%s)", [json.dumps(prepared)]))
    return Q(pk__in=list(pks))


class _KeyAmong(Func):
    """Whether the key is among those that a statement lists."""

    def __init__(self, fields: Sequence[models.Field[Any, Any]], listed: str, parameters: Sequence[Any]) -> None:
        super().__init__(*(F(field.attname) for field in fields), output_field=models.BooleanField())
        self.listed = listed
        self.parameters = tuple(parameters)

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        """`(hall, number) IN (SELECT ...)`."""
        columns = [compiler.compile(each) for each in self.get_source_expressions()]
        parameters = [value for _, found in columns for value in found]
        names = ", ".join(name for name, _ in columns)
        return f"({names}) IN ({self.listed})", [*parameters, *self.parameters]


def pointing_to(field: models.ForeignKey[Any, Any], target: type[models.Model], pks: Collection[Any], using: str) -> Q:
    """The rows whose foreign key points to one of these rows of `target`, which must still be there."""
    targets: QuerySet[Any] = QuerySet(target, using=using).filter(among(target, pks, using))
    return Q(**{f"{field.name}__in": targets.values(field.target_field.attname)})


def _unbounded(kind: str | None) -> str:
    """A column type without its length, which an array of values does not need."""
    return str(kind).partition("(")[0]


def _plain(captured: CapturedModel, using: str) -> QuerySet[Any]:
    """Every row, whatever the model's managers hide."""
    return QuerySet(captured.model, using=using)


def _compile_one(captured: CapturedModel, pk: Any, connection: BaseDatabaseWrapper) -> _OneRow:
    names = [column.attname for column in captured.columns]
    queryset = _plain(captured, connection.alias).filter(pk=pk).select_for_update().values_list(*names)
    compiler = queryset.query.get_compiler(connection=connection)
    statement, parameters = compiler.as_sql()
    fields = captured.model._meta.pk_fields
    if len(parameters) != len(fields):
        raise ValueError(f"The look at one row of {captured.label} takes {parameters!r}, not its key.")
    converters = compiler.get_converters([column for column, *_ in compiler.select])
    return _OneRow(
        statement,
        lambda pk: [
            field.get_db_prep_value(value, connection)
            for field, value in zip(fields, pk if len(fields) > 1 else (pk,), strict=True)
        ],
        tuple((position, found, expression) for position, (found, expression) in converters.items()),
    )
