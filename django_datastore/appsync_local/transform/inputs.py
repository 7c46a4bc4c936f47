"""The inputs of an API: mutations, filters, conditions on records and on keys. The oddities are Amplify's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from django_datastore.appsync_local import operations
from django_datastore.appsync_local.operations import Operation, timestamps
from django_datastore.schema import naming
from django_datastore.schema.relations import is_implicit
from django_datastore.schema.types import FieldKind, FieldSchema, ModelSchema, Schema

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
_EXISTS = ("attributeExists: Boolean", "attributeType: ModelAttributeTypes")


def base_scalar(item: FieldSchema) -> str:
    """The scalar whose filter a field uses."""
    return _BASE.get(item.type, "String")


def input_type(item: FieldSchema, *, optional: bool = False) -> str:
    """A value field's type inside an input: nested types become their input twin."""
    found = item.graphql_type
    if item.kind is FieldKind.NON_MODEL:
        found = found.replace(item.type, nested_input(item.type))
    return found.removesuffix("!") if optional else found


def nested_input(name: str) -> str:
    """The input twin of a type without a table."""
    return f"{naming.capitalize(name)}Input"


def filter_type(item: FieldSchema) -> str:
    """The comparison input of a field in filters and conditions."""
    if item.kind is FieldKind.ENUM:
        is_list = item.is_list and not item.is_list_required  # Amplify takes `[Color]!` for a single value here
        return f"Model{item.type}{'List' if is_list else ''}Input"
    return f"Model{base_scalar(item)}Input"


def subscription_filter_type(item: FieldSchema) -> str:
    """The comparison input of a field in subscription filters."""
    return f"ModelSubscription{base_scalar(item)}Input"


def type_name(model: ModelSchema) -> str:
    """What a model is called within the names of its inputs."""
    return naming.capitalize(model.name)


def enum_filters(name: str) -> Iterator[str]:
    """The comparisons of an enum and of a list of it."""
    yield block(f"Model{name}Input", (f"eq: {name}", f"ne: {name}"))
    yield block(
        f"Model{name}ListInput", (f"eq: [{name}]", f"ne: [{name}]", f"contains: {name}", f"notContains: {name}")
    )


def block(name: str, lines: Iterable[str]) -> str:
    """An input type."""
    return "\n".join([f"input {name} {{", *(f"  {line}" for line in lines), "}"])


# -- of a model --------------------------------------------------------------------------------------------------------


def model_inputs(schema: Schema, model: ModelSchema, dynamic: Mapping[str, bool]) -> Iterator[str]:
    """The inputs of a model's mutations, filters and conditions; `dynamic` are the fields of its owners and groups."""
    name = type_name(model)
    written = [item for item in model.value_fields if not item.is_read_only]
    make = [f"{it.name}: {input_type(it, optional=_is_made_here(model, it))}" for it in written]
    yield block(f"Create{name}Input", [*make, "_version: Int"])
    change = [f"{it.name}: {input_type(it, optional=it.name not in model.primary_key)}" for it in written]
    yield block(f"Update{name}Input", [*change, "_version: Int"])
    yield block(f"Delete{name}Input", [*key_fields(model), "_version: Int"])
    filters, extra = _compared(model), [item for item in timestamps(model) if item]
    owners = dict.fromkeys((item for item, is_owner in dynamic.items() if is_owner), "ModelStringInput")
    everything = {"id": "ModelIDInput"} | owners | filters
    conditions = {it: kind for it, kind in (owners | filters).items() if not _is_key(model, it, kind)}
    yield _filter(f"Model{name}FilterInput", everything, "and", "or", "not")
    yield _filter(f"Model{name}ConditionInput", conditions, "and", "or", "not")
    watched = _watched(schema, model, extra)
    watched = {it: kind for it, kind in watched.items() if it not in dynamic} | owners
    yield _filter(f"ModelSubscription{name}FilterInput", watched, "and", "or")


def key_fields(model: ModelSchema) -> list[str]:
    """The primary key as arguments: without a `@primaryKey` it is an ID, whatever the field is."""
    if not operations.has_declared_key(model):
        return ["id: ID!"]
    return [f"{name}: {model.field(name).type}!" for name in model.primary_key]


def _is_made_here(model: ModelSchema, item: FieldSchema) -> bool:
    """Whether a create need not bring it. Amplify takes `createdAt` for one even where the timestamps are others."""
    if item.name == "id":
        return item.type in ("ID", "String")
    return item.name in (*timestamps(model), "createdAt", "updatedAt") and item.type in ("String", "AWSDateTime")


def _is_key(model: ModelSchema, name: str, kind: str) -> bool:
    """Whether a field cannot be part of a condition, which is about what may change."""
    if name == "id":
        return kind == "ModelIDInput" or bool(model.indexes) or operations.has_declared_key(model)
    return name in model.primary_key


def _compared(model: ModelSchema) -> dict[str, str]:
    found = {it.name: filter_type(it) for it in model.value_fields if it.kind is not FieldKind.NON_MODEL}
    return dict.fromkeys((name for name in timestamps(model) if name), "ModelStringInput") | found


