"""What happens when a mutation carries an old `_version`: AppSync's automerge rules, a refusal, or a handler's word."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias

from django_datastore.schema.types import FieldSchema, Schema

JsonFields: TypeAlias = "Mapping[str, JsonFields | None]"
"""The AWSJSON fields of a type, each with None; its fields of nested types, each with the AWSJSON fields in there."""
_NONE_INSIDE: JsonFields = {}


def json_fields(schema: Schema, fields: Iterable[FieldSchema]) -> JsonFields:
    """The AWSJSON fields among these and in their types, which may contain themselves: so may the answer."""
    known: dict[str, dict[str, JsonFields | None]] = {}

    def read(fields: Iterable[FieldSchema], found: dict[str, JsonFields | None]) -> JsonFields:
        for item in fields:
            if item.type == "AWSJSON":
                found[item.name] = None
            elif item.type in schema.non_models:
                if item.type not in known:
                    read(schema.non_models[item.type].fields, known.setdefault(item.type, {}))
                found[item.name] = known[item.type]
        return found

    return read(fields, {})


def parsed(schema: Schema, fields: Iterable[FieldSchema], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as a resolver sees them: AWSJSON is what its text says."""
    return _translated(schema, fields, values, _parsed)


def printed(schema: Schema, fields: Iterable[FieldSchema], values: Mapping[str, Any]) -> dict[str, Any]:
    """What a resolver answers, as it is stored: AWSJSON as a text."""
    return _translated(schema, fields, values, _printed)


def _translated(
    schema: Schema, fields: Iterable[FieldSchema], values: Mapping[str, Any], leaf: Callable[[Any], Any]
) -> dict[str, Any]:
    def translate(item: FieldSchema, value: Any) -> Any:
        if item.type == "AWSJSON":
            return leaf(value)
        return (
            _translated(schema, schema.non_models[item.type].fields, value, leaf) if isinstance(value, dict) else value
        )

    found = dict(values)
    for item in fields:
        value = values.get(item.name)
        if value is None or not (item.type == "AWSJSON" or item.type in schema.non_models):
            continue
        if item.is_list and isinstance(value, list):
            found[item.name] = [None if each is None else translate(item, each) for each in value]
        else:
            found[item.name] = translate(item, value)
    return found


def _parsed(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:  # a text that no client could have sent, but a file can bring
        return value


def _printed(value: Any) -> str:
    """The text of a value, which may be one already: a handler can answer what it built or what it was sent."""
    try:
        if isinstance(value, str):
            json.loads(value)
            return value
    except ValueError:
        pass
    return _dumped(value)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def automerge(
    stored: Mapping[str, Any],
    incoming: Mapping[str, Any],
    *,
    sets: Collection[str] = (),
    parsed: JsonFields = _NONE_INSIDE,
) -> dict[str, Any]:
    """The stored values with what AUTOMERGE lets in of an outdated mutation.

    - A new field, or one that is null on the server, takes the incoming value.
    - Lists are appended; duplicates stay.
    - `sets` are fields whose lists the database keeps as sets: of those the union is taken.
    - Maps (nested types) are merged by the same rules, key by key.
    - `parsed` are AWSJSON fields: resolvers see what the text says, so these are the map, list or scalar in it.
    - Everything else is a scalar: the server's value stays.
    """
    merged = dict(stored)
    for name, value in incoming.items():
        merged[name] = _merge(stored.get(name), value, parsed.get(name, _NONE_INSIDE))
        if name in sets:
            merged[name] = as_set(merged[name])
    return merged


def as_set(value: Any) -> Any:
    """A list without its duplicates; anything else as it is."""
    if not isinstance(value, list):
        return value
    return [item for index, item in enumerate(value) if item not in value[:index]]


def _merge(stored: Any, incoming: Any, inside: JsonFields | None) -> Any:
    if stored is None:
        return incoming
    if isinstance(stored, list) and isinstance(incoming, list):
        return stored + incoming
    if isinstance(stored, dict) and isinstance(incoming, dict):
        return automerge(stored, incoming, parsed=inside or _NONE_INSIDE)
    if inside is None and isinstance(stored, str) and isinstance(incoming, str):
        return _merge_texts(stored, incoming)
    return stored


def _merge_texts(stored: str, incoming: str) -> str:
    try:
        merged = _merge(json.loads(stored), json.loads(incoming), _NONE_INSIDE)
        return _dumped(merged)
    except ValueError:  # a text that no client could have sent, but a file can bring; or a number that is too large
        return stored
