"""Instance writes, captured where Django writes the row: `Model._save_table`, once for each table of a save.

The stored row is read before an update: right for stale instances and for `update_fields`, and the base for three-way
merging. Signals are none of its business: a receiver that refuses or fails does what it does in plain Django.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction

from django_datastore.storage import captured as captures
from django_datastore.storage import conditions, entries, stored
from django_datastore.storage.captured import UNKNOWN, CapturedModel, Row, is_expression
from django_datastore.storage.entries import Write
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.types import OpType


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
    is_insert = force_insert or (not raw and not force_update and _is_new(captured, instance))
    save = _insert if is_insert else _save
    return save(captured, instance, write, using, update_fields)


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
    if problem is not None:
        raise problem
    with transaction.atomic(using=using, savepoint=_may_surprise(captured, values)):
        updated = write()
        _enter_insert(captured, instance, wires, using)
    return updated


def _enter_insert(captured: CapturedModel, instance: models.Model, wires: list[Any], using: str) -> None:
    if UNKNOWN in wires:
        wires = _completed(captured, _written(captured, instance, using), wires)
    changed = {
        column.wire_name: wire
        for column, wire in zip(captured.columns, wires, strict=True)
        if wire is not None and column.is_sent
    }
    key = captured.synced.key_of(instance)
    entries.write(captured, Write(OpType.INSERT, key, changed, condition=conditions.take(captured.label, key)), using)


def _save(
    captured: CapturedModel,
    instance: Any,
    write: Callable[[], bool],
    using: str,
    update_fields: Collection[str] | None,
) -> bool:
    """A save that may find its row."""
    values = _values(captured, instance)
    wires, problem = _encoded(captured, values)
    with write_transaction(using, savepoint=problem is not None or _may_surprise(captured, values)):
        pk = instance._get_pk_val(captured.model._meta)
        before = stored.row(captured, pk, using) if instance._is_pk_set(captured.model._meta) else None
        if problem is not None:
            _refuse_news(captured, values, before, update_fields)
        updated = write()
        if not updated:
            _enter_insert(captured, instance, wires, using)
        else:
            _enter_update(captured, instance, wires, before, using, update_fields)
    return updated


def _enter_update(
    captured: CapturedModel,
    instance: Any,
    wires: list[Any],
    before: Row | None,
    using: str,
    update_fields: Collection[str] | None,
) -> None:
    row = _written(captured, instance, using)
    key = captured.synced.key_of(instance)
    if before is None:  # forced: the row was there, and nobody expected it
        found = captures.Difference(captured.given(captured.columns, row), {})
    else:
        row = _untouched_from(captured, row, before, update_fields)
        difference = captured.difference(captured.columns, row, before, wires)
        if difference is None:
            return
        found = difference
    condition = conditions.take(captured.label, key)
    entries.write(captured, Write(OpType.UPDATE, key, found.changed, found.base, condition=condition), using)


def _values(captured: CapturedModel, instance: models.Model) -> list[Any]:
    """The values an instance has now; a deferred one, which is not written, is not loaded."""
    loaded = instance.__dict__
    return [loaded.get(column.attname, UNKNOWN) for column in captured.columns]


def _encoded(captured: CapturedModel, values: Sequence[Any]) -> tuple[list[Any], ValidationError | None]:
    """The JSON values, as far as they are known before the row is written, and the first refusal."""
    wires: list[Any] = []
    problem: ValidationError | None = None
    for column, value in zip(captured.columns, values, strict=True):
        if value is UNKNOWN or column.is_set_by_saving or is_expression(value):
            wires.append(UNKNOWN)
            continue
        try:
            wires.append(column.encode(value))
        except ValidationError as exc:
            problem = problem or exc
            wires.append(UNKNOWN)
    return wires, problem


def _may_surprise(captured: CapturedModel, values: Sequence[Any]) -> bool:
    """Whether a value can turn out unfit only after the row is written: the caller's transaction must survive that."""
    return captured.has_fields_of_others or any(map(is_expression, values))


def _refuse_news(
    captured: CapturedModel, values: Sequence[Any], before: Row | None, update_fields: Collection[str] | None
) -> None:
    """Raise for what AppSync would refuse, unless it is stored like that already: then it is none of this save's."""
    for position, (column, value) in enumerate(zip(captured.columns, values, strict=True)):
        if value is UNKNOWN or is_expression(value) or column.is_set_by_saving:
            continue
        if update_fields and not {column.field.name, column.attname} & set(update_fields):
            continue
        if before is None or before[position] != value:
            column.encode(value)


def _written(captured: CapturedModel, instance: models.Model, using: str) -> Row:
    """The values the row has now. Expressions are read back."""
    row = _values(captured, instance)
    unknown = [position for position, value in enumerate(row) if is_expression(value)]
    if unknown:
        found = stored.row(captured, instance._get_pk_val(captured.model._meta), using)
        for position in unknown:
            row[position] = None if found is None else found[position]
    return row


def _completed(captured: CapturedModel, row: Row, wires: list[Any]) -> list[Any]:
    return [
        column.encode(value) if wire is UNKNOWN and value is not UNKNOWN else (None if wire is UNKNOWN else wire)
        for column, value, wire in zip(captured.columns, row, wires, strict=True)
    ]


def _untouched_from(captured: CapturedModel, row: Row, before: Row, update_fields: Collection[str] | None) -> Row:
    """The row with what this save did not write as it was stored."""
    names = None if update_fields is None else set(update_fields)
    return [
        before[position]
        if value is UNKNOWN or (names is not None and not {column.field.name, column.attname} & names)
        else value
        for position, (column, value) in enumerate(zip(captured.columns, row, strict=True))
    ]
