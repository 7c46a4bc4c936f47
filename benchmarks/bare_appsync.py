"""AppSync as it would be if it cost nothing: answers sync queries with prepared pages, and replays prepared events.

`python -m benchmarks.bare_appsync BOOKS CHANGED EVENTS` prints its URL and serves until it is told to stop. A base sync
finds BOOKS books, a delta sync CHANGED of them in a version that nobody has seen. A POST to `/graphql/replay` sends
EVENTS creates to whoever has subscribed to them.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from benchmarks import records

_FIELD = re.compile(r"\b(syncBooks|syncShelves|onCreateBook)\b")
_HEADERS = [(b"content-type", b"application/json")]


@dataclass(frozen=True, slots=True)
class Address:
    """Where it is, and what lets in."""

    url: str
    api_key: str = records.API_KEY


@contextmanager
def running_bare_appsync(*, books: int = 0, changed: int = 0, events: int = 0) -> Iterator[Address]:
    """The server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bare_appsync", str(books), str(changed), str(events)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Address((process.stdout.readline() if process.stdout else "").strip())
        finally:
            process.terminate()


class BareAppSync:
    """The application."""

    def __init__(self, books: int, changed: int, events: int) -> None:
        self._books = books
        self._changed = changed
        self._events = events
        self._versions = itertools.count(2)
        self._waiting: dict[int, tuple[Any, list[str]]] = {}
        """By socket: how to send, and the frames of a replay."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """An ASGI connection."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["path"].endswith("/replay"):
            await _respond(send, b"{}")
            await self._replay()
        else:
            await _respond(send, self._answer(json.loads(await _body(receive))))

    def _answer(self, request: dict[str, Any]) -> bytes:
        query, variables = request["query"], request.get("variables") or {}
        match _FIELD.findall(query):
            case ["syncBooks"] if variables.get("lastSync"):
                items = records.delta_page(query, self._changed, next(self._versions))
                return records.answer("syncBooks", items)
            case ["syncBooks"]:
                return self._page(query, variables["limit"], int(variables.get("nextToken") or 0))
            case ["syncShelves"]:
                return records.answer("syncShelves", records.compact([records.selected(records.shelf(), query)]))
        return b'{"data":{"__typename":"Query"}}'

    def _page(self, query: str, limit: int, page: int) -> bytes:
        items = records.base_page(query, min(limit, self._books), page)
        is_last = (page + 1) * limit >= self._books
        return records.answer("syncBooks", items, None if is_last else str(page + 1))

    async def _socket(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
        while (message := await receive())["type"] == "websocket.receive":
            frame = json.loads(message["text"])
            match frame["type"]:
                case "connection_init":
                    payload = {"connectionTimeoutMs": 300_000}
                    await _say(send, {"type": "connection_ack", "payload": payload})
                case "start":
                    if "onCreateBook" in (query := json.loads(frame["payload"]["data"])["query"]):
                        self._waiting[id(scope)] = send, self._frames(frame["id"], query)
                    await _say(send, {"type": "start_ack", "id": frame["id"]})
                case "stop":
                    await _say(send, {"type": "complete", "id": frame["id"]})
        self._waiting.pop(id(scope), None)

    def _frames(self, subscription: str, query: str) -> list[str]:
        books = [records.selected(records.book(number, 0), query) for number in range(self._events)]
        payloads = [{"data": {"onCreateBook": book}} for book in books]
        return [json.dumps({"id": subscription, "type": "data", "payload": payload}) for payload in payloads]

    async def _replay(self) -> None:
        for send, frames in list(self._waiting.values()):
            for text in frames:
                await send({"type": "websocket.send", "text": text})


async def _body(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _respond(send: Any, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]})
    await send({"type": "http.response.body", "body": body})


async def _say(send: Any, frame: dict[str, Any]) -> None:
    await send({"type": "websocket.send", "text": json.dumps(frame)})


def main(books: int, changed: int, events: int) -> None:
    """Serves on a free port."""
    listening = socket.create_server(("127.0.0.1", 0))
    application = BareAppSync(books, changed, events)
    config = uvicorn.Config(
        application, lifespan="off", log_level="warning", ws_per_message_deflate=False, timeout_keep_alive=600
    )
    print("http://{}:{}/graphql".format(*listening.getsockname()), flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
