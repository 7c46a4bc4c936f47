"""What a socket still has to be sent. Events, which come to many at once, are written at once where that is possible.

write ─▶ nothing waits, and the line takes it ─▶ written
   └───▶ else put ─▶ it waits ─▶ `run` sends it in its turn
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from django_datastore.appsync_local.realtime import Close

Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
Write: TypeAlias = Callable[[tuple[bytes, ...]], bool]
"""Writes a text message made of these parts if that is possible now, and says whether it was."""

WRITE = "appsync_local.write"
"""The extension of the ASGI scope that is a `Write`. Our own server offers it."""
MAX_MESSAGES = 10_000
MAX_BYTES = 16 * 1024 * 1024
"""How far a client may fall behind."""
CLOSING_SECONDS = 10
"""How long a client may take to read what comes before a close."""


class SendQueue:
    """The messages of one socket, in their order."""

    def __init__(self, send: Send, write: Write | None = None) -> None:
        self._send = send
        self._write = write
        self._waiting: deque[bytes | Close] = deque()
        self._size = 0
        self._is_sending = False
        self._is_closing = False
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_overfull(self) -> bool:
        """Whether the client is too far behind."""
        return len(self._waiting) > MAX_MESSAGES or self._size > MAX_BYTES

    def put(self, message: bytes) -> None:
        """Sends a text message in its turn."""
        if not self._is_closing:
            self._add(message)

    def write(self, *parts: bytes) -> None:
        """Sends a text message made of these parts, at once if nothing waits and the line takes it now."""
        is_idle = not self._waiting and not self._is_sending and not self._is_closing
        if not is_idle or self._write is None or not self._write(parts):
            self.put(b"".join(parts))

    def close(self, close: Close) -> None:
        """Closes the socket behind all messages; more are not taken."""
        if not self._is_closing:
            self._is_closing = True
            self._add(close)

    async def empty(self) -> None:
        """Waits until nothing waits any more."""
        await self._empty.wait()

    async def run(self) -> None:
        """Sends until it has sent a close; nobody else may use `send` meanwhile."""
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                if isinstance(message, Close):
                    await self._send({"type": "websocket.close", "code": message.code, "reason": message.reason})
                    return
                self._size -= len(message)
                self._is_sending = True
                await self._send({"type": "websocket.send", "text": message.decode()})
                self._is_sending = False
            self._empty.set()
            self._wake.clear()
            await self._wake.wait()

    def _add(self, message: bytes | Close) -> None:
        self._waiting.append(message)
        self._size += len(message) if isinstance(message, bytes) else 0
        self._empty.clear()
        self._wake.set()
