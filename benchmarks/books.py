"""The books that are written, and what DataStore keeps of them. The one place that touches DataStore's own tables.

Which columns those tables have is asked, not known, so that one run can measure two versions of the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.db import models, transaction

from benchmarks.bare_tables import BareTable, stored
from benchmarks.databases import empty
from benchmarks.models import AnyBook, Book, PlainBook, Shelf
from django_datastore import registry
from django_datastore.models import Change, Lease, ModelMetadata, MutationEvent, RecordMetadata, Setting

_OURS = apps.get_app_config("django_datastore")
_PUBLISHED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def values(number: int, shelf: Shelf) -> dict[str, Any]:
    """The columns of a book."""
    return {
        "title": f"Book {number}",
        "rating": number,
        "tags": ["a", "b"],
        "published_at": _PUBLISHED_AT,
        "shelf": shelf,
    }


def start_over(**shelf: Any) -> Shelf:
    """As before the first sync, but for one shelf."""
    empty(ModelMetadata)
    return empty_shelf(**shelf)


def empty_shelf(**fields: Any) -> Shelf:
    """A parent that AppSync has acknowledged, and no books. Whoever works beside us keeps its lease."""
    empty(Book, PlainBook, Shelf, *(set(_OURS.get_models()) - {Lease, ModelMetadata, Setting}))
    shelf = Shelf(name="A", **fields)
    _store(Shelf, [shelf])
    acknowledge([shelf])
    return shelf


def forget_waiting() -> None:
    """Empties the outbox and the change log."""
    for model in (*_hanging_on(MutationEvent), MutationEvent, Change):
        model._base_manager.all()._raw_delete("default")


def existing(model: type[AnyBook], count: int, shelf: Shelf) -> list[AnyBook]:
    """Books that are stored already; those that are registered are known to AppSync, and nothing of them waits."""
    books = [model(**values(number, shelf)) for number in range(count)]
    _store(model, books)
    if registry.is_registered(model):
        acknowledge(books)
    return books


def acknowledge(instances: Sequence[models.Model], version: int = 1) -> None:
    """Has AppSync know these rows."""
    sync = registry.get(type(instances[0]))
    with transaction.atomic():
        known_records(sync.label).write((sync.key_of(instance), version, 0) for instance in instances)


def versions_of(ids: Iterable[str]) -> set[int | None]:
    """The versions that are known of these books."""
    sync = registry.get(Book)
    keys = [sync.key_of_pk(key) for key in ids]
    known = RecordMetadata.objects.filter(model=sync.label, record_key__in=keys)
    return set(known.values_list("version", flat=True))


def known_records(label: str, **others: Any) -> BareTable:
    """The table of what is known of a model's records: rows of key, version and time of the last change."""
    return BareTable.of(RecordMetadata, ("record_key", "version", "last_changed_at"), model=label, **others)


def _store(model: type[models.Model], instances: Iterable[models.Model]) -> None:
    fields = model._meta.local_concrete_fields
    table = BareTable.of(model, [field.attname for field in fields])
    with transaction.atomic():
        table.write(stored(fields, instance) for instance in instances)
    for instance in instances:
        instance._state.adding, instance._state.db = False, "default"


def _hanging_on(model: type[models.Model]) -> list[Any]:
    return [relation.related_model for relation in model._meta.related_objects]
