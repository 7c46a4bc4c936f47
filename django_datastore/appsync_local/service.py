"""A running API: data model, tables, credentials and worker threads, put together. The doors use it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.signals import setting_changed

from django_datastore.appsync_local import databases
from django_datastore.appsync_local.auth import ApiKeys
from django_datastore.appsync_local.broker import Broker
from django_datastore.appsync_local.conf import Settings
from django_datastore.appsync_local.errors import DocumentError, RequestError
from django_datastore.appsync_local.executable import Executable, Prepared
from django_datastore.appsync_local.resolvers import Resolvers
from django_datastore.appsync_local.store import Clock, Store
from django_datastore.appsync_local.transform import api_of
from django_datastore.appsync_local.workers import Workers
from django_datastore.exceptions import ConfigurationError
from django_datastore.schema.types import Schema


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asks for."""

    query: str
    variables: Mapping[str, Any]
    operation_name: str | None

    @classmethod
    def parse(cls, text: str | bytes) -> Call:
        """The JSON body of a POST, or the `data` of a `start`; raises `RequestError`."""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise _malformed("Request body is not valid JSON.") from exc
        if isinstance(found, list):
            raise _malformed("Request body is a JSON array. Batch with aliases in one document instead.")
        if not isinstance(found, dict) or not isinstance(found.get("query"), str):
            raise _malformed("No GraphQL query found: the body must be an object with a string 'query'.")
        variables, name = found.get("variables") or {}, found.get("operationName")
        if not isinstance(variables, dict) or not isinstance(name, str | None):
            raise _malformed("'variables' must be an object, 'operationName' a string.")
        return cls(found["query"], variables, name)


def _malformed(message: str) -> RequestError:
    return RequestError(400, "MalformedHttpRequestException", message)


class Service:
    """One API on one database alias."""

    def __init__(
        self, schema: Schema, settings: Settings, *, alias: str | None = None, now: Callable[[], int] | None = None
    ) -> None:
        self.settings = settings
        self.alias = alias or settings.alias
        self.auth = ApiKeys(settings.api_keys)
        self.broker = Broker()
        self.workers = Workers(self.alias)
        self.store = Store(
            self.alias,
            clock=Clock(now),
            base_ttl_minutes=settings.BASE_TABLE_TTL,
            delta_ttl_minutes=settings.DELTA_SYNC_TABLE_TTL,
        )
        resolvers = Resolvers(self.store, schema.models, conflict=settings.CONFLICT)
        self.executable = Executable(api_of(schema), resolvers, self.broker)

    @classmethod
    def from_settings(cls, settings: Settings) -> Service:
        """The API the settings describe; raises `ConfigurationError`, `SchemaError`."""
        if not settings.api_keys:
            raise ConfigurationError("APPSYNC_LOCAL['API_KEY'] is missing: nobody could call the server. Set a key.")
        return cls(settings.load_schema(), settings)

    async def execute(self, call: Call) -> bytes:
        """The JSON answer to a call; raises `RequestError`."""
        try:
            prepared = self.executable.prepare(call.query, call.variables, call.operation_name)
        except DocumentError as exc:
            return _encode({"data": None, "errors": exc.errors})
        run = self.workers.write if prepared.is_mutation else self.workers.read
        return await run(self._execute, prepared)

    def _execute(self, prepared: Prepared) -> bytes:
        try:
            return _encode(self.executable.execute(prepared))
        except DocumentError as exc:
            return _encode({"data": None, "errors": exc.errors})

    def migrate(self) -> None:
        """Brings the tables up to date."""
        self.workers.call(databases.migrate, self.alias)

    def close(self) -> None:
        """Stops the threads and closes their connections."""
        self.workers.close()


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
