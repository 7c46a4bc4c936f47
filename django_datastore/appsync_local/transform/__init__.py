"""From a data model to the API that serves it, as Amplify's transformer does with conflict detection switched on.

    Schema ─▶ api_of ─▶ Api(sdl, queries, mutations, subscriptions)

`Api.sdl` is the AppSync schema; the tables say what each root field does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from graphql import GraphQLError, build_schema, validate_schema

from django_datastore.appsync_local import operations
from django_datastore.appsync_local.operations import MUTATIONS, Action, Operation, timestamps
from django_datastore.appsync_local.transform.api_sdl import print_api
from django_datastore.appsync_local.transform.directives import Directives
from django_datastore.exceptions import SchemaError
from django_datastore.schema.auth_modes import API_KEY
from django_datastore.schema.types import Schema

__all__ = ["MUTATIONS", "Action", "Api", "Operation", "api_of", "timestamps"]


@dataclass(frozen=True)
class Api:
    """The API of a data model."""

    schema: Schema
    sdl: str
    queries: Mapping[str, Operation] = field(default_factory=dict)
    """By root field."""
    mutations: Mapping[str, Operation] = field(default_factory=dict)
    """By root field."""
    subscriptions: Mapping[str, Operation] = field(default_factory=dict)
    """By root field."""
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By mutation, the subscriptions that hear of it."""
    children: Mapping[tuple[str, str], Operation] = field(default_factory=dict)
    """By model and field, the list behind a `@hasMany`, and behind a `@hasOne` whose keys lie with the other model."""


def api_of(schema: Schema, *, default_auth: str = API_KEY) -> Api:
    """The API that serves `schema`; raises `SchemaError` for one that GraphQL cannot express."""
    models = schema.models.values()
    queries = _together(operations.queries(model) for model in models)
    mutations = _together(operations.mutations(model) for model in models)
    subscriptions = _together(operations.subscriptions(model) for model in models)
    if not queries:
        raise SchemaError(
            "No model has a query, and GraphQL takes no API without one. Leave `queries` of one as it is."
        )
    return Api(
        schema=schema,
        sdl=_checked(print_api(schema, Directives(schema, default_auth))),
        queries=queries,
        mutations=mutations,
        subscriptions=subscriptions,
        events={
            name: tuple(heard for heard, other in subscriptions.items() if other == item)
            for name, item in mutations.items()
        },
        children={
            (model.name, item.name): operations.children(schema, model, item)
            for model in models
            for item in operations.listed(model)
        },
    )


def _checked(sdl: str) -> str:
    """The SDL, unless names of the data model collide with names that Amplify makes."""
    try:
        problems = validate_schema(build_schema(sdl))
    except (TypeError, GraphQLError) as exc:
        raise SchemaError(f"GraphQL takes no API of these names: {exc}") from exc
    if problems:
        raise SchemaError(f"GraphQL takes no API of these names: {problems[0].message}")
    return sdl


def _together(tables: Iterable[Mapping[str, Operation]]) -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for table in tables:
        for name, operation in table.items():
            if name in found:
                first, second = found[name].model.name, operation.model.name
                raise operation.model.error(
                    f"{first} and {second} both have the root field {name!r}. Rename one of them: @model(queries: …), "
                    "@model(mutations: …), @model(subscriptions: …) or @index(queryField: …)."
                )
            found[name] = operation
    return found
