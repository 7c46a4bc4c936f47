"""`update()`, `bulk_create()` and `bulk_update()` of registered models: Django sends no signals for them, so we do.

Installing swaps the class of the model's managers for a subclass whose querysets look before and after such a write.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.db import NotSupportedError, models

from django_datastore import registry
from django_datastore.introspection import FieldBinding, SyncedModel
from django_datastore.storage import messages
from django_datastore.storage.messages import StorageMutation
from django_datastore.storage.receivers import difference, given, sendable
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.types import OpType, WireRecord

if TYPE_CHECKING:
    _Base = models.QuerySet[Any]
else:
    _Base = object

_CHUNK = 500
Rows = dict[Any, dict[str, Any]]


class SyncedQuerySet(_Base):
    """A mixin over the querysets of a registered model."""

    def update(self, **kwargs: Any) -> int:
        """As Django's; every row that changed gets its mutation, in the same transaction.

        A row whose key changes is another record to AppSync: the old one is deleted, and one is created.
        """
        sync = registry.find(self.model)
        touched = sync is not None and any(_names(item) & kwargs.keys() for item in sync.bindings)
        if sync is None or not touched or self.query.is_sliced or self.db != outbox_alias():
            return super().update(**kwargs)
        with write_transaction(self.db):
            before = _rows(sync, self.order_by().select_for_update(), self.db)
            moved = _moved(sync, before, kwargs)
            count = super().update(**kwargs)
            after = _rows_of(sync, [moved.get(pk, pk) for pk in before], self.db)
            _emit_deletes(sync, {pk: before.pop(pk) for pk in moved}, self.db)
            _emit_differences(sync, before, after, self.db)
        return count

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """As Django's; every row that was made (or changed, with `update_conflicts`) gets its mutation."""
        sync = registry.find(self.model)
        if sync is None or self.db != outbox_alias():
            return super().bulk_create(objs, *args, **kwargs)
        with write_transaction(self.db):
            instances = list(objs)
            pks = [item.pk for item in instances if item.pk is not None]
            before = _rows_of(sync, pks, self.db)
            made = super().bulk_create(instances, *args, **kwargs)
            after = _rows_of(sync, [item.pk for item in made if item.pk is not None], self.db)
            _emit_differences(sync, before, after, self.db)
        return made


def install(model: type[models.Model]) -> None:
    """Make the managers of `model` hand out synced querysets. A manager that builds its own queryset keeps it."""
    meta = model._meta
    replaced = [_synced(manager) for manager in meta.managers]
    names = {manager.name for manager in replaced}
    meta.local_managers = [*(item for item in meta.local_managers if item.name not in names), *replaced]
    meta._expire_cache()  # type: ignore[attr-defined]
    # Django's related managers write through the base manager, which it makes anew after each expiry
    meta.__dict__["base_manager"] = _synced(meta.base_manager)


def uninstall(model: type[models.Model]) -> None:
    """Undo `install`."""
    for manager in model._meta.local_managers:
        original = getattr(type(manager), "_datastore_original", None)
        if original is not None:
            manager.__class__ = original
    model._meta._expire_cache()  # type: ignore[attr-defined]


def _synced(manager: Any) -> Any:
    cls = type(manager)
    found = copy.copy(manager)
    if hasattr(cls, "_datastore_original"):
        return found
    queryset = cls._queryset_class
    mixed = type(queryset.__name__, (SyncedQuerySet, queryset), {"__module__": queryset.__module__})
    found.__class__ = type(
        cls.__name__,
        (cls,),
        {"__module__": cls.__module__, "_queryset_class": mixed, "_datastore_original": cls},
    )
    return found


def _names(binding: FieldBinding) -> set[str]:
    return {binding.field.name, binding.attname}


def _moved(sync: SyncedModel, before: Rows, values: dict[str, Any]) -> dict[Any, Any]:
    """The new primary keys of rows whose key an update changes, by the old ones.

    Raises `NotSupportedError` for a key that only the database knows.
    """
    new: dict[str, Any] = {}
    for item in sync.key_bindings:
        for name in _names(item) & values.keys():
            value = values[name]
            if hasattr(value, "resolve_expression"):
                raise NotSupportedError(
                    f"Cannot update {sync.name}.{item.field.name}, a field of the key, with an expression: AppSync has "
                    "to be told the new key. Give it a value, row by row where the values differ."
                )
            new[item.attname] = item.field.to_python(value.pk if isinstance(value, models.Model) else value)
    if not new:
        return {}
    found: dict[Any, Any] = {}
    for pk, row in before.items():
        parts = tuple(new.get(item.attname, row[item.attname]) for item in sync.key_bindings)
        target = parts if len(parts) > 1 else parts[0]
        if sync.key_of_pk(target) != sync.key_of_pk(pk):
            found[pk] = target
    return found


def _emit_deletes(sync: SyncedModel, rows: Rows, using: str) -> None:
    mutations = [
        StorageMutation(
            op_type=OpType.DELETE,
            sync=sync,
            key=sync.key_of_pk(pk),
            mutator=messages.current_mutator(),
            using=using,
            snapshot={item.wire_name: item.to_wire(row[item.attname]) for item in sync.bindings},
            condition=messages.current_condition(),
        )
        for pk, row in rows.items()
    ]
    messages.emit(sync, mutations, using)


def _rows(sync: SyncedModel, queryset: Any, using: str) -> Rows:
    names = [item.attname for item in sync.bindings]
    return {row["pk"]: row for row in queryset.using(using).values("pk", *names)}


def _rows_of(sync: SyncedModel, pks: Iterable[Any], using: str) -> Rows:
    found: Rows = {}
    for chunk in _chunks(list(pks)):
        found |= _rows(sync, sync.model._base_manager.filter(pk__in=chunk), using)
    return found


def _chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def _emit_differences(sync: SyncedModel, before: Rows, after: Rows, using: str) -> None:
    mutator, condition = messages.current_mutator(), messages.current_condition()
    mutations = []
    for pk, row in after.items():
        stored = before.get(pk)
        written = [(item, row[item.attname]) for item in sync.bindings]
        base: WireRecord = {}
        if stored is None:
            op_type = OpType.INSERT
            changed = given(written)
        else:
            op_type = OpType.UPDATE
            changed, base = difference(written, stored)
            if not changed:
                continue
        mutations.append(
            StorageMutation(
                op_type=op_type,
                sync=sync,
                key=sync.key_of_pk(pk),
                mutator=mutator,
                using=using,
                changed=sendable(sync, changed),
                base=base,
                condition=condition,
            )
        )
    messages.emit(sync, mutations, using)
