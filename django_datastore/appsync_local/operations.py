"""The root fields of a model: `@model` renames them and switches them off, `@index` adds more of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django_datastore.exceptions import SchemaError
from django_datastore.schema import many_to_many, naming, relations
from django_datastore.schema.types import ConnectionType, FieldSchema, ModelSchema, Schema


class Action(StrEnum):
    """What a root field does."""

    GET = "get"
    LIST = "list"
    SYNC = "sync"
    INDEX = "index"
    """The `queryField` of an `@index`."""
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


PAGED = ("filter", "limit", "nextToken", "sortDirection")
"""The arguments that every list has."""
MUTATIONS = (Action.CREATE, Action.UPDATE, Action.DELETE)
"""The actions that write, each with subscriptions of its own."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A root field, or the list behind a relation: what it does, to which model."""

    action: Action
    model: ModelSchema
    key: tuple[str, ...] = ()
    """The partition field and the sort fields a list can be asked by: of the primary key, or of an `@index`."""
    sort_argument: str | None = None
    """The argument with the condition on the sort fields, such as `createdAt` or, for several, `statusCreatedAt`."""
    index: str | None = None
    """The name of that `@index`; None for the primary key."""
    joined: int = 0
    """Behind a relation: how many fields of `key` have their values from the parent; the others can be asked by
    `sort_argument`."""
    parent: tuple[str, ...] = ()
    """Behind a relation: the fields of the parent that have those values."""
    limit: int | None = None
    """The page size where the client gives none; None for AppSync's own."""

    @property
    def sort_fields(self) -> tuple[str, ...]:
        """The fields `sort_argument` compares."""
        return self.key[max(1, self.joined) :]


def queries(model: ModelSchema) -> dict[str, Operation]:
    """The model's queries by name."""
    key = model.primary_key if has_declared_key(model) else ()
    found = {
        Action.GET: Operation(Action.GET, model),
        Action.LIST: Operation(Action.LIST, model, key, sort_argument(key[1:])),
        Action.SYNC: Operation(Action.SYNC, model),
    }
    named = {name: found[action] for action, name in _names(model, "queries", found).items()}
    for index in model.indexes:
        if index.query_field in named:
            raise model.error(
                f"{model.name} has two queries {index.query_field!r}. Rename that of @index {index.name!r}."
            )
        if index.query_field:
            named[index.query_field] = index_query(model, index.fields, index.name)
    for name, operation in named.items():
        _check_arguments(name, operation)
    return named


def _check_arguments(name: str, operation: Operation) -> None:
    for argument in (*operation.key[:1], operation.sort_argument):
        if argument in PAGED:
            raise operation.model.error(
                f"{operation.model.name}.{argument} cannot be a key, because {name} has an argument {argument!r} "
                "already. Rename the field."
            )


def mutations(model: ModelSchema) -> dict[str, Operation]:
    """The model's mutations by name."""
    return {name: Operation(action, model) for action, name in _names(model, "mutations", MUTATIONS).items()}


def subscriptions(model: ModelSchema) -> dict[str, Operation]:
    """The model's subscriptions by name: of a mutation that is switched off there are none."""
    found: dict[str, Operation] = {}
    for operation in mutations(model).values():
        for name in _subscription_names(model, operation.action):
            if name in found:
                raise model.error(f"{model.name} has two subscriptions {name!r}. Give each mutation names of its own.")
            found[name] = operation
    return found


def index_query(model: ModelSchema, key: tuple[str, ...], name: str | None = None) -> Operation:
    """What reads an index."""
    return Operation(Action.INDEX, model, key, sort_argument(key[1:]), name)


def listed(model: ModelSchema) -> Iterator[FieldSchema]:
    """The relations whose records are found by an index of the other model."""
    for item in model.fields:
        if item.association and (is_has_many(item) or not item.association.target_names):
            yield item


def is_has_many(item: FieldSchema) -> bool:
    """Whether a field lists records of another model."""
    return item.association is not None and item.association.connection_type is ConnectionType.HAS_MANY


def children(schema: Schema, model: ModelSchema, item: FieldSchema) -> Operation:
    """The list behind a relation; raises `SchemaError` for a field that is none."""
    if item.association is None:
        raise SchemaError(f"{model.name}.{item.name} is no relation.")
    target, joined = schema.models[item.type], item.association.associated_with
    written: Mapping[str, Any] = relations.directive_of(item)
    if joint := many_to_many.directive_of(item):
        written = {"indexName": f"by{model.name}", "fields": model.primary_key, **joint}
    index = next((found for found in target.indexes if found.name == written.get("indexName")), None)
    if index is not None:
        key = index.fields
    elif joined == target.primary_key[: len(joined)]:
        key = target.primary_key
    else:  # Amplify offers a condition on the child's own sort key, whatever it is joined by
        key = joined + target.primary_key[1:]
    is_asked = (
        is_has_many(item) and not written.get("references") and len(relations.names_of(written.get("fields"))) < 2
    )
    return Operation(
        Action.INDEX,
        target,
        key,
        sort_argument(key[len(joined) :]) if is_asked else None,
        index=index.name if index else None,
        joined=len(joined),
        parent=(item.association.target_names or model.primary_key)[: len(joined)],
        limit=written.get("limit"),
    )


def has_declared_key(model: ModelSchema) -> bool:
    """Whether a `@primaryKey` says what the key is: then lists can be asked by it."""
    return model.primary_key != ("id",) or any(it.get("type") == "primaryKey" for it in model.field("id").attributes)


def timestamps(model: ModelSchema) -> tuple[str | None, str | None]:
    """The fields that hold when a record was created and last updated; `@model(timestamps: …)` names or drops them."""
    names = model.properties.get("timestamps", {})
    if names is None:
        return None, None
    return names.get("createdAt", "createdAt"), names.get("updatedAt", "updatedAt")


def sort_argument(sort: Sequence[str]) -> str | None:
    """The argument with the condition on the sort fields: `region`, or `regionName` for several."""
    if len(sort) < 2:
        return sort[0] if sort else None
    first, *rest = sort
    return naming.lower_first(first) + "".join(map(naming.capitalize, rest))


def _names(model: ModelSchema, group: str, actions: Iterable[Action]) -> dict[Action, str]:
    """The root fields of `queries` or `mutations`, by action."""
    written = model.properties.get(group, {})
    if written is None:
        return {}
    found = {action: written.get(action, _default_name(model, action)) for action in actions}
    return {action: name for action, name in found.items() if name}


def _default_name(model: ModelSchema, action: Action) -> str:
    """`getPost`, `listPosts`, `syncPosts`, `createPost`: what a root field is called when `@model` does not say."""
    return f"{action}{naming.capitalize(model.plural_name if action in (Action.LIST, Action.SYNC) else model.name)}"


def _subscription_names(model: ModelSchema, action: Action) -> tuple[str, ...]:
    """`onCreatePost`, or the names `@model(subscriptions: …)` gives; none where it switches them off."""
    written = model.properties.get("subscriptions", {})
    if written is None or written.get("level") == "off":
        return ()
    kind = f"on{action.capitalize()}"
    default = naming.subscription_name(kind + naming.capitalize(model.name))
    names = written.get(kind, default)
    return (default,) if names == [] else relations.names_of(names)  # an empty list says nothing to Amplify
