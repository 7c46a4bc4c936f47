"""Wire records: the one place of the local side that knows how AppSync spells a record's metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeGuard

from django_datastore.introspection import SyncedModel
from django_datastore.types import WireRecord

_MAX_INTEGER = 2**63 - 1
_MAX_KEY_BYTES = 2200
"""DynamoDB's keys have 2,048 bytes at most; the rest is what JSON adds."""


@dataclass(slots=True)
class RemoteRecord:
    """A wire record with its key and metadata read."""

    key: str
    version: int
    last_changed_at: int | None
    deleted: bool
    wire: WireRecord
    wire_key: list[Any] | None = None
    """The key as AppSync spells it, where the record key is spelled otherwise."""

    @classmethod
    def parse(cls, synced: SyncedModel, wire: WireRecord) -> RemoteRecord:
        """Reads a record; `ValueError` if it is no object, or has no key or no usable `_version`."""
        if not isinstance(wire, dict):
            raise ValueError(f"a {synced.name} record is {type(wire).__name__} instead of an object")
        version, changed_at = wire.get("_version"), wire.get("_lastChangedAt")
        if not _is_count(version):
            raise ValueError(f"a {synced.name} record came without a usable _version")
        if changed_at is not None and not _is_count(changed_at):
            raise ValueError(f"a {synced.name} record came with a _lastChangedAt that is no number")
        key = _key_of(synced, wire)
        spelled = synced.wire_key_of(wire)
        return cls(
            key=key,
            version=version,
            last_changed_at=changed_at,
            deleted=bool(wire.get("_deleted")),
            wire=wire,
            wire_key=None if json.loads(key) == spelled else spelled,
        )

    def values(self, synced: SyncedModel, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """The columns it carries, by attribute name; `ValueError` for a value that does not fit the model."""
        known = {name: self.wire[name] for name in self.wire if name not in without} if without else self.wire
        return synced.decode_row(known)


def referenced_keys(synced: SyncedModel, values: WireRecord) -> list[tuple[str, str]]:
    """Label and record key of the records that wire values point to."""
    return [
        (target.label, target.key_of_pk(item.to_python(values[item.wire_name])))
        for item, target in synced.foreign_keys
        if values.get(item.wire_name) is not None
    ]


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MAX_INTEGER


def _key_of(synced: SyncedModel, wire: WireRecord) -> str:
    try:
        key = synced.key_of_record(wire)
        size = len(key.encode())
    except UnicodeEncodeError as exc:
        raise ValueError(f"a {synced.name} record has a key that is no text") from exc
    except ValueError:
        raise
    except Exception as exc:  # a custom field may raise anything
        raise ValueError(f"a {synced.name} record has a key that cannot be read: {exc!r}") from exc
    if size > _MAX_KEY_BYTES:
        raise ValueError(f"a {synced.name} record has a key of {size} bytes; {_MAX_KEY_BYTES} are the most")
    return key
