"""Instance writes, captured where Django writes the row: `Model._save_table`, once for each table of a save.

The stored row is read before an update: right for stale instances and for `update_fields`, and the base for three-way
merging. Signals are none of its business: a receiver that refuses or fails does what it does in plain Django.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connections, models, router, transaction

from django_datastore.storage import captured as captures
from django_datastore.storage.capture import conditions, stored
from django_datastore.storage.captured import UNKNOWN, CapturedModel, Column, Difference, Row, identical, is_expression
from django_datastore.storage.outbox import entries
from django_datastore.storage.outbox.entries import Write
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.types import OpType, WireRecord


class _Refused(Exception):
    """A refusal on its way out of Django's save: nothing of this table was written."""


def save_base(
    original: Callable[..., None],
    instance: Any,
    raw: bool = False,
    force_insert: Any = False,
    force_update: bool = False,
    using: str | None = None,
    update_fields: Collection[str] | None = None,
) -> None:
    """As Django's. What is refused before it is written leaves the caller's transaction as it was.

    Django gives a transaction up after any exception inside a save, since something may have been written. Here
    nothing was; where other tables of the same save were written before, that is taken back.
    """
    using = using or router.db_for_write(type(instance), instance=instance)
    in_parts = _has_more_tables(instance) and connections[using].in_atomic_block
    point = transaction.savepoint(using) if in_parts else None
    try:
        original(instance, raw, force_insert, force_update, using, update_fields)
    except _Refused as refused:
        connection = connections[using]
        if connection.in_atomic_block:
            connection.set_rollback(False)
            if point is not None:
                transaction.savepoint_rollback(point, using)
        raise refused.__cause__ or refused from None
    if point is not None and not connections[using].needs_rollback:
        transaction.savepoint_commit(point, using)


def _has_more_tables(instance: models.Model) -> bool:
    concrete = type(instance)._meta.concrete_model
    return bool(concrete and concrete._meta.parents) and bool(captures.touched_by(type(instance)))


def save_table(
    original: Callable[..., bool],
    instance: Any,
    raw: bool = False,
    cls: type[models.Model] | None = None,
    force_insert: bool = False,
    force_update: bool = False,
    using: str | None = None,
    update_fields: Collection[str] | None = None,
) -> bool:
    """As Django's; the row, its entry and its change are one transaction.

    Raises `ValidationError` for a value that AppSync would refuse; nothing is written then.
    """
    captured = captures.find(cls or type(instance))

    def write() -> bool:
        return original(instance, raw, cls, force_insert, force_update, using, update_fields)

    if captured is None or using != outbox_alias():
        return write()
    if entries.is_muted():
        return _save_unsent(captured, instance, write, using)
    is_insert = force_insert or (not raw and not force_update and _is_new(captured, instance))
    save = _insert if is_insert else _save
    try:
        return save(captured, instance, write, using, update_fields)
    except ValidationError as exc:
        if connections[using].needs_rollback:
            raise
        raise _Refused from exc


def _save_unsent(captured: CapturedModel, instance: Any, write: Callable[[], bool], using: str) -> bool:
    """A save that only watchers are told of, whatever AppSync would say to its values."""
    with transaction.atomic(using=using, savepoint=False):
        updated = write()
        op_type = OpType.UPDATE if updated else OpType.INSERT
        entries.write(captured, Write(op_type, captured.synced.key_of(instance)), using)
    return updated


def _is_new(captured: CapturedModel, instance: models.Model) -> bool:
    """Whether Django will insert without looking, since the key is a fresh default."""
    return instance._state.adding and all(
        item.has_default() or item.has_db_default() for item in captured.model._meta.pk_fields
    )


def _insert(
    captured: CapturedModel,
    instance: Any,
    write: Callable[[], bool],
    using: str,
    update_fields: Collection[str] | None,
) -> bool:
    values = _values(captured, instance)
    wires, problem = _encoded(captured, values)
    key = captured.known_key(instance)
    if problem is not None:
        raise problem
    with transaction.atomic(using=using, savepoint=_may_surprise(captured, values)):
        updated = write()
        if key is None or captured.sets_key_by_saving:
            key = captured.synced.key_of(instance)
        _enter_insert(captured, instance, key, wires, conditions.take(captured.label, key), using)
    return updated


def _enter_insert(
    captured: CapturedModel,
    instance: models.Model,
    key: str,
    wires: list[Any],
    condition: WireRecord | None,
    using: str,
) -> None:
    if UNKNOWN in wires:
        wires = _completed(captured, _written(captured, instance, using), wires)
    changed = {
        column.wire_name: wire
        for column, wire in zip(captured.columns, wires, strict=True)
        if wire is not None and column.is_sent
    }
    entries.write(captured, Write(OpType.INSERT, key, changed, condition=condition), using)


