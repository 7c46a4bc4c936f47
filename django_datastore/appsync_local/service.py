"""A running API: data model, tables, credentials and worker threads, put together. The doors use it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.signals import setting_changed

from django_datastore.appsync_local import databases
from django_datastore.appsync_local.auth.authentication import Authentication
from django_datastore.appsync_local.auth.identity import Identity, Presented
from django_datastore.appsync_local.auth.policy import Policy
from django_datastore.appsync_local.broker import Broker
from django_datastore.appsync_local.conf import ConflictHandler, Settings
from django_datastore.appsync_local.conflict_lambda import ConflictLambda, Rulings
from django_datastore.appsync_local.errors import DocumentError, RequestError
from django_datastore.appsync_local.executable import Executable, Prepared
from django_datastore.appsync_local.paging import Tokens
from django_datastore.appsync_local.relay import Relay
from django_datastore.appsync_local.resolvers import Resolvers
from django_datastore.appsync_local.store import Clock, Store
from django_datastore.appsync_local.tables.indexes import indexes_of
from django_datastore.appsync_local.transform import api_of
from django_datastore.appsync_local.workers import Workers
from django_datastore.schema.types import Schema

if TYPE_CHECKING:
    from django_datastore.appsync_local.injection import Injection

R = TypeVar("R")

_MALFORMED = "MalformedHttpRequestException"
_ASKING = 64
"""How many requests wait at once for an authorizer, a conflict handler or an issuer's keys; more queue up."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asks for."""

    query: str
    variables: Mapping[str, Any]
    operation_name: str | None

    @classmethod
    def parse(cls, text: str | bytes) -> Call:
        """The JSON body of a POST, or the `data` of a `start`; raises `RequestError`."""
        if not text:
            raise RequestError(400, _MALFORMED, "Request body is empty.")
        try:
            found = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as exc:
            raise _malformed("Request body is not valid JSON.") from exc
        return cls._of(found)

    @classmethod
    def from_query_string(cls, found: Mapping[str, str]) -> Call:
        """The parameters of a GET, variables as JSON text; raises `RequestError`."""
        try:
            variables = json.loads(found.get("variables") or "{}")
        except (ValueError, RecursionError) as exc:
            raise _malformed("'variables' is not valid JSON.") from exc
        return cls._of({**found, "variables": variables})

    @classmethod
    def _of(cls, found: Any) -> Call:
        if isinstance(found, list):
            raise _malformed("Request body is a JSON array. Batch with aliases in one document instead.")
        if not isinstance(found, dict) or not isinstance(found.get("query"), str):
            raise _malformed("No GraphQL query found: the body must be an object with a string 'query'.")
        variables, name = found.get("variables") or {}, found.get("operationName")
        if not isinstance(variables, dict) or not isinstance(name, str | None):
            raise _malformed("'variables' must be an object, 'operationName' a string.")
        return cls(found["query"], variables, name)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _malformed(message: str) -> RequestError:
    """AppSync's words, and then what is wrong, which AppSync keeps to itself."""
    return RequestError(400, _MALFORMED, f"Unable to parse GraphQL query. {message}")


