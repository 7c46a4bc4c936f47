"""Writing rows of which some may be refused: all at once, else in smaller groups, so that only these stay out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from django_datastore.introspection import SyncedModel
from django_datastore.storage import bulk
from django_datastore.storage.records import rows
from django_datastore.storage.records.rows import Values
from django_datastore.storage.records.wire_rows import wire_rows
from django_datastore.storage.refusals import raise_trouble


@dataclass(slots=True)
class Change:
    """One row to be written."""

    key: str
    values: Values
    """Columns by attribute name; empty where `row` says it all."""
    stored: Values | None = None
    """The row as it is; None for a new one."""
    row: tuple[Any, ...] | None = None
    """A new row as the driver takes it, in the order of its `WireRows`."""
    is_incomplete: bool = False
    """A part of the record is unknown, or is not in this change."""

    @property
    def is_new(self) -> bool:
        """Whether the row is to be made."""
        return self.stored is None


def attempt(synced: SyncedModel, changes: Sequence[Change], using: str, *, check: bool = True) -> Exception | None:
    """Write these rows, or none of them and say what was refused. Raises what is no row's fault."""
    try:
        with transaction.atomic(using=using):
            write(synced, changes, using)
            if check:
                rows.check_now(using)
    except Exception as exc:  # whatever a custom field raises is about its value
        raise_trouble(exc)
        return exc
    return None


def write(synced: SyncedModel, changes: Sequence[Change], using: str) -> None:
    """Write these rows: changes first, which may free values for the new ones."""
    rows.update(synced, {item.key: item.values for item in changes if item.stored is not None}, using)
    ready = [item.row for item in changes if item.row is not None]
    bulk.insert(synced.model, wire_rows(synced, using).fields, ready, using)
    rows.insert(synced, [item.values for item in changes if item.stored is None and item.row is None], using)


def divide(synced: SyncedModel, changes: Sequence[Change], using: str, *, check: bool = True) -> dict[str, Exception]:
    """Write what the database takes, in halves of halves. Returns what it refuses, by key."""
    if not changes:
        return {}
    refusal = attempt(synced, changes, using, check=check)
    if refusal is None:
        return {}
    if len(changes) == 1:
        return {changes[0].key: refusal}
    half = len(changes) // 2
    return divide(synced, changes[:half], using, check=check) | divide(synced, changes[half:], using, check=check)


def persist(synced: SyncedModel, changes: Sequence[Change], using: str, *, check: bool = True) -> dict[str, Exception]:
    """`divide`, again and again while that gets rows in: one may free a value, or be a parent, for another."""
    waiting = list(changes)
    refused = divide(synced, waiting, using, check=check)
    while refused and len(refused) < len(waiting):
        waiting = [item for item in waiting if item.key in refused]
        refused = divide(synced, waiting, using, check=check)
    return refused
