"""GraphQL documents: parsed and validated once per text, refused in AppSync's words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    Node,
    OperationDefinitionNode,
    get_location,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import (
    NoSchemaIntrospectionCustomRule,
    NoUnusedVariablesRule,
    OverlappingFieldsCanBeMergedRule,
)

from django_datastore.appsync_local.errors import DocumentError, RequestError
from django_datastore.appsync_local.graphql.limits import MAX_TOKENS

_NOT_OURS = (
    NoUnusedVariablesRule,  # AppSync does not mind variables that nothing uses
    OverlappingFieldsCanBeMergedRule,  # compares each field with each other one; compiling a selection sees it at once
)
_RULES = [rule for rule in specified_rules if rule not in _NOT_OURS]
_CACHED_DOCUMENTS = 256
_CACHED_LENGTH = 100_000
_MAX_ERRORS = 20


@dataclass(frozen=True, eq=False)
class Document:
    """A valid document."""

    text: str
    node: DocumentNode
    operations: Mapping[str, OperationDefinitionNode]
    fragments: Mapping[str, FragmentDefinitionNode]

    @property
    def has_directives(self) -> bool:
        """Whether what is selected may depend on variables (`@skip`, `@include`)."""
        return "@" in self.text

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation to execute; raises `DocumentError`."""
        if name:
            if name in self.operations:
                return self.operations[name]
            raise DocumentError.of(f"Unknown operation named '{name}'.")
        if len(self.operations) != 1:
            raise DocumentError.of("Must provide operation name if query contains multiple operations.")
        return next(iter(self.operations.values()))


class Documents:
    """The documents of one API, kept as long as they are used."""

    def __init__(self, schema: GraphQLSchema, *, has_introspection: bool = True) -> None:
        self._schema = schema
        self._rules = _RULES if has_introspection else [*_RULES, NoSchemaIntrospectionCustomRule]
        self._cached = lru_cache(maxsize=_CACHED_DOCUMENTS)(self._load)

    def get(self, text: str) -> Document:
        """The document of a text; raises `RequestError` for what is no GraphQL, `DocumentError` for what is invalid."""
        found = self._load(text) if len(text) > _CACHED_LENGTH else self._cached(text)
        if isinstance(found, Document):
            return found
        raise found

    def _load(self, text: str) -> Document | DocumentError | RequestError:
        """Errors are values here, so that they are cached too."""
        try:
            node = parse(text, max_tokens=MAX_TOKENS)
            errors = validate(self._schema, node, self._rules, max_errors=_MAX_ERRORS)
        except GraphQLSyntaxError as exc:
            return _malformed(f"Unable to parse GraphQL query. {exc.message}")
        except RecursionError:
            return _malformed("Unable to parse GraphQL query. It is nested too deeply.")
        if errors:
            return DocumentError([_as_wire(error, node) for error in errors])
        operations = [item for item in node.definitions if isinstance(item, OperationDefinitionNode)]
        return Document(
            text=text,
            node=node,
            operations={item.name.value if item.name else "": item for item in operations},
            fragments={item.name.value: item for item in node.definitions if isinstance(item, FragmentDefinitionNode)},
        )


def _malformed(message: str) -> RequestError:
    return RequestError(400, "MalformedHttpRequestException", message)


_NAME = r"'([^']*)'"
_MESSAGES: list[tuple[re.Pattern[str], str, str]] = [
    (re.compile(pattern), kind, words)
    for pattern, kind, words in (
        (rf"Cannot query field {_NAME} on type {_NAME}", "FieldUndefined", "Field '{0}' in type '{1}' is undefined"),
        (r"GraphQL introspection .* field '(.*)'", "FieldUndefined", "Field '{0}' in type 'Query' is undefined"),
        (rf"Unknown argument {_NAME} on field", "UnknownArgument", "Unknown field argument {0}"),
        # "Field 'x' argument 'y' of type" in graphql-core 3.2, "Argument 'Query.x(y:)' of type" from 3.3 on
        (
            r"(?:Field '.*' a|A)rgument '(?:.*\()?([^':]*)(?::\))?' of type",
            "MissingFieldArgument",
            "Missing field argument {0}",
        ),
        (
            rf"Field {_NAME} of type {_NAME} must have",
            "SubSelectionRequired",
            "Sub selection required for type {1} of field {0}",
        ),
        (
            rf"Field {_NAME} must not have a selection since type {_NAME}",
            "SubSelectionNotAllowed",
            "Sub selection not allowed on leaf type {1} of field {0}",
        ),
        (
            rf"Variable {_NAME} of type {_NAME} used in position expecting type {_NAME}",
            "VariableTypeMismatch",
            "Variable type '{1}' doesn't match expected type '{2}'",
        ),
        (r"Variable '\$(.*)' is not defined", "UndefinedVariable", "Undefined variable {0}"),
        (rf"Unknown type {_NAME}", "UnknownType", "Unknown type {0}"),
        (rf"Unknown fragment {_NAME}", "UndefinedFragment", "Undefined fragment {0}"),
        (rf"Fragment {_NAME} is never used", "UnusedFragment", "Unused fragment {0}"),
        (rf"Unknown directive {_NAME}", "UnknownDirective", "Unknown directive {0}"),
        (
            r"Expected value of type|.*cannot represent|.*does not exist in|.*is not defined by type",
            "WrongType",
            "{message}",
        ),
    )
]
"""graphql-core's messages, with AppSync's kind and words for the same."""


def fields_conflict(response: str, nodes: Sequence[FieldNode], path: Sequence[str]) -> DocumentError:
    """The refusal of fields that would answer under one name but are not the same."""
    words = f"Fields '{response}' conflict: they differ in name or arguments. Use an alias. @ '{'/'.join(path)}'"
    places = [get_location(node.loc.source, node.loc.start) for node in nodes if node.loc]
    locations = [{"line": item.line, "column": item.column, "sourceName": None} for item in places]
    return DocumentError.of(f"Validation error of type FieldsConflict: {words}", locations)


def _as_wire(error: GraphQLError, document: DocumentNode) -> dict[str, Any]:
    kind, words = "InvalidSyntax", error.message
    for pattern, found_kind, found_words in _MESSAGES:
        if match := pattern.match(error.message.replace('"', "'")):
            kind, words = found_kind, found_words.format(*match.groups(), message=error.message)
            break
    path = _path_to(error.nodes[0], document) if error.nodes else []
    where = f" @ '{'/'.join(path)}'" if path else ""
    locations = [{"line": item.line, "column": item.column, "sourceName": None} for item in error.locations or ()]
    return {"path": None, "locations": locations, "message": f"Validation error of type {kind}: {words}{where}"}


def _path_to(wanted: Node, document: DocumentNode) -> list[str]:
    """The names of the fields around a node, from the root."""

    def search(node: Node, path: list[str]) -> list[str] | None:
        below = [*path, node.name.value] if isinstance(node, FieldNode) else path
        if node is wanted:
            return below
        for key in node.keys:
            value = getattr(node, key)
            for child in value if isinstance(value, list | tuple) else (value,):
                if isinstance(child, Node) and (found := search(child, below)) is not None:
                    return found
        return None

    return search(document, []) or []
