"""An executable API: takes documents, runs them against the resolvers, publishes what mutations changed.

    text ─▶ prepare ─▶ Prepared ─▶ execute ─▶ {"data": …, "errors": …}
                           └─────▶ subscription ─▶ broker

`prepare` is pure computation. `execute` uses the database: for mutations always from the same thread.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from django.db import DatabaseError
from graphql import GraphQLSchema, OperationType, build_schema, execute_sync

from django_datastore.appsync_local.broker import Broker, Event, Payload, Subscription
from django_datastore.appsync_local.coercion import (
    coerce_arguments,
    coerce_variables,
    install_scalars,
    locations_of,
)
from django_datastore.appsync_local.completion import Completion
from django_datastore.appsync_local.documents import Document, Documents
from django_datastore.appsync_local.errors import DocumentError, FieldError
from django_datastore.appsync_local.filters import compile_filter
from django_datastore.appsync_local.resolvers import Resolvers
from django_datastore.appsync_local.selection import Compiler, Field, Kind
from django_datastore.appsync_local.transform import Api, subscription_name

logger = logging.getLogger(__name__)

Answer: TypeAlias = dict[str, Any]
_CACHED_PLANS = 256
_TOO_DEEP = "The document or its variables are nested too deeply."


@dataclass(frozen=True, eq=False)
class Plan:
    """A compiled operation."""

    operation_type: OperationType
    fields: tuple[Field, ...]
    published: Mapping[str, Field]
    """By response name, each root field with its selection keyed by field names, as events carry it."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A document ready to run."""

    document: Document
    operation_name: str | None
    plan: Plan
    variables: Mapping[str, Any]

    @property
    def is_mutation(self) -> bool:
        """Whether it writes."""
        return self.plan.operation_type is OperationType.MUTATION

    @property
    def is_subscription(self) -> bool:
        """Whether it belongs on a socket."""
        return self.plan.operation_type is OperationType.SUBSCRIPTION