def _save(
    captured: CapturedModel,
    instance: Any,
    write: Callable[[], bool],
    using: str,
    update_fields: Collection[str] | None,
) -> bool:
    """A save that may find its row. Only what it changes is looked at: what is stored already is none of its business.

    A refusal leaves the transaction before it is raised, which nothing was written in.
    """
    values = _values(captured, instance)
    key = captured.known_key(instance)
    with write_transaction(using, savepoint=_may_surprise(captured, values)):
        before = None if key is None else stored.row(captured, _pk(captured, instance), using)
        condition = None if key is None else conditions.take(captured.label, key)
        news = values if before is None else _news(captured, values, before, update_fields)
        wires, problem = _encoded(captured, news)
        if problem is None:
            updated = write()
            if key is None or captured.sets_key_by_saving:
                key = captured.synced.key_of(instance)
            if not updated:
                _enter_insert(captured, instance, key, wires, condition, using)
            elif found := _difference(captured, instance, wires, before, using, update_fields):
                written = Write(OpType.UPDATE, key, found.changed, found.base, condition=condition)
                entries.write(captured, written, using)
    if problem is not None:
        raise problem
    return updated


def _news(
    captured: CapturedModel, values: Sequence[Any], before: Row, update_fields: Collection[str] | None
) -> list[Any]:
    """The values that differ from the stored ones and are to be written, with those that travel with them.

    `UNKNOWN` for all others.
    """
    written = [
        old if value is UNKNOWN or not _is_written(column, update_fields) else value
        for column, value, old in zip(captured.columns, values, before, strict=True)
    ]
    is_new = [not (value is old or identical(value, old)) for value, old in zip(written, before, strict=True)]
    if captured.synced.together and any(is_new):
        names = captured.with_companions(
            column.wire_name for column, is_it in zip(captured.columns, is_new, strict=True) if is_it
        )
        is_new = [column.wire_name in names for column in captured.columns]
    return [value if is_it else UNKNOWN for value, is_it in zip(written, is_new, strict=True)]


def _is_written(column: Column, update_fields: Collection[str] | None) -> bool:
    return update_fields is None or column.field.name in update_fields or column.attname in update_fields


def _difference(
    captured: CapturedModel,
    instance: Any,
    wires: list[Any],
    before: Row | None,
    using: str,
    update_fields: Collection[str] | None,
) -> Difference | None:
    if before is None:  # the row came between the look at it and the update, and nobody saw what it was
        return captured.everything(stored.row(captured, _pk(captured, instance), using))
    row = [
        old if value is UNKNOWN or not (column.is_read_back or _is_written(column, update_fields)) else value
        for column, value, old in zip(captured.columns, _written(captured, instance, using), before, strict=True)
    ]
    return captured.difference(captured.columns, row, before, wires)


def _values(captured: CapturedModel, instance: models.Model) -> list[Any]:
    """The values an instance has now; a deferred one, which is not written, is not loaded."""
    loaded = instance.__dict__
    return [loaded.get(column.attname, UNKNOWN) for column in captured.columns]


def _encoded(captured: CapturedModel, values: Sequence[Any]) -> tuple[list[Any], ValidationError | None]:
    """The JSON values, as far as they are known before the row is written, and the first refusal."""
    wires: list[Any] = []
    problem: ValidationError | None = None
    for column, value in zip(captured.columns, values, strict=True):
        if not column.is_sent:
            wires.append(None)
        elif value is UNKNOWN or column.is_set_by_saving or is_expression(value):
            wires.append(UNKNOWN)
        else:
            try:
                wires.append(column.encode(value))
            except ValidationError as exc:
                problem = problem or exc
                wires.append(UNKNOWN)
    return wires, problem


def _may_surprise(captured: CapturedModel, values: Sequence[Any]) -> bool:
    """Whether a value can turn out unfit only after the row is written: the caller's transaction must survive that."""
    return captured.may_surprise or any(map(is_expression, values))


def _written(captured: CapturedModel, instance: models.Model, using: str) -> Row:
    """The values the row has now. What the instance does not know is read back."""
    row = _values(captured, instance)
    unknown = [
        position
        for position, (column, value) in enumerate(zip(captured.columns, row, strict=True))
        if column.is_read_back or is_expression(value)
    ]
    if unknown:
        found = stored.row(captured, _pk(captured, instance), using)
        for position in unknown:
            row[position] = None if found is None else found[position]
    return row


def _pk(captured: CapturedModel, instance: Any) -> Any:
    """The key of the row in the captured table; a child of a multi-table model may have another one of its own."""
    return instance._get_pk_val(captured.model._meta)


def _completed(captured: CapturedModel, row: Row, wires: list[Any]) -> list[Any]:
    return [
        column.encode(value) if wire is UNKNOWN and value is not UNKNOWN else (None if wire is UNKNOWN else wire)
        for column, value, wire in zip(captured.columns, row, wires, strict=True)
    ]
