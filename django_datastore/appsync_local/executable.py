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
from graphql import GraphQLSchema, OperationType, build_schema

from django_datastore.appsync_local.auth.identity import Identity
from django_datastore.appsync_local.auth.policy import LISTEN, Caller, Policy
from django_datastore.appsync_local.auth.rule_access import RuleAccess
from django_datastore.appsync_local.broker import Broker, Event, Payload, Subscription
from django_datastore.appsync_local.conflict_lambda import ConflictLambda, Ruling, Rulings, Undecided
from django_datastore.appsync_local.errors import DocumentError, FieldError, RequestError
from django_datastore.appsync_local.graphql.coercion import (
    coerce_arguments,
    coerce_variables,
    install_scalars,
    locations_of,
)
from django_datastore.appsync_local.graphql.completion import Completion
from django_datastore.appsync_local.graphql.documents import Document, Documents
from django_datastore.appsync_local.graphql.introspection import ROOTS, introspect
from django_datastore.appsync_local.graphql.limits import Limits
from django_datastore.appsync_local.graphql.selection import Compiler, Field, Kind
from django_datastore.appsync_local.graphql.subscription_filters import compile_arguments
from django_datastore.appsync_local.relay import Relay
from django_datastore.appsync_local.resolvers import Resolvers
from django_datastore.appsync_local.store import Values
from django_datastore.appsync_local.transform import Action, Api, Operation

logger = logging.getLogger(__name__)

