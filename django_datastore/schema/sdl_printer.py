"""A data model as Amplify SDL text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django_datastore.exceptions import SchemaError
from django_datastore.schema import many_to_many, relations
from django_datastore.schema.types import ConnectionType, FieldSchema, IndexSchema, ModelSchema, Schema

_SANDBOX = "input AMPLIFY {\n  globalAuthRule: AuthRule = { allow: public }\n}"


def print_sdl(schema: Schema) -> str:
    """The Amplify SDL text of a data model; `parse_sdl` reads it back to the same model."""
    joins = many_to_many.join_names(schema)
    blocks = [_SANDBOX] if schema.is_sandbox else []
    blocks += [_print_model(schema, model) for name, model in schema.models.items() if name not in joins]
    blocks += [_block(f"enum {enum.name}", enum.values) for enum in schema.enums.values()]
    blocks += [
        _block(f"type {item.name}", (f"{field.name}: {field.graphql_type}" for field in item.fields))
        for item in schema.non_models.values()
    ]
    return "\n\n".join(blocks) + "\n"


def _print_model(schema: Schema, model: ModelSchema) -> str:
    directives = f"@model{_print_arguments(model.properties)}"
    if model.auth_rules:
        directives += f" @auth(rules: {_literal(list(model.auth_rules))})"
    made = model.timestamps  # where they are read-only, nobody but the server writes them: Amplify adds them by itself
    fields = (
        item
        for item in model.fields
        if not relations.is_implicit(item) and not (item.is_read_only and item.name in made)
    )
    return _block(f"type {model.name} {directives}", (_print_field(schema, model, item) for item in fields))


def _print_field(schema: Schema, model: ModelSchema, field: FieldSchema) -> str:
    kind = field.graphql_type
    if is_joined := bool(many_to_many.directive_of(field)):
        kind = kind.replace(field.type, many_to_many.other_side(schema, model, field))
    parts = [f"{field.name}: {kind}"]
    if field.is_relation and not is_joined and not relations.directive_of(field):
        parts.append(_print_relation(schema, model, field))
    if field.name == model.primary_key[0] and model.primary_key != ("id",):
        sort_fields = list(model.primary_key[1:])
        parts.append("@primaryKey" + _print_arguments({"sortKeyFields": sort_fields} if sort_fields else {}))
    parts += [_print_index(index) for index in model.indexes if index.fields[0] == field.name]
    for attribute in field.attributes:
        arguments = {key: value for key, value in attribute.items() if key != "type"}
        parts.append(f"@{attribute['type']}{_print_arguments(arguments)}")
    return " ".join(parts)


def _print_index(index: IndexSchema) -> str:
    arguments: dict[str, Any] = {"name": index.name}
    if len(index.fields) > 1:
        arguments["sortKeyFields"] = list(index.fields[1:])
    return "@index" + _print_arguments({**arguments, "queryField": index.query_field})


def _print_relation(schema: Schema, model: ModelSchema, field: FieldSchema) -> str:
    association = field.association
    if association is None:
        raise SchemaError(f"{model.name}.{field.name} is a relation without association.")
    kind = association.connection_type
    directive = next(name for name, known in relations.KINDS.items() if known is kind)
    if kind is not ConnectionType.HAS_MANY:
        explicit = not any(relations.is_implicit(model.field(name)) for name in association.target_names)
        return f"@{directive}" + _print_arguments({"fields": list(association.target_names)} if explicit else {})
    target = schema.models[field.type]
    if relations.is_implicit(target.field(association.associated_with[0])):
        return f"@{directive}"
    index = next((item for item in target.indexes if item.fields[0] == association.associated_with[0]), None)
    arguments: dict[str, Any] = {"indexName": index.name} if index else {}
    return f"@{directive}" + _print_arguments({**arguments, "fields": list(model.primary_key)})


def _block(head: str, lines: Iterable[str]) -> str:
    return "\n".join([f"{head} {{", *(f"  {line}" for line in lines), "}"])


def _print_arguments(arguments: Mapping[str, Any]) -> str:
    if not arguments:
        return ""
    return "(" + ", ".join(f"{name}: {_literal(value, name)}" for name, value in arguments.items()) + ")"


_ENUM_ARGUMENTS = {"allow", "provider", "operations", "level"}
"""Directive arguments whose values are enum values, not strings."""


def _literal(value: Any, name: str = "") -> str:
    match value:
        case Mapping():
            return "{ " + ", ".join(f"{key}: {_literal(item, key)}" for key, item in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(_literal(item, name) for item in value) + "]"
        case str() if name in _ENUM_ARGUMENTS:
            return value
    return json.dumps(value, ensure_ascii=False)
