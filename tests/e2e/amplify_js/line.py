"""The line between a client and its server: what goes over it is remembered, and it can be cut."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, Self
from urllib.parse import urlsplit

_FIELD = re.compile(r"\{\s*(\w+)")
_RESET = struct.pack("ii", 1, 0)  # closing sends a reset, as a line that breaks does not say goodbye


@dataclass(frozen=True)
class Request:
    """A GraphQL request as it went over the line, and its answer."""

    query: str
    variables: dict[str, Any]
    headers: dict[str, str]
    """By lower-case name."""
    status: int
    answer: dict[str, Any]
    after: int
    """How many requests on the line had been answered when this one was asked."""

    @property
    def field(self) -> str:
        """The root field, such as `syncPosts`; the client asks for one at a time."""
        found = _FIELD.search(self.query)
        return found[1] if found else ""

    @property
    def value(self) -> Any:
        """What the root field returned."""
        return self.answer["data"][self.field]


class Line:
    """Relays to a server, on a port of its own. `on_event` is called after everything that was remembered."""

    def __init__(self, url: str, *, on_event: Callable[[], None]) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._on_event = on_event
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/graphql"
        self.requests: list[Request] = []
        """In the order of the answers."""
        self.sent: list[dict[str, Any]] = []
        """What the client said on its socket."""
        self.received: list[dict[str, Any]] = []
        """What it was told there."""
        self._sockets: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, name="line", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listening.close()
        self.cut()

    def cut(self) -> int:
        """Cuts every WebSocket, without a close frame; returns how many there were."""
        cut, self._sockets = self._sockets, []
        for pair in cut:
            for end in pair:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RDWR)
        return len(cut)

    def asked(self, field: str, *, since: int = 0) -> list[Request]:
        """The requests for a root field; `since` skips as many requests of any."""
        return [request for request in self.requests[since:] if request.field == field]

    def fields(self, *, since: int = 0) -> list[str]:
        """The root fields that were asked for."""
        return [request.field for request in self.requests[since:]]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=[client], daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        """One connection: requests and answers in turn, until it is upgraded or ends."""
        with suppress(OSError, EOFError), client, socket.create_connection(self._target) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asking, answering = client.makefile("rb"), server.makefile("rb")
            while True:
                head, body = _message(asking)
                after = len(self.requests)
                server.sendall(head + body)
                answer_head, answer_body = _message(answering)
                if b" 101 " in answer_head.split(b"\r\n", 1)[0]:
                    self._sockets.append((client, server))
                    client.sendall(answer_head)
                    self._relay_frames(client, asking, server, answering)
                    return
                if body:
                    asked = json.loads(body)
                    status = int(answer_head.split(b" ", 2)[1])
                    answer = json.loads(answer_body or b"{}")
                    request = Request(asked["query"], asked["variables"], _headers(head), status, answer, after)
                    self.requests.append(request)
                client.sendall(answer_head + answer_body)
                self._on_event()

    def _relay_frames(
        self, client: socket.socket, asking: BufferedReader, server: socket.socket, answering: BufferedReader
    ) -> None:
        back = threading.Thread(target=self._pump, args=[answering, client, self.received], daemon=True)
        back.start()
        self._pump(asking, server, self.sent)
        back.join()

    def _pump(self, source: BufferedReader, target: socket.socket, heard: list[dict[str, Any]]) -> None:
        with suppress(OSError, EOFError):
            while True:
                raw, text = _frame(source)
                if text is not None:
                    heard.append(json.loads(text))
                target.sendall(raw)
                self._on_event()
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)  # the other direction ends, too


def _message(source: BufferedReader) -> tuple[bytes, bytes]:
    """An HTTP message: head and body."""
    lines = []
    length = 0
    while True:
        line = source.readline()
        if not line:
            raise EOFError
        lines.append(line)
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        if line == b"\r\n":
            return b"".join(lines), _exactly(source, length)


def _headers(head: bytes) -> dict[str, str]:
    lines = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:]]
    return {name.lower(): value for name, _, value in lines if name}


def _frame(source: BufferedReader) -> tuple[bytes, bytes | None]:
    """A WebSocket frame as it came, and its text if it is one."""
    raw = _exactly(source, 2)
    kind, length = raw[0] & 0x0F, raw[1] & 0x7F
    if length > 125:
        more = _exactly(source, 2 if length == 126 else 8)
        raw, length = raw + more, int.from_bytes(more, "big")
    mask = _exactly(source, 4) if raw[1] & 0x80 else b""
    payload = _exactly(source, length)
    raw += mask + payload
    if kind != 1:
        return raw, None
    return raw, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if mask else payload


def _exactly(source: BufferedReader, length: int) -> bytes:
    found = source.read(length)
    if len(found) < length:
        raise EOFError
    return found
