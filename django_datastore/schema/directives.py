"""The directives of a data model: where each stands, which arguments it takes, and the way out for those not served."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from graphql import (
    ArgumentNode,
    DirectiveLocation,
    DirectiveNode,
    GraphQLDirective,
    GraphQLInputObjectType,
    GraphQLSchema,
    Node,
    ObjectFieldNode,
    ObjectValueNode,
    Undefined,
    build_schema,
    get_named_type,
    is_required_argument,
    print_ast,
    value_from_ast,
    value_from_ast_untyped,
)

from django_datastore.exceptions import SchemaError
from django_datastore.schema import naming

_VOCABULARY = """
    directive @model(
      queries: Queries, mutations: Mutations, subscriptions: Subscriptions, timestamps: Timestamps
    ) on OBJECT
    directive @auth(rules: [Rule!]!) on OBJECT | FIELD_DEFINITION
    directive @primaryKey(sortKeyFields: [String!]) on FIELD_DEFINITION
    directive @index(name: String, sortKeyFields: [String!], queryField: String, projection: Projection)
      repeatable on FIELD_DEFINITION
    directive @hasOne(fields: [String!], references: [String!]) on FIELD_DEFINITION
    directive @hasMany(indexName: String, fields: [String!], references: [String!], limit: Int) on FIELD_DEFINITION
    directive @belongsTo(fields: [String!], references: [String!]) on FIELD_DEFINITION
    directive @manyToMany(relationName: String!, limit: Int) on FIELD_DEFINITION
    directive @default(value: String) on FIELD_DEFINITION

    input Queries { get: String list: String }
    input Mutations { create: String update: String delete: String }
    input Subscriptions { onCreate: [String!] onUpdate: [String!] onDelete: [String!] level: Level }
    input Timestamps { createdAt: String updatedAt: String }
    input Projection { type: ProjectionType nonKeyAttributes: [String] }
    input Rule {
      allow: Strategy! provider: Provider identityClaim: String groupClaim: String
      ownerField: String groupsField: String groups: [String!] operations: [Operation!]
    }
    enum Level { off public on }
    enum ProjectionType { ALL }
    enum Strategy { owner groups private public custom }
    enum Provider { apiKey iam identityPool oidc userPools function }
    enum Operation { create update delete read list get sync listen search }
