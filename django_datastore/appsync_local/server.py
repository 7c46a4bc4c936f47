"""Running servers: `LocalServer` in a thread of this process, `LocalServerProcess` as a process of its own.

with LocalServer("models.graphql") as server:
    client = AppSyncClient(server.url, api_key=server.api_key)
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from django_datastore.appsync_local import databases
from django_datastore.appsync_local.asgi import application
from django_datastore.appsync_local.auth.identity import TRUSTED, Identity
from django_datastore.appsync_local.conf import Settings, load_sdl
from django_datastore.appsync_local.injection import Injection
from django_datastore.appsync_local.realtime import MAX_FRAME_BYTES
from django_datastore.appsync_local.service import Service
from django_datastore.appsync_local.sockets.web_socket import WebSocket
from django_datastore.appsync_local.store import Values, key_text
from django_datastore.appsync_local.tls import Certificate, certificate_for
from django_datastore.schema.types import Schema

DEFAULT_API_KEY = "da2-local"
_START_SECONDS = 30
_KEEP_ALIVE_SECONDS = 60
"""How long an idle HTTP connection stays open; uvicorn's 5 seconds meet clients that are just about to use it."""
_REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a client on this machine finds a server that listens on every interface."""
_STOPPED = "The local server is stopped. Call start() first."


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


def endpoint_of(listening: socket.socket, *, tls: bool = False) -> str:
    """The GraphQL URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return _url("http", host, port, tls=tls)


def _url(scheme: str, host: str, port: int, *, tls: bool) -> str:
    host = _REACHABLE.get(host, host)
    return f"{scheme}{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}/graphql"


class TellingProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # uvicorn chooses it when it is imported
    """Tells the application of its connection, so that faults can cut it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {**self.app_state, "transport": transport}


class WebServer(uvicorn.Server):
    """uvicorn with our application, and a call when it is really listening."""

    def __init__(
        self, service: Service, *, on_started: Callable[[], None], certificate: Certificate | None = None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application(service),
                http="auto" if service.injection is None else TellingProtocol,
                lifespan="off",
                log_level="warning",
                access_log=False,
                ws=WebSocket,
                ws_max_size=MAX_FRAME_BYTES,
                ws_max_queue=4,
                ws_per_message_deflate=False,  # triples the cost of a message, and takes 43 KB a socket
                timeout_graceful_shutdown=1,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                ssl_certfile=certificate.path if certificate else None,
                ssl_keyfile=certificate.key_path if certificate else None,
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
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        self._on_started()

    def refuse(self) -> None:
        """Lets nobody connect any more, and cuts the HTTP connections that are open; sockets stay."""
        self._call(self._refuse())

    def accept(self, listening: socket.socket) -> None:
        """Lets clients connect again."""
        self._call(super().startup(sockets=[listening]))

    async def _refuse(self) -> None:
        for server in self.servers:
            server.close()
        self.servers = []
        for protocol in list(self.server_state.connections):
            if isinstance(protocol, AutoHTTPProtocol):
                protocol.transport.abort()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_SECONDS)


class LocalServer:
    """A local server in a thread of this process, with a database of its own.

    `schema` is a `Schema`, an SDL text or the path of an SDL file; without one the project's settings say what is
    served. `database` is a SQLite path or a URL, by default a temporary file. `stop` and `start` again keep the port
    and the records: that is how a line is cut and mended. With `tls=True` it speaks https and wss; clients that trust
    `ca_path` believe it.
    """

    def __init__(
        self,
        schema: Schema | str | Path | None = None,
        *,
        api_key: str = DEFAULT_API_KEY,
        conflict: str | Mapping[str, str] | None = None,
        database: str | Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        now: Callable[[], int] | None = None,
        injection: Injection | None = None,
        tls: bool | Certificate = False,
        **settings: Any,
    ) -> None:
        base = Settings.from_django(API_KEY=api_key, CONFLICT=conflict, **settings)
        self.api_key = api_key
        self.schema = schema_of(schema) or base.load_schema()
        self._settings = base
        self._now = now
        self._injection = injection
        self._host, self._port = host, port
        self._directory = None if database and tls is not True else tempfile.mkdtemp(prefix="appsync-local-")
        self._database = database or Path(self._directory or "") / "appsync.sqlite3"
        self.certificate = certificate_for(host, self._directory) if tls is True else tls or None
        self._alias = ""
        self._running: tuple[WebServer, threading.Thread, Service] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; the port is 0 until the first `start` if any would do."""
        return self._host, self._port

    @property
    def url(self) -> str:
        """The endpoint, `http://127.0.0.1:<port>/graphql`; it stays the same over `stop` and `start`."""
        return _url("http", self._host, self._port, tls=self.certificate is not None)

    @property
    def realtime_url(self) -> str:
        """Where the sockets go."""
        return _url("ws", self._host, self._port, tls=self.certificate is not None) + "/realtime"

    @property
    def ca_path(self) -> str | None:
        """The PEM file clients have to trust (`ssl`'s cafile, `NODE_EXTRA_CA_CERTS`); None without TLS."""
        return str(self.certificate.path) if self.certificate else None

    @property
    def is_running(self) -> bool:
        """Whether it is started and not stopped."""
        return self._running is not None

    @property
    def web_server(self) -> WebServer:
        """What listens; raises `RuntimeError` while stopped."""
        if self._running is None:
            raise RuntimeError(_STOPPED)
        return self._running[0]

    @property
    def service(self) -> Service:
        """The running API; raises `RuntimeError` while stopped."""
        if self._running is None:
            raise RuntimeError(_STOPPED)
        return self._running[2]

    def start(self) -> None:
        """Starts listening; returns when clients can connect."""
        if self._running is not None:
            return
        listening = listen(self._host, self._port)
        self._port = listening.getsockname()[1]
        self._alias = databases.open_private(self._database)
        settings = replace(self._settings, DATABASE=self._alias)
        service = Service(self.schema, settings, now=self._now, injection=self._injection)
        try:
            service.migrate()
            self._running = *self._serve(service, listening), service
        except BaseException:
            listening.close()
            service.close()
            databases.close_private(self._alias)
            raise

    def _serve(self, service: Service, listening: socket.socket) -> tuple[WebServer, threading.Thread]:
        started = threading.Event()
        server = WebServer(service, on_started=started.set, certificate=self.certificate)
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

    def execute(
        self, query: str, variables: Mapping[str, Any] | None = None, identity: Identity = TRUSTED
    ) -> dict[str, Any]:
        """Runs a document as a client would, subscribers included, without going over HTTP; above all rules."""
        prepared = self.service.executable.prepare(query, variables or {})
        return self.service.workers.call(self.service.executable.execute, prepared, identity)

    def records(self, model: str) -> list[Values]:
        """All records and tombstones of a model, in the order they came."""
        rows = self.service.workers.call(lambda: self.service.store.scan(model, after=0, limit=1_000_000))
        return [row.record() for row in rows]

    def record(self, model: str, *key: str) -> Values | None:
        """One record or its tombstone."""
        found = self.service.workers.call(self.service.store.get, model, key_text(key))
        return found.record() if found else None


def schema_of(found: Schema | str | Path | None) -> Schema | None:
    """A schema, the SDL text of one, or the path of its file; raises `ConfigurationError`, `SchemaError`."""
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
