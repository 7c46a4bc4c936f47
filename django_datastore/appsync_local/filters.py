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
    tests = [_comparison(name, operator, operand) for operator, operand in value.items()]
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


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, operand: value is not None and operand is not None and compare(value, operand)


def _contains(value: Any, operand: Any) -> bool:
    return value is not None and operand in value


def _begins_with(value: Any, operand: Any) -> bool:
    return isinstance(value, str) and value.startswith(operand)


def _between(value: Any, operand: Any) -> bool:
    return value is not None and len(operand) == 2 and operand[0] <= value <= operand[1]


def _size(value: Any, operand: Mapping[str, Any]) -> bool:
    if not isinstance(value, str | list | dict):
        return False
    return all(_OPERATORS[name](len(value), wanted) for name, wanted in operand.items())


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, operand: bool(value == operand),
    "ne": lambda value, operand: bool(value != operand),
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
