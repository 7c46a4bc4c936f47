"""What happens when a mutation carries an old `_version`: AppSync's automerge rules, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def automerge(stored: Mapping[str, Any], incoming: Mapping[str, Any]) -> dict[str, Any]:
    """The stored values with what AUTOMERGE lets in of an outdated mutation.

    - A new field, or one that is null on the server, takes the incoming value.
    - Lists are appended; duplicates stay.
    - Maps (nested types) are merged by the same rules, key by key.
    - Everything else is a scalar, AWSJSON texts too: the server's value stays.

    Sets do not exist here: a GraphQL list is stored as a list, as Amplify's own resolvers do.
    """
    merged = dict(stored)
    for name, value in incoming.items():
        merged[name] = _merge(stored.get(name), value)
    return merged


def _merge(stored: Any, incoming: Any) -> Any:
    if stored is None:
        return incoming
    if isinstance(stored, list) and isinstance(incoming, list):
        return stored + incoming
    if isinstance(stored, dict) and isinstance(incoming, dict):
        return automerge(stored, incoming)
    return stored
