"""Amplify's filter inputs against a record: `{"rating": {"gt": 3}, "or": [...]}`, with DynamoDB's meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Predicate: TypeAlias = Callable[[Mapping[str, Any]], bool]


def compile_filter(found: Mapping[str, Any] | None) -> Predicate | None:
    """A filter as a function of a record; None for a filter that lets everything through."""
    parts = [part for name, value in (found or {}).items() if (part := _compile(name, value)) is not None]
    return _all_of(parts) if parts else None


def _compile(name: str, value: Any) -> Predicate | None:
    if value is None:
        return None
    match name:
        case "and":
            parts = [part for item in value if (part := compile_filter(item)) is not None]
            return _all_of(parts) if parts else None
        case "or":
            parts = [compile_filter(item) or _everything for item in value]
            return (lambda record: any(part(record) for part in parts)) if parts else None
        case "not":
            inner = compile_filter(value)
            return (lambda record: not inner(record)) if inner is not None else None
    wanted = {
        operator: operand for operator, operand in value.items() if operand is not None or operator not in _OPTIONAL
    }
    tests = [_comparison(name, operator, operand) for operator, operand in wanted.items()]
    return _all_of(tests) if tests else None


def _everything(record: Mapping[str, Any]) -> bool:
    return True


def _all_of(parts: list[Predicate]) -> Predicate:
    return parts[0] if len(parts) == 1 else lambda record: all(part(record) for part in parts)


def _comparison(name: str, operator: str, operand: Any) -> Predicate:
    if operator in _EXISTENCE:
        exists = _EXISTENCE[operator]
        return lambda record: exists(record, name, operand)
    compare = _OPERATORS[operator]

    def test(record: Mapping[str, Any]) -> bool:
        try:
            return compare(record.get(name), operand)
        except TypeError:  # values of different types never match, as in DynamoDB
            return False

    return test


def _is_comparable(value: Any, operand: Any) -> bool:
    """Only texts compare with texts and numbers with numbers; nothing else has an order."""
    if isinstance(value, str):
        return isinstance(operand, str)
    return type(value) in _NUMBERS and type(operand) in _NUMBERS


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, operand: _is_comparable(value, operand) and compare(value, operand)


def _equals(value: Any, operand: Any) -> bool:
    """Whether both are the same, true being no number."""
    return bool(value == operand) and isinstance(value, bool) is isinstance(operand, bool)


def _contains(value: Any, operand: Any) -> bool:
    """A text within a text, or an element of a list."""
    if isinstance(value, str):
        return isinstance(operand, str) and operand in value
    return isinstance(value, list) and any(_equals(item, operand) for item in value)


def _begins_with(value: Any, operand: Any) -> bool:
    return isinstance(value, str) and isinstance(operand, str) and value.startswith(operand)


def _between(value: Any, operand: Any) -> bool:
    if not isinstance(operand, list) or len(operand) != 2 or not all(_is_comparable(value, it) for it in operand):
        return False
    return bool(operand[0] <= value <= operand[1])


def _size(value: Any, operand: Mapping[str, Any]) -> bool:
    if not isinstance(value, str | list | dict):
        return False
    return all(_OPERATORS[name](len(value), wanted) for name, wanted in operand.items())


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": _equals,
    "ne": lambda value, operand: not _equals(value, operand),
    "lt": _ordered(lambda value, operand: bool(value < operand)),
    "le": _ordered(lambda value, operand: bool(value <= operand)),
    "gt": _ordered(lambda value, operand: bool(value > operand)),
    "ge": _ordered(lambda value, operand: bool(value >= operand)),
    "contains": _contains,
    "notContains": lambda value, operand: not _contains(value, operand),
    "between": _between,
    "beginsWith": _begins_with,
    "in": lambda value, operand: value in operand,
    "notIn": lambda value, operand: value not in operand,
    "size": _size,
}
_NUMBERS = (int, float)
_OPTIONAL = ("size", "attributeExists", "attributeType")
"""With null they ask for nothing; of other operators null is an operand."""
_ATTRIBUTE_TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "list": (list,),
    "map": (dict,),
    "number": (int, float),
    "string": (str,),
    "_null": (type(None),),
}


def _attribute_exists(record: Mapping[str, Any], name: str, operand: Any) -> bool:
    return (record.get(name) is not None) is bool(operand)


def _attribute_type(record: Mapping[str, Any], name: str, operand: Any) -> bool:
    value = record.get(name)
    if isinstance(value, bool):
        return bool(operand == "bool")
    return name in record and isinstance(value, _ATTRIBUTE_TYPES.get(operand, ()))


_EXISTENCE: dict[str, Callable[[Mapping[str, Any], str, Any], bool]] = {
    "attributeExists": _attribute_exists,
    "attributeType": _attribute_type,
}
