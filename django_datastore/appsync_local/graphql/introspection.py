"""`__schema` and `__type`: answered by graphql-core, after a look at what the question would cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    execute_sync,
)

from django_datastore.appsync_local.errors import DocumentError
from django_datastore.appsync_local.graphql.limits import MAX_FIELDS, MAX_INTROSPECTED

ROOTS = ("__schema", "__type")
_FROM_TYPE_TO_TYPE = frozenset(("fields", "inputFields", "interfaces", "possibleTypes"))
_LISTS = _FROM_TYPE_TO_TYPE | {"types", "args", "enumValues", "directives"}


def introspect(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]
) -> dict[str, Any]:
    """The answers to an operation's introspection fields by response name; raises `DocumentError`."""
    fragments = {item.name.value: item for item in document.definitions if isinstance(item, FragmentDefinitionNode)}
    _check(operation.selection_set, fragments)
    name = operation.name.value if operation.name else None
    found = execute_sync(schema, document, variable_values=dict(variables), operation_name=name)
    return dict(found.data or {})


def _check(selection_set: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
    """Tools ask for each list once. Types of fields of types of fields … would not end in our lifetime."""
    lists = 0
    for number, (name, around) in enumerate(_fields(selection_set, fragments, ())):
        lists += name in _LISTS
        if name in _FROM_TYPE_TO_TYPE and _FROM_TYPE_TO_TYPE.intersection(around):
            raise _refusal(f"{name} inside {around[-1]}")
        if lists > MAX_INTROSPECTED or number > MAX_FIELDS:
            raise _refusal("too many lists")


def _refusal(why: str) -> DocumentError:
    return DocumentError.of(f"This request is not asking for introspection in good faith: {why}.")


def _fields(
    selection_set: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], around: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each selected field below `__schema` and `__type`, with the fields around it; fragments unfolded."""
    for node in selection_set.selections:
        match node:
            case FieldNode() if around or node.name.value in ROOTS:
                name = node.name.value
                yield name, around
                if node.selection_set is not None:
                    yield from _fields(node.selection_set, fragments, (*around, name))
            case InlineFragmentNode():
                yield from _fields(node.selection_set, fragments, around)
            case FragmentSpreadNode():
                yield "...", around
                yield from _fields(fragments[node.name.value].selection_set, fragments, around)
