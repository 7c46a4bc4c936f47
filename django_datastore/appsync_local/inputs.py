"""The input types that every API has: comparisons per scalar, enum filters, key conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django_datastore.schema import naming
from django_datastore.schema.types import FieldKind, FieldSchema, ModelSchema

_ORDER = ("ne", "eq", "le", "lt", "ge", "gt")
_TEXT = (*_ORDER, "contains", "notContains")
_BASE = {
    "ID": "ID",
    "Int": "Int",
    "AWSTimestamp": "Int",
    "Float": "Float",
    "Boolean": "Boolean",
}
"""The scalar whose comparisons a field has; everything else compares as String."""
_EXISTS = "attributeExists: Boolean\n  attributeType: ModelAttributeTypes"


def base_scalar(item: FieldSchema) -> str:
    """The scalar whose filter a field uses."""
    return _BASE.get(item.type, "String")


def input_type(item: FieldSchema, *, optional: bool = False) -> str:
    """A value field's type inside an input: nested types become their input twin."""
    found = item.graphql_type
    if item.kind is FieldKind.NON_MODEL:
        found = found.replace(item.type, f"{item.type}Input")
    return found.removesuffix("!") if optional else found


def filter_type(item: FieldSchema) -> str:
    """The comparison input of a field in filters and conditions."""
    if item.kind is FieldKind.ENUM:
        return f"Model{item.type}{'List' if item.is_list else ''}Input"
    return f"Model{base_scalar(item)}Input"


def subscription_filter_type(item: FieldSchema) -> str:
    """The comparison input of a field in subscription filters."""
    return f"ModelSubscription{base_scalar(item)}Input"


def enum_filters(name: str) -> Iterator[str]:
    """The comparisons of an enum and of a list of it."""
    yield f"input Model{name}Input {{\n  eq: {name}\n  ne: {name}\n}}"
    lines = (f"eq: [{name}]", f"ne: [{name}]", f"contains: {name}", f"notContains: {name}")
    yield f"input Model{name}ListInput {{\n  " + "\n  ".join(lines) + "\n}"


def key_arguments(model: ModelSchema) -> dict[str, str]:
    """The key condition of `listX`, which only models with a key of their own have."""
    if model.primary_key == ("id",):
        return {}
    partition, *sort = model.primary_key
    arguments = {partition: model.field(partition).type}
    if len(sort) == 1:
        arguments[sort[0]] = f"Model{base_scalar(model.field(sort[0]))}KeyConditionInput"
    elif sort:
        arguments[composite_argument(sort)] = f"Model{model.name}PrimaryCompositeKeyConditionInput"
    return arguments


def composite_argument(sort: Iterable[str]) -> str:
    """The argument that compares several sort key fields at once: `regionName`."""
    first, *rest = sort
    return first + "".join(map(naming.capitalize, rest))


def key_conditions(models: Iterable[ModelSchema]) -> Iterator[str]:
    """The key condition inputs the models need."""
    scalars: dict[str, None] = {}
    for model in models:
        sort = model.primary_key[1:]
        if len(sort) == 1:
            scalars[base_scalar(model.field(sort[0]))] = None
        elif sort:
            yield from _composite_condition(model, sort)
    yield from (_comparisons(f"Model{name}KeyConditionInput", name, _KEY_OPERATORS[name]) for name in scalars)


def _composite_condition(model: ModelSchema, sort: Iterable[str]) -> Iterator[str]:
    key = f"Model{model.name}PrimaryCompositeKeyInput"
    lines = [f"{name}: {model.field(name).type}" for name in sort]
    yield f"input {key} {{\n  " + "\n  ".join(lines) + "\n}"
    lines = [f"{name}: {key}" for name in ("eq", "le", "lt", "ge", "gt", "beginsWith")] + [f"between: [{key}]"]
    yield f"input Model{model.name}PrimaryCompositeKeyConditionInput {{\n  " + "\n  ".join(lines) + "\n}"


def _comparisons(name: str, scalar: str, operators: Iterable[str], *extra: str) -> str:
    lists = ("between", "in", "notIn")
    lines = [f"{item}: [{scalar}]" if item in lists else f"{item}: {scalar}" for item in operators]
    return f"input {name} {{\n  " + "\n  ".join([*lines, *extra]) + "\n}"


_KEY_ORDER = ("eq", "le", "lt", "ge", "gt", "between")
_KEY_OPERATORS = {
    "String": (*_KEY_ORDER, "beginsWith"),
    "ID": (*_KEY_ORDER, "beginsWith"),
    "Int": _KEY_ORDER,
    "Float": _KEY_ORDER,
    "Boolean": ("eq",),
}
_OPERATORS = {
    "String": (*_TEXT, "between", "beginsWith"),
    "ID": (*_TEXT, "between", "beginsWith"),
    "Int": (*_ORDER, "between"),
    "Float": (*_ORDER, "between"),
    "Boolean": ("ne", "eq"),
}


def _prelude() -> Iterator[str]:
    yield "directive @aws_subscribe(mutations: [String!]!) on FIELD_DEFINITION"
    for scalar, operators in _OPERATORS.items():
        has_size = ("size: ModelSizeInput",) if scalar in ("String", "ID") else ()
        yield _comparisons(f"Model{scalar}Input", scalar, operators, _EXISTS, *has_size)
        watched = operators if scalar == "Boolean" else (*operators, "in", "notIn")
        yield _comparisons(f"ModelSubscription{scalar}Input", scalar, watched)
    yield _comparisons("ModelSizeInput", "Int", (*_ORDER, "between"))
    kinds = ("binary", "binarySet", "bool", "list", "map", "number", "numberSet", "string", "stringSet", "_null")
    yield "enum ModelAttributeTypes {\n  " + "\n  ".join(kinds) + "\n}"
    yield "enum ModelSortDirection {\n  ASC\n  DESC\n}"


PRELUDE = "\n\n".join(_prelude())
"""The part of the API's schema that is the same for every data model."""
