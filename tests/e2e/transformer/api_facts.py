"""What an API's SDL says, as a set in which order does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from graphql import parse, print_ast

Fact: TypeAlias = tuple[str, ...]

_NOT_OF_THE_API = ("directive_definition", "scalar_type_definition")
"""AppSync knows its directives and scalars by itself; a schema for other tools has to declare them."""


def api_facts(sdl: str) -> set[Fact]:
    """Every type, field, argument and value, each with its type and its directives."""
    return {fact for node in parse(sdl, no_location=True).definitions for fact in _facts(node)}


def _facts(node: Any) -> Iterator[Fact]:
    if node.kind in _NOT_OF_THE_API:
        return
    name = node.name.value
    yield node.kind, name
    yield from ((name, print_ast(item)) for item in node.directives or ())
    yield from ((name, value.name.value) for value in getattr(node, "values", None) or ())
    for field in getattr(node, "fields", None) or ():
        yield name, field.name.value, print_ast(field.type)
        yield from ((name, field.name.value, print_ast(item)) for item in field.directives or ())
        for argument in getattr(field, "arguments", None) or ():
            yield name, field.name.value, argument.name.value, print_ast(argument.type)