Answer: TypeAlias = dict[str, Any]
_CACHED_PLANS = 256
_OPERATIONS = {Action.INDEX: Action.LIST}
"""What a rule calls an action, where it has no name of its own there."""
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

    def __init__(
        self,
        api: Api,
        resolvers: Resolvers,
        broker: Broker,
        *,
        limits: Limits | None = None,
        policy: Policy | None = None,
        relay: Relay | None = None,
        handler: ConflictLambda | None = None,
    ) -> None:
        self.api = api
        self.policy = policy or Policy(api.schema)
        self.resolvers = resolvers
        self.broker = broker
        self._handler = handler
        self._relay = relay
        """Takes events to all processes; None where there is this one only."""
        self.schema: GraphQLSchema = build_schema(api.sdl)
        install_scalars(self.schema)
        self._limits = limits or Limits()
        self._documents = Documents(self.schema, has_introspection=self._limits.has_introspection)
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
            return Compiler(
                self.api.schema,
                document.fragments,
                variables or {},
                by_name=by_name,
                max_depth=self._limits.query_depth,
            )

        fields = compiler(by_name=False).compile(root, [operation.selection_set]).fields
        published = {field.response: compiler(by_name=True).recompile(field) for field in fields}
        return Plan(operation.operation, fields, published)

    def subscription(self, prepared: Prepared, subscription_id: str, identity: Identity) -> Subscription:
        """What to watch for a subscription document; raises `RequestError`, `DocumentError`."""
        try:
            return self._subscription(prepared, subscription_id, Caller(self.policy, identity))
        except RecursionError as exc:
            raise DocumentError.of(_TOO_DEEP) from exc

    def _subscription(self, prepared: Prepared, subscription_id: str, caller: Caller) -> Subscription:
        if not prepared.is_subscription:
            kind = prepared.plan.operation_type.value
            raise RequestError(400, "UnsupportedOperation", f"{kind} not supported through the realtime channel")
        field = prepared.plan.fields[0]
        arguments = coerce_arguments(field.definition, field.node, prepared.variables)
        depends_on = json.dumps(prepared.variables) if prepared.document.has_directives else ""
        access = self._listen(field, arguments, caller)
        if access is not None and access.filters_instead(arguments):
            arguments = {"filter": arguments.get("filter")}
        renderer = caller if caller.identity.denied_fields else None

        def render(payload: Payload) -> Answer:
            completion = Completion(caller=renderer)
            return _answer({field.response: completion.field(field, payload, (field.response,))}, completion.errors)

        model = self.api.subscriptions[field.name].model
        return Subscription(
            id=subscription_id,
            topic=field.name,
            matches=caller.blinded(model, compile_arguments(arguments)),
            filter_key=(json.dumps(arguments), caller.identity.denied_fields),
            render=render,
            render_key=(prepared.document.text, prepared.operation_name, depends_on, caller.identity.denied_fields),
            admits=access.admits_event if access else None,
            admits_key=access.key if access else None,
        )

    def _listen(self, field: Field, arguments: Mapping[str, Any], caller: Caller) -> RuleAccess | None:
        """The rules by which the caller hears of events, None if he hears of all; raises `RequestError`."""
        try:
            caller.check_root(field.parent, field.name)
            access = caller.access(self.api.subscriptions[field.name].model, LISTEN)
            access.check()
            if not isinstance(access, RuleAccess) or access.readable is None:
                return None
            access.check_owners(arguments)
            return access
        except FieldError as exc:
            refusal = exc.named(field.parent, field.name)
            raise RequestError(401, refusal.error_type, refusal.message) from exc

    # -- executing -----------------------------------------------------------------------------------------------------

    def execute(self, prepared: Prepared, identity: Identity) -> Answer:
        """Runs a query or a mutation document; a mutation's events are out when this returns."""
        rulings = self.rulings(prepared, identity)
        while (answer := self.attempt(prepared, identity, rulings)) is None:
            if rulings is not None:
                rulings.settle()
        return answer

    def rulings(self, prepared: Prepared, identity: Identity) -> Rulings | None:
        """What a conflict handler will have decided about a mutation document; None where there is no handler."""
        return self._handler.rulings(identity) if self._handler and prepared.is_mutation else None

    def attempt(self, prepared: Prepared, identity: Identity, rulings: Rulings | None) -> Answer | None:
        """Runs a document; None if nothing was done because `rulings` have to be settled first."""
        if prepared.is_subscription:
            raise DocumentError.of("Subscriptions need a WebSocket connection.")
        try:
            if prepared.is_mutation:
                return self._mutate(prepared, identity, rulings)
            return self._query(prepared, identity)
        except RecursionError as exc:
            raise DocumentError.of(_TOO_DEEP) from exc

    def _query(self, prepared: Prepared, identity: Identity) -> Answer:
        caller = Caller(self.policy, identity)
        completion = Completion(self.resolvers, prepared.variables, caller, self._limits.budget())
        data: dict[str, Any] = {}
        introspected: dict[str, Any] | None = None
        for field in prepared.plan.fields:
            if field.name not in ROOTS:
                data[field.response] = self._root(field, completion, caller, self._query_one)
                continue
            if introspected is None:
                document, operation = prepared.document, prepared.document.operation(prepared.operation_name)
                introspected = introspect(self.schema, document.node, operation, prepared.variables)
            data[field.response] = introspected.get(field.response)
        return _answer(data, completion.errors)

    def _query_one(self, field: Field, completion: Completion, caller: Caller) -> Any:
        arguments = coerce_arguments(field.definition, field.node, completion.variables)
        completion.spend()
        operation = self.api.queries[field.name]
        access = caller.access(operation.model, _OPERATIONS.get(operation.action, operation.action))
        access.check()
        value = self.resolvers.query(operation, arguments, access)
        return completion.field(field, value, (field.response,))

    def _mutate(self, prepared: Prepared, identity: Identity, rulings: Rulings | None) -> Answer | None:
        """One transaction for the document, a savepoint for each field; events go out after the commit."""
        store = self.resolvers.store
        caller = Caller(self.policy, identity)
        budget = self._limits.budget()
        completion = Completion(self.resolvers, prepared.variables, caller, budget, is_mutation=True)
        events: list[Event] = []

        def mutate(field: Field, completion: Completion, caller: Caller) -> Any:
            return self._mutate_one(field, completion, caller, prepared.plan, now, events, rulings)

        try:
            with store.writing() as now:
                store.purge(now=now)
                data = {field.response: self._root(field, completion, caller, mutate) for field in prepared.plan.fields}
                if rulings is not None and rulings.has_open:
                    raise Undecided
                if self._relay is not None:
                    self._relay.add(events)
        except Undecided:
            return None
        except DatabaseError:
            logger.exception("A mutation document could not be committed.", extra={"action": "commit_failed"})
            failed = FieldError("InternalFailure", "The mutations could not be stored.")
            errors = [failed.as_wire([it.response], locations_of(it.node)) for it in prepared.plan.fields]
            return _answer({field.response: None for field in prepared.plan.fields}, errors)
        if self._relay is None:
            self.broker.publish(events)
        else:
            self._relay.wake()
        return _answer(data, completion.errors)

    def _mutate_one(
        self,
        field: Field,
        completion: Completion,
        caller: Caller,
        plan: Plan,
        now: int,
        events: list[Event],
        rulings: Rulings | None,
    ) -> Any:
        completion.spend()
        operation = self.api.mutations[field.name]
        arguments = coerce_arguments(field.definition, field.node, completion.variables)
        ruling = rulings.of(field.response, field.name) if rulings is not None else None
        try:
            record = self._write(operation, arguments, caller, now, ruling)
        except Undecided:
            return None  # the document will run again
        answer = completion.field(field, record, (field.response,))
        if answer is None:
            return None
        published = plan.published[field.response]
        is_same = published is field
        payload = answer if is_same else completion.again().field(published, record, (field.response,))
        events += [Event(name, payload, field.name, record) for name in self.api.events[field.name]]
        return answer

    def _write(
        self, operation: Operation, arguments: Mapping[str, Any], caller: Caller, now: int, ruling: Ruling | None
    ) -> Values:
        access = caller.access(operation.model, operation.action)
        access.check()
        try:
            return self.resolvers.mutate(operation, arguments, access, now=now, ruling=ruling)
        except FieldError as exc:
            exc.data = caller.seen(operation.model, exc.data)
            raise

    @staticmethod
    def _root(
        field: Field, completion: Completion, caller: Caller, resolve: Callable[[Field, Completion, Caller], Any]
    ) -> Any:
        """A root field's answer; what its resolver refuses is an error of this field alone."""
        if field.kind is Kind.TYPENAME:
            return field.parent
        try:
            caller.check_root(field.parent, field.name)
            return resolve(field, completion, caller)
        except FieldError as exc:
            exc = exc.named(field.parent, field.name)
            completion.errors.append(exc.as_wire([field.response], locations_of(field.node)))
        except DocumentError as exc:
            completion.errors += [{**error, "path": [field.response]} for error in exc.errors]
        return None


def _answer(data: dict[str, Any], errors: list[dict[str, Any]]) -> Answer:
    return {"data": data, "errors": errors} if errors else {"data": data}
