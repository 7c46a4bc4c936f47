"""Servers with one bad habit each, on real sockets: HTTP in a thread, websockets in the test's own event loop."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from django_datastore.appsync.endpoint import Endpoint


@dataclass
class HttpServer:
    """Where it listens and what it was sent."""

    endpoint: Endpoint
    requests: list[tuple[Mapping[str, str], Any]] = field(default_factory=list)
    connections: set[tuple[str, int]] = field(default_factory=set)


@contextmanager
def http_server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[HttpServer]:
    """A server that reads each request whole, then does what `answer` does with it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.connections.add(self.client_address)
            found.requests.append((dict(self.headers), json.loads(body)))
            answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # cut connections are what the tests are about
    found = HttpServer(Endpoint.parse(f"http://127.0.0.1:{server.server_port}/graphql"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sends(status: int, body: str, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answers with that status and body; header names with underscores."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body.encode())))
        handler.end_headers()
        handler.wfile.write(body.encode())

    return answer


def sends_json(content: Any, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    return sends(status, json.dumps(content), content_type="application/json", **headers)


def stops_half_way(handler: BaseHTTPRequestHandler) -> None:
    """Promises more than it sends, then closes."""
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data": {"m0"')
    handler.close_connection = True


def resets(handler: BaseHTTPRequestHandler) -> None:
    """Cuts the connection with a TCP reset after it has read the request."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.shutdown(socket.SHUT_RD)
    handler.wfile.close()
    handler.connection.close()
    handler.close_connection = True


def closed_port() -> int:
    """A port nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Peer:
    """The server's side of one realtime connection."""

    socket: ServerConnection

    async def receive(self) -> Any:
        return json.loads(await self.socket.recv())

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def greet(self, **payload: Any) -> None:
        """The handshake of a healthy server."""
        assert (await self.receive())["type"] == "connection_init"
        await self.send(type="connection_ack", payload={"connectionTimeoutMs": 300_000, **payload})

    async def accept(self) -> Any:
        """Acknowledges the next subscription and returns its `start` frame."""
        start = await self.receive()
        assert start["type"] == "start"
        await self.send(type="start_ack", id=start["id"])
        return start

    async def has_been_read(self) -> None:
        """Returns when the other side has taken in what was sent before."""
        await (await self.socket.ping())

    async def until_closed(self) -> None:
        await self.socket.wait_closed()


@asynccontextmanager
async def realtime_server(script: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[Endpoint]:
    """Plays `script` for each connection; a script that fails fails the test."""
    failures: list[BaseException] = []

    async def play(connection: ServerConnection) -> None:
        try:
            await script(Peer(connection))
        except BaseException as exc:
            failures.append(exc)
            raise

    protocols: Any = ["graphql-ws"]
    async with serve(play, "127.0.0.1", 0, subprotocols=protocols, ping_interval=None, close_timeout=1) as server:
        port = server.sockets[0].getsockname()[1]
        yield Endpoint.parse(f"http://127.0.0.1:{port}/graphql")
        server.close()
        await asyncio.wait_for(server.wait_closed(), 60)
    assert not failures, failures
