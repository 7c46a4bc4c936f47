"""Wire records: the one place of the local side that knows how AppSync spells a record's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django_datastore.introspection import SyncedModel
from django_datastore.types import WireRecord


@dataclass(frozen=True, slots=True)
class RemoteRecord:
    """A wire record with its key and metadata read."""

    key: str
    version: int
    last_changed_at: int | None
    deleted: bool
    wire: WireRecord

    @classmethod
    def parse(cls, sync: SyncedModel, wire: WireRecord) -> RemoteRecord:
        """Reads a record; `ValueError` if it has no key or no usable `_version`."""
        version = wire.get("_version")
        if isinstance(version, bool) or not isinstance(version, int):
            raise ValueError(f"a {sync.name} record came without its _version")
        return cls(
            key=sync.key_of_record(wire),
            version=version,
            last_changed_at=wire.get("_lastChangedAt"),
            deleted=bool(wire.get("_deleted")),
            wire=wire,
        )

    def values(self, sync: SyncedModel, *, without: Mapping[str, Any] | frozenset[str] = frozenset()) -> dict[str, Any]:
        """The columns it carries, by attribute name; `ValueError` for a value that does not fit the model."""
        return {
            item.attname: item.to_python(self.wire[item.wire_name])
            for item in sync.bindings
            if item.wire_name in self.wire and item.wire_name not in without
        }

    def foreign_keys(self, sync: SyncedModel) -> dict[str, tuple[SyncedModel, str]]:
        """The records it points to, by wire name of the foreign key."""
        return {
            item.wire_name: (target, target.key_of_pk(item.to_python(self.wire[item.wire_name])))
            for item, target in sync.foreign_keys
            if self.wire.get(item.wire_name) is not None
        }


def referenced_keys(sync: SyncedModel, values: WireRecord) -> list[tuple[str, str]]:
    """Label and record key of the records that wire values point to."""
    return [
        (target.label, target.key_of_pk(item.to_python(values[item.wire_name])))
        for item, target in sync.foreign_keys
        if values.get(item.wire_name) is not None
    ]
