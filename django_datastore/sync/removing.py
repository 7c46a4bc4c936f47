"""Removing the rows of records that are gone elsewhere, children before parents, each only if nothing keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import transaction

from django_datastore.introspection import SyncedModel
from django_datastore.storage.records import dependents, rows
from django_datastore.storage.records.dependents import Detached, Hindered
from django_datastore.storage.records.rows import Values
from django_datastore.storage.refusals import raise_trouble, storable
from django_datastore.types import WireRecord


@dataclass(frozen=True, slots=True)
class Removed:
    """What went, and what could not."""

    deleted: dict[str, WireRecord] = field(default_factory=dict)
    """By key, the wire record that the row was."""
    hindered: dict[str, str] = field(default_factory=dict)
    """By key, why the row is still here."""
    detached: list[Detached] = field(default_factory=list)
    """Rows of registered models that lost their parent."""

    def then(self, later: Removed) -> Removed:
        """With what another try at the hindered ones did."""
        return Removed(self.deleted | later.deleted, later.hindered, [*self.detached, *later.detached])


def remove(synced: SyncedModel, keys: Sequence[str], using: str) -> Removed:
    """Remove rows with what hangs on them and is no registered model's."""
    deleted: dict[str, WireRecord] = {}
    detached: list[Detached] = []
    waiting, hindered = list(keys), {}
    while waiting:
        snapshots = {key: _snapshot(synced, row) for key, row in rows.stored(synced, waiting, using).items()}
        busy = dependents.with_dependents(synced, waiting, using)
        hindered = _remove_free(synced, [key for key in waiting if key not in busy], using)
        for key in waiting:
            if key in busy:
                found = _remove_busy(synced, key, using)
                if isinstance(found, str):
                    hindered[key] = found
                else:
                    detached += found
        deleted |= {key: snapshot for key, snapshot in snapshots.items() if key not in hindered}
        if len(hindered) == len(waiting):
            break
        waiting = list(hindered)  # what went may have been what kept them
    return Removed(deleted, hindered, detached)


def _remove_free(synced: SyncedModel, keys: Sequence[str], using: str) -> dict[str, str]:
    """Rows on which nothing hangs: in one statement, or in halves. Returns what the database refuses."""
    if not keys:
        return {}
    try:
        with transaction.atomic(using=using):
            rows.delete(synced, keys, using)
            rows.check_now(using)
        return {}
    except Exception as exc:
        raise_trouble(exc)
        if len(keys) == 1:
            return {keys[0]: storable(f"The database refused to delete it: {exc}")}
    half = len(keys) // 2
    return _remove_free(synced, keys[:half], using) | _remove_free(synced, keys[half:], using)


def _remove_busy(synced: SyncedModel, key: str, using: str) -> list[Detached] | str:
    """A row on which something hangs. Returns what was detached from it, or why it is still here."""
    try:
        with transaction.atomic(using=using):
            detached = dependents.clear_away(synced, key, using)
            rows.delete(synced, [key], using)
            rows.check_now(using)
    except Hindered as exc:
        return storable(exc)
    except Exception as exc:  # a person's receiver may raise anything
        raise_trouble(exc)
        return storable(f"What hangs on it could not be deleted: {exc!r}")
    return detached


def _snapshot(synced: SyncedModel, row: Values) -> WireRecord:
    return {item.wire_name: item.shown(row[item.attname]) for item in synced.bindings}
