"""`StorageMutation`, the one message storage sends, and the signal it travels on, inside the writing transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from django.db import models
from django.dispatch import Signal

from django_datastore.introspection import SyncedModel
from django_datastore.types import Mutator, OpType, WireRecord

storage_mutated = Signal()
"""Sent with `mutations` (`StorageMutation`s of one model) and `using`. A receiver that raises undoes the write."""

_mutator: ContextVar[Mutator] = ContextVar("django_datastore_mutator", default=Mutator.USER)
_condition: ContextVar[WireRecord | None] = ContextVar("django_datastore_condition", default=None)


@dataclass(frozen=True, slots=True)
class StorageMutation:
    """One row was written."""

    op_type: OpType
    sync: SyncedModel
    key: str
    mutator: Mutator
    using: str
    element: models.Model | None = None
    """The instance that was written, where there is one."""
    changed: WireRecord = field(default_factory=dict)
    """By wire name, what a person changed and AppSync takes; empty for merges."""
    base: WireRecord = field(default_factory=dict)
    """The same fields as they were stored before."""
    snapshot: WireRecord | None = None
    """The wire record of a deleted row."""
    condition: WireRecord | None = None
    """The GraphQL condition of the mutation."""


def emit(sync: SyncedModel, mutations: Sequence[StorageMutation], using: str) -> None:
    """Tell whoever listens, in this transaction."""
    if mutations:
        storage_mutated.send(sync.model, mutations=mutations, using=using)


def current_mutator() -> Mutator:
    """Who writes now."""
    return _mutator.get()


def current_condition() -> WireRecord | None:
    """The condition the running `DataStore.save` or `DataStore.delete` asked for."""
    return _condition.get()


@contextmanager
def acting_as_sync() -> Iterator[None]:
    """Inside, writes are the engine's: watchers see them, the outbox does not."""
    token = _mutator.set(Mutator.SYNC)
    try:
        yield
    finally:
        _mutator.reset(token)


@contextmanager
def conditioned(condition: WireRecord | None) -> Iterator[None]:
    """Inside, a write carries `condition` to the server."""
    token = _condition.set(condition)
    try:
        yield
    finally:
        _condition.reset(token)
