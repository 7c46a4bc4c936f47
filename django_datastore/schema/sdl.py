"""Amplify's data model language: `@model` SDL to `Schema` and back.

    models.graphql ─▶ parse_sdl ─▶ Schema ─▶ print_sdl ─▶ models.graphql

Foreign keys that Amplify's transformer adds by itself become ordinary value fields here, under the names it gives them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    DirectiveNode,
    EnumTypeDefinitionNode,
    FieldDefinitionNode,
    GraphQLSyntaxError,
    InputObjectTypeDefinitionNode,
    ListTypeNode,
    Node,
    NonNullTypeNode,
    ObjectTypeDefinitionNode,
    TypeNode,
    parse,
    value_from_ast_untyped,
)

from django_datastore.exceptions import SchemaError
from django_datastore.schema import naming, relations
from django_datastore.schema.relations import ModelDraft, Relation
from django_datastore.schema.scalars import SCALARS
from django_datastore.schema.types import (
    ConnectionType,
    EnumSchema,
    FieldKind,
    FieldSchema,
    IndexSchema,
    ModelSchema,
    NonModelSchema,
    Schema,
)

_RELATIONS = {
    "belongsTo": ConnectionType.BELONGS_TO,
    "hasOne": ConnectionType.HAS_ONE,
    "hasMany": ConnectionType.HAS_MANY,
}
_TYPE_DIRECTIVES = {"model", "auth"}
_FIELD_DIRECTIVES = {"primaryKey", "index", "default", "auth", *_RELATIONS}
_ROOT_TYPES = {"Query", "Mutation", "Subscription"}
_WAYS_OUT = {
    "manyToMany": "write the join model yourself, with a @belongsTo to either side",
    "searchable": "remove it, and filter with listX or syncX",
    "function": "remove it: resolvers of your own are not served",
    "http": "remove it: resolvers of your own are not served",
    "predictions": "remove it",
    "key": "write @primaryKey and @index instead: this is the old transformer's directive",
    "connection": "write @hasOne, @hasMany or @belongsTo instead: this is the old transformer's directive",
    "versioned": "remove it: every model is versioned",
}


def parse_sdl(text: str) -> Schema:
    """The data model an Amplify SDL text describes. Raises `SchemaError` with the line and what to do."""
    try:
        document = parse(text)
    except GraphQLSyntaxError as exc:
        line = exc.locations[0].line if exc.locations else 1
        raise SchemaError(f"Line {line}: this is no GraphQL. {exc.message}") from exc
    return _Reader(document.definitions).read()


def print_sdl(schema: Schema) -> str:
    """The Amplify SDL text of a data model; `parse_sdl` reads it back to the same model."""
    blocks = [_print_model(schema, model) for model in schema.models.values()]
    blocks += [_block(f"enum {enum.name}", enum.values) for enum in schema.enums.values()]
    blocks += [
        _block(f"type {item.name}", (f"{field.name}: {field.graphql_type}" for field in item.fields))
        for item in schema.non_models.values()
    ]
    return "\n\n".join(blocks) + "\n"


# -- reading -----------------------------------------------------------------------------------------------------------


class _Reader:
    """One pass over the definitions, then the relations, which need every model's key."""

    def __init__(self, definitions: Iterable[Node]) -> None:
        self._enums: dict[str, EnumTypeDefinitionNode] = {}
        self._types: dict[str, ObjectTypeDefinitionNode] = {}
        for node in definitions:
            self._sort_in(node)
        self._drafts = {name: ModelDraft(name) for name, node in self._types.items() if _directive(node, "model")}

    def read(self) -> Schema:
        for name in self._drafts:
            self._read_model(self._types[name])
        relations.resolve(self._drafts)
        if not self._drafts:
            raise SchemaError("The SDL has no type with @model. Mark the types that have a table of their own.")
        return Schema(
            models={name: draft.build() for name, draft in self._drafts.items()},
            enums={name: self._read_enum(node) for name, node in self._enums.items()},
            non_models={
                name: NonModelSchema(name, tuple(self._plain_field(name, item) for item in node.fields or ()))
                for name, node in self._types.items()
                if name not in self._drafts
            },
        )

    def _sort_in(self, node: Node) -> None:
        match node:
            case ObjectTypeDefinitionNode() if node.name.value in _ROOT_TYPES:
                raise _error(node, f"type {node.name.value} is made by the server. Remove it from the SDL.")
            case ObjectTypeDefinitionNode():
                self._add(self._types, node.name.value, node)
            case EnumTypeDefinitionNode():
                self._add(self._enums, node.name.value, node)
            case InputObjectTypeDefinitionNode() if node.name.value == "AMPLIFY":
                pass  # the sandbox's global auth rule: public access, which is what a model without @auth has here
            case _:
                kind = node.kind.replace("_", " ")
                raise _error(node, f"{kind} cannot stand in a data model. Write types (with @model) and enums only.")

    def _add(self, found: dict[str, Any], name: str, node: Node) -> None:
        if name in self._types or name in self._enums or name in SCALARS:
            raise _error(node, f"there is a type {name!r} already. Give this one another name.")
        found[name] = node

    @staticmethod
    def _read_enum(node: EnumTypeDefinitionNode) -> EnumSchema:
        return EnumSchema(node.name.value, tuple(item.name.value for item in node.values or ()))

    def _read_model(self, node: ObjectTypeDefinitionNode) -> None:
        draft = self._drafts[node.name.value]
        for directive in node.directives or ():
            self._check_directive(directive, _TYPE_DIRECTIVES)
            if directive.name.value == "auth":
                draft.auth_rules += tuple(_arguments(directive).get("rules") or ())
            else:
                draft.properties = _arguments(directive)
        for item in node.fields or ():
            self._read_field(draft, item)
        if not draft.primary_key:
            draft.primary_key = ("id",)
            self._ensure_id(draft, node)
        for name in draft.primary_key:
            if name not in draft.fields:
                raise _error(
                    node, f"the key of {draft.name} names {name!r}, which is no field of it. Declare the field."
                )

    @staticmethod
    def _ensure_id(draft: ModelDraft, node: ObjectTypeDefinitionNode) -> None:
        found = draft.fields.get("id")
        if found is None:
            draft.fields = {"id": FieldSchema("id", "ID", is_required=True), **draft.fields}
        elif found.graphql_type not in ("ID!", "String!"):
            raise _error(
                node, f"{draft.name}.id is {found.graphql_type}. Write `id: ID!`, or mark a key with @primaryKey."
            )

    def _read_field(self, draft: ModelDraft, node: FieldDefinitionNode) -> None:
        name = node.name.value
        kept: list[Mapping[str, Any]] = []
        for directive in node.directives or ():
            self._check_directive(directive, _FIELD_DIRECTIVES)
            arguments = _arguments(directive)
            match directive.name.value:
                case "primaryKey":
                    draft.primary_key = (name, *_names(arguments.get("sortKeyFields")))
                case "index":
                    draft.indexes.append(_index(draft.name, name, arguments))
                case "default" | "auth" as kind:
                    kept.append({"type": kind, **arguments})
                case kind:
                    draft.relations[name] = self._relation(node, directive, _RELATIONS[kind])
        if name in draft.relations:
            draft.fields[name] = _field(node, FieldKind.MODEL, ())
            return
        if self._kind(draft.name, node) is FieldKind.MODEL:
            raise _error(node, f"{draft.name}.{name} is a model. Add @belongsTo, @hasOne or @hasMany.")
        draft.fields[name] = self._plain_field(draft.name, node, tuple(kept))

    def _relation(self, node: FieldDefinitionNode, directive: DirectiveNode, kind: ConnectionType) -> Relation:
        target, is_list = _named(node.type), _is_list(node.type)
        if target not in self._drafts:
            raise _error(node, f"{node.name.value} points to {target!r}, which is no @model type.{self._near(target)}")
        if is_list != (kind is ConnectionType.HAS_MANY):
            raise _error(
                node, f"{node.name.value}: @hasMany stands on a list, @hasOne and @belongsTo on a single record."
            )
        arguments = _arguments(directive)
        return Relation(
            kind=kind,
            target=target,
            fields=_names(arguments.get("fields") or arguments.get("references")),
            index_name=arguments.get("indexName"),
            is_required=isinstance(node.type, NonNullTypeNode),
            line=_line(node),
        )

    def _plain_field(
        self, owner: str, node: FieldDefinitionNode, attributes: tuple[Mapping[str, Any], ...] = ()
    ) -> FieldSchema:
        kind = self._kind(owner, node)
        if kind is FieldKind.MODEL:
            raise _error(node, f"{owner}.{node.name.value} is a model, and {owner} has no table. Store its ID instead.")
        return _field(node, kind, attributes)

    def _kind(self, owner: str, node: FieldDefinitionNode) -> FieldKind:
        name = _named(node.type)
        if name in SCALARS:
            return FieldKind.SCALAR
        if name in self._enums:
            return FieldKind.ENUM
        if name in self._drafts:
            return FieldKind.MODEL
        if name in self._types:
            return FieldKind.NON_MODEL
        raise _error(node, f"{owner}.{node.name.value} has the unknown type {name!r}.{self._near(name)}")

    def _near(self, name: str) -> str:
        return naming.did_you_mean(name, [*self._types, *self._enums, *SCALARS])

    @staticmethod
    def _check_directive(directive: DirectiveNode, allowed: set[str]) -> None:
        name = directive.name.value
        if name not in allowed:
            way_out = _WAYS_OUT.get(name) or f"known here: {', '.join('@' + item for item in sorted(allowed))}"
            raise _error(directive, f"@{name} cannot be used here; {way_out}.")


