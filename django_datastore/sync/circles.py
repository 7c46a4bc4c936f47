"""Records of several models that point to one another in a circle: none can be stored first, so all are at once.

A team's captain is a player, a player has a team. Each was held for its missing parent; together they are whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from django.db import connections, transaction

from django_datastore import registry
from django_datastore.introspection import SyncedModel
from django_datastore.models import RecordMetadata
from django_datastore.storage.records import metadata, rows
from django_datastore.storage.refusals import raise_trouble
from django_datastore.storage.serialization import RemoteRecord, referenced_keys
from django_datastore.storage.transactions import begun_again, write_transaction
from django_datastore.sync.classifying import Source
from django_datastore.sync.merging import Outcome, merging

Name: TypeAlias = tuple[str, str]
"""A record: its model's label and its key."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    synced: SyncedModel
    record: RemoteRecord
    parents: frozenset[Name]
    """The records it points to that are not here."""


class _Incomplete(Exception):
    """One of a group could not be stored, so none can."""


def close(using: str) -> Iterator[Outcome]:
    """Store each group of held records whose missing parents are all in the group."""
    waiting = _self_sufficient(_waiting(using))
    for group in _groups(waiting):
        yield from _store([waiting[name] for name in group], using)


def _waiting(using: str) -> dict[Name, _Waiting]:
    """The records that are held for a missing parent."""
    found: dict[Name, tuple[SyncedModel, RemoteRecord, frozenset[Name]]] = {}
    for synced in registry.all():
        for key, known in metadata.held(synced.label, [RecordMetadata.Hold.MISSING_PARENT], using).items():
            try:
                record = RemoteRecord.parse(synced, known.remote or {})
                found[synced.label, key] = (synced, record, frozenset(referenced_keys(synced, record.wire)))
            except ValueError:  # held under another registration
                continue
    absent = _absent({parent for _, _, parents in found.values() for parent in parents}, using)
    return {name: _Waiting(synced, record, parents & absent) for name, (synced, record, parents) in found.items()}


def _absent(names: Iterable[Name], using: str) -> set[Name]:
    by_label: dict[str, set[str]] = {}
    for label, key in names:
        by_label.setdefault(label, set()).add(key)
    return {
        (label, key) for label, keys in by_label.items() for key in keys - rows.here(registry.get(label), keys, using)
    }


def _self_sufficient(waiting: Mapping[Name, _Waiting]) -> dict[Name, _Waiting]:
    """Without those that wait for something else, and those that wait for them."""
    found = dict(waiting)
    while outsiders := [name for name, item in found.items() if item.parents - found.keys()]:
        for name in outsiders:
            del found[name]
    return found


def _groups(waiting: Mapping[Name, _Waiting]) -> list[list[Name]]:
    """Those that hang together, in groups that can be stored one by one."""
    neighbours: dict[Name, set[Name]] = {name: set(item.parents) for name, item in waiting.items()}
    for name, item in waiting.items():
        for parent in item.parents:
            neighbours[parent].add(name)
    groups: list[list[Name]] = []
    seen: set[Name] = set()
    for start in waiting:
        group, todo = [], [start]
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                group.append(name)
                todo += neighbours[name]
        if group:
            groups.append(group)
    return groups


@begun_again
def _store(group: list[_Waiting], using: str) -> list[Outcome]:
    """All of a group, or none of it: it is tried again with the next run."""
    together = frozenset((item.synced.label, item.record.key) for item in group)
    models = registry.in_topological_order({item.synced.label: item.synced for item in group}.values())
    try:
        with write_transaction(using), transaction.atomic(using=using), _unchecked(using):
            outcomes = [_merge(model, group, together, using) for model in models]
            rows.check_now(using)
    except Exception as exc:
        raise_trouble(exc)
        return []
    return outcomes


def _merge(synced: SyncedModel, group: list[_Waiting], together: frozenset[Name], using: str) -> Outcome:
    records = {item.record.key: item.record for item in group if item.synced is synced}
    with merging(synced, records, using=using, together=together) as merge:
        for record in records.values():
            merge.take(record, Source.PAGE)
    if merge.outcome.held:
        raise _Incomplete
    return merge.outcome


def _unchecked(using: str) -> AbstractContextManager[None]:
    """MariaDB checks foreign keys at once; here they are whole when the group is."""
    return connections[using].constraint_checks_disabled()
