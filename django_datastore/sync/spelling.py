"""Mutations in AppSync's own spelling: the keys as it gave them, and fields by the names it has now.

A record made elsewhere may have a key in capitals; here the database respells it. Entries are kept in our spelling,
and put into AppSync's when they are sent: a parent's spelling may become known as late as that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django_datastore.introspection import FieldBinding, SyncedModel
from django_datastore.models import MutationEvent
from django_datastore.schema import naming
from django_datastore.storage.records import metadata
from django_datastore.storage.records.metadata import Known
from django_datastore.storage.serialization import referenced_keys
from django_datastore.types import WireRecord


@dataclass(frozen=True, slots=True)
class Spelling:
    """What is known of the records that some mutations are about, and of those these point to."""

    known: Mapping[tuple[str, str], Known]

    @classmethod
    def of(cls, entries: Iterable[tuple[SyncedModel, MutationEvent]], using: str) -> Spelling:
        """Looks the records up, model by model."""
        wanted: dict[str, set[str]] = {}
        for synced, event in entries:
            wanted.setdefault(event.model, set()).add(event.record_key)
            for label, key in _referenced(synced, event):
                wanted.setdefault(label, set()).add(key)
        return cls(
            {
                (label, key): known
                for label, keys in wanted.items()
                for key, known in metadata.read(label, keys, using).items()
            }
        )

    def version(self, event: MutationEvent) -> int | None:
        """The applied version of the record: what its next mutation builds on."""
        known = self.known.get((event.model, event.record_key))
        return None if known is None else known.version

    def key(self, event: MutationEvent) -> Sequence[Any]:
        """The key's values."""
        known = self.known.get((event.model, event.record_key))
        values: Sequence[Any] = json.loads(event.record_key)
        return values if known is None or known.wire_key is None else known.wire_key

    def key_input(self, synced: SyncedModel, event: MutationEvent) -> WireRecord:
        """The key as fields of a GraphQL input."""
        return dict(zip((item.wire_name for item in synced.key_bindings), self.key(event), strict=True))

    def data(self, synced: SyncedModel, event: MutationEvent) -> WireRecord:
        """The changed fields, foreign keys as AppSync spells them."""
        found = dict(event.data)
        for item, target in synced.foreign_keys:
            value = found.get(item.wire_name)
            if value is not None:
                known = self.known.get((target.label, target.key_of_pk(item.to_python(value))))
                if known is not None and known.wire_key is not None and len(known.wire_key) == 1:
                    found[item.wire_name] = known.wire_key[0]
        return found


def _referenced(synced: SyncedModel, event: MutationEvent) -> list[tuple[str, str]]:
    try:
        return referenced_keys(synced, event.data)
    except ValueError:  # AppSync will say what is wrong with it
        return []


def renamed(synced: SyncedModel, data: WireRecord) -> tuple[WireRecord, WireRecord]:
    """Fields of an edit that was captured under another registration, by their names of today; and those that are gone.

    A field that was known by its default name is found again under the name it has now.
    """
    if data.keys() <= synced.by_wire_name.keys():
        return data, {}
    former = {name: item for item in synced.bindings for name in _default_names(item)}
    found: WireRecord = {}
    gone: WireRecord = {}
    for name, value in data.items():
        if name in synced.by_wire_name:
            found[name] = value
        elif name in former and former[name].wire_name not in data:
            found[former[name].wire_name] = value
        else:
            gone[name] = value
    return found, gone


def _default_names(item: FieldBinding) -> tuple[str, ...]:
    return item.field.name, item.attname, naming.camel_case(item.field.name), naming.camel_case(item.attname)
