"""Set-wise updates: `QuerySet.update`, and what Django builds on it.

The rows an update touches are found and locked by key first; the update is then the caller's own query, its condition
kept, narrowed to those keys. So its count is the caller's, and no row is updated unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from django.db import NotSupportedError, models, router, transaction
from django.db.models import QuerySet

from django_datastore.storage import captured as captures
from django_datastore.storage.capture import doomed, stored
from django_datastore.storage.capture.stored import Rows
from django_datastore.storage.captured import CapturedModel, Column, Row, is_expression
from django_datastore.storage.outbox import entries
from django_datastore.storage.outbox.entries import Write
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.types import OpType


def update(original: Callable[..., int], queryset: Any, **values: Any) -> int:
    """As Django's; every row that changed gets its mutation, in the same transaction.

    A row whose key changes is another record to AppSync: the old one is deleted, and one is created. Raises
    `ValidationError` for a value AppSync would refuse, `NotSupportedError` for a key only the database knows.
    """
    using = written_alias(queryset)
    concerned = [each for each in captures.touched_by(queryset.model) if each.named(values)]
    if not concerned or using != outbox_alias() or queryset.query.is_sliced or queryset.query.combinator:
        return original(queryset, **values)
    for each in concerned if not entries.is_muted() else ():
        _refuse_constants(each, values)
    may_surprise = any(map(is_expression, values.values())) or any(_tells_more(each, values) for each in concerned)
    with write_transaction(using, savepoint=may_surprise):
        updates = [_Update(each, queryset, values, using) for each in concerned]
        narrowed = queryset._chain()
        seen = set.intersection(*(set(each_update.pks) for each_update in updates))
        narrowed.query.add_q(stored.among(queryset.model, seen, using))
        count = original(narrowed, **values)
        for each_update in updates:
            each_update.enter(count)
    queryset._result_cache, queryset._for_write = None, True
    return count


def bulk_update(
    original: Callable[..., int],
    queryset: Any,
    objs: Iterable[Any],
    fields: Iterable[str],
    batch_size: int | None = None,
) -> int:
    """As Django's, which calls `update` for some rows at a time: what is refused is refused before the first."""
    using = written_alias(queryset)
    instances, names = tuple(objs), list(fields)
    columns = [column for each in captures.touched_by(queryset.model) for column in each.named(names)]
    if not columns or using != outbox_alias() or entries.is_muted():
        return original(queryset, instances, names, batch_size)
    values = [(column, each.__dict__.get(column.attname)) for each in instances for column in columns]
    for column, value in values:
        if not is_expression(value):
            wire_of(column, value)
    with transaction.atomic(using=using, savepoint=any(is_expression(value) for _, value in values)):
        return original(queryset, instances, names, batch_size)


def _tells_more(captured: CapturedModel, names: Collection[str]) -> bool:
    """Whether AppSync is told what was stored before, too, which it may refuse: another key, or what travels along."""
    return bool(captured.synced.together) or any(column.is_key for column in captured.named(names))


def written_alias(queryset: Any) -> str:
    """The database a write through this query goes to, which may be another than it reads from."""
    return queryset._db or router.db_for_write(queryset.model, **queryset._hints)


class _Update:
    """One table's part in an update: its rows before, locked, and what became of them."""

    def __init__(self, captured: CapturedModel, queryset: Any, values: dict[str, Any], using: str) -> None:
        self.captured = captured
        self.using = using
        named = captured.named(values)
        self.constants = _constants(named, values)
        self.moves = any(column.is_key for column in named)
        self.columns = captured.columns if self.moves else named
        self.pks, before = _lock(captured, queryset, self.columns, using)
        self.before = {pk: before[pk] for pk in doomed.staying(captured, before, using)}

    def enter(self, count: int) -> None:
        """Put what changed into outbox and log. `count` rows were updated."""
        if self.moves:
            self._enter_moves()
        elif entries.is_muted():
            unsent = (Write(OpType.UPDATE, self.captured.key_of(pk)) for pk in self.before)
            entries.write_all(self.captured, unsent, self.using)
        else:
            entries.write_all(self.captured, self._updates(self._after(count)), self.using)

    def _after(self, count: int) -> Rows | None:
        """The rows as they are now; None if each has the constants."""
        if len(self.constants) == len(self.columns) and count == len(self.before):
            return None
        return stored.rows(self.captured, self.before, self.columns, self.using)

    def _updates(self, after: Rows | None) -> Iterator[Write]:
        constant = tuple(self.constants.values())
        wires = None if after is not None else [wire_of(column, self.constants[column]) for column in self.columns]
        for pk, before in self.before.items():
            row = constant if after is None else after.get(pk)
            if row is not None and (found := self.captured.difference(self.columns, row, before, wires)):
                yield Write(OpType.UPDATE, self.captured.key_of(pk), found.changed, found.base)

    def _enter_moves(self) -> None:
        """The key is among the fields: a row with another key is another record."""
        captured, using = self.captured, self.using
        moved = {pk: target for pk in self.before if (target := self._target(pk)) != pk}
        after = stored.rows(captured, [moved.get(pk, pk) for pk in self.before], self.columns, using)
        gone = [pk for pk in moved if pk not in after]
        entries.write_all(captured, (deleted(captured, pk, self.before[pk]) for pk in gone), using)
        stayed = {pk: row for pk, row in self.before.items() if pk in after}
        entries.write_all(captured, differences(captured, stayed, after), using)

    def _target(self, pk: Any) -> Any:
        parts = dict(zip(self.captured.key_columns, pk if isinstance(pk, tuple) else (pk,), strict=True))
        return self.captured.pk_of([self.constants.get(column, part) for column, part in parts.items()])


