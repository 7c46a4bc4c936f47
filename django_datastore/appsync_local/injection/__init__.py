"""Carries out the faults a test switches on, and writes down what the server sees and does.

HTTP, sockets ─▶ `lines.application`   ─▶ the server's own application
resolvers     ─▶ `Injection.resolvers` ─▶ the store
events        ─▶ `Injection.intercept` ─▶ the broker
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from django.db import transaction

from django_datastore.appsync_local.broker import Broker, Event, Socket
from django_datastore.appsync_local.errors import DocumentError, FieldError, RequestError
from django_datastore.appsync_local.graphql.coercion import coerce_arguments
from django_datastore.appsync_local.injection.faults import EventFate, Faults, OnEvent, OnField, Place, Subject
from django_datastore.appsync_local.injection.journal import Applied, Journal
from django_datastore.appsync_local.resolvers import Resolvers
from django_datastore.appsync_local.store import key_of
from django_datastore.appsync_local.transform import Api, Operation

if TYPE_CHECKING:
    from django_datastore.appsync_local.executable import Executable, Prepared
    from django_datastore.appsync_local.service import Call

_KINDS = {"create": "mutation", "update": "mutation", "delete": "mutation"}


class Injection:
    """The faults and the journal of one server; they outlive its stops and starts."""

    def __init__(self, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        self.elapsed = elapsed
        self.faults = Faults()
        self.journal = Journal()
        self.is_stopping = False
        self._bypass = threading.local()

    def resolvers(self, found: Resolvers, api: Api) -> Resolvers:
        """These resolvers, with faults."""
        return cast("Resolvers", _Resolvers(found, self, api))

    def intercept(self, broker: Broker, api: Api) -> None:
        """Lets the broker's events have faults."""
        broker.intercept = _Events(broker, self.faults, api).pass_on

    def start(self) -> None:
        """The server is about to start."""
        self.is_stopping = False

    def stop(self) -> None:
        """The server is about to stop: what is held gets lost."""
        self.is_stopping = True
        self.faults.wake()

    @contextmanager
    def bypassed(self) -> Iterator[None]:
        """Inside, this thread's fields have no faults: the test's own hands."""
        self._bypass.on = True
        try:
            yield
        finally:
            self._bypass.on = False

    @property
    def is_bypassed(self) -> bool:
        """Whether this thread is the test's own hands."""
        return getattr(self._bypass, "on", False)


def subject_of(operation: Operation, name: str, arguments: Mapping[str, Any]) -> Subject:
    """What a root field is about."""
    values = arguments.get("input", arguments)
    action = str(operation.action)
    return Subject(name, _KINDS.get(action, "query"), action, operation.model.name, _key(operation, values), values)


def subjects_of(executable: Executable, call: Call) -> list[Subject]:
    """What a document is about; nothing, if it is no document of this API."""
    try:
        prepared = executable.prepare(call.query, call.variables, call.operation_name)
    except (DocumentError, RequestError):
        return []
    return list(_subjects(executable, prepared))


def _subjects(executable: Executable, prepared: Prepared) -> Iterator[Subject]:
    api = executable.api
    for field in prepared.plan.fields:
        for operations in (api.queries, api.mutations, api.subscriptions):
            if field.name in operations:
                break
        else:
            continue
        try:
            arguments = coerce_arguments(field.definition, field.node, prepared.variables)
        except DocumentError:
            arguments = {}
        if prepared.is_subscription:
            operation = operations[field.name]
            yield Subject(field.name, "subscription", str(operation.action), operation.model.name, values=arguments)
        else:
            yield subject_of(operations[field.name], field.name, arguments)


def _key(operation: Operation, values: Mapping[str, Any]) -> tuple[str, ...] | None:
    names = operation.model.primary_key
    if any(values.get(name) is None for name in names):
        return None
    return tuple(str(values[name]) for name in names)


