"""Which models are synced. Filled by the `datastore.py` of installed apps, read by everyone above."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from django.db import models

from django_datastore import events
from django_datastore.exceptions import AlreadyRegistered, ConfigurationError, ModelNotRegistered
from django_datastore.introspection import SyncedModel
from django_datastore.schema.types import ModelSchema, Schema

AnyModel: TypeAlias = type[models.Model]
SyncFactory: TypeAlias = Callable[..., SyncedModel]

_registered: dict[AnyModel, SyncedModel] = {}


def register(model: AnyModel, factory: SyncFactory) -> SyncedModel:
    """Sync `model` as `factory(model, related=...)` says. Raises `AlreadyRegistered`, `ConfigurationError`."""
    if not (isinstance(model, type) and issubclass(model, models.Model)):
        raise ConfigurationError(f"Cannot register {model!r}: it is no Django model class.")
    if model._meta.abstract:
        raise ConfigurationError(f"Cannot register {model._meta.label!r}: it is abstract. Register its children.")
    if model in _registered:
        raise AlreadyRegistered(f"{model._meta.label!r} is registered with DataStore already.")
    sync = factory(model, related=find)
    _registered[model] = sync
    _forget_relations()
    events.model_registered.send(model, model_sync=sync)
    return sync


def unregister(model: AnyModel) -> None:
    """Stop syncing `model`. Its unsent mutations stay in the outbox. Raises `ModelNotRegistered`."""
    sync = get(model)
    del _registered[sync.model]
    _forget_relations()
    events.model_unregistered.send(sync.model, model_sync=sync)


def _forget_relations() -> None:
    for sync in _registered.values():
        sync.forget_relations()


def find(model: AnyModel) -> SyncedModel | None:
    """The registration of a model class (or of the concrete model of a proxy), or None."""
    return _registered.get(model) or _registered.get(model._meta.concrete_model)  # type: ignore[arg-type]


def is_registered(model: AnyModel) -> bool:
    """Whether the model is synced."""
    return find(model) is not None


def get(model: AnyModel | str) -> SyncedModel:
    """A registration by model class, label (`"blog.Post"`) or wire name (`"Post"`). Raises `ModelNotRegistered`."""
    if not isinstance(model, str):
        if (sync := find(model)) is not None:
            return sync
        raise ModelNotRegistered(
            f"{model._meta.label!r} is not registered with DataStore. Register it in a datastore.py of its app: "
            f"datastore.register({model.__name__})."
        )
    for sync in _registered.values():
        if model.lower() == sync.label or model == sync.name:
            return sync
    names = sorted(sync.name for sync in _registered.values())
    near = difflib.get_close_matches(model, names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Registered: {', '.join(names) or 'nothing'}."
    raise ModelNotRegistered(f"No model {model!r} is registered with DataStore. {hint}")


def all() -> tuple[SyncedModel, ...]:
    """Every registration, in order of registration."""
    return tuple(_registered.values())


def in_topological_order(syncs: Iterable[SyncedModel] | None = None) -> tuple[SyncedModel, ...]:
    """Parents before children; members of a cycle in order of registration."""
    wanted = list(all() if syncs is None else syncs)
    ordered: list[SyncedModel] = []
    visiting: set[str] = set()

    def visit(sync: SyncedModel) -> None:
        if sync in ordered or sync.label in visiting:
            return
        visiting.add(sync.label)
        for _, parent in sync.foreign_keys:
            if parent in wanted:
                visit(parent)
        ordered.append(sync)

    for item in wanted:
        visit(item)
    return tuple(ordered)


def model_schemas() -> dict[str, ModelSchema]:
    """The schemas of all registered models by wire name."""
    return {sync.name: sync.schema for sync in _registered.values()}


def as_schema() -> Schema:
    """All registered models as one data model, such as the local server serves."""
    enums = {enum.name: enum for sync in _registered.values() for enum in sync.enums}
    return Schema(models=model_schemas(), enums=enums)


def models_pointing_to(model: AnyModel) -> list[tuple[SyncedModel, Any]]:
    """The registered models with a synced foreign key to `model`, with that key's binding."""
    return [
        (sync, binding)
        for sync in _registered.values()
        for binding in sync.bindings
        if binding.related_model is not None and binding.related_model._meta.concrete_model is model
    ]
