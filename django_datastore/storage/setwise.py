"""Set-wise writes: `QuerySet.update` and `bulk_create`, and what Django builds on them.

The rows an update touches are found and locked by key first; the update is then the caller's own query, its condition
kept, narrowed to those keys. So its count is the caller's, and no row is updated unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.db import NotSupportedError, connections, models, router, transaction
from django.db.models import Q, QuerySet

from django_datastore.introspection.values import AnyField
from django_datastore.storage import captured as captures
from django_datastore.storage import doomed, entries, stored
from django_datastore.storage.captured import UNKNOWN, CapturedModel, Column, Row, is_expression
from django_datastore.storage.entries import Write
from django_datastore.storage.stored import Rows
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.types import OpType

_CONFLICT_CHUNK = 100
"""Rows looked up at once by more than one unique field."""


# -- update ----------------------------------------------------------------------------------------------------------


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
    with write_transaction(using, savepoint=any(map(is_expression, values.values()))):
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
    if not columns or using != outbox_alias():
        return original(queryset, instances, names, batch_size)
    values = [(column, each.__dict__.get(column.attname)) for each in instances for column in columns]
    for column, value in values:
        if not is_expression(value):
            _wire(column, value)
    with transaction.atomic(using=using, savepoint=any(is_expression(value) for _, value in values)):
        return original(queryset, instances, names, batch_size)


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
        wires = None if after is not None else [_wire(column, self.constants[column]) for column in self.columns]
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


# -- bulk_create -----------------------------------------------------------------------------------------------------


def bulk_create(
    original: Callable[..., list[Any]],
    queryset: Any,
    objs: Iterable[Any],
    batch_size: int | None = None,
    ignore_conflicts: bool = False,
    update_conflicts: bool = False,
    update_fields: Collection[str] | None = None,
    unique_fields: Collection[str] | None = None,
) -> list[Any]:
    """As Django's; every row that was made, or changed by `update_conflicts`, gets its mutation.

    Raises `ValidationError` for a value AppSync would refuse, `NotSupportedError` where conflicts are dealt with and
    only the database knows the values that decide; nothing is written then.
    """
    using = written_alias(queryset)
    captured = captures.find(queryset.model)
    instances = list(objs)
    conflicts = (ignore_conflicts, update_conflicts, update_fields, unique_fields)
    if captured is None or using != outbox_alias() or not instances:
        return original(queryset, instances, batch_size, *conflicts)
    has_conflicts = ignore_conflicts or update_conflicts
    if entries.is_muted() and not has_conflicts:
        with transaction.atomic(using=using, savepoint=False):
            made = original(queryset, instances, batch_size, *conflicts)
            keys = (captured.synced.key_of(each) for each in made)
            entries.write_all(captured, (Write(OpType.INSERT, key) for key in keys), using)
        return made
    wires = [_encode(captured, each) for each in instances]
    if not has_conflicts:
        with transaction.atomic(using=using, savepoint=any(UNKNOWN in each for each in wires)):
            made = original(queryset, instances, batch_size, *conflicts)
            entries.write_all(captured, _inserts(captured, made, wires, using), using)
        return made
    uniques = [] if ignore_conflicts else _conflicting(captured, using, unique_fields)
    _refuse_unknowable(captured, instances, uniques)
    with write_transaction(using):
        before = _matching(captured, instances, uniques, using, lock=True)
        made = original(queryset, instances, batch_size, *conflicts)
        after = _matching(captured, instances, uniques, using)
        entries.write_all(captured, differences(captured, before, after), using, verify=True)
    return made


def differences(captured: CapturedModel, before: Rows, after: Rows) -> Iterator[Write]:
    """What happened to rows between two looks at all their columns."""
    for pk, row in after.items():
        stored_row = before.get(pk)
        if stored_row is None:
            yield Write(OpType.INSERT, captured.key_of(pk), captured.given(captured.columns, row))
        elif found := captured.difference(captured.columns, row, stored_row):
            yield Write(OpType.UPDATE, captured.key_of(pk), found.changed, found.base)


def deleted(captured: CapturedModel, pk: Any, row: Row, condition: Any = None) -> Write:
    """The write of a row that is gone; `row` has all its columns."""
    snapshot = captured.snapshot(captured.columns, row)
    return Write(OpType.DELETE, captured.key_of(pk), snapshot=snapshot, condition=condition)


def _encode(captured: CapturedModel, instance: models.Model) -> list[Any]:
    """The JSON values of a new row, as far as they are known before it is written."""
    loaded = instance.__dict__
    captured.known_key(instance)
    return [
        UNKNOWN if _is_unread(column, loaded) or column.is_set_by_saving else _wire(column, loaded[column.attname])
        for column in captured.columns
    ]


def _is_unread(column: Column, loaded: dict[str, Any]) -> bool:
    return column.is_read_back or column.attname not in loaded or is_expression(loaded[column.attname])


def _wire(column: Column, value: Any) -> Any:
    return column.encode(value) if column.is_sent else None


def _inserts(
    captured: CapturedModel, instances: Sequence[Any], wires: Sequence[list[Any]], using: str
) -> Iterator[Write]:
    sent = [column for column in captured.columns if column.is_sent]
    unread = [each.pk for each in instances if any(_is_unread(column, each.__dict__) for column in sent)]
    found = stored.rows(captured, unread, captured.columns, using)
    read = {captured.key_of(pk): row for pk, row in found.items()}
    for instance, known in zip(instances, wires, strict=True):
        key = captured.synced.key_of(instance)
        row = read.get(key) or [instance.__dict__.get(column.attname) for column in captured.columns]
        yield Write(
            OpType.INSERT,
            key,
            {
                column.wire_name: wire
                for column, value, before in zip(captured.columns, row, known, strict=True)
                if (wire := _wire(column, value) if before is UNKNOWN else before) is not None
            },
        )


def _refuse_unknowable(captured: CapturedModel, instances: Sequence[Any], conflicts: Sequence[_Unique]) -> None:
    """Raise where nobody could tell afterwards which rows were written."""
    for instance in instances:
        names = [item.name for unique in conflicts for item in unique.fields if is_expression(_value(instance, item))]
        if not conflicts and captured.known_key(instance) is None:
            names = [column.field.name for column in captured.key_columns]
        if names:
            raise NotSupportedError(
                f"Cannot bulk_create {captured.synced.name} rows that may conflict while only the database knows their "
                f"{', '.join(names)}: AppSync could not be told which rows were written. Give them values."
            )


@dataclass(frozen=True, slots=True)
class _Unique:
    """Fields whose values together belong to one row at most."""

    fields: tuple[AnyField, ...]
    nulls_are_equal: bool = False

    def conditions(self, instances: Sequence[Any]) -> Iterator[Q]:
        """The rows that have these values of one of the instances, some at a time."""
        values = [[_value(each, item) for item in self.fields] for each in instances]
        usable = [parts for parts in values if self.nulls_are_equal or None not in parts]
        for start in range(0, len(usable), _CONFLICT_CHUNK):
            some = usable[start : start + _CONFLICT_CHUNK]
            if len(self.fields) == 1 and not self.nulls_are_equal:
                yield Q(**{f"{self.fields[0].attname}__in": [value for (value,) in some]})
            else:
                yield reduce(or_, (self._equal(parts) for parts in some))

    def _equal(self, parts: Sequence[Any]) -> Q:
        return Q(
            *(
                Q(**{f"{item.attname}__isnull": True} if part is None else {item.attname: part})
                for item, part in zip(self.fields, parts, strict=True)
            )
        )


def _value(instance: models.Model, item: AnyField) -> Any:
    return getattr(instance, item.attname)


def _conflicting(captured: CapturedModel, using: str, unique_fields: Collection[str] | None) -> list[_Unique]:
    """What decides whether an upsert meets a row, beside the key."""
    meta: Any = captured.model._meta
    groups = {
        **{(item.name,): False for item in meta.concrete_fields if item.unique and not item.primary_key},
        **dict.fromkeys(map(tuple, meta.unique_together), False),
        **{tuple(each.fields): each.nulls_distinct is False for each in meta.total_unique_constraints},
    }
    if unique_fields and connections[using].features.supports_update_conflicts_with_target:
        names = {meta.pk.name if name == "pk" else name for name in unique_fields}
        found = {group: nulls for group, nulls in groups.items() if set(group) == names}
        groups = found or {tuple(names): False}
    return [_Unique(tuple(map(meta.get_field, group)), nulls) for group, nulls in groups.items()]


def _matching(
    captured: CapturedModel, instances: Sequence[Any], conflicts: Sequence[_Unique], using: str, *, lock: bool = False
) -> Rows:
    """The rows that have the instances' keys, or their values where these are unique."""
    pks = [each.pk for each in instances if captured.known_key(each) is not None]
    found = stored.rows(captured, pks, captured.columns, using, lock=lock)
    for unique in conflicts:
        for condition in unique.conditions(instances):
            rows: QuerySet[Any] = QuerySet(captured.model, using=using).filter(condition)
            found |= stored.rows_of(captured, rows, captured.columns, lock=lock)
    return found
