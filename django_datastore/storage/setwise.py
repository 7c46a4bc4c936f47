"""Set-wise writes: `QuerySet.update` and `bulk_create`, and what Django builds on them.

The rows an update touches are found and locked by key first; the update is then the caller's own query, its condition
kept, narrowed to those keys. So its count is the caller's, and no row is updated unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from django.db import NotSupportedError, connections, models, router, transaction
from django.db.models import Q, QuerySet

from django_datastore.introspection.values import AnyField
from django_datastore.storage import captured as captures
from django_datastore.storage import entries, stored
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
    for each in concerned:
        _refuse_constants(each, values)
    with write_transaction(using, savepoint=any(map(is_expression, values.values()))):
        updates = [_Update(each, queryset, values, using) for each in concerned]
        narrowed = queryset._chain()
        seen = set.intersection(*(set(each_update.pks) for each_update in updates))
        narrowed.query.add_q(stored.among(queryset.model, seen, using))
        count = original(narrowed, **values)
        for each_update in updates:
            each_update.enter(count)
    queryset._result_cache = None
    return count


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
        self.pks, self.before = _lock(captured, queryset, self.columns, using)

    def enter(self, count: int) -> None:
        """Put what changed into outbox and log. `count` rows were updated."""
        if self.moves:
            self._enter_moves()
        else:
            entries.write_all(self.captured, self._updates(self._after(count)), self.using)

    def _after(self, count: int) -> Rows | None:
        """The rows as they are now; None if each has the constants."""
        if len(self.constants) == len(self.columns) and count == len(self.before):
            return None
        return stored.rows(self.captured, self.before, self.columns, self.using)

    def _updates(self, after: Rows | None) -> Iterator[Write]:
        constant = tuple(self.constants.values())
        wires = None if after is not None else [column.encode(self.constants[column]) for column in self.columns]
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


def _lock(
    captured: CapturedModel, queryset: Any, columns: Sequence[Column], using: str
) -> tuple[Collection[Any], Rows]:
    """The rows an update will touch, locked in key order, with their keys in the caller's model.

    What the query joins is not locked.
    """
    found = queryset._chain().using(using)
    found._for_write = True
    if found.model._meta.concrete_model is captured.model and _is_plain(found):
        rows = stored.rows_of(captured, found, columns, lock=True)
        return rows, rows
    names = [column.attname for column in captured.key_columns]
    keys = {pk: captured.pk_of(key) for pk, *key in found.order_by().values_list("pk", *names)}
    return keys, stored.rows(captured, list(dict.fromkeys(keys.values())), columns, using, lock=True)


def _is_plain(queryset: Any) -> bool:
    """Whether the query is one over its own table alone, so that its rows can be locked as they are found."""
    query = queryset.query
    tables = [alias for alias, count in query.alias_refcount.items() if count]
    grouped = query.group_by is not None or query.distinct or query.annotations or query.extra
    return len(tables) <= 1 and not grouped and not query.select_related


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

    Raises `ValidationError` for a value AppSync would refuse; nothing is written then.
    """
    using = written_alias(queryset)
    captured = captures.find(queryset.model)
    instances = list(objs)
    conflicts = (ignore_conflicts, update_conflicts, update_fields, unique_fields)
    if captured is None or using != outbox_alias() or not instances:
        return original(queryset, instances, batch_size, *conflicts)
    wires = [_encode(captured, each) for each in instances]
    if not ignore_conflicts and not update_conflicts:
        with transaction.atomic(using=using, savepoint=any(UNKNOWN in each for each in wires)):
            made = original(queryset, instances, batch_size, *conflicts)
            entries.write_all(captured, _inserts(captured, made, wires, using), using)
        return made
    with write_transaction(using):
        fields = [()] if ignore_conflicts else _conflicting(captured, using, unique_fields)
        before = _matching(captured, instances, fields, using, lock=True)
        made = original(queryset, instances, batch_size, *conflicts)
        after = _matching(captured, instances, fields, using)
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
    return [
        UNKNOWN
        if column.is_set_by_saving or column.attname not in loaded or is_expression(loaded[column.attname])
        else column.encode(loaded[column.attname])
        for column in captured.columns
    ]


def _inserts(
    captured: CapturedModel, instances: Sequence[Any], wires: Sequence[list[Any]], using: str
) -> Iterator[Write]:
    columns = captured.columns
    unread = [
        each.pk for each in instances if any(is_expression(each.__dict__.get(column.attname)) for column in columns)
    ]
    read = stored.rows(captured, unread, columns, using)
    for instance, known in zip(instances, wires, strict=True):
        row = read.get(instance.pk) or [instance.__dict__.get(column.attname) for column in columns]
        yield Write(
            OpType.INSERT,
            captured.synced.key_of(instance),
            {
                column.wire_name: found
                for column, value, wire in zip(columns, row, known, strict=True)
                if column.is_sent and (found := column.encode(value) if wire is UNKNOWN else wire) is not None
            },
        )


def _conflicting(
    captured: CapturedModel, using: str, unique_fields: Collection[str] | None
) -> list[tuple[AnyField, ...]]:
    """The sets of fields whose values decide whether an upsert meets a row."""
    meta: Any = captured.model._meta
    if unique_fields and connections[using].features.supports_update_conflicts_with_target:
        return [tuple(meta.get_field(meta.pk.name if name == "pk" else name) for name in unique_fields)]
    singles = [(item,) for item in meta.concrete_fields if item.unique and not item.primary_key]
    groups = [constraint.fields for constraint in meta.total_unique_constraints]
    return [*singles, *(tuple(map(meta.get_field, names)) for names in (*groups, *meta.unique_together))]


def _matching(
    captured: CapturedModel,
    instances: Sequence[Any],
    fields: Sequence[tuple[AnyField, ...]],
    using: str,
    *,
    lock: bool = False,
) -> Rows:
    """The rows that have the instances' keys, or their values in one of the sets of fields."""
    pks = [each.pk for each in instances if each._is_pk_set()]
    found = stored.rows(captured, pks, captured.columns, using, lock=lock)
    plain: QuerySet[Any] = QuerySet(captured.model, using=using)
    for group in fields:
        for condition in _conditions(instances, group):
            found |= stored.rows_of(captured, plain.filter(condition), captured.columns, lock=lock)
    return found


def _conditions(instances: Sequence[Any], group: tuple[AnyField, ...]) -> Iterator[Q]:
    values = {tuple(getattr(each, item.attname) for item in group) for each in instances} if group else set()
    usable = [each for each in values if not any(part is None or is_expression(part) for part in each)]
    if len(group) == 1:
        if usable:
            yield Q(**{f"{group[0].attname}__in": [part for (part,) in usable]})
        return
    for start in range(0, len(usable), _CONFLICT_CHUNK):
        condition = Q()
        for parts in usable[start : start + _CONFLICT_CHUNK]:
            condition |= Q(**{item.attname: part for item, part in zip(group, parts, strict=True)})
        yield condition
