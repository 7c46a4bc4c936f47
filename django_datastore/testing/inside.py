"""A local server with its faults, journal and clock: what a test talks to, in its own process or in another."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from django_datastore.appsync_local import transfer
from django_datastore.appsync_local.auth.identity import TRUSTED, Identity
from django_datastore.appsync_local.clock import MovableClock, real_now
from django_datastore.appsync_local.injection import Injection
from django_datastore.appsync_local.injection.faults import Fault, Place
from django_datastore.appsync_local.server import LocalServer, listen
from django_datastore.appsync_local.store import Values
from django_datastore.appsync_local.transform import Api, api_of
from django_datastore.exceptions import ConfigurationError
from django_datastore.schema import naming

_KINDS = ("query", "mutation", "subscription", "create", "update", "delete", "get", "list", "sync", "index")


class Inside:
    """One server, and everything a test may ask of it."""

    def __init__(self, **options: Any) -> None:
        self.clock = MovableClock(options.pop("now", None) or real_now)
        injection = Injection(elapsed=self.clock.elapsed)
        self._injection = injection
        self.faults = injection.faults
        self.journal = injection.journal
        self.server = LocalServer(**options, now=self.clock.now, injection=injection)
        self._placeholder: Any = None

    def move_clock(self, how: str, *args: Any) -> None:
        """Moves the clock, and lets the sockets look at it."""
        getattr(self.clock, how)(*args)
        if self.server.is_running:
            self.server.service.broker.tick_all()

    def ask(self, path: str, *args: Any, **named: Any) -> Any:
        """Calls a method by its dotted name, as a test in another process does."""
        return operator.attrgetter(path)(self)(*args, **named)

    def start(self) -> str:
        """Starts listening; returns the URL."""
        self._injection.start()
        self.server.start()
        return self.server.url

    def stop(self) -> None:
        """Stops listening and cuts every connection."""
        self._injection.stop()
        self.server.stop()
        self._close_placeholder()

    def close(self) -> None:
        """Stops for good."""
        self.faults.clear()
        self.stop()
        self.server.close()

    # -- records -------------------------------------------------------------------------------------------------------

    def load(self, model: str, records: Iterable[Mapping[str, Any]] | Path) -> int:
        """Stores records without telling anybody; how many."""
        service = self.server.service
        if isinstance(records, Path):
            return transfer.load(service, records, model=model).stored
        return transfer.load_records(service, records, model=model).stored

    def execute(self, document: str, variables: Mapping[str, Any] | None, identity: Identity | None) -> dict[str, Any]:
        """Runs a document past all faults of requests and fields."""
        service = self.server.service
        prepared = service.executable.prepare(document, variables or {})

        def run() -> dict[str, Any]:
            with self._injection.bypassed():
                return service.executable.execute(prepared, identity or TRUSTED)

        return service.workers.call(run)

    def records(self, model: str) -> list[Values]:
        """All records and tombstones of a model."""
        self._check(model, self._models, "model")
        return self.server.records(model)

    def record(self, model: str, *key: str) -> Values | None:
        """One record or its tombstone."""
        self._check(model, self._models, "model")
        return self.server.record(model, *key)

    # -- lines ---------------------------------------------------------------------------------------------------------

    def cut_sockets(self) -> int:
        """Cuts every socket without a close frame; how many."""
        return self.server.service.broker.cut()

    def close_sockets(self, code: int) -> int:
        """Closes every socket; how many."""
        return self.server.service.broker.close_all(code)

    def watching(self, subscription: str) -> int:
        """How many watch a subscription field."""
        return self.server.service.broker.watching(subscription)

    def refuse_connections(self) -> None:
        """Lets nobody connect."""
        if self._placeholder is None:
            self.server.web_server.refuse()
            self._placeholder = listen(*self.server.address)

    def accept_connections(self) -> None:
        """Lets everybody connect again."""
        if self._placeholder is not None:
            listening, self._placeholder = self._placeholder, None
            self.server.web_server.accept(listening)

    def _close_placeholder(self) -> None:
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    # -- faults --------------------------------------------------------------------------------------------------------

    def add_fault(self, fault: Fault) -> int:
        """Switches a fault on; raises `ConfigurationError` for one that could never happen."""
        self._check(fault.where.operation, self._operations, "root field")
        self._check(fault.where.model, self._models, "model")
        self._check(fault.where.kind, _KINDS, "kind of operation")
        if fault.effect.place is Place.FIELD and fault.where.operation in self._subscriptions:
            raise ConfigurationError("A subscription has no result. Use refuse_start or drop_event.")
        return self.faults.add(fault)

    @staticmethod
    def _check(name: str | None, known: Sequence[str], what: str) -> None:
        if name is not None and name not in known:
            hint = naming.did_you_mean(name, known) or f" There are: {', '.join(known)}."
            raise ConfigurationError(f"The API has no {what} {name!r}.{hint}")

    @cached_property
    def _api(self) -> Api:
        return api_of(self.server.schema)

    @property
    def _models(self) -> list[str]:
        return list(self.server.schema.models)

    @property
    def _subscriptions(self) -> list[str]:
        return list(self._api.subscriptions)

    @property
    def _operations(self) -> list[str]:
        return [*self._api.queries, *self._api.mutations, *self._api.subscriptions]
