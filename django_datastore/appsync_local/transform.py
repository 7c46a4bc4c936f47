"""From a data model to the API that serves it, as Amplify's transformer does with conflict detection switched on.

    Schema ─▶ api_of ─▶ Api(sdl, queries, mutations, subscriptions)

`Api.sdl` is the AppSync schema; the three tables say what each root field does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from django_datastore.appsync_local import inputs
from django_datastore.schema import naming
from django_datastore.schema.relations import is_implicit
from django_datastore.schema.scalars import BUILT_IN, SCALARS
from django_datastore.schema.types import ConnectionType, FieldKind, FieldSchema, ModelSchema, Schema


class Action(StrEnum):
    """What a root field does."""

    GET = "get"
    LIST = "list"
    SYNC = "sync"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


MUTATIONS = (Action.CREATE, Action.UPDATE, Action.DELETE)
"""The actions that write, each with a subscription of its own."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A root field: what it does, to which model."""

    action: Action
    model: ModelSchema


@dataclass(frozen=True)
class Api:
    """The API of a data model."""

    schema: Schema
    sdl: str
    queries: Mapping[str, Operation] = field(default_factory=dict)
    mutations: Mapping[str, Operation] = field(default_factory=dict)
    subscriptions: Mapping[str, Operation] = field(default_factory=dict)


def api_of(schema: Schema) -> Api:
    """The API that serves `schema`."""
    return Api(
        schema=schema,
        sdl="\n\n".join(_blocks(schema)) + "\n",
        queries={
            query_name(model, action): Operation(action, model)
            for model in schema.models.values()
            for action in (Action.GET, Action.LIST, Action.SYNC)
        },
        mutations={
            f"{action}{model.name}": Operation(action, model)
            for model in schema.models.values()
            for action in MUTATIONS
        },
        subscriptions={
            subscription_name(model, action): Operation(action, model)
            for model in schema.models.values()
            for action in MUTATIONS
        },
    )


def query_name(model: ModelSchema, action: Action) -> str:
    """`getPost`, `listPosts`, `syncPosts`."""
    return f"{action}{model.name if action is Action.GET else naming.capitalize(model.plural_name)}"


def subscription_name(model: ModelSchema, action: Action) -> str:
    """`onCreatePost`."""
    return f"on{action.capitalize()}{model.name}"


def timestamps(model: ModelSchema) -> tuple[str | None, str | None]:
    """The fields that hold when a record was created and last updated; `@model(timestamps: …)` names or drops them."""
    names = model.properties.get("timestamps", {})
    if names is None:
        return None, None
    return names.get("createdAt", "createdAt"), names.get("updatedAt", "updatedAt")


def _blocks(schema: Schema) -> Iterator[str]:
    yield inputs.PRELUDE
    yield from (f"scalar {name}" for name in SCALARS if name not in BUILT_IN)
    models = list(schema.models.values())
    for enum in schema.enums.values():
        yield _block(f"enum {enum.name}", enum.values)
        yield from inputs.enum_filters(enum.name)
    for item in schema.non_models.values():
        yield _block(f"type {item.name}", (f"{it.name}: {it.graphql_type}" for it in item.fields))
        yield _block(f"input {item.name}Input", (f"{it.name}: {inputs.input_type(it)}" for it in item.fields))
    for model in models:
        yield _block(f"type {model.name}", _type_fields(schema, model))
        connection = (f"items: [{model.name}]!", "nextToken: String", "startedAt: AWSTimestamp")
        yield _block(f"type Model{model.name}Connection", connection)
        yield from _inputs(schema, model)
    yield from inputs.key_conditions(models)
    yield _block("type Query", (line for model in models for line in _queries(model)))
    yield _block("type Mutation", (line for model in models for line in _mutations(model)))
    yield _block("type Subscription", (line for model in models for line in _subscriptions(model)))


def _block(head: str, lines: Iterable[str]) -> str:
    return "\n".join([f"{head} {{", *(f"  {line}" for line in lines), "}"])


# -- types -------------------------------------------------------------------------------------------------------------


def _type_fields(schema: Schema, model: ModelSchema) -> Iterator[str]:
    made = [name for name in timestamps(model) if name]
    for item in model.fields:
        if not is_implicit(item) and not (item.is_read_only and item.name in made):
            yield _type_field(schema, item)
    declared = {item.name for item in model.fields if not item.is_read_only}
    yield from (f"{name}: AWSDateTime!" for name in made if name not in declared)
    yield from ("_version: Int!", "_deleted: Boolean", "_lastChangedAt: AWSTimestamp!")
    yield from (f"{item.name}: {item.graphql_type}" for item in model.fields if is_implicit(item))


