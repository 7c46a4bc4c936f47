"""The SDL of an API: types, connections, inputs and root fields, as Amplify's transformer writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from django_datastore.appsync_local import operations
from django_datastore.appsync_local.operations import MUTATIONS, Action, Operation, timestamps
from django_datastore.appsync_local.transform import inputs
from django_datastore.appsync_local.transform.directives import (
    DIRECTIVES,
    Directives,
    connection_type,
    has_guarded_subscriptions,
)
from django_datastore.schema.relations import is_implicit
from django_datastore.schema.scalars import BUILT_IN, SCALARS
from django_datastore.schema.types import FieldSchema, ModelSchema, Schema

_OPERATIONS = {Action.INDEX: ("list", "get")}
"""The operations of `@auth` rules that a root field belongs to; the others belong to the one of their name."""
_NAMES = re.compile(r": \[?(\w+)")


def print_api(schema: Schema, directives: Directives) -> str:
    """The SDL text of the API that serves `schema`."""
    return "\n\n".join(_Printer(schema, directives).blocks()) + "\n"


class _Printer:
    def __init__(self, schema: Schema, directives: Directives) -> None:
        self._schema = schema
        self._models = list(schema.models.values())
        self._directives = directives

    def blocks(self) -> Iterator[str]:
        yield _PRELUDE
        types, roots = [*self._values(), *map(self._type, self._models)], list(self._roots())
        yield from types
        yield from roots
        optional = {_name(block): block for block in self._optional()}
        yield from _used(optional, [*types, *roots])
        yield from inputs.key_conditions(self._keyed())

    # -- types ---------------------------------------------------------------------------------------------------------

    def _values(self) -> Iterator[str]:
        for enum in self._schema.enums.values():
            yield _block(f"enum {enum.name}", enum.values)
        for item in self._schema.non_models.values():
            head = f"type {item.name}{_applied(self._directives.of_nested(item.name))}"
            yield _block(head, (f"{it.name}: {it.graphql_type}" for it in item.fields))

    def _type(self, model: ModelSchema) -> str:
        return _block(f"type {model.name}{_applied(self._of_type(model))}", self._type_fields(model))

    def _of_type(self, model: ModelSchema) -> tuple[str, ...]:
        """AppSync asks for a mode at the type, too: it is let in wherever a root field that answers with it lets it."""
        answering = [*operations.queries(model).values(), *operations.mutations(model).values()]
        asked: list[str] = [item.action for item in answering if item.action in (Action.GET, *MUTATIONS)]
        if operations.subscriptions(model) and has_guarded_subscriptions(model):
            asked = [*asked, "listen"]
        return self._directives.of_model(model, asked)

    def _type_fields(self, model: ModelSchema) -> Iterator[str]:
        made = [name for name in timestamps(model) if name]
        for item in model.fields:
            if not is_implicit(item) and not (item.is_read_only and item.name in made):
                yield self._type_field(model, item)
        declared = {item.name for item in model.fields if not item.is_read_only}
        yield from (f"{name}: AWSDateTime!" for name in made if name not in declared)
        yield from ("_version: Int!", "_deleted: Boolean", "_lastChangedAt: AWSTimestamp!")
        yield from (f"{item.name}: {item.graphql_type}" for item in model.fields if is_implicit(item))

    def _type_field(self, model: ModelSchema, item: FieldSchema) -> str:
        if not operations.is_has_many(item):
            is_optional = item.is_read_only and item.is_required  # nobody but the server could fill it, and it does not
            return f"{item.name}: {item.graphql_type.rstrip('!') if is_optional else item.graphql_type}"
        operation = operations.children(self._schema, model, item)
        target = inputs.type_name(operation.model)
        arguments = [*_key_arguments(operation), f"filter: Model{target}FilterInput"]
        arguments += ["sortDirection: ModelSortDirection", "limit: Int", "nextToken: String"]
        return f"{item.name}({', '.join(arguments)}): Model{target}Connection"

    # -- inputs --------------------------------------------------------------------------------------------------------

    def _optional(self) -> Iterator[str]:
        """What only stands in the API where something refers to it."""
        for enum in self._schema.enums.values():
            yield from inputs.enum_filters(enum.name)
        for item in self._schema.non_models.values():
            yield inputs.block(
                inputs.nested_input(item.name), (f"{it.name}: {inputs.input_type(it)}" for it in item.fields)
            )
        for model in self._models:
            yield self._connection(model)
            yield from inputs.model_inputs(self._schema, model, self._directives.dynamic_fields(model))

    def _connection(self, model: ModelSchema) -> str:
        lists = [it.action for it in operations.queries(model).values() if it.action is not Action.GET]
        asked = [name for action in dict.fromkeys(lists) for name in _OPERATIONS.get(action, (action,))]
        name = connection_type(model.name)
        found = dict.fromkeys((*self._directives.of_nested(name), *self._directives.of_operation(model, *asked)))
        lines = (f"items: [{model.name}]!", "nextToken: String", "startedAt: AWSTimestamp")
        return _block(f"type {name}{_applied(found)}", lines)

    def _keyed(self) -> Iterator[Operation]:
        for model in self._models:
            yield from operations.queries(model).values()
            if len(model.primary_key) > 2:  # Amplify makes the condition even where no list takes it
                yield operations.index_query(model, model.primary_key)
            yield from (operations.index_query(model, index.fields, index.name) for index in model.indexes)
            yield from (operations.children(self._schema, model, item) for item in operations.listed(model))

    # -- root fields ---------------------------------------------------------------------------------------------------

    def _roots(self) -> Iterator[str]:
        for name, lines in (
            ("Query", [line for model in self._models for line in self._queries(model)]),
            ("Mutation", [line for model in self._models for line in self._mutations(model)]),
            ("Subscription", [line for model in self._models for line in self._subscriptions(model)]),
        ):
            if lines:
                yield _block(f"type {name}", lines)

    def _queries(self, model: ModelSchema) -> Iterator[str]:
        name = inputs.type_name(model)
        paged = f"filter: Model{name}FilterInput, limit: Int, nextToken: String"
        for field, operation in operations.queries(model).items():
            keys, answer = _key_arguments(operation), f"Model{name}Connection"
            match operation.action:
                case Action.GET:
                    arguments, answer = inputs.key_fields(model), model.name
                case Action.SYNC:
                    arguments = [paged, "lastSync: AWSTimestamp"]
                case Action.INDEX:
                    arguments = [*keys, "sortDirection: ModelSortDirection", paged]
                case _:
                    arguments = [*keys, paged, *(["sortDirection: ModelSortDirection"] if keys else [])]
            applied = self._directives.of_operation(model, *_OPERATIONS.get(operation.action, (operation.action,)))
            yield f"{field}({', '.join(arguments)}): {answer}{_applied(applied)}"

    def _mutations(self, model: ModelSchema) -> Iterator[str]:
        name = inputs.type_name(model)
        for field, operation in operations.mutations(model).items():
            kind = f"{operation.action.capitalize()}{name}Input!"
            applied = _applied(self._directives.of_operation(model, operation.action))
            yield f"{field}(input: {kind}, condition: Model{name}ConditionInput): {model.name}{applied}"

    def _subscriptions(self, model: ModelSchema) -> Iterator[str]:
        names = {operation.action: name for name, operation in operations.mutations(model).items()}
        owners = "".join(f", {name}: String" for name in self._directives.subscription_arguments(model))
        applied = _applied(self._directives.of_operation(model, "listen")) if has_guarded_subscriptions(model) else ""
        for field, operation in operations.subscriptions(model).items():
            head = f"{field}(filter: ModelSubscription{inputs.type_name(model)}FilterInput{owners}): {model.name}"
            yield f'{head} @aws_subscribe(mutations: ["{names[operation.action]}"]){applied}'


def _key_arguments(operation: Operation) -> list[str]:
    return [f"{name}: {kind}" for name, kind in inputs.key_arguments(operation).items()]


def _used(optional: dict[str, str], start: list[str]) -> Iterator[str]:
    """The blocks that something refers to, in their order."""
    found: set[str] = set()
    blocks = list(start)
    while blocks:
        names = {name for name in _NAMES.findall(blocks.pop()) if name in optional} - found
        found |= names
        blocks += [optional[name] for name in names]
    return (block for name, block in optional.items() if name in found)


def _name(block: str) -> str:
    return block.split(None, 2)[1]


def _applied(directives: Iterable[str]) -> str:
    return "".join(f" @{name}" for name in directives)


def _block(head: str, lines: Iterable[str]) -> str:
    return "\n".join([f"{head} {{", *(f"  {line}" for line in lines), "}"])


def _prelude() -> Iterator[str]:
    yield "directive @aws_subscribe(mutations: [String!]!) on FIELD_DEFINITION"
    yield from (f"directive @{name} on OBJECT | FIELD_DEFINITION" for name in DIRECTIVES.values())
    yield from (f"scalar {name}" for name in SCALARS if name not in BUILT_IN)
    yield inputs.PRELUDE


_PRELUDE = "\n\n".join(_prelude())
"""The part of the API's schema that is the same for every data model."""