def _watched(schema: Schema, model: ModelSchema, extra: Iterable[str]) -> dict[str, str]:
    found = {"id": "ModelSubscriptionIDInput"} | dict.fromkeys(extra, "ModelSubscriptionStringInput")
    listed = _listed_keys(schema, model)
    for item in model.value_fields:
        if item.kind is not FieldKind.NON_MODEL and not (is_implicit(item) and item.name in listed):
            found[item.name] = subscription_filter_type(item)
    for item in filter(operations.is_has_many, model.fields):
        target = schema.models[item.type]
        for name in item.association.associated_with if item.association else ():
            if is_implicit(target.field(name)):  # Amplify puts a child's foreign key into the parent's filter
                found.setdefault(name, subscription_filter_type(target.field(name)))
    return found


def _listed_keys(schema: Schema, model: ModelSchema) -> set[str]:
    """The foreign keys by which other models list this one."""
    return {
        name
        for other in schema.models.values()
        for item in filter(operations.is_has_many, other.fields)
        if item.association and item.type == model.name
        for name in item.association.associated_with
    }


def _filter(name: str, fields: Mapping[str, str], *groups: str) -> str:
    lines = [f"{item}: {kind}" for item, kind in fields.items()]
    lines += [f"{group}: {name if group == 'not' else f'[{name}]'}" for group in groups]
    return block(name, [*lines, "_deleted: ModelBooleanInput"])


# -- of keys -----------------------------------------------------------------------------------------------------------


def key_arguments(operation: Operation) -> dict[str, str]:
    """The arguments a list is asked by: the partition, where it is not the parent's, and the condition on the rest."""
    model, arguments = operation.model, {}
    if operation.key and not operation.joined:
        is_index = operation.index is not None
        arguments[operation.key[0]] = model.field(operation.key[0]).type + ("!" if is_index else "")
    if operation.sort_argument:
        arguments[operation.sort_argument] = _key_condition(operation)
    return arguments


def _key_condition(operation: Operation) -> str:
    sort = operation.sort_fields
    if len(sort) == 1:
        return f"Model{base_scalar(operation.model.field(sort[0]))}KeyConditionInput"
    return f"Model{_key_name(operation)}CompositeKeyConditionInput"


def _key_name(operation: Operation) -> str:
    return type_name(operation.model) + naming.capitalize(operation.index or "primary")


def key_conditions(operations: Iterable[Operation]) -> Iterator[str]:
    """The key condition inputs the lists need."""
    scalars: dict[str, None] = {}
    composites: dict[str, Operation] = {}
    for operation in operations:
        if operation.sort_argument and len(operation.sort_fields) == 1:
            scalars[base_scalar(operation.model.field(operation.sort_fields[0]))] = None
        elif operation.sort_argument:
            composites[_key_name(operation)] = operation
    for name, operation in composites.items():
        yield from _composite_condition(f"Model{name}Composite", operation)
    yield from (_comparisons(f"Model{name}KeyConditionInput", name, _KEY_OPERATORS[name]) for name in scalars)


def _composite_condition(name: str, operation: Operation) -> Iterator[str]:
    fields = [operation.model.field(field) for field in operation.sort_fields]
    lines = [f"{field.name}: {field.type}" for field in fields[:-1]]
    last = fields[-1]
    lines.append(f"{last.name}: {last.type if last.kind is FieldKind.ENUM else base_scalar(last)}")
    yield block(f"{name}KeyInput", lines)
    operators = ("eq", "le", "lt", "ge", "gt", "beginsWith")
    conditions = [f"{operator}: {name}KeyInput" for operator in operators]
    yield block(f"{name}KeyConditionInput", [*conditions, f"between: [{name}KeyInput]"])


def _comparisons(name: str, scalar: str, operators: Iterable[str], *extra: str) -> str:
    lists = ("between", "in", "notIn")
    lines = [f"{item}: [{scalar}]" if item in lists else f"{item}: {scalar}" for item in operators]
    return block(name, [*lines, *extra])


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
    for scalar, operators in _OPERATORS.items():
        has_size = ("size: ModelSizeInput",) if scalar in ("String", "ID") else ()
        yield _comparisons(f"Model{scalar}Input", scalar, operators, *_EXISTS, *has_size)
        watched = operators if scalar == "Boolean" else (*operators, "in", "notIn")
        yield _comparisons(f"ModelSubscription{scalar}Input", scalar, watched)
    yield _comparisons("ModelSizeInput", "Int", (*_ORDER, "between"))
    kinds = ("binary", "binarySet", "bool", "list", "map", "number", "numberSet", "string", "stringSet", "_null")
    yield "enum ModelAttributeTypes {\n  " + "\n  ".join(kinds) + "\n}"
    yield "enum ModelSortDirection {\n  ASC\n  DESC\n}"


PRELUDE = "\n\n".join(_prelude())
"""The comparisons that every API has."""