def _type_field(schema: Schema, item: FieldSchema) -> str:
    if item.association is None:
        is_optional = item.is_read_only and item.is_required  # nobody but the server could fill it, and it does not
        return f"{item.name}: {item.graphql_type.rstrip('!') if is_optional else item.graphql_type}"
    if item.association.connection_type is not ConnectionType.HAS_MANY:
        return f"{item.name}: {item.graphql_type}"
    target = schema.models[item.type]
    arguments = [f"filter: Model{target.name}FilterInput", "sortDirection: ModelSortDirection"]
    return f"{item.name}({', '.join(arguments)}, limit: Int, nextToken: String): Model{target.name}Connection"


# -- inputs ------------------------------------------------------------------------------------------------------------


def _inputs(schema: Schema, model: ModelSchema) -> Iterator[str]:
    written = [item for item in model.value_fields if not item.is_read_only]
    make = [f"{it.name}: {_create_type(model, it)}" for it in written]
    yield _block(f"input Create{model.name}Input", [*make, "_version: Int"])
    change = [f"{it.name}: {inputs.input_type(it, optional=it.name not in model.primary_key)}" for it in written]
    yield _block(f"input Update{model.name}Input", [*change, "_version: Int"])
    keys = [f"{name}: {model.field(name).type}!" for name in model.primary_key]
    yield _block(f"input Delete{model.name}Input", [*keys, "_version: Int"])
    yield from _filters(schema, model)


def _create_type(model: ModelSchema, item: FieldSchema) -> str:
    has_default = any(attribute.get("type") == "default" for attribute in item.attributes)
    is_made_here = item.name in timestamps(model) or (item.name == "id" and model.primary_key == ("id",))
    return inputs.input_type(item, optional=has_default or is_made_here)


def _filters(schema: Schema, model: ModelSchema) -> Iterator[str]:
    fields = [item for item in model.value_fields if item.kind is not FieldKind.NON_MODEL]
    extra = [name for name in timestamps(model) if name and name not in model.by_name]
    filters = {item.name: inputs.filter_type(item) for item in fields}
    filters |= dict.fromkeys(extra, "ModelStringInput")
    everything = {"id": "ModelIDInput"} | filters
    conditions = {name: kind for name, kind in filters.items() if name not in model.primary_key}
    watched = {"id": "ModelSubscriptionIDInput"}
    watched |= {item.name: inputs.subscription_filter_type(item) for item in fields}
    watched |= dict.fromkeys(extra, "ModelSubscriptionStringInput")
    for item in model.fields:  # the transformer puts a child's foreign key into the parent's filter; so be it, too
        if item.association and item.association.connection_type is ConnectionType.HAS_MANY:
            target = schema.models[item.type]
            for name in item.association.associated_with:
                if is_implicit(target.field(name)):
                    watched.setdefault(name, inputs.subscription_filter_type(target.field(name)))
    yield _filter(f"Model{model.name}FilterInput", everything, "and", "or", "not")
    yield _filter(f"Model{model.name}ConditionInput", conditions, "and", "or", "not")
    yield _filter(f"ModelSubscription{model.name}FilterInput", watched, "and", "or")


def _filter(name: str, fields: Mapping[str, str], *groups: str) -> str:
    lines = [f"{item}: {kind}" for item, kind in fields.items()]
    lines += [f"{group}: {name if group == 'not' else f'[{name}]'}" for group in groups]
    return _block(f"input {name}", [*lines, "_deleted: ModelBooleanInput"])


# -- root fields -------------------------------------------------------------------------------------------------------


def _queries(model: ModelSchema) -> Iterator[str]:
    connection, filters = f"Model{model.name}Connection", f"Model{model.name}FilterInput"
    keys = ", ".join(f"{name}: {model.field(name).type}!" for name in model.primary_key)
    yield f"{query_name(model, Action.GET)}({keys}): {model.name}"
    paged = f"filter: {filters}, limit: Int, nextToken: String"
    key_arguments = "".join(f"{name}: {kind}, " for name, kind in inputs.key_arguments(model).items())
    sort = ", sortDirection: ModelSortDirection" if key_arguments else ""
    yield f"{query_name(model, Action.LIST)}({key_arguments}{paged}{sort}): {connection}"
    yield f"{query_name(model, Action.SYNC)}({paged}, lastSync: AWSTimestamp): {connection}"


def _mutations(model: ModelSchema) -> Iterator[str]:
    for action in MUTATIONS:
        kind = f"{action.capitalize()}{model.name}Input!"
        yield f"{action}{model.name}(input: {kind}, condition: Model{model.name}ConditionInput): {model.name}"


def _subscriptions(model: ModelSchema) -> Iterator[str]:
    for action in MUTATIONS:
        head = f"{subscription_name(model, action)}(filter: ModelSubscription{model.name}FilterInput): {model.name}"
        yield f'{head} @aws_subscribe(mutations: ["{action}{model.name}"])'