def _error(node: Node, message: str) -> SchemaError:
    return SchemaError(f"Line {_line(node)}: {message}")


def _line(node: Node) -> int:
    return node.loc.start_token.line if node.loc else 0


def _directive(node: ObjectTypeDefinitionNode, name: str) -> DirectiveNode | None:
    return next((item for item in node.directives or () if item.name.value == name), None)


def _arguments(directive: DirectiveNode) -> dict[str, Any]:
    return {item.name.value: value_from_ast_untyped(item.value) for item in directive.arguments or ()}


def _names(value: Any) -> tuple[str, ...]:
    """One name or a list of names, as Amplify takes both."""
    return (value,) if isinstance(value, str) else tuple(value or ())


def _named(node: TypeNode) -> str:
    while isinstance(node, NonNullTypeNode | ListTypeNode):
        node = node.type
    return str(node.name.value)  # type: ignore[attr-defined]  # what is left is a NamedTypeNode


def _is_list(node: TypeNode) -> bool:
    return isinstance(node.type if isinstance(node, NonNullTypeNode) else node, ListTypeNode)


def _field(node: FieldDefinitionNode, kind: FieldKind, attributes: tuple[Mapping[str, Any], ...]) -> FieldSchema:
    outer, is_required = node.type, isinstance(node.type, NonNullTypeNode)
    is_list = _is_list(node.type)
    if is_list:
        inner = outer.type if isinstance(outer, NonNullTypeNode) else outer
        if _is_list(inner.type):  # type: ignore[attr-defined]  # a ListTypeNode, as `_is_list` has seen
            raise _error(node, f"{node.name.value} is a list of lists. Wrap the inner list in a type, or use AWSJSON.")
    return FieldSchema(
        name=node.name.value,
        type=_named(node.type),
        kind=kind,
        is_list=is_list,
        is_required=isinstance(inner.type, NonNullTypeNode) if is_list else is_required,  # type: ignore[attr-defined]
        is_list_required=is_list and is_required,
        attributes=attributes,
    )


