"""Documents to try: for every root field of an API one that runs as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)

from django_datastore.appsync_local.transform import Action, Api, Operation

_LITERALS = {
    "ID": '"1"',
    "String": '"text"',
    "Int": "1",
    "Float": "1.5",
    "Boolean": "true",
    "AWSDate": '"2000-01-31"',
    "AWSTime": '"12:30:00.000"',
    "AWSDateTime": '"2000-01-31T12:30:00.000Z"',
    "AWSTimestamp": "949321800",
    "AWSEmail": '"ada@example.com"',
    "AWSJSON": '"{}"',
    "AWSURL": '"https://example.com/"',
    "AWSPhone": '"+15550100"',
    "AWSIPAddress": '"192.0.2.1"',
}
_MAX_DEPTH = 3


def examples(schema: GraphQLSchema, api: Api, model: str) -> Iterator[tuple[str, str]]:
    """The root fields of a model with an example of each."""
    roots = (
        ("query", schema.query_type, api.queries),
        ("mutation", schema.mutation_type, api.mutations),
        ("subscription", schema.subscription_type, api.subscriptions),
    )
    for kind, root, operations in roots:
        for name, operation in operations.items():
            if operation.model.name == model and root is not None:
                yield name, _document(kind, name, root.fields[name], operation)


def _document(kind: str, name: str, field: GraphQLField, operation: Operation) -> str:
    arguments = [
        f"{key}: {_literal(argument.type, operation.action)}"
        for key, argument in field.args.items()
        if is_required_argument(argument)
    ]
    head = f"{name}({', '.join(arguments)})" if arguments else name
    return f"{kind} {{ {head} {_selection(get_named_type(field.type))} }}"


def _selection(kind: Any, depth: int = 0) -> str:
    """Everything of a type that is no relation: values, nested values, the items of a page."""
    found = []
    for name, field in kind.fields.items():
        inner = get_named_type(field.type)
        if is_leaf_type(inner):
            found.append(name)
        elif depth < _MAX_DEPTH and (name == "items" or _is_nested(inner)):
            selection = _selection(inner, depth + 1)
            found += [f"{name} {selection}"] if selection else []
    return f"{{ {' '.join(found)} }}" if found else ""


def _is_nested(kind: Any) -> bool:
    """Whether it is a type without records of its own: those of models have a version, pages of them items."""
    return isinstance(kind, GraphQLObjectType) and not {"_version", "items"} & kind.fields.keys()


def _literal(kind: Any, action: Action) -> str:
    nullable, named = get_nullable_type(kind), get_named_type(kind)
    if is_list_type(nullable):
        return f"[{_literal(nullable.of_type, action)}]"
    if isinstance(named, GraphQLInputObjectType):
        return _object(named, action)
    if isinstance(named, GraphQLEnumType):
        return str(next(iter(named.values)))
    return _LITERALS[named.name]


def _object(kind: GraphQLInputObjectType, action: Action) -> str:
    wanted = {name: item.type for name, item in kind.fields.items() if is_required_input_field(item)}
    optional = [name for name, item in kind.fields.items() if name not in wanted and is_leaf_type(item.type)]
    if "_version" in optional:
        optional.remove("_version")
        if action is not Action.DELETE and (action is Action.UPDATE or not wanted):
            wanted |= {name: kind.fields[name].type for name in optional[:1]}
        if action is not Action.CREATE:
            wanted["_version"] = kind.fields["_version"].type
    return f"{{{', '.join(f'{name}: {_literal(item, action)}' for name, item in wanted.items())}}}"