def _refuse_constants(captured: CapturedModel, values: dict[str, Any]) -> None:
    """Raise for what AppSync would refuse, before anything is touched."""
    for column in captured.named(values):
        for name in {column.field.name, column.attname} & values.keys():
            value = values[name]
            if not is_expression(value):
                column.encode(_plain(value))
            elif column.is_key:
                raise NotSupportedError(
                    f"Cannot update {captured.synced.name}.{column.field.name}, a field of the key, with an "
                    "expression: AppSync has to be told the new key. Give it a value, row by row where the values "
                    "differ."
                )


def _constants(columns: Sequence[Column], values: dict[str, Any]) -> dict[Column, Any]:
    """The columns that all rows get the same value in, as Python values of the field."""
    found: dict[Column, Any] = {}
    for column in columns:
        for name in {column.field.name, column.attname} & values.keys():
            if not is_expression(values[name]):
                value = _plain(values[name])
                found[column] = column.field.to_python(value) if column.is_key else value
    return found


def _plain(value: Any) -> Any:
    return value.pk if isinstance(value, models.Model) else value


def touched_rows(queryset: Any, using: str) -> QuerySet[Any]:
    """The rows that Django's UPDATE or DELETE of this query will touch, whatever the query's class makes of it.

    Where no other table is joined, Django looks at the condition alone.
    """
    query = queryset.query.chain()
    query.get_initial_alias()
    query.select_related = False
    query.clear_ordering(force=True)
    query.set_extra_mask(())
    if query.count_active_tables() == 1:
        query.clear_limits()
        query.distinct, query.distinct_fields, query.group_by = False, (), None
        query.set_annotation_mask(())
    return QuerySet(queryset.model, query=query, using=using)


def _lock(
    captured: CapturedModel, queryset: Any, columns: Sequence[Column], using: str
) -> tuple[Collection[Any], Rows]:
    """The rows an update will touch, locked in key order, with their keys in the caller's model.

    What the query joins is not locked.
    """
    found = touched_rows(queryset, using)
    if found.model._meta.concrete_model is captured.model and found.query.count_active_tables() == 1:
        rows = stored.rows_of(captured, found, columns, lock=True)
        return rows, rows
    names = [column.attname for column in captured.key_columns]
    keys = {pk: captured.pk_of(key) for pk, *key in found.values_list("pk", *names)}
    return keys, stored.rows(captured, list(dict.fromkeys(keys.values())), columns, using, lock=True)


# -- what became of rows ----------------------------------------------------------------------------------------------


def differences(captured: CapturedModel, before: Rows, after: Rows) -> Iterator[Write]:
    """What happened to rows between two looks at all their columns."""
    for pk, row in after.items():
        stored_row = before.get(pk)
        if entries.is_muted():
            if row != stored_row:
                yield Write(OpType.INSERT if stored_row is None else OpType.UPDATE, captured.key_of(pk))
        elif stored_row is None:
            yield Write(OpType.INSERT, captured.key_of(pk), captured.given(captured.columns, row))
        elif found := captured.difference(captured.columns, row, stored_row):
            yield Write(OpType.UPDATE, captured.key_of(pk), found.changed, found.base)


def deleted(captured: CapturedModel, pk: Any, row: Row, condition: Any = None) -> Write:
    """The write of a row that is gone; `row` has all its columns."""
    snapshot = captured.snapshot(captured.columns, row)
    return Write(OpType.DELETE, captured.key_of(pk), snapshot=snapshot, condition=condition)


def wire_of(column: Column, value: Any) -> Any:
    """The JSON value of a column that is sent. Raises `ValidationError`."""
    return column.encode(value) if column.is_sent else None