class Service:
    """One API on one database alias."""

    def __init__(
        self,
        schema: Schema,
        settings: Settings,
        *,
        alias: str | None = None,
        now: Callable[[], int] | None = None,
        injection: Injection | None = None,
    ) -> None:
        self.settings = settings
        self.injection = injection
        """The faults of a server that a test started; None in all others."""
        self.elapsed = time.monotonic if injection is None else injection.elapsed
        """Seconds that only ever grow: sockets time themselves by it."""
        self.alias = alias or settings.alias
        self.broker = Broker()
        self.workers = Workers(self.alias)
        self._asking = ThreadPoolExecutor(_ASKING, thread_name_prefix="appsync-local-asking")
        api = api_of(schema, default_auth=settings.AUTH_MODE)
        self.store = Store(
            self.alias,
            clock=Clock(now),
            base_ttl_minutes=settings.BASE_TABLE_TTL,
            delta_ttl_minutes=settings.DELTA_SYNC_TABLE_TTL,
            indexes=dict.fromkeys(schema.models, ()) | indexes_of((*api.queries.values(), *api.children.values())),
        )
        self.auth = Authentication.from_settings(settings, now=self.store.clock.now)
        settings.check_names(schema)
        handlers = {model: settings.conflict_handler(model) for model in schema.models}
        self.conflict_lambda = _conflict_lambda(settings) if ConflictHandler.LAMBDA in handlers.values() else None
        resolvers = Resolvers(
            self.store,
            api,
            conflict=handlers,
            sets=settings.set_fields,
            tokens=Tokens(settings.token_key),
            page_bytes=settings.PAGE_BYTES,
            has_tombstones=settings.BASE_SYNC_TOMBSTONES,
        )
        if injection is not None:
            resolvers = injection.resolvers(resolvers, api)
            injection.intercept(self.broker, api)
        policy = Policy(schema, default=settings.AUTH_MODE, additional=tuple(settings.ADDITIONAL_AUTH_MODES))
        self.relay = Relay(self.workers, self.broker, alias=self.alias) if settings.SHARE_EVENTS else None
        self.executable = Executable(
            api,
            resolvers,
            self.broker,
            limits=settings.limits,
            policy=policy,
            relay=self.relay,
            handler=self.conflict_lambda,
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> Service:
        """The API the settings describe; raises `ConfigurationError`, `SchemaError`."""
        return cls(settings.load_schema(), settings)

    async def authenticate(self, presented: Presented) -> Identity:
        """Who calls; raises the `RequestError` that AppSync answers."""
        if self.auth.is_at_once(presented):
            return self.auth.authenticate(presented)
        return await self.ask(self.auth.authenticate, presented)

    async def ask(self, question: Callable[..., R], *args: Any) -> R:
        """Runs what may have to wait for somebody else's answer, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._asking, partial(question, *args))

    async def execute(self, call: Call, identity: Identity) -> bytes:
        """The JSON answer to a call; raises `RequestError`."""
        try:
            prepared = self.executable.prepare(call.query, call.variables, call.operation_name)
        except DocumentError as exc:
            return _encode({"data": None, "errors": exc.errors})
        run = self.workers.write if prepared.is_mutation else self.workers.read
        rulings = self.executable.rulings(prepared, identity)
        while (answer := await run(self._attempt, prepared, identity, rulings)) is None:
            if rulings is not None:
                await self.ask(rulings.settle)
        return answer

    def _attempt(self, prepared: Prepared, identity: Identity, rulings: Rulings | None) -> bytes | None:
        try:
            answer = self.executable.attempt(prepared, identity, rulings)
        except DocumentError as exc:
            return _encode({"data": None, "errors": exc.errors})
        return _encode(answer) if answer is not None else None

    def migrate(self) -> None:
        """Brings the tables up to date."""
        self.workers.call(databases.migrate, self.alias)

    def close(self) -> None:
        """Stops the threads and closes their connections."""
        if self.relay is not None:
            self.relay.stop()
        self.workers.close()
        self._asking.shutdown(wait=False, cancel_futures=True)


def _conflict_lambda(settings: Settings) -> ConflictLambda:
    seconds = settings.CONFLICT_HANDLER_TIMEOUT_SECONDS
    return ConflictLambda(settings.CONFLICT_HANDLER, region=settings.REGION, timeout_seconds=seconds)


def _encode(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode()


_lock = threading.Lock()
_current: Service | None = None


def current() -> Service:
    """The API of this process's settings, made when first asked for; raises `ConfigurationError`, `SchemaError`."""
    global _current
    with _lock:
        if _current is None:
            _current = Service.from_settings(Settings.from_django())
        return _current


def reset() -> None:
    """Forgets the API of `current`, which is made anew from the settings then."""
    global _current
    with _lock:
        if _current is not None:
            _current.close()
        _current = None


def _reset(*, setting: str, **_: object) -> None:
    if setting in ("APPSYNC_LOCAL", "DATABASES"):
        reset()


setting_changed.connect(_reset, dispatch_uid="django_datastore.appsync_local.service")
