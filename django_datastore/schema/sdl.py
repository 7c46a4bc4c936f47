"""Amplify's data model language: `@model` SDL to `Schema` and back.

    models.graphql ─▶ parse_sdl ─▶ Schema ─▶ print_sdl ─▶ models.graphql

Foreign keys that Amplify's transformer adds by itself become ordinary value fields here, under the names it gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from graphql import (
    DirectiveLocation,
    DirectiveNode,
    DocumentNode,
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
from django_datastore.schema import api_reader, naming, relations
from django_datastore.schema.checks import check_enum, check_fields, check_model
from django_datastore.schema.directives import arguments, error, line
from django_datastore.schema.many_to_many import Side, join_models
from django_datastore.schema.relations import ModelDraft, Relation
from django_datastore.schema.scalars import SCALARS
from django_datastore.schema.sdl_printer import print_sdl
from django_datastore.schema.types import (
    ConnectionType,
    EnumSchema,
    FieldKind,
    FieldSchema,
    IndexSchema,
    NonModelSchema,
    Schema,
)

__all__ = ["parse_sdl", "print_sdl"]

_ROOT_TYPES = {"Query", "Mutation", "Subscription"}


def parse_sdl(text: str) -> Schema:
    """The data model an Amplify SDL describes, or an AppSync API's SDL was made of; `SchemaError` says what to do."""
    try:
        document = parse(text)
    except GraphQLSyntaxError as exc:
        line = exc.locations[0].line if exc.locations else 1
        raise SchemaError(f"Line {line}: this is no GraphQL. {exc.message}") from exc
    if not api_reader.is_api(document):
        return _Reader(document.definitions).read()
    return _read_api(document)


def _read_api(document: DocumentNode) -> Schema:
    text, plurals = api_reader.models_of(document), api_reader.plurals_of(document)
    try:
        schema = _Reader(parse(text).definitions).read()
    except SchemaError as exc:  # its line is one of a text that nobody has seen
        why = str(exc).partition(": ")[2] or str(exc)
        raise SchemaError(f"The data model that this API was made of cannot be told from it: {why}") from exc
    models = schema.models.items()
    named = {name: replace(model, plural_name=plurals.get(name, model.plural_name), line=0) for name, model in models}
    return replace(schema, models=named)


