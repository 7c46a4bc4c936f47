"""Wire records: the one place of the local side that knows how AppSync spells a record's metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import models

from django_datastore.introspection import SyncedModel
from django_datastore.types import WireRecord

_MAX_INTEGER = 2**63 - 1
is_canonical_uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
"""Whether a text is a UUID as Python spells it."""
_MAX_PLAIN = 200
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
    row: tuple[Any, ...] | None = None
    """The record as a new row, if that was made beforehand (see `wire_rows`)."""

    @classmethod
    def parse(cls, synced: SyncedModel, wire: WireRecord) -> RemoteRecord:
        """Reads a record; `ValueError` if it is no object, or has no key or no usable `_version`."""
        if type(wire) is not dict:
            raise ValueError(f"a {synced.name} record is {type(wire).__name__} instead of an object")
        version, changed_at = wire.get("_version"), wire.get("_lastChangedAt")
        if type(version) is not int or not 0 <= version <= _MAX_INTEGER:
            raise ValueError(f"a {synced.name} record came without a usable _version")
        if changed_at is not None and (type(changed_at) is not int or not 0 <= changed_at <= _MAX_INTEGER):
            raise ValueError(f"a {synced.name} record came with a _lastChangedAt that is no number")
        key, wire_key = _read_key(synced, wire)
        return cls(key, version, changed_at, bool(wire.get("_deleted")), wire, wire_key)

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


def _read_key(synced: SyncedModel, wire: WireRecord) -> tuple[str, list[Any] | None]:
    """The record key, and the key as the record spells it where that is another spelling."""
    name, is_plain = _plain_key(synced)
    value = wire.get(name)
    if type(value) is str and is_plain(value):
        return f'["{value}"]', None
    key = _key_of(synced, wire)
    spelled = synced.wire_key_of(wire)
    return key, None if json.loads(key) == spelled else spelled


@lru_cache(maxsize=1024)
def _plain_key(synced: SyncedModel) -> tuple[str, Callable[[str], object]]:
    """The name of a key field, and whether its value is one that is its own record key: no need to look closer."""
    bindings = synced.key_bindings
    field = bindings[0].field
    if len(bindings) == 1 and type(field) is models.UUIDField:
        return bindings[0].wire_name, is_canonical_uuid
    if len(bindings) == 1 and type(field) is models.CharField:
        longest = min(field.max_length or _MAX_PLAIN, _MAX_PLAIN)
        return bindings[0].wire_name, re.compile(rf"[A-Za-z0-9_.:@/-]{{1,{longest}}}").fullmatch
    return bindings[0].wire_name, lambda _: False


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
