"""Rows that exchange unique values: none of them can be changed first, so all give their old values up before.

A value is given up for null, or for one that nobody has. A row whose values have no substitute is taken out and put
back, if nothing hangs on it.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from django.db import IntegrityError, models, transaction
from django.db.models import F, Max, Min

from django_datastore.introspection import SyncedModel
from django_datastore.storage.records import dependents, rows
from django_datastore.storage.records.attempts import Change, attempt
from django_datastore.storage.records.rows import Values

AnyField: TypeAlias = "models.Field[Any, Any]"


def exchange(synced: SyncedModel, changes: Sequence[Change], using: str) -> dict[str, Exception]:
    """Write rows that each other's old values keep out. Returns those that are refused nevertheless, by key.

    A row that clashes with one that is not among them stays as it was; so does one that waits for its value.
    """
    together = list(changes)
    refused: dict[str, Exception] = {}
    while any(not item.is_new for item in together):
        found = _write_all(synced, together, using)
        if not found:
            return refused
        refused |= found
        together = [item for item in together if item.key not in found]
    alone = ((item.key, attempt(synced, [item], using)) for item in together)
    return refused | {key: error for key, error in alone if error is not None}


def _write_all(synced: SyncedModel, changes: Sequence[Change], using: str) -> dict[str, Exception]:
    """All of them; or none, and those that are to blame."""
    found: dict[str, Exception] = {}
    ready: list[Change] = []
    with transaction.atomic(using=using):
        for item in changes:
            freed = item if item.is_new else _freed(synced, item, using)
            if isinstance(freed, Exception):
                found[item.key] = freed
            else:
                ready.append(freed)
        for item in ready:
            if (error := attempt(synced, [item], using)) is not None:
                found[item.key] = error
        if found:
            transaction.set_rollback(True, using=using)
    return found


def _freed(synced: SyncedModel, change: Change, using: str) -> Change | Exception:
    """Free the unique values of a row. Returns what is to be written then, or why they cannot be freed."""
    error: Exception = IntegrityError("Its unique values cannot be given up for a moment, and rows hang on it.")
    for values in _substitutes(synced, change, using):
        refusal = attempt(synced, [Change(change.key, values, change.stored)], using)
        if refusal is None:
            return change
        error = refusal
    if dependents.with_dependents(synced, [change.key], using):
        return error
    whole = _whole_row(synced, change.key, using)
    rows.delete(synced, [change.key], using)
    return Change(change.key, {**whole, **change.values})


def _whole_row(synced: SyncedModel, key: str, using: str) -> Values:
    names = [field.attname for field in synced.model._meta.concrete_fields if not field.generated]
    found: models.QuerySet[Any] = models.QuerySet(synced.model, using=using).filter(pk=synced.pk_of(key))
    whole: Values = found.values(*names).get()
    return whole


def _substitutes(synced: SyncedModel, change: Change, using: str) -> Iterator[Values]:
    """What the row may hold for a moment: nulls where it can, else values that nobody has."""
    groups = [group for group in _unique_groups(synced.model) if _is_touched(group, change)]
    with_nulls = [next((item for item in group if item.null), None) for group in groups]
    for low in (False, True):
        free = [_free_field(group, using, low=low) for group in groups]
        if all(one is not None or other is not None for one, other in zip(with_nulls, free, strict=True)):
            values: Values = {}
            for item, other in zip(with_nulls, free, strict=True):
                values |= {item.attname: None} if item is not None else dict([other] if other is not None else [])
            yield values
        if all(other is not None for other in free):
            yield dict(other for other in free if other is not None)


def _is_touched(group: Sequence[AnyField], change: Change) -> bool:
    stored = change.stored or {}
    return any(
        item.attname in change.values and change.values[item.attname] != stored.get(item.attname) for item in group
    )


def _unique_groups(model: type[models.Model]) -> list[list[AnyField]]:
    """The columns that must be unique together, without the key."""
    meta: Any = model._meta
    groups: list[list[AnyField]] = [[item] for item in meta.concrete_fields if item.unique and not item.primary_key]
    groups += [[meta.get_field(name) for name in names] for names in meta.unique_together]
    for constraint in meta.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            names = constraint.fields or [name for item in constraint.expressions for name in _names_in(item)]
            groups.append([meta.get_field(name) for name in names])
    return groups


def _names_in(expression: Any) -> Iterator[str]:
    if isinstance(expression, F):
        yield str(vars(expression)["name"])
        return
    for part in expression.get_source_expressions():
        if part is not None:
            yield from _names_in(part)


def _free_field(group: Sequence[AnyField], using: str, *, low: bool) -> tuple[str, Any] | None:
    """A column of the group with a value that no row has, or None if there is no such column."""
    for item in group:
        if not item.is_relation and not item.primary_key and (value := _free_value(item, using, low=low)) is not None:
            return item.attname, value
    return None


def _free_value(item: AnyField, using: str, *, low: bool) -> Any:
    if isinstance(item, models.CharField | models.TextField):
        return uuid.uuid4().hex[: item.max_length]
    if isinstance(item, models.UUIDField):
        return uuid.uuid4()
    step = _step(item)
    if step is None:
        return None
    rows_: models.QuerySet[Any] = models.QuerySet(item.model, using=using)
    found = rows_.aggregate(found=(Min if low else Max)(item.attname))["found"]
    try:
        return None if found is None else (found - step if low else found + step)
    except OverflowError:
        return None


def _step(item: AnyField) -> Any:
    if isinstance(item, models.IntegerField | models.FloatField | models.DecimalField):
        return 1
    return datetime.timedelta(days=1) if isinstance(item, models.DateField | models.DurationField) else None
