"""uvicorn's WebSocket with one more way to send: a text message that is written at once, from any callback.

An ASGI `send` costs a coroutine, a task that runs it and a frame object: for one event to a thousand sockets that is
most of the time.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from django_datastore.appsync_local.sockets.send_queue import WRITE

_TEXT = 0x81
"""The first byte of a text frame that is the whole message."""


class WebSocket(WebSocketsSansIOProtocol):
    """One connection. Its frames are not compressed."""

    def handle_connect(self, event: Request) -> None:
        """The handshake; the application does not run yet when this returns."""
        super().handle_connect(event)
        scope: dict[str, Any] = getattr(self, "scope", {})
        scope.setdefault("extensions", {})[WRITE] = self.write

    def write(self, parts: tuple[bytes, ...]) -> bool:
        """Writes a text message if the line is open and takes it now."""
        transport = self.transport
        if not self.handshake_complete or self.close_sent or transport.is_closing():
            return False
        if transport.get_write_buffer_size():
            return False
        transport.write(text_frame(parts))
        return True


def text_frame(parts: tuple[bytes, ...]) -> bytes:
    """A server's frame with a whole text message."""
    length = sum(map(len, parts))
    if length < 126:
        return b"".join((bytes((_TEXT, length)), *parts))
    if length < 65_536:
        return b"".join((bytes((_TEXT, 126)), length.to_bytes(2, "big"), *parts))
    return b"".join((bytes((_TEXT, 127)), length.to_bytes(8, "big"), *parts))
