"""The Channels consumer around `realtime.Protocol`: carries messages, keeps the connection alive, has no opinions."""

from __future__ import annotations

import asyncio
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from django_datastore.appsync_local import service as services
from django_datastore.appsync_local.broker import Socket
from django_datastore.appsync_local.realtime import (
    KEEP_ALIVE,
    SUBPROTOCOL,
    Close,
    Outgoing,
    Protocol,
    credentials,
    data_message,
)
from django_datastore.appsync_local.service import Call, Service

_MAX_WAITING = 10_000
"""Messages a client may be behind before it is cut off."""
_TOO_SLOW = 1013


class RealtimeConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels ships no types
    """One socket. `RealtimeConsumer.as_asgi(service=...)` serves another API than the settings'."""

    channel_layer_alias = "appsync_local has no channel layer"
    """The broker delivers; a layer would only cost a queue per socket."""

    def __init__(self, service: Service | None = None) -> None:
        super().__init__()
        self._service = service

    async def connect(self) -> None:
        """Accepts; what is wrong with the credentials is told after `connection_init`."""
        service = self._service or services.current()
        self._loop = asyncio.get_running_loop()
        self._broker = service.broker
        self._socket = Socket(self._loop, self._deliver)
        self._outgoing: asyncio.Queue[Outgoing] = asyncio.Queue()
        self._executable = service.executable
        self._protocol = Protocol(
            credentials(
                self.scope.get("subprotocols", ()),
                self.scope.get("query_string", b"").decode("latin-1"),
                {name.decode("latin-1"): value.decode("latin-1") for name, value in self.scope.get("headers", ())},
            ),
            authorize=service.auth.authorize,
            start=self._start,
            stop=lambda subscription_id: self._broker.unsubscribe(self._socket, subscription_id),
            connection_timeout_ms=service.settings.CONNECTION_TIMEOUT_SECONDS * 1000,
        )
        self._keep_alive_seconds = service.settings.KEEP_ALIVE_SECONDS
        await self.accept(SUBPROTOCOL if SUBPROTOCOL in self.scope.get("subprotocols", ()) else None)
        self._pump_task = asyncio.create_task(self._pump())
        self._timer = self._loop.call_later(self._keep_alive_seconds, self._keep_alive)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A message of the client."""
        for message in self._protocol.receive(text_data):
            self._outgoing.put_nowait(message)

    async def disconnect(self, code: int) -> None:
        """The socket is gone, whoever closed it."""
        self._broker.leave(self._socket)
        self._timer.cancel()
        self._pump_task.cancel()

    def _start(self, subscription_id: str, text: str) -> None:
        call = Call.parse(text)
        prepared = self._executable.prepare(call.query, call.variables, call.operation_name)
        self._broker.subscribe(self._socket, self._executable.subscription(prepared, subscription_id))

    def _deliver(self, messages: list[tuple[str, str]]) -> None:
        if self._outgoing.qsize() > _MAX_WAITING:
            self._broker.leave(self._socket)
            self._outgoing.put_nowait(Close(_TOO_SLOW))
            return
        for subscription_id, payload in messages:
            self._outgoing.put_nowait(data_message(subscription_id, payload))

    def _keep_alive(self) -> None:
        self._outgoing.put_nowait(KEEP_ALIVE)
        self._timer = self._loop.call_later(self._keep_alive_seconds, self._keep_alive)

    async def _pump(self) -> None:
        """The only one that sends, so that everything goes out in the order it was decided."""
        while True:
            match await self._outgoing.get():
                case Close(code):
                    await self.close(code)
                    return
                case text:
                    message: dict[str, Any] = {"type": "websocket.send", "text": text}
                    await self.base_send(message)