class _Reader:
    """One pass over the definitions, then the relations, which need every model's key."""

    def __init__(self, definitions: Iterable[Node]) -> None:
        self._enums: dict[str, EnumTypeDefinitionNode] = {}
        self._types: dict[str, ObjectTypeDefinitionNode] = {}
        self._is_sandbox = False
        for node in definitions:
            self._sort_in(node)
        for found in self._types.values():
            check_fields(found)
        self._read_enums = {name: _read_enum(node) for name, node in self._enums.items()}
        self._sides: list[Side] = []
        self._drafts = {
            name: ModelDraft(name, line=line(node)) for name, node in self._types.items() if _directive(node, "model")
        }

    def read(self) -> Schema:
        for name in self._drafts:
            self._read_model(self._types[name])
        join_models(self._drafts, self._sides)
        relations.resolve(self._drafts)
        if not self._drafts:
            raise SchemaError("The SDL has no type with @model. Mark the types that have a table of their own.")
        return Schema(
            models={name: draft.build() for name, draft in self._drafts.items()},
            enums=self._read_enums,
            non_models={
                name: self._read_non_model(node) for name, node in self._types.items() if name not in self._drafts
            },
            is_sandbox=self._is_sandbox,
        )

    def _sort_in(self, node: Node) -> None:
        match node:
            case ObjectTypeDefinitionNode() if node.name.value in _ROOT_TYPES:
                raise error(node, f"type {node.name.value} is made by the server. Remove it from the SDL.")
            case ObjectTypeDefinitionNode():
                self._add(self._types, node.name.value, node)
            case EnumTypeDefinitionNode():
                self._add(self._enums, node.name.value, node)
            case InputObjectTypeDefinitionNode() if node.name.value == "AMPLIFY":
                self._is_sandbox = _is_sandbox(node)
            case _:
                kind = node.kind.replace("_", " ")
                raise error(node, f"{kind} cannot stand in a data model. Write types (with @model) and enums only.")

    def _add(self, found: dict[str, Any], name: str, node: Node) -> None:
        if name in self._types or name in self._enums or name in SCALARS:
            raise error(node, f"there is a type {name!r} already. Give this one another name.")
        found[name] = node

    def _read_non_model(self, node: ObjectTypeDefinitionNode) -> NonModelSchema:
        name = node.name.value
        for standing in (node.directives, *(item.directives for item in node.fields or ())):
            for directive in standing or ():
                raise error(directive, f"@{directive.name.value} cannot stand in type {name}, which has no @model.")
        return NonModelSchema(name, tuple(self._plain_field(name, item) for item in node.fields or ()))

    def _read_model(self, node: ObjectTypeDefinitionNode) -> None:
        draft = self._drafts[node.name.value]
        for directive in node.directives or ():
            found = arguments(directive, DirectiveLocation.OBJECT)
            if directive.name.value == "auth":
                draft.auth_rules += tuple(found["rules"])
            else:
                draft.properties = found
        for item in node.fields or ():
            self._read_field(draft, item)
        if not draft.primary_key:
            draft.primary_key = ("id",)
            self._ensure_id(draft, node)
        check_model(draft, node, self._read_enums)

    @staticmethod
    def _ensure_id(draft: ModelDraft, node: ObjectTypeDefinitionNode) -> None:
        found = draft.fields.get("id")
        if found is None:
            draft.fields = {"id": FieldSchema("id", "ID", is_required=True), **draft.fields}
        elif found.graphql_type not in ("ID!", "String!"):
            raise error(
                node, f"{draft.name}.id is {found.graphql_type}. Write `id: ID!`, or mark a key with @primaryKey."
            )

    def _read_field(self, draft: ModelDraft, node: FieldDefinitionNode) -> None:
        name = node.name.value
        kept: list[Mapping[str, Any]] = []
        for directive in node.directives or ():
            found = arguments(directive, DirectiveLocation.FIELD_DEFINITION)
            match directive.name.value:
                case "primaryKey" as kind:
                    if draft.primary_key:
                        raise error(directive, f"{draft.name} has a @primaryKey already. Remove this one.")
                    draft.primary_key = (name, *relations.names_of(found.get("sortKeyFields")))
                    if draft.primary_key == ("id",):  # says nothing but that lists can be asked by it
                        kept.append({"type": kind})
                case "index":
                    draft.indexes.append(_index(draft.name, name, found))
                case "default" | "auth" as kind:
                    kept.append({"type": kind, **found})
                case kind:
                    if name in draft.relations:
                        raise error(directive, f"{draft.name}.{name} is a relation already. Remove @{kind}.")
                    kept.append({"type": kind, **found})
                    draft.relations[name] = self._relation(draft, node, kind, found)
        if name in draft.relations:
            draft.fields[name] = _field(node, FieldKind.MODEL, tuple(kept))
            return
        if self._kind(draft.name, node) is FieldKind.MODEL:
            raise error(node, f"{draft.name}.{name} is a model. Add @belongsTo, @hasOne or @hasMany.")
        draft.fields[name] = self._plain_field(draft.name, node, tuple(kept))

    def _relation(
        self, draft: ModelDraft, node: FieldDefinitionNode, directive: str, found: Mapping[str, Any]
    ) -> Relation:
        name, target = node.name.value, _named(node.type)
        kind = relations.KINDS.get(directive, ConnectionType.HAS_MANY)
        if target not in self._drafts:
            raise error(node, f"{name} points to {target!r}, which is no @model type.{self._near(target)}")
        if _is_list(node.type) != (kind is ConnectionType.HAS_MANY):
            stands = "@hasMany stands on a list, @hasOne and @belongsTo on a single record"
            raise error(node, f"{name}: {stands}.")
        if found.get("references") and (found.get("fields") or found.get("indexName")):
            raise error(node, f"{name}: `references` says by itself how records are joined. Write nothing else.")
        if directive == "manyToMany":
            self._sides.append(Side(draft.name, name, target, found["relationName"], line(node)))
        return Relation(
            kind=kind,
            target=target,
            fields=relations.names_of(found.get("fields")),
            references=relations.names_of(found.get("references")),
            index_name=found.get("indexName"),
            is_required=isinstance(node.type, NonNullTypeNode),
            line=line(node),
        )

    def _plain_field(
        self, owner: str, node: FieldDefinitionNode, attributes: tuple[Mapping[str, Any], ...] = ()
    ) -> FieldSchema:
        kind = self._kind(owner, node)
        if kind is FieldKind.MODEL:
            raise error(node, f"{owner}.{node.name.value} is a model, and {owner} has no table. Store its ID instead.")
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
        raise error(node, f"{owner}.{node.name.value} has the unknown type {name!r}.{self._near(name)}")

    def _near(self, name: str) -> str:
        return naming.did_you_mean(name, [*self._types, *self._enums, *SCALARS])


def _read_enum(node: EnumTypeDefinitionNode) -> EnumSchema:
    values = tuple(item.name.value for item in node.values or ())
    check_enum(node.name.value, values, node)
    return EnumSchema(node.name.value, values)


def _directive(node: ObjectTypeDefinitionNode, name: str) -> DirectiveNode | None:
    return next((item for item in node.directives or () if item.name.value == name), None)


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
            raise error(node, f"{node.name.value} is a list of lists. Wrap the inner list in a type, or use AWSJSON.")
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
    fields = (field, *relations.names_of(arguments.get("sortKeyFields")))
    default = naming.index_name(model, fields)
    return IndexSchema(arguments.get("name") or default, fields, arguments.get("queryField", default))


def _is_sandbox(node: InputObjectTypeDefinitionNode) -> bool:
    """Whether the input AMPLIFY opens the models that say nothing themselves."""
    for item in node.fields or ():
        rule = value_from_ast_untyped(item.default_value) if item.default_value else None
        if item.name.value == "globalAuthRule":
            if rule != {"allow": "public"}:
                raise error(item, "globalAuthRule can only be `AuthRule = { allow: public }`.")
            return True
    return False
