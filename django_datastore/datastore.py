"""`DataStore`, the facade: Amplify's names for what the ORM does anyway, and for what only we do.

Every method has a twin for async code with Django's `a` prefix. `observe` and `observe_query` are async iterators.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import models
from django.db.models import Q, QuerySet

from django_datastore import registry
from django_datastore.exceptions import ConditionFailed, InvalidPredicate
from django_datastore.introspection import SyncedModel
from django_datastore.observe import hub
from django_datastore.predicates import graphql
from django_datastore.predicates.sort import parse
from django_datastore.storage.capture import conditions
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.sync import clearing, engine
from django_datastore.sync.merger import Counts
from django_datastore.types import WireRecord

M = TypeVar("M", bound=models.Model)


class DataStore:
    """Not instantiated: `DataStore.save(post)`, as in Amplify."""

    @staticmethod
    def save(instance: M, condition: Q | None = None) -> M:
        """Save an instance, optionally only if `condition` holds, here and later on the server.

        Raises `ModelNotRegistered`, and `ConditionFailed` if the stored row does not meet the condition. On the server
        a condition that does not hold parks the mutation.
        """
        sync = registry.get(type(instance))
        if condition is None:
            instance.save()
            return instance
        wire = _wire_condition(sync, condition)
        with (
            write_transaction(outbox_alias(), savepoint=True),
            conditions.bound(sync.label, sync.key_of(instance), wire),
        ):
            stored = sync.model._base_manager.filter(pk=instance.pk).select_for_update()
            if not stored.exists():
                raise InvalidPredicate(
                    f"A new {sync.name} cannot be saved with a condition: there is nothing to check."
                )
            _require(stored, condition, sync)
            instance.save()
        return instance

    @staticmethod
    def delete(instance: M, condition: Q | None = None) -> M:
        """Delete an instance, optionally only if `condition` holds, here and on the server. Raises as `save`."""
        sync = registry.get(type(instance))
        if condition is None:
            instance.delete()
            return instance
        wire = _wire_condition(sync, condition)
        with (
            write_transaction(outbox_alias(), savepoint=True),
            conditions.bound(sync.label, sync.key_of(instance), wire),
        ):
            _require(sync.model._base_manager.filter(pk=instance.pk).select_for_update(), condition, sync)
            instance.delete()
        return instance

    @staticmethod
    def query(
        model: type[M],
        predicate: Q | None = None,
        *,
        sort: Sequence[str] = (),
        page: int | None = None,
        limit: int | None = None,
    ) -> QuerySet[M]:
        """The rows of a registered model, sorted (`["-rating"]`) and paged (`page` counts from 0 and needs `limit`).

        Raises `ModelNotRegistered`, `InvalidPredicate` for an unknown sort field, `ValueError` for a bad page.
        """
        sync = registry.get(model)
        found = model._default_manager.all() if predicate is None else model._default_manager.filter(predicate)
        if sort:
            found = found.order_by(*parse(sort, sync).order_by)
        if limit is None:
            if page is not None:
                raise ValueError("A page needs a limit: DataStore.query(Post, page=0, limit=20).")
            return found
        if limit < 0 or (page or 0) < 0:
            raise ValueError("page and limit cannot be negative.")
        start = (page or 0) * limit
        return found[start : start + limit]

    @staticmethod
    def observe(model: type[M], predicate: Q | None = None) -> AsyncIterator[Any]:
        """Every committed change of a model, local or remote, as `ObservedChange(op_type, element, model)`."""
        return hub.get_hub().observe(registry.get(model), predicate)

    @staticmethod
    def observe_query(model: type[M], predicate: Q | None = None, *, sort: Sequence[str] = ()) -> AsyncIterator[Any]:
        """A live query: a `Snapshot(items, is_synced)` at once, and a new one after each change."""
        return hub.get_hub().observe_query(registry.get(model), predicate, sort)

    @staticmethod
    def start() -> None:
        """Let the processors of all processes work. Raises `ConfigurationError` without an endpoint."""
        engine.start()

    @staticmethod
    def stop() -> None:
        """Let the processors of all processes rest. Writes go on and wait in the outbox."""
        engine.stop()

    @staticmethod
    def sync(models: Iterable[type[models.Model]] | None = None, *, full: bool = False) -> dict[str, Counts] | None:
        """Ask AppSync for what changed, now; None if another process does so. Raises `SyncError`."""
        return engine.current().sync([registry.get(model) for model in models] if models else None, full=full)

    @staticmethod
    def clear(*, force: bool = False) -> None:
        """Empty the local tables of all registered models, and the sync state; columns that are not synced go, too.

        The server keeps its records; the next sync is a base sync. Raises `UnsentMutations` if anything would be lost
        that AppSync does not have; with `force` the outbox is emptied, too. Raises `ProtectedError` and
        `IntegrityError` if rows of other models hang on the ones to be removed. Then nothing is cleared.
        """
        clearing.clear(force=force)

    @staticmethod
    async def asave(instance: M, condition: Q | None = None) -> M:
        """`save` for async code."""
        return await sync_to_async(DataStore.save)(instance, condition)

    @staticmethod
    async def adelete(instance: M, condition: Q | None = None) -> M:
        """`delete` for async code."""
        return await sync_to_async(DataStore.delete)(instance, condition)

    @staticmethod
    async def astart() -> None:
        """`start` for async code."""
        await sync_to_async(DataStore.start)()

    @staticmethod
    async def astop() -> None:
        """`stop` for async code."""
        await sync_to_async(DataStore.stop)()

    @staticmethod
    async def async_(
        models: Iterable[type[models.Model]] | None = None, *, full: bool = False
    ) -> dict[str, Counts] | None:
        """`sync` for async code (`async` is a word of Python's)."""
        return await sync_to_async(DataStore.sync)(models, full=full)

    @staticmethod
    async def aclear(*, force: bool = False) -> None:
        """`clear` for async code."""
        await sync_to_async(DataStore.clear)(force=force)

    @staticmethod
    async def aquery(model: type[M], predicate: Q | None = None, **options: Any) -> list[M]:
        """The rows `query` finds, as a list."""
        return [item async for item in DataStore.query(model, predicate, **options)]


def _wire_condition(sync: SyncedModel, condition: Q) -> WireRecord | None:
    return graphql.to_condition(condition, sync)


def _require(stored: QuerySet[Any], condition: Q, sync: SyncedModel) -> None:
    if not stored.filter(condition).exists():
        raise ConditionFailed(f"The condition does not hold for the stored {sync.name}.", model=sync.name)