def _index(model: str, field: str, arguments: Mapping[str, Any]) -> IndexSchema:
    fields = (field, *_names(arguments.get("sortKeyFields")))
    name = arguments.get("name") or naming.lower_first(model) + "sBy" + "And".join(map(naming.capitalize, fields))
    return IndexSchema(name=name, fields=fields, query_field=arguments.get("queryField"))


# -- printing ----------------------------------------------------------------------------------------------------------


def _print_model(schema: Schema, model: ModelSchema) -> str:
    directives = f"@model{_print_arguments(model.properties)}"
    if model.auth_rules:
        directives += f" @auth(rules: {_literal(list(model.auth_rules))})"
    fields = (item for item in model.fields if not relations.is_implicit(item))
    return _block(f"type {model.name} {directives}", (_print_field(schema, model, item) for item in fields))


def _print_field(schema: Schema, model: ModelSchema, field: FieldSchema) -> str:
    parts = [f"{field.name}: {field.graphql_type}"]
    if field.is_relation:
        parts.append(_print_relation(schema, model, field))
    if field.name == model.primary_key[0] and model.primary_key != ("id",):
        sort_fields = list(model.primary_key[1:])
        parts.append("@primaryKey" + _print_arguments({"sortKeyFields": sort_fields} if sort_fields else {}))
    for index in model.indexes:
        if index.fields[0] == field.name:
            arguments = {"name": index.name, "sortKeyFields": list(index.fields[1:]), "queryField": index.query_field}
            parts.append("@index" + _print_arguments({key: value for key, value in arguments.items() if value}))
    for attribute in field.attributes:
        arguments = {key: value for key, value in attribute.items() if key != "type"}
        parts.append(f"@{attribute['type']}{_print_arguments(arguments)}")
    return " ".join(parts)


def _print_relation(schema: Schema, model: ModelSchema, field: FieldSchema) -> str:
    association = field.association
    if association is None:
        raise SchemaError(f"{model.name}.{field.name} is a relation without association.")
    kind = association.connection_type
    directive = next(name for name, known in _RELATIONS.items() if known is kind)
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
