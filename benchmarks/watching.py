"""A thousand sockets that do no more than notice when something arrives: their work must not be what is measured."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

_CONNECTING = 50
"""Handshakes under way at once."""
_PATIENCE_SECONDS = 60


class Watchers:
    """Open sockets, read in a thread of their own."""

    def __init__(self, url: str, count: int, greetings: Callable[[], Sequence[str]], answers: int) -> None:
        self._url = url.replace("http://", "ws://")
        self._count = count
        self._greetings = greetings
        self._answers = answers
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._sockets: list[_Watcher] = []
        self._all_arrived = threading.Event()
        self._missing = 0
        self.mark = b""
        self.last = b""
        """What the last one got."""

    def __enter__(self) -> Watchers:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._connect(), self._loop).result(_PATIENCE_SECONDS)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for socket in self._sockets:
            self._loop.call_soon_threadsafe(socket.transport.abort)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def expecting(self, mark: str) -> Iterator[None]:
        """Ends when every socket has got something with this mark in it."""
        self.mark, self._missing = mark.encode(), self._count
        self._all_arrived.clear()
        yield
        if not self._all_arrived.wait(_PATIENCE_SECONDS):
            raise TimeoutError(f"{self._missing} of {self._count} sockets got nothing.")

    def arrived(self, data: bytes) -> None:
        """One of them has it."""
        self._missing -= 1
        if not self._missing:
            self.last = data
            self._all_arrived.set()

    async def _connect(self) -> None:
        gate = asyncio.Semaphore(_CONNECTING)

        async def connect() -> None:
            async with gate:
                uri = parse_uri(self._url)
                _, socket = await self._loop.create_connection(
                    lambda: _Watcher(self, self._greetings(), self._answers), uri.host, uri.port
                )
                await socket.ready
                self._sockets.append(socket)

        await asyncio.gather(*(connect() for _ in range(self._count)))

    @property
    def url(self) -> str:
        """Where they connect to."""
        return self._url


class _Watcher(asyncio.Protocol):
    """One socket: greets, waits for so many answers, then only looks for the mark."""

    transport: asyncio.Transport

    def __init__(self, watchers: Watchers, greetings: Sequence[str], answers: int) -> None:
        self._watchers = watchers
        self._greetings = greetings
        self._answers = answers
        self._protocol = ClientProtocol(parse_uri(watchers.url))
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self.ready.done():
            if self._watchers.mark in data:  # a frame of this size arrives in one piece
                self._watchers.arrived(data)
            return
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                for greeting in self._greetings:
                    self._protocol.send_text(greeting.encode())
            elif isinstance(event, Frame):
                self._answers -= 1
        self._flush()
        if self._answers == 0 and self._protocol.state is State.OPEN:
            self.ready.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionError("The server closed a socket that was being set up."))

    def _flush(self) -> None:
        self.transport.write(b"".join(self._protocol.data_to_send()))
