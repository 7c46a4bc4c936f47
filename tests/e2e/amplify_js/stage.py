"""A local server on this run's database, and npm clients that reach it over lines of their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from os import environ
from pathlib import Path
from typing import Any, Self

from django_datastore.appsync_local.server import LocalServer
from tests.e2e.amplify_js.line import Line
from tests.e2e.amplify_js.programs import Bell, Peer
from tests.integration.local_server_tools import Client as ForeignWriter
from tests.integration.local_server_tools import fresh_database

CLIENT = Path(__file__).parent / "client.js"
DATA_DIR = Path(__file__).parents[2] / "data"
SCHEMAS = {
    "example": ("models.graphql", "model-introspection.json"),
    "orders": ("models.graphql", "schema.json"),
    "diary": ("models.graphql", "schema.json"),
    "pages": ("models.graphql", "schema.json"),
}


class Phone(Peer):
    """An npm client on a line of its own."""

    line: Line

    def go_offline(self) -> None:
        """Takes the network away."""
        past = len(self.events)
        self.ask("network", isOnline=False)
        self.event("networkStatus", active=False, since=past)

    def go_online(self) -> None:
        """Gives it back; returns when the client has caught up with the server."""
        past = len(self.events)
        self.ask("network", isOnline=True)
        self.event("ready", since=past)

    def sends(self, field: str, *, since: int = 0, count: int = 1) -> list[Any]:
        """Waits until as many requests for a root field were answered; returns them."""
        return self.wait_for(
            lambda: len(found := self.line.asked(field, since=since)) >= count and found, f"{count} times {field}"
        )

    def settles(self, model: str, **values: Any) -> None:
        """Waits until everything it wrote was answered: it writes one more record, and sends one after the other."""
        last = self.create(model, **values)["id"]
        self.has(model, last, _version=1)

    def list(self, model: str) -> list[dict[str, Any]]:
        """All records of a model, as it has them."""
        found: list[dict[str, Any]] = self.ask("list", model=model)
        return found

    def restart(self) -> None:
        """Stops syncing, keeps the store, and ends; the next client with the same store goes on with it."""
        self.ask("stop")
        self.ask("keep")
        self.stop()


class Stage:
    """One server and its clients; `schema` is a directory of `tests/data`."""

    def __init__(self, directory: Path, node: str, schema: str, **settings: Any) -> None:
        self._directory = directory
        self._node = node
        sdl, self._schema = (DATA_DIR / f"amplify_{schema}" / name for name in SCHEMAS[schema])
        self._sdl, self._settings = sdl.read_text(), settings
        self._bell = Bell()
        self._running = ExitStack()
        self._ahead_ms = 0

    def __enter__(self) -> Self:
        database = self._running.enter_context(fresh_database())
        self.server = self._running.enter_context(
            LocalServer(self._sdl, database=database, now=self._now, **self._settings)
        )
        self.foreign = ForeignWriter(self.server)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._running.close()

    def client(self, name: str, *, is_ready: bool = True, **options: Any) -> Phone:
        """A new npm client; returns when it is in sync, if wanted."""
        line = self._running.enter_context(Line(self.server.url, on_event=self._bell.ring))
        command = [self._node, str(CLIENT), line.url, self.server.api_key, str(self._schema), json.dumps(options)]
        log = self._directory / f"{name}.log"
        phone = Phone(name, command, bell=self._bell, log=log, env={**environ})
        phone.line = self._running.push(phone) and line
        if is_ready:
            phone.ask("start")
            phone.event("ready")
        return phone

    def sign_in(self, user: str, device: str, *, groups: Sequence[str] = (), **options: Any) -> Phone:
        """A client of a user of the server's pool."""
        pool = self._settings["USER_POOL"]
        tokens = {f"{use}Token": pool.token(user, use=use, groups=groups) for use in ("access", "id")}
        return self.client(device, tokens=tokens, **options)

    def store(self, name: str) -> str:
        """The file for a client's store."""
        return str(self._directory / f"{name}.store")

    def until(self, fact: Callable[[], Any], expected: str) -> Any:
        """Waits for a fact that concerns several of them; asked again after everything on a line."""
        return self._bell.until(fact, expected)

    def pass_time(self, *, minutes: int) -> None:
        """Moves the server's clock."""
        self._ahead_ms += minutes * 60_000

    def _now(self) -> int:
        return time.time_ns() // 1_000_000 + self._ahead_ms
