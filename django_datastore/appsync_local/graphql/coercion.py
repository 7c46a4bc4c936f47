"""Variables and arguments: from JSON to values the schema allows, refused in AppSync's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    Undefined,
    VariableNode,
    get_location,
    type_from_ast,
    value_from_ast,
)

from django_datastore.appsync_local.errors import DocumentError
from django_datastore.schema.scalars import BUILT_IN, SCALARS


def install_scalars(schema: GraphQLSchema) -> None:
    """Gives the AWS scalars their checks, for values written into a document."""
    for name, scalar in SCALARS.items():
        found = schema.type_map.get(name)
        if name not in BUILT_IN and isinstance(found, GraphQLScalarType):
            # Both names: graphql-core 3.3 reads the second one.
            setattr(found, "parse_value", scalar.parse)  # noqa: B010 - mypy takes no assignment to a method
            setattr(found, "coerce_input_value", scalar.parse)  # noqa: B010


def locations_of(node: Node) -> list[dict[str, Any]]:
    """Where a node stands, as AppSync writes it."""
    if node.loc is None:
        return []
    place = get_location(node.loc.source, node.loc.start)
    return [{"line": place.line, "column": place.column, "sourceName": None}]


def coerce_variables(
    schema: GraphQLSchema, operation: OperationDefinitionNode, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The operation's variables; raises `DocumentError`."""
    found: dict[str, Any] = {}
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        kind: Any = type_from_ast(schema, definition.type)
        try:
            if name in given:
                found[name] = coerce(given[name], kind, name)
            elif definition.default_value is not None:
                found[name] = value_from_ast(definition.default_value, kind)
            elif isinstance(kind, GraphQLNonNull):
                raise RefusedNull(name, kind)
        except RefusedNull as exc:
            raise DocumentError.of(_null_message(name, exc.kind), locations_of(definition)) from exc
        except Refused as exc:
            raise DocumentError.of(str(exc), locations_of(definition)) from exc
    return found


def coerce_arguments(field: GraphQLField, node: FieldNode, variables: Mapping[str, Any]) -> dict[str, Any]:
    """A field's arguments; raises `DocumentError`."""
    given = {item.name.value: item.value for item in node.arguments or ()}
    found: dict[str, Any] = {}
    for name, argument in field.args.items():
        value_node = given.get(name)
        if isinstance(value_node, VariableNode):
            if value_node.name.value in variables:
                found[name] = variables[value_node.name.value]
        elif value_node is not None:
            value = value_from_ast(value_node, argument.type, dict(variables))
            if value is Undefined:
                raise DocumentError.of(f"Argument '{name}' has an invalid value.", locations_of(value_node))
            found[name] = value
        if found.get(name) is None and isinstance(argument.type, GraphQLNonNull):
            raise DocumentError.of(_null_message(name, argument.type), locations_of(node))
    return found


class Refused(Exception):
    """A value that its type does not allow, in AppSync's words."""


class RefusedNull(Refused):
    """Null where the type has none. AppSync names the variable then, however deep in it the null is."""

    def __init__(self, name: str, kind: GraphQLInputType) -> None:
        super().__init__(_null_message(name, kind))
        self.kind = kind


def _null_message(name: str, kind: GraphQLInputType) -> str:
    return f"Variable '{name}' has coerced Null value for NonNull type '{kind}'"


def coerce(value: Any, kind: GraphQLInputType, name: str) -> Any:
    """A JSON value as a value of an input type; raises `Refused`."""
    if isinstance(kind, GraphQLNonNull):
        if value is None:
            raise RefusedNull(name, kind)
        return coerce(value, kind.of_type, name)
    if value is None:
        return None
    match kind:
        case GraphQLList():
            items: Sequence[Any] = value if isinstance(value, list) else [value]
            return [coerce(item, kind.of_type, name) for item in items]
        case GraphQLInputObjectType():
            return _coerce_object(value, kind, name)
        case GraphQLEnumType():
            if not isinstance(value, str) or value not in kind.values:
                problem = f"Invalid input for Enum '{kind.name}'. No value found for name '{value}'"
                raise Refused(f"Variable '{name}' has an invalid value. {problem}")
            return value
    try:
        return SCALARS[str(kind)].parse(value)
    except ValueError as exc:
        raise Refused(f"Variable '{name}' has an invalid value. {exc}") from exc


def _coerce_object(value: Any, kind: GraphQLInputObjectType, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        problem = f"Expected type 'Map' but was '{type(value).__name__}'."
        raise Refused(f"Variable '{name}' has an invalid value. {problem}")
    for key in value:
        if key not in kind.fields:
            raise Refused(
                f"The variables input contains a field name '{key}' that is not defined for input object type '{kind}' "
            )
    found: dict[str, Any] = {}
    for key, item in kind.fields.items():
        if key in value:
            found[key] = coerce(value[key], item.type, key)
        elif isinstance(item.type, GraphQLNonNull):
            raise RefusedNull(key, item.type)
    return found