class _Resolvers:
    """Stands before the resolvers; whatever it does not know, they do."""

    def __init__(self, found: Resolvers, injection: Injection, api: Api) -> None:
        self._found = found
        self._injection = injection
        # An operation does not know its name, and the directives can name it freely.
        self._names = {id(item): name for name, item in itertools.chain(api.queries.items(), api.mutations.items())}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found, name)

    def query(self, operation: Operation, arguments: Mapping[str, Any], *rest: Any, **named: Any) -> Any:
        """What a query finds, or what goes wrong instead."""
        for effect in self._take(operation, arguments):
            return self._end(effect, None)
        return self._found.query(operation, arguments, *rest, **named)

    def mutate(self, operation: Operation, arguments: Mapping[str, Any], *rest: Any, **named: Any) -> Any:
        """The record after a mutation, or what goes wrong instead, or afterwards."""
        effects = self._take(operation, arguments)
        refusal = next((effect for effect in effects if not effect.is_applied), None)
        if refusal is not None:
            return self._end(refusal, self._stored(operation, arguments))
        record = self._found.mutate(operation, arguments, *rest, **named)
        self._write_down(operation, record)
        return self._end(effects[0], record) if effects else record

    def _take(self, operation: Operation, arguments: Mapping[str, Any]) -> list[OnField]:
        faults = self._injection.faults
        if not faults.has(Place.FIELD) or self._injection.is_bypassed:
            return []
        subject = subject_of(operation, self._names[id(operation)], arguments)
        return [hit.effect for hit in faults.take(Place.FIELD, [subject])]

    @staticmethod
    def _end(effect: OnField, record: Mapping[str, Any] | None) -> None:
        """Null, or the error."""
        if effect.error_type:
            raise FieldError(effect.error_type, effect.message, data=record if effect.has_record else None)

    def _stored(self, operation: Operation, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
        names, values = operation.model.primary_key, arguments["input"]
        if any(values.get(name) is None for name in names):
            return None
        found = self._found.store.get(operation.model.name, key_of(names, values))
        return found.record() if found else None

    def _write_down(self, operation: Operation, record: Mapping[str, Any]) -> None:
        """Counts the mutation once its document is committed."""
        name, key = self._names[id(operation)], _key(operation, record) or ()
        entry = Applied(name, str(operation.action), operation.model.name, key, record["_version"])
        add = partial(self._injection.journal.add_applied, entry)
        transaction.on_commit(add, using=self._found.store.alias)


class _Events:
    """Stands before the broker. Events that are held back leave in the order they came, before any later one."""

    def __init__(self, broker: Broker, faults: Faults, api: Api) -> None:
        self._broker = broker
        self._faults = faults
        self._mutations = api.mutations
        self._lock = threading.RLock()
        self._kept: dict[int, list[Event]] = {}

    def pass_on(self, events: list[Event]) -> Iterable[Event]:
        """What is delivered now."""
        if not self._faults.has(Place.EVENT) and not self._kept:
            return events
        with self._lock:
            found = self._released()
            for event in events:
                found += self._fate(event)
            return found

    def _fate(self, event: Event) -> list[Event]:
        found = [event]
        for hit in self._faults.take(Place.EVENT, [self._subject(event)]):
            effect: OnEvent = hit.effect
            match effect.fate:
                case EventFate.DROPPED:
                    found = []
                case EventFate.DUPLICATED:
                    found *= effect.count
                case EventFate.HELD:
                    found = self._keep(hit.number, found)
                case EventFate.REORDERED:
                    found = self._keep(hit.number, found)
                    if len(self._kept[hit.number]) >= effect.count:
                        found = self._kept.pop(hit.number)[::-1]
                case EventFate.SOCKET_CUT:
                    self._broker.cut(partial(_watches, event.topic))
                    found = []
                case EventFate.SOCKET_CLOSED:
                    self._broker.close_all(effect.code, partial(_watches, event.topic))
                    found = []
        return found

    def _subject(self, event: Event) -> Subject:
        operation = self._mutations[event.mutation]
        key, action = _key(operation, event.record), str(operation.action)
        return Subject(event.topic, "subscription", action, operation.model.name, key, event.record, event.mutation)

    def _keep(self, number: int, events: list[Event]) -> list[Event]:
        if number not in self._kept:
            self._kept[number] = []
            self._faults.on_release(number, self._release)
        self._kept[number] += events
        return []

    def _released(self) -> list[Event]:
        over = [number for number in self._kept if not self._faults.is_on(number)]
        return [event for number in over for event in self._kept.pop(number)]

    def _release(self) -> None:
        with self._lock:
            self._broker.deliver(self._released())


def _watches(topic: str, socket: Socket) -> bool:
    return any(subscription.topic == topic for subscription in socket.subscriptions.values())
