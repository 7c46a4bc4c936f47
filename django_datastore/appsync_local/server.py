"""Running servers: `LocalServer` in a thread of this process, `LocalServerProcess` as a process of its own.

with LocalServer("models.graphql") as server:
    client = AppSyncClient(server.url, api_key=server.api_key)
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import uvicorn

from django_datastore.appsync_local import databases
from django_datastore.appsync_local.asgi import application
from django_datastore.appsync_local.conf import Settings, load_sdl
from django_datastore.appsync_local.service import Service
from django_datastore.appsync_local.store import Values, key_text
from django_datastore.schema.types import Schema

DEFAULT_API_KEY = "da2-local"
_START_SECONDS = 30


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle off only for sockets that name their protocol: else every answer waits 40 ms.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    found.set_inheritable(True)
    return found


def endpoint_of(listening: socket.socket) -> str:
    """The GraphQL URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/graphql"


class WebServer(uvicorn.Server):
    """uvicorn with our application, and a call when it is really listening."""

    def __init__(self, service: Service, *, on_started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                application(service),
                lifespan="off",
                log_level="warning",
                access_log=False,
                ws_per_message_deflate=False,  # triples the cost of a message, and takes 43 KB a socket
                timeout_graceful_shutdown=1,
            )
        )
        self._on_started = on_started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the server, and that is all: uvicorn itself would raise them once more at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts listening."""
        await super().startup(sockets=sockets)
        self._on_started()


class LocalServer:
    """A local server in a thread of this process, with a database of its own.

    `schema` is a `Schema`, an SDL text or the path of an SDL file; without one the project's settings say what is
    served. `database` is a SQLite path or a URL, by default a temporary file. `stop` and `start` again keep the port
    and the records: that is how a line is cut and mended.
    """

    def __init__(
        self,
        schema: Schema | str | Path | None = None,
        *,
        api_key: str = DEFAULT_API_KEY,
        conflict: str | None = None,
        database: str | Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        now: Callable[[], int] | None = None,
        **settings: Any,
    ) -> None:
        base = Settings.from_django(API_KEY=api_key, CONFLICT=conflict, **settings)
        self.api_key = api_key
        self.schema = _schema(schema) or base.load_schema()
        self._settings = base
        self._now = now
        self._host, self._port = host, port
        self._directory = None if database else tempfile.mkdtemp(prefix="appsync-local-")
        self._database = database or Path(self._directory or "") / "appsync.sqlite3"
        self._alias = ""
        self._running: tuple[WebServer, threading.Thread, Service] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The endpoint, `http://127.0.0.1:<port>/graphql`; it stays the same over `stop` and `start`."""
        return f"http://{self._host}:{self._port}/graphql"

    @property
    def realtime_url(self) -> str:
        """Where the sockets go."""
        return f"ws://{self._host}:{self._port}/graphql/realtime"

    @property
    def service(self) -> Service:
        """The running API; raises `RuntimeError` while stopped."""
        if self._running is None:
            raise RuntimeError("The local server is stopped. Call start() first.")
        return self._running[2]

    def start(self) -> None:
        """Starts listening; returns when clients can connect."""
        if self._running is not None:
            return
        listening = listen(self._host, self._port)
        self._port = listening.getsockname()[1]
        self._alias = databases.open_private(self._database)
        service = Service(self.schema, replace(self._settings, DATABASE=self._alias), now=self._now)
        try:
            service.migrate()
            self._running = *self._serve(service, listening), service
        except BaseException:
            listening.close()
            service.close()
            databases.close_private(self._alias)
            raise

    @staticmethod
    def _serve(service: Service, listening: socket.socket) -> tuple[WebServer, threading.Thread]:
        started = threading.Event()
        server = WebServer(service, on_started=started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="appsync-local", daemon=True)
        thread.start()
        if not started.wait(_START_SECONDS):
            raise RuntimeError(f"The local server did not start within {_START_SECONDS} seconds.")
        return server, thread

    def stop(self) -> None:
        """Stops listening and cuts every connection; records and port stay for the next `start`."""
        if self._running is None:
            return
        server, thread, service = self._running
        server.should_exit = True
        thread.join(_START_SECONDS)
        service.close()
        databases.close_private(self._alias)
        self._running = None

    def close(self) -> None:
        """Stops, and removes the temporary database."""
        self.stop()
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)

    # -- looking inside ------------------------------------------------------------------------------------------------

    def execute(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Runs a document as a client would, subscribers included, without going over HTTP."""
        prepared = self.service.executable.prepare(query, variables or {})
        return self.service.workers.call(self.service.executable.execute, prepared)

    def records(self, model: str) -> list[Values]:
        """All records and tombstones of a model, in the order they came."""
        rows = self.service.workers.call(lambda: self.service.store.scan(model, after=0, limit=1_000_000))
        return [row.record() for row in rows]

    def record(self, model: str, *key: str) -> Values | None:
        """One record or its tombstone."""
        found = self.service.workers.call(self.service.store.get, model, key_text(key))
        return found.record() if found else None


def _schema(found: Schema | str | Path | None) -> Schema | None:
    if found is None or isinstance(found, Schema):
        return found
    from django_datastore.schema.sdl import parse_sdl

    if isinstance(found, str) and "{" in found:
        return parse_sdl(found)
    return load_sdl(found)


class LocalServerProcess:
    """The command `appsync_local` as a process of its own, for tests that kill it."""

    def __init__(self, *arguments: str, manage: Sequence[str] = (), env: Mapping[str, str] | None = None) -> None:
        command = manage or (sys.executable, "-m", "django")
        self.process = subprocess.Popen(
            [*command, "appsync_local", *(arguments or ("127.0.0.1:0",))],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        line = self.process.stdout.readline() if self.process.stdout else ""
        words = line.split()
        if not line.startswith("AppSync"):
            raise RuntimeError(f"The local server did not start (exit code {self.process.wait()}).")
        self.url = next(word for word in words if word.startswith("http"))
        self.api_key = words[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Ends the process and returns its exit code."""
        self.process.send_signal(signal_number)
        code = self.process.wait(_START_SECONDS)
        if self.process.stdout:
            self.process.stdout.close()
        return code