"""
_NO_RESOLVERS = "remove it: resolvers of your own are not served"
_ONE_TABLE = "remove it: every model has a table of its own name here"
_NO_AI = "remove it: there are no models of that kind here"
_BY_RULES = "say who may do what with @auth rules"
_WAYS_OUT = {
    "searchable": "remove it, and filter with listX or syncX",
    "function": _NO_RESOLVERS,
    "http": _NO_RESOLVERS,
    "sql": _NO_RESOLVERS,
    "predictions": _NO_RESOLVERS,
    "conversation": _NO_AI,
    "generation": _NO_AI,
    "mapsTo": _ONE_TABLE,
    "refersTo": _ONE_TABLE,
    "validate": "remove it, and check values where they come from",
    "key": "write @primaryKey and @index instead: this is the old transformer's directive",
    "connection": "write @hasOne, @hasMany or @belongsTo instead: this is the old transformer's directive",
    "versioned": "remove it: every model is versioned",
    "aws_api_key": _BY_RULES,
    "aws_iam": _BY_RULES,
    "aws_oidc": _BY_RULES,
    "aws_cognito_user_pools": _BY_RULES,
    "aws_auth": _BY_RULES,
    "aws_lambda": _BY_RULES,
    "aws_subscribe": "remove it: @model(subscriptions: …) says which there are",
}
_NAMES = {"queries", "mutations", "subscriptions", "timestamps", "queryField", "relationName"}
"""Arguments that become names in the API."""


def error(node: Node, message: str) -> SchemaError:
    """A refusal with its line."""
    return SchemaError(f"Line {line(node)}: {message}")


def line(node: Node) -> int:
    """Where something stands."""
    return node.loc.start_token.line if node.loc else 0


def arguments(directive: DirectiveNode, location: DirectiveLocation) -> dict[str, Any]:
    """The arguments of a directive; raises `SchemaError` where it cannot stand, and for arguments it does not take."""
    name = directive.name.value
    known = _definition(directive, location)
    for argument in directive.arguments or ():
        _check_argument(known, argument)
    found = {item.name.value: value_from_ast_untyped(item.value) for item in directive.arguments or ()}
    for missing, definition in known.args.items():
        if is_required_argument(definition) and missing not in found:
            raise error(directive, f"@{name} needs the argument {missing!r}.")
    for place in _NAMES & found.keys():
        for text in _texts(found[place]):
            if not naming.is_graphql_name(text) or text.startswith("__"):
                raise error(directive, f"@{name}({place}: …): {text!r} is no name that GraphQL takes.")
    return found


def _check_argument(known: GraphQLDirective, argument: ArgumentNode) -> None:
    name = argument.name.value
    definition = known.args.get(name)
    if definition is None:
        taken, hint = ", ".join(known.args) or "none", naming.did_you_mean(name, known.args)
        raise error(argument, f"@{known.name} takes no argument {name!r}. It takes: {taken}.{hint}")
    kind = get_named_type(definition.type)
    unknown = _unknown_field(kind, argument.value)  # graphql-core takes them before 3.3
    if unknown or value_from_ast(argument.value, definition.type) is Undefined:
        why = unknown or _why(kind, argument.value) or f"It is a {definition.type}."
        raise error(argument, f"@{known.name}({name}: {print_ast(argument.value)}) is not understood. {why}")


def _definition(directive: DirectiveNode, location: DirectiveLocation) -> GraphQLDirective:
    name = directive.name.value
    known = _known().get_directive(name)
    if known is not None and location in known.locations:
        return known
    standing = [item.name for item in _known().directives if location in item.locations and item.name in _OURS]
    if known is not None and name in _OURS:
        way_out = f"it stands on {'a field' if location is DirectiveLocation.OBJECT else 'a type'}"
    elif standing:
        way_out = f"known here: {', '.join(f'@{item}' for item in sorted(standing))}"
    else:
        way_out = "nothing can"
    raise error(directive, f"@{name} cannot be used here; {_WAYS_OUT.get(name, way_out)}.")


def _unknown_field(kind: Any, value: Any) -> str | None:
    """What is wrong with the first field of an input object that its type does not have."""
    for field in _fields(kind, value):
        name, known = field.name.value, kind.fields.get(field.name.value)
        if known is None:
            return f"{name!r} is none of {', '.join(kind.fields)}.{naming.did_you_mean(name, kind.fields)}"
        if deeper := _unknown_field(get_named_type(known.type), field.value):
            return f"{name}: {deeper}"
    return None


def _why(kind: Any, value: Any) -> str | None:
    """The part of an argument that is wrong, where all its fields are known."""
    if hasattr(kind, "values"):
        return f"Known are: {', '.join(kind.values)}."
    for field in _fields(kind, value):
        known = kind.fields[field.name.value]
        if value_from_ast(field.value, known.type) is Undefined:
            return f"{field.name.value}: {_why(get_named_type(known.type), field.value) or known.type}"
    return None


def _fields(kind: Any, value: Any) -> Iterator[ObjectFieldNode]:
    """The fields of an input object, or of all in a list."""
    if isinstance(kind, GraphQLInputObjectType):
        for item in value.values if hasattr(value, "values") else [value]:
            yield from item.fields if isinstance(item, ObjectValueNode) else ()


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() if key != "level" for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


@cache
def _known() -> GraphQLSchema:
    return build_schema(_VOCABULARY, assume_valid=True)


_OURS = {"model", "auth", "primaryKey", "index", "hasOne", "hasMany", "belongsTo", "manyToMany", "default"}
