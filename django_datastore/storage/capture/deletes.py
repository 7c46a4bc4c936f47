"""Deletes and what they detach, captured where Django runs the statements: whatever cascades, and by whatever way.

instance.delete() · queryset.delete() ─▶ Collector ─▶ DeleteQuery.delete_batch, QuerySet._raw_delete
SET_NULL · SET_DEFAULT · SET(...)     ─▶ Collector ─▶ UpdateQuery.update_batch, QuerySet.update
DB_CASCADE · DB_SET_NULL · …          ─▶ the database; the rows that hang on the deleted ones are read first
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.db.models import QuerySet

from django_datastore.storage import captured as captures
from django_datastore.storage.capture import conditions, doomed, stored
from django_datastore.storage.capture.setwise import deleted, differences, touched_rows
from django_datastore.storage.capture.stored import Rows
from django_datastore.storage.captured import CapturedModel
from django_datastore.storage.outbox import entries
from django_datastore.storage.outbox.entries import Write
from django_datastore.storage.transactions import outbox_alias, write_transaction

_CASCADE, _SET_NULL, _SET_DEFAULT = (
    getattr(models, name, None) for name in ("DB_CASCADE", "DB_SET_NULL", "DB_SET_DEFAULT")
)
"""What the database does by itself, from Django 6.1 on."""


@dataclass(frozen=True, slots=True)
class _Gone:
    """Rows of a captured model that a delete takes along."""

    captured: CapturedModel
    rows: Rows

    def enter(self, using: str, *, is_certain: bool) -> None:
        """Put the deletes into outbox and log. Where it is not certain that the rows are gone, look."""
        captured = self.captured
        kept = {} if is_certain else stored.rows(captured, self.rows, captured.key_columns, using)
        entries.write_all(captured, (self._write(pk) for pk in self.rows if pk not in kept), using)

    def _write(self, pk: Any) -> Write:
        condition = conditions.take(self.captured.label, self.captured.key_of(pk))
        return deleted(self.captured, pk, self.rows[pk], condition)


@dataclass(frozen=True, slots=True)
class _Detached:
    """Rows of a captured model that a delete leaves without their parent."""

    captured: CapturedModel
    before: Rows

    def enter(self, using: str, *, is_certain: bool) -> None:
        """Put the updates into outbox and log."""
        after = stored.rows(self.captured, self.before, self.captured.columns, using)
        entries.write_all(self.captured, differences(self.captured, self.before, after), using)


def delete_batch(original: Callable[..., int], query: Any, pk_list: list[Any], using: str) -> int:
    """As Django's: delete rows by their keys."""
    if not _concerns(query.model, using):
        return original(query, pk_list, using)
    with write_transaction(using):
        touched = list(_touched(query.model, pk_list, using))
        count = original(query, pk_list, using)
        _enter(touched, using, is_certain=count == len(pk_list))
    return count


def raw_delete(original: Callable[..., int], queryset: Any, using: str) -> int:
    """As Django's: delete what a query finds, in one statement."""
    if not _concerns(queryset.model, using):
        return original(queryset, using)
    with write_transaction(using):
        pks = list(touched_rows(queryset, using).values_list("pk", flat=True))
        touched = list(_touched(queryset.model, pks, using))
        narrowed = queryset._chain()
        narrowed.query.add_q(stored.among(queryset.model, pks, using))
        count = original(narrowed, using)
        _enter(touched, using, is_certain=count == len(pks))
    return count


def update_batch(
    original: Callable[..., None], query: Any, pk_list: list[Any], values: dict[str, Any], using: str
) -> None:
    """As Django's: set fields of rows by their keys, which is how the collector detaches children."""
    concerned = [each for each in captures.touched_by(query.model) if each.named(values)]
    if not concerned or using != outbox_alias():
        return original(query, pk_list, values, using)
    with write_transaction(using):
        before = [_Detached(each, _rows(each, doomed.staying(each, pk_list, using), using)) for each in concerned]
        original(query, pk_list, values, using)
        _enter(before, using, is_certain=True)


def _rows(captured: CapturedModel, pks: Collection[Any], using: str) -> Rows:
    return stored.rows(captured, pks, captured.columns, using, lock=True)


def _enter(touched: Collection[_Gone | _Detached], using: str, *, is_certain: bool) -> None:
    """Children before their parents: they were found later."""
    for each in reversed(list(touched)):
        each.enter(using, is_certain=is_certain)


def _concerns(model: type[models.Model], using: str) -> bool:
    return using == outbox_alias() and any(captures.find(each) for each in _reached_from(model))


def _reached_from(model: type[models.Model]) -> Iterator[type[models.Model]]:
    """The model, and those whose rows the database may delete or detach with its rows."""
    todo, seen = [model], set()
    while todo:
        model = todo.pop()
        if model not in seen:
            seen.add(model)
            yield model
            todo.extend(field.model for field in _left_to_the_database(model))


def _touched(model: type[models.Model], pks: Collection[Any], using: str) -> Iterator[_Gone | _Detached]:
    """What a delete of these rows does to captured models, to the leaves of the database's own cascades."""
    todo: list[tuple[type[models.Model], Collection[Any]]] = [(model, pks)]
    seen: set[tuple[type[models.Model], Any]] = set()
    while todo:
        model, pks = todo.pop()
        pks = [pk for pk in pks if (model, pk) not in seen]
        seen |= {(model, pk) for pk in pks}
        if not pks:
            continue
        if (captured := captures.find(model)) is not None:
            yield _Gone(captured, doomed.as_they_were(captured, _rows(captured, pks, using)))
        for field in _left_to_the_database(model):
            child = field.model
            hanging: QuerySet[Any] = QuerySet(child, using=using).filter(stored.pointing_to(field, model, pks, using))
            if field.remote_field.on_delete is _CASCADE:
                todo.append((child, list(hanging.values_list("pk", flat=True))))
            elif (captured := captures.find(child)) is not None:
                yield _Detached(captured, stored.rows_of(captured, hanging, captured.columns, lock=True))


def _left_to_the_database(model: type[models.Model]) -> list[Any]:
    """The foreign keys to a model whose rows the database itself deletes or detaches."""
    if _CASCADE is None:
        return []
    related: Any = (
        item for item in model._meta.get_fields(include_hidden=True) if item.auto_created and not item.concrete
    )
    fields = [item.field for item in related if item.one_to_one or item.one_to_many]
    return [item for item in fields if item.remote_field.on_delete in (_CASCADE, _SET_NULL, _SET_DEFAULT)]
