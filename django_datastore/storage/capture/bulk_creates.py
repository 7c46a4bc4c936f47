"""`QuerySet.bulk_create`, with the rows it meets: they are looked for by their keys and by what else is unique."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_
from typing import Any

from django.db import NotSupportedError, connections, models, transaction
from django.db.models import Q, QuerySet

from django_datastore.introspection.kinds import AnyField
from django_datastore.storage import captured as captures
from django_datastore.storage.capture import stored
from django_datastore.storage.capture.setwise import differences, wire_of, written_alias
from django_datastore.storage.capture.stored import Rows
from django_datastore.storage.captured import UNKNOWN, CapturedModel, Column, is_expression
from django_datastore.storage.outbox import entries
from django_datastore.storage.outbox.entries import Write
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.types import OpType

_CHUNK = 100
"""Rows looked up at once by what is unique."""


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
    write = partial(original, queryset, instances, batch_size, *conflicts)
    if captured is None or using != outbox_alias() or not instances:
        return write()
    wires = None if entries.is_muted() else [_encode(captured, each) for each in instances]
    if ignore_conflicts or update_conflicts:
        uniques = [] if ignore_conflicts else _conflicting(captured, using, unique_fields)
        return _upsert(captured, instances, uniques, write, using)
    with transaction.atomic(using=using, savepoint=any(UNKNOWN in each for each in wires or ())):
        made = write()
        entries.write_all(captured, _inserts(captured, made, wires, using), using)
    return made


def _upsert(
    captured: CapturedModel,
    instances: Sequence[Any],
    uniques: Sequence[_Unique],
    write: Callable[[], list[Any]],
    using: str,
) -> list[Any]:
    _refuse_unknowable(captured, instances, uniques)
    with write_transaction(using):
        before = _matching(captured, instances, uniques, using, lock=True)
        made = write()
        after = _matching(captured, instances, uniques, using)
        entries.write_all(captured, differences(captured, before, after), using, verify=True)
    return made


def _encode(captured: CapturedModel, instance: models.Model) -> list[Any]:
    """The JSON values of a new row, as far as they are known before it is written."""
    loaded = instance.__dict__
    captured.known_key(instance)
    return [
        UNKNOWN if _is_unread(column, loaded) or column.is_set_by_saving else wire_of(column, loaded[column.attname])
        for column in captured.columns
    ]


def _is_unread(column: Column, loaded: dict[str, Any]) -> bool:
    return column.is_read_back or column.attname not in loaded or is_expression(loaded[column.attname])


def _inserts(
    captured: CapturedModel, instances: Sequence[Any], wires: Sequence[list[Any]] | None, using: str
) -> Iterator[Write]:
    if wires is None:  # nobody is told the values
        yield from (Write(OpType.INSERT, captured.synced.key_of(each)) for each in instances)
        return
    sent = [column for column in captured.columns if column.is_sent]
    unread = [
        each.pk
        for each, known in zip(instances, wires, strict=True)
        if UNKNOWN in known and any(_is_unread(column, each.__dict__) for column in sent)
    ]
    found = stored.rows(captured, unread, captured.columns, using)
    read = {captured.key_of(pk): row for pk, row in found.items()}
    names = [column.wire_name for column in captured.columns]
    for instance, known in zip(instances, wires, strict=True):
        key = captured.synced.key_of(instance)
        if UNKNOWN in known:
            row = read.get(key) or [instance.__dict__.get(column.attname) for column in captured.columns]
            known = [
                wire_of(column, value) if wire is UNKNOWN else wire
                for column, value, wire in zip(captured.columns, row, known, strict=True)
            ]
        changed = {name: wire for name, wire in zip(names, known, strict=True) if wire is not None}
        yield Write(OpType.INSERT, key, changed)


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
        for start in range(0, len(usable), _CHUNK):
            some = usable[start : start + _CHUNK]
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
