"""What happens when a mutation carries an old `_version`: AppSync's automerge rules, a refusal, or a handler's word."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def automerge(stored: Mapping[str, Any], incoming: Mapping[str, Any], *, sets: Collection[str] = ()) -> dict[str, Any]:
    """The stored values with what AUTOMERGE lets in of an outdated mutation.

    - A new field, or one that is null on the server, takes the incoming value.
    - Lists are appended; duplicates stay.
    - `sets` are fields whose lists the database keeps as sets: of those the union is taken.
    - Maps (nested types) are merged by the same rules, key by key.
    - Everything else is a scalar, AWSJSON texts too: the server's value stays.
    """
    merged = dict(stored)
    for name, value in incoming.items():
        merged[name] = _merge(stored.get(name), value)
        if name in sets:
            merged[name] = as_set(merged[name])
    return merged


def as_set(value: Any) -> Any:
    """A list without its duplicates; anything else as it is."""
    if not isinstance(value, list):
        return value
    return [item for index, item in enumerate(value) if item not in value[:index]]


def _merge(stored: Any, incoming: Any) -> Any:
    if stored is None:
        return incoming
    if isinstance(stored, list) and isinstance(incoming, list):
        return stored + incoming
    if isinstance(stored, dict) and isinstance(incoming, dict):
        return automerge(stored, incoming)
    return stored
