"""What hangs on rows that are deleted elsewhere: what keeps them from going, and what goes or is detached with them.

Rows of registered models never go by cascade: they live or die by their own remote state. Rows that AppSync does not
know go as Django would delete them, with their signals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from django.db import models
from django.db.models.deletion import Collector, ProtectedError, RestrictedError

from django_datastore import registry
from django_datastore.introspection import SyncedModel
from django_datastore.storage.keysets import chunks
from django_datastore.storage.records import rows

AnyModel: TypeAlias = type[models.Model]

_CHUNK = 500


class Hindered(Exception):
    """A row cannot go, for the reason the message gives."""


@dataclass(frozen=True, slots=True)
class Detached:
    """Rows of a registered model that lost their parent."""

    synced: SyncedModel
    keys: tuple[str, ...]


def with_dependents(synced: SyncedModel, keys: Sequence[str], using: str) -> set[str]:
    """Those of `keys` on whose rows something hangs. The others can simply be deleted."""
    if not keys:
        return set()
    if any(hasattr(field, "bulk_related_objects") for field in synced.model._meta.private_fields):
        return set(keys)  # generic relations: only Django's collector knows
    found: set[str] = set()
    for relation in _relations(synced.model):
        for chunk in chunks(keys, _CHUNK):
            found.update(_pointed_to(synced, relation, chunk, using))
    return found


def clear_away(synced: SyncedModel, key: str, using: str) -> list[Detached]:
    """Delete or detach what hangs on a row. Raises `Hindered` if something keeps the row from going."""
    rows_: models.QuerySet[Any] = models.QuerySet(synced.model, using=using)
    instance: models.Model | None = rows_.filter(pk=synced.pk_of(key)).first()
    if instance is None:  # gone meanwhile
        return []
    _require_free(synced, instance, using)
    collector = Collector(using=using, origin=instance)
    try:
        collector.collect([instance])
    except (ProtectedError, RestrictedError) as exc:
        raise Hindered(str(exc.args[0])) from exc
    del collector.data[type(instance)]
    _require_strangers(collector)
    detached = [item for item in _detach(collector, using) if item.keys]
    collector.delete()
    return detached


def _relations(model: AnyModel) -> list[Any]:
    return list(_all_relations(model))


@lru_cache(maxsize=1024)
def _all_relations(model: AnyModel) -> tuple[Any, ...]:
    return tuple(
        relation
        for relation in model._meta.get_fields(include_hidden=True)
        if relation.auto_created and not relation.concrete and (relation.one_to_one or relation.one_to_many)
    )


def _pointed_to(synced: SyncedModel, relation: Any, keys: Sequence[str], using: str) -> Iterator[str]:
    name = relation.field.name
    children: models.QuerySet[Any] = models.QuerySet(relation.related_model, using=using)
    children = children.filter(**{f"{name}__pk__in": [synced.pk_of(key) for key in keys]})
    for pk in children.values_list(f"{name}__pk", flat=True).distinct():
        yield synced.key_of_pk(pk)


def _require_free(synced: SyncedModel, instance: models.Model, using: str) -> None:
    """Look at what Django's collector leaves to the database: `DO_NOTHING`, and cascades in the database itself."""
    for model, field, kind in _left_to_database(synced.model):
        hanging: models.QuerySet[Any] = models.QuerySet(model, using=using).filter(**{field.name: instance})
        is_known = registry.is_registered(model)
        if (kind == "DO_NOTHING" or (kind == "DB_CASCADE" and is_known)) and hanging.exists():
            raise Hindered(f"Rows of {model._meta.label} hang on it by their {field.name}.")


def _left_to_database(model: AnyModel) -> Iterator[tuple[AnyModel, Any, str]]:
    for relation in _all_relations(model):
        on_delete = relation.field.remote_field.on_delete
        if on_delete is models.DO_NOTHING:
            if relation.field.db_constraint:
                yield relation.related_model, relation.field, "DO_NOTHING"
        elif on_delete is getattr(models, "DB_CASCADE", object()):
            yield relation.related_model, relation.field, "DB_CASCADE"


def _require_strangers(collector: Collector) -> None:
    """Only rows that AppSync does not know may go with their parent."""
    for model, instances in collector.data.items():
        if instances and registry.is_registered(model):
            raise Hindered(f"Rows of {model._meta.label} hang on it; they go by their own deletion only.")
    for queryset in collector.fast_deletes:
        if registry.is_registered(queryset.model) and queryset.exists():
            raise Hindered(f"Rows of {queryset.model._meta.label} hang on it; they go by their own deletion only.")


def _detach(collector: Collector, using: str) -> Iterator[Detached]:
    """Set to null, or to a default, what registered rows point with. AppSync is not told: the parent is gone there."""
    for (field, value), groups in list(collector.field_updates.items()):
        synced = registry.find(field.model)
        if synced is None:
            continue
        del collector.field_updates[field, value]
        keys = tuple(dict.fromkeys(synced.key_of_pk(instance.pk) for instance in _instances(groups)))
        rows.update(synced, {key: {field.attname: getattr(value, "pk", value)} for key in keys}, using)
        yield Detached(synced, keys)


def _instances(groups: Iterable[Any]) -> Iterator[models.Model]:
    for group in groups:
        yield from group
