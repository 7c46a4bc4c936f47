"""Writing rows for the merger: many at a time, values as they are (no `auto_now`), no signals, messages as SYNC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connections, models
from django.db.models.constants import OnConflict
from django.db.models.sql import InsertQuery

from django_datastore import registry
from django_datastore.introspection import SyncedModel
from django_datastore.storage import change_log
from django_datastore.storage.entries import muted
from django_datastore.types import OpType

_CHUNK = 500


def stored(sync: SyncedModel, keys: Iterable[str], using: str, *, lock: bool = False) -> dict[str, dict[str, Any]]:
    """The stored rows among `keys`, by record key: synced columns by attribute name. `lock` locks them."""
    names = [item.attname for item in sync.bindings]
    pks = [sync.pk_of(key) for key in keys]
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(pks), _CHUNK):
        rows = sync.model._base_manager.using(using).filter(pk__in=pks[start : start + _CHUNK])
        if lock:
            rows = rows.select_for_update().order_by("pk")
        for row in rows.values("pk", *names):
            found[sync.key_of_pk(row.pop("pk"))] = row
    return found


def present(sync: SyncedModel, keys: Iterable[str], using: str) -> set[str]:
    """Those of `keys` that have a row."""
    pks = [sync.pk_of(key) for key in keys]
    found: set[str] = set()
    for start in range(0, len(pks), _CHUNK):
        rows = sync.model._base_manager.using(using).filter(pk__in=pks[start : start + _CHUNK])
        found.update(sync.key_of_pk(pk) for pk in rows.values_list("pk", flat=True))
    return found


def upsert(
    sync: SyncedModel, rows: Mapping[str, Mapping[str, Any]], existing: Mapping[str, Mapping[str, Any]], using: str
) -> None:
    """Write rows (record key to column values) and tell the watchers. Columns that are not named keep their value."""
    if not rows:
        return
    made = {key: _instance(sync, values) for key, values in rows.items() if key not in existing}
    changed = {
        key: values
        for key, values in rows.items()
        if key in existing and any(existing[key].get(name) != value for name, value in values.items())
    }
    _insert(sync, list(made.values()), using)
    _update(sync, changed, existing, using)
    change_log.append(
        sync.label,
        [*((OpType.INSERT, key, None) for key in made), *((OpType.UPDATE, key, None) for key in changed)],
        using,
    )


def _instance(sync: SyncedModel, values: Mapping[str, Any]) -> models.Model:
    """A new row. A time stamp Django would set by itself, and the record does not carry, is set as Django would."""
    instance = sync.model(**values)
    for item in sync.model._meta.concrete_fields:
        if getattr(instance, item.attname) is None and (
            getattr(item, "auto_now", False) or getattr(item, "auto_now_add", False)
        ):
            item.pre_save(instance, True)
    return instance


def _insert(sync: SyncedModel, instances: list[models.Model], using: str) -> None:
    fields = list(sync.model._meta.concrete_fields)
    connection = connections[using]
    limit = max(1, connection.ops.bulk_batch_size(fields, instances)) if instances else 1
    for start in range(0, len(instances), limit):
        query = InsertQuery(sync.model)
        query.insert_values(fields, instances[start : start + limit], raw=True)
        query.get_compiler(using=using).execute_sql()


def _update(
    sync: SyncedModel, changed: Mapping[str, Mapping[str, Any]], existing: Mapping[str, Mapping[str, Any]], using: str
) -> None:
    """One upsert for all rows; the columns of `existing` fill what a row does not name."""
    connection = connections[using]
    if not changed:
        return
    columns = [item.field for item in sync.bindings if item not in sync.key_bindings]
    if not columns:
        return
    if not connection.features.supports_update_conflicts or _has_other_required(sync):
        for key, values in changed.items():
            queryset: models.QuerySet[Any] = models.QuerySet(sync.model, using=using)
            with muted():
                queryset.filter(pk=sync.pk_of(key)).update(**values)
        return
    keys = list(sync.model._meta.pk_fields)
    instances = [sync.model(**{**existing[key], **values}) for key, values in changed.items()]
    fields = list(sync.model._meta.concrete_fields)
    limit = max(1, connection.ops.bulk_batch_size(fields, instances))
    targeted = connection.features.supports_update_conflicts_with_target
    for start in range(0, len(instances), limit):
        query = InsertQuery(
            sync.model,
            on_conflict=OnConflict.UPDATE,
            update_fields=columns,
            unique_fields=keys if targeted else [],
        )
        query.insert_values(fields, instances[start : start + limit], raw=True)
        query.get_compiler(using=using).execute_sql()


def _has_other_required(sync: SyncedModel) -> bool:
    """Whether a column that is not synced could make the insert half of an upsert fail."""
    bound = {item.field for item in sync.bindings}
    others = (item for item in sync.model._meta.concrete_fields if item not in bound)
    return any(not (item.null or item.has_default() or item.empty_strings_allowed) for item in others)


def delete(sync: SyncedModel, keys: Sequence[str], using: str) -> None:
    """Delete rows that are gone remotely. Registered children must be gone already (see `children_of`)."""
    if not keys:
        return
    pks = [sync.pk_of(key) for key in keys]
    queryset: models.QuerySet[Any] = models.QuerySet(sync.model, using=using).filter(pk__in=pks)
    if sync.model._meta.related_objects:
        with muted():
            queryset.delete()
        return
    with muted():
        queryset._raw_delete(using)


def has_children(sync: SyncedModel, key: str, using: str) -> bool:
    """Whether rows of registered models still hang on this one (those Django would set to null do not count)."""
    pk = sync.pk_of(key)
    for child, binding in registry.models_pointing_to(sync.model):
        on_delete = binding.field.remote_field.on_delete
        if on_delete in (models.SET_NULL, models.SET_DEFAULT) or hasattr(on_delete, "deconstruct"):
            continue
        if child.model._base_manager.using(using).filter(**{binding.field.name: pk}).exists():
            return True
    return False
