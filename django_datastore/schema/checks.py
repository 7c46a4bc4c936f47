"""What a data model must be, besides well written: keys that can be compared, defaults that fit, names of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from graphql import FieldDefinitionNode, Node, ObjectTypeDefinitionNode

from django_datastore.schema import naming
from django_datastore.schema.directives import error
from django_datastore.schema.relations import ModelDraft
from django_datastore.schema.scalars import SCALARS
from django_datastore.schema.types import EnumSchema, FieldKind, FieldSchema

_METADATA = ("_version", "_deleted", "_lastChangedAt")
_INDEX_NAME = re.compile(r"[A-Za-z0-9_.\-]{3,255}")
_MAX_LIMIT = 1000


def check_fields(node: ObjectTypeDefinitionNode) -> None:
    """Refuses fields that stand twice, take arguments, or have the server's names."""
    seen: set[str] = set()
    for item in node.fields or ():
        name = item.name.value
        if name in seen:
            raise error(item, f"{node.name.value} has a field {name!r} already. Give this one another name.")
        if item.arguments:
            raise error(item, f"{node.name.value}.{name} takes arguments, which no stored field can. Remove them.")
        if name in _METADATA or name.startswith("__"):
            raise error(item, f"{node.name.value}.{name} is the server's own name. Remove the field.")
        seen.add(name)
    if not seen:
        raise error(node, f"type {node.name.value} has no fields. Add one.")


def check_model(draft: ModelDraft, node: ObjectTypeDefinitionNode, enums: Mapping[str, EnumSchema]) -> None:
    """Refuses keys, indexes and defaults that cannot be served."""
    nodes = {item.name.value: item for item in node.fields or ()}
    for name in draft.primary_key:
        if name not in draft.fields:
            raise error(node, f"the key of {draft.name} names {name!r}, which is no field of it. Declare the field.")
        _check_key_field(draft, name, nodes.get(name, node), "the key")
        if not draft.fields[name].is_required:
            raise error(nodes.get(name, node), f"{draft.name}.{name} is part of the key. Write `{name}: … !`.")
    _check_indexes(draft, nodes)
    for item in draft.fields.values():
        for text in _defaults(item):
            _check_default(draft, item, text, nodes[item.name], enums)
        if any(not 1 <= found.get("limit", 1) <= _MAX_LIMIT for found in item.attributes):
            raise error(nodes[item.name], f"{draft.name}.{item.name}: the limit is 1 to {_MAX_LIMIT:,}.")


def _check_key_field(draft: ModelDraft, name: str, node: Node, place: str) -> None:
    item = draft.fields[name]
    if item.is_list or item.kind not in (FieldKind.SCALAR, FieldKind.ENUM):
        raise error(node, f"{draft.name}.{name} is {item.graphql_type}: {place} takes single scalars and enums only.")


def _check_indexes(draft: ModelDraft, nodes: Mapping[str, FieldDefinitionNode]) -> None:
    names: set[str] = set()
    for key in (draft.primary_key, *(index.fields for index in draft.indexes)):
        if len(set(key)) < len(key):
            raise error(nodes[key[0]], f"the key ({', '.join(key)}) of {draft.name} names a field twice.")
    for index in draft.indexes:
        node = nodes[index.fields[0]]
        if index.name in names:
            raise error(node, f"{draft.name} has an @index {index.name!r} already. Give this one another name.")
        names.add(index.name)
        is_named = naming.is_graphql_name(naming.capitalize(index.name)) or len(index.fields) < 3
        if not _INDEX_NAME.fullmatch(index.name) or not is_named:
            raise error(
                node, f"{index.name!r} is no name for an @index: write 3 to 255 letters, digits and underscores."
            )
        for name in index.fields:
            if name not in draft.fields:
                hint = naming.did_you_mean(name, draft.fields)
                raise error(node, f"@index {index.name!r} names {name!r}, which is no field of {draft.name}.{hint}")
            _check_key_field(draft, name, node, "an @index")


def _defaults(item: FieldSchema) -> Iterator[object]:
    return (found.get("value") for found in item.attributes if found.get("type") == "default")


def _check_default(
    draft: ModelDraft, item: FieldSchema, text: object, node: FieldDefinitionNode, enums: Mapping[str, EnumSchema]
) -> None:
    place = f"{draft.name}.{item.name}"
    if item.is_list or item.kind not in (FieldKind.SCALAR, FieldKind.ENUM):
        raise error(node, f"{place} is {item.graphql_type}: @default stands on single scalars and enums only.")
    if item.kind is FieldKind.ENUM and text not in enums[item.type].values:
        known = ", ".join(enums[item.type].values)
        raise error(node, f"{place} has the default {text!r}, which is no {item.type}. It has: {known}.")
    if item.kind is FieldKind.SCALAR:
        try:
            SCALARS[item.type].parse(default_value(item.type, text))
        except ValueError as exc:
            raise error(node, f"{place} has the default {text!r}, which is no {item.type}: {exc}.") from exc


def default_value(kind: str, text: object) -> object:
    """The value of `@default`, which the SDL writes as a string whatever the field's type is; raises `ValueError`."""
    if not isinstance(text, str):
        raise ValueError("it has no value")
    match kind:
        case "Int" | "AWSTimestamp":
            return int(text)
        case "Float":
            return float(text)
        case "Boolean" if text.lower() in ("true", "false"):
            return text.lower() == "true"
    return text


def check_enum(name: str, values: tuple[str, ...], node: Node) -> None:
    """Refuses an enum that has a value twice."""
    for value in values:
        if values.count(value) > 1:
            raise error(node, f"enum {name} has the value {value!r} twice. Remove one.")