class Executable:
    """One API with its resolvers and its broker."""

    def __init__(self, api: Api, resolvers: Resolvers, broker: Broker) -> None:
        self.api = api
        self.resolvers = resolvers
        self.broker = broker
        self.schema: GraphQLSchema = build_schema(api.sdl)
        install_scalars(self.schema)
        self._documents = Documents(self.schema)
        self._plans = lru_cache(maxsize=_CACHED_PLANS)(self._compile)

    # -- preparing -----------------------------------------------------------------------------------------------------

    def prepare(self, text: str, variables: Mapping[str, Any], operation_name: str | None = None) -> Prepared:
        """Parses, validates and compiles a document; raises `RequestError`, `DocumentError`."""
        try:
            return self._prepare(text, variables, operation_name)
        except RecursionError as exc:
            raise DocumentError.of(_TOO_DEEP) from exc

    def _prepare(self, text: str, variables: Mapping[str, Any], operation_name: str | None) -> Prepared:
        document = self._documents.get(text)
        operation = document.operation(operation_name)
        coerced = coerce_variables(self.schema, operation, variables)
        if document.has_directives:
            plan = self._compile(document, operation_name, coerced)
        else:
            plan = self._plans(document, operation_name)
        return Prepared(document, operation_name, plan, coerced)

    def _compile(
        self, document: Document, operation_name: str | None, variables: Mapping[str, Any] | None = None
    ) -> Plan:
        operation = document.operation(operation_name)
        root = self.schema.get_root_type(operation.operation)
        if root is None:
            raise DocumentError.of(f"Schema is not configured for {operation.operation.value}s.")

        def compiler(*, by_name: bool) -> Compiler:
            return Compiler(self.api.schema, document.fragments, variables or {}, by_name=by_name)

        fields = compiler(by_name=False).compile(root, [operation.selection_set]).fields
        published = {field.response: compiler(by_name=True).recompile(field) for field in fields}
        return Plan(operation.operation, fields, published)

    def subscription(self, prepared: Prepared, subscription_id: str) -> Subscription:
        """What to watch for a subscription document; raises `DocumentError`."""
        if not prepared.is_subscription:
            raise DocumentError.of("Only subscriptions can be started on a socket. Send others with HTTP POST.")
        field = prepared.plan.fields[0]
        arguments = coerce_arguments(field.definition, field.node, prepared.variables)
        depends_on = json.dumps(prepared.variables) if prepared.document.has_directives else ""

        def render(payload: Payload) -> Answer:
            completion = Completion()
            return _answer({field.response: completion.field(field, payload, (field.response,))}, completion.errors)

        return Subscription(
            id=subscription_id,
            topic=field.name,
            matches=compile_filter(arguments.get("filter")),
            filter_key=json.dumps(arguments.get("filter")),
            render=render,
            render_key=(prepared.document.text, prepared.operation_name, depends_on),
        )

    # -- executing -----------------------------------------------------------------------------------------------------

    def execute(self, prepared: Prepared) -> Answer:
        """Runs a query or a mutation document; a mutation's events are out when this returns."""
        if prepared.is_subscription:
            raise DocumentError.of("Subscriptions need a WebSocket connection.")
        try:
            return self._mutate(prepared) if prepared.is_mutation else self._query(prepared)
        except RecursionError as exc:
            raise DocumentError.of(_TOO_DEEP) from exc

    def _query(self, prepared: Prepared) -> Answer:
        completion = Completion(self.resolvers, prepared.variables)
        data: dict[str, Any] = {}
        for field in prepared.plan.fields:
            if field.name in ("__schema", "__type"):
                data |= self._introspect(prepared, field)
            else:
                data[field.response] = self._root(field, completion, self._query_one)
        return _answer(data, completion.errors)

    def _query_one(self, field: Field, completion: Completion) -> Any:
        arguments = coerce_arguments(field.definition, field.node, completion.variables)
        value = self.resolvers.query(self.api.queries[field.name], arguments)
        return completion.field(field, value, (field.response,))

    def _introspect(self, prepared: Prepared, field: Field) -> dict[str, Any]:
        found = execute_sync(
            self.schema,
            prepared.document.node,
            variable_values=dict(prepared.variables),
            operation_name=prepared.operation_name,
        )
        return {field.response: (found.data or {}).get(field.response)}

    def _mutate(self, prepared: Prepared) -> Answer:
        """One transaction for the document, a savepoint for each field; events go out after the commit."""
        store = self.resolvers.store
        completion = Completion(self.resolvers, prepared.variables)
        events: list[Event] = []

        def mutate(field: Field, completion: Completion) -> Any:
            return self._mutate_one(field, completion, prepared.plan, now, events)

        try:
            with store.clock.write() as now, store.transaction():
                store.purge(now=now)
                data = {field.response: self._root(field, completion, mutate) for field in prepared.plan.fields}
        except DatabaseError:
            logger.exception("A mutation document could not be committed.", extra={"action": "commit_failed"})
            failed = FieldError("InternalFailure", "The mutations could not be stored.")
            errors = [failed.as_wire([it.response], locations_of(it.node)) for it in prepared.plan.fields]
            return _answer({field.response: None for field in prepared.plan.fields}, errors)
        self.broker.publish(events)
        return _answer(data, completion.errors)

    def _mutate_one(self, field: Field, completion: Completion, plan: Plan, now: int, events: list[Event]) -> Any:
        operation = self.api.mutations[field.name]
        arguments = coerce_arguments(field.definition, field.node, completion.variables)
        record = self.resolvers.mutate(operation, arguments, now=now)
        answer = completion.field(field, record, (field.response,))
        if answer is None:
            return None
        published = plan.published[field.response]
        if published is not field:
            payload = Completion(self.resolvers, completion.variables).field(published, record, (field.response,))
        else:
            payload = answer
        events.append(Event(subscription_name(operation.model, operation.action), payload))
        return answer

    @staticmethod
    def _root(field: Field, completion: Completion, resolve: Callable[[Field, Completion], Any]) -> Any:
        """A root field's answer; what its resolver refuses is an error of this field alone."""
        if field.kind is Kind.TYPENAME:
            return field.parent
        try:
            return resolve(field, completion)
        except FieldError as exc:
            completion.errors.append(exc.as_wire([field.response], locations_of(field.node)))
        except DocumentError as exc:
            completion.errors += [{**error, "path": [field.response]} for error in exc.errors]
        return None


def _answer(data: dict[str, Any], errors: list[dict[str, Any]]) -> Answer:
    return {"data": data, "errors": errors} if errors else {"data": data}
