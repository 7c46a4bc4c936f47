"""What Django's model signals become: a `StorageMutation` for each write, with what changed and what was there before.

The stored row is read before an update (house decision 3): right for stale instances and for `update_fields`, and it is
the base for three-way merging. `apps.py` connects these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.db import connections, models, router

from django_datastore import registry
from django_datastore.introspection import FieldBinding, SyncedModel
from django_datastore.storage import messages
from django_datastore.storage.messages import StorageMutation
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.types import OpType, WireRecord

_STORED = "_datastore_stored"
_DETACHED = "_datastore_detached"
_KEEPS_CHILDREN = (models.SET_NULL, models.SET_DEFAULT)


def atomic_save_base(original: Callable[..., None]) -> Callable[..., None]:
    """`save_base` in one transaction with its signals (house decision 2).

    In autocommit Django commits the row before it sends `post_save`; an outbox entry that fails there would be lost.
    """

    @wraps(original)
    def save_base(self: models.Model, *args: Any, using: str | None = None, **kwargs: Any) -> None:
        alias = using or router.db_for_write(type(self), instance=self)
        with write_transaction(alias):
            original(self, *args, using=alias, **kwargs)

    return save_base


def before_save(sender: type[models.Model], *, instance: models.Model, using: str, raw: bool = False, **_: Any) -> None:
    """Remember the stored row."""
    sync = registry.get(sender)
    if using != outbox_alias():
        return
    is_insert = not raw and instance._state.adding and all(item.has_default() for item in instance._meta.pk_fields)
    instance.__dict__[_STORED] = None if is_insert or instance.pk is None else stored_row(sync, instance.pk, using)


def after_save(
    sender: type[models.Model],
    *,
    instance: models.Model,
    created: bool,
    using: str,
    update_fields: Iterable[str] | None = None,
    **_: Any,
) -> None:
    """Send what the save changed; nothing for a save that changed nothing."""
    sync = registry.get(sender)
    if using != outbox_alias():
        return
    stored: dict[str, Any] | None = instance.__dict__.pop(_STORED, None)
    written = _written(sync, instance, using, update_fields)
    base: WireRecord = {}
    if created:
        op_type, changed = OpType.INSERT, given(written)
    elif stored is None:  # forced: the row was there, and nobody expected it
        op_type, changed = OpType.UPDATE, given(written)
    else:
        op_type = OpType.UPDATE
        changed, base = difference(written, stored)
        if not changed:
            return
    mutation = StorageMutation(
        op_type=op_type,
        sync=sync,
        key=sync.key_of(instance),
        mutator=messages.current_mutator(),
        using=using,
        element=instance,
        changed=sendable(sync, changed),
        base=base,
        condition=messages.current_condition(),
    )
    messages.emit(sync, [mutation], using)


def before_delete(sender: type[models.Model], *, instance: models.Model, using: str, **_: Any) -> None:
    """Remember the children that will lose their parent: `SET_NULL` and `SET_DEFAULT` send no signals of their own."""
    if using != outbox_alias():
        return
    found: list[tuple[SyncedModel, FieldBinding, list[Any]]] = []
    for child, binding in registry.models_pointing_to(registry.get(sender).model):
        on_delete = binding.field.remote_field.on_delete
        if on_delete in _KEEPS_CHILDREN or hasattr(on_delete, "deconstruct"):
            rows = child.model._base_manager.using(using).filter(**{binding.field.name: instance.pk})
            found.append((child, binding, list(rows.values_list("pk", flat=True))))
    instance.__dict__[_DETACHED] = found


def after_delete(sender: type[models.Model], *, instance: models.Model, using: str, **_: Any) -> None:
    """Send the delete, and the updates of children that lost their parent."""
    sync = registry.get(sender)
    if using != outbox_alias():
        return
    mutation = StorageMutation(
        op_type=OpType.DELETE,
        sync=sync,
        key=sync.key_of(instance),
        mutator=messages.current_mutator(),
        using=using,
        element=instance,
        snapshot=_snapshot(sync, instance),
        condition=messages.current_condition(),
    )
    messages.emit(sync, [mutation], using)
    key = instance.pk
    for child, binding, pks in instance.__dict__.pop(_DETACHED, ()):
        _emit_detached(child, binding, pks, binding.to_wire(key), using)


def stored_row(sync: SyncedModel, pk: Any, using: str) -> dict[str, Any] | None:
    """The synced columns of a stored row by attribute name, locked; None if there is none."""
    rows = sync.model._base_manager.using(using).filter(pk=pk)
    if connections[using].in_atomic_block:  # a deserialized object saves itself past `save_base`, maybe in autocommit
        rows = rows.select_for_update()
    return rows.values(*(item.attname for item in sync.bindings)).first()


def given(written: Iterable[tuple[FieldBinding, Any]]) -> WireRecord:
    """The values of a new row by wire name, without nulls."""
    found = {item.wire_name: item.to_wire(value) for item, value in written}
    return {name: value for name, value in found.items() if value is not None}


def difference(written: Iterable[tuple[FieldBinding, Any]], stored: dict[str, Any]) -> tuple[WireRecord, WireRecord]:
    """What changed, and what was there before, by wire name."""
    changed: WireRecord = {}
    base: WireRecord = {}
    for item, value in written:
        before = stored[item.attname]
        if value == before and type(value) is type(before):
            continue
        now, then = item.to_wire(value), item.to_wire(before)
        if now != then:
            changed[item.wire_name], base[item.wire_name] = now, then
    return changed, base


def sendable(sync: SyncedModel, changed: WireRecord) -> WireRecord:
    """Without the key and what only the server sets."""
    keys = {item.wire_name for item in sync.key_bindings}
    return {
        name: value
        for name, value in changed.items()
        if name not in keys and not sync.by_wire_name[name].schema.is_read_only
    }


def _written(
    sync: SyncedModel, instance: models.Model, using: str, update_fields: Iterable[str] | None
) -> list[tuple[FieldBinding, Any]]:
    """The columns a save wrote with their values; expressions (`F("rating") + 1`) are read back."""
    names = None if update_fields is None else set(update_fields)
    skipped = instance.get_deferred_fields()
    found = [
        (item, getattr(instance, item.attname))
        for item in sync.bindings
        if item.attname not in skipped and (names is None or item.field.name in names or item.attname in names)
    ]
    if any(hasattr(value, "resolve_expression") for _, value in found):
        row = stored_row(sync, instance.pk, using) or {}
        return [(item, row.get(item.attname)) for item, _ in found]
    return found


def _snapshot(sync: SyncedModel, instance: models.Model) -> WireRecord:
    try:
        return sync.to_wire(instance)
    except ValueError:  # the instance was changed to something that never reached the database
        return sync.key_input(sync.key_of(instance))


def _emit_detached(child: SyncedModel, binding: FieldBinding, pks: list[Any], parent: Any, using: str) -> None:
    rows = child.model._base_manager.using(using).filter(pk__in=pks).values_list("pk", binding.attname)
    mutations = [
        StorageMutation(
            op_type=OpType.UPDATE,
            sync=child,
            key=child.key_of_pk(pk),
            mutator=messages.current_mutator(),
            using=using,
            changed={binding.wire_name: binding.to_wire(value)},
            base={binding.wire_name: parent},
        )
        for pk, value in rows
    ]
    messages.emit(child, mutations, using)
