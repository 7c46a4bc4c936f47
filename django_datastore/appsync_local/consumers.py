"""The ASGI application around `realtime.Protocol`: carries messages, keeps the connection alive, has no opinions.

It goes into a Channels `URLRouter` like any consumer, but is none: a layer, groups and a dispatcher would only cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from django_datastore.appsync_local import service as services
from django_datastore.appsync_local.auth.identity import Identity
from django_datastore.appsync_local.broker import Message, Socket
from django_datastore.appsync_local.realtime import (
    DATA_TAIL,
    SUBPROTOCOL,
    Close,
    Outgoing,
    Protocol,
    credentials,
    data_head,
)
from django_datastore.appsync_local.service import Call, Service
from django_datastore.appsync_local.sockets.send_queue import CLOSING_SECONDS, WRITE, Send, SendQueue

Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_MAX_UNSENT = 100
"""Messages that wait before a client has to take some: until then nothing more is read from it."""
_TOO_SLOW = Close(1013, "Too slow")


class RealtimeConsumer:
    """One socket."""

    def __init__(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._queue = SendQueue(send, scope.get("extensions", {}).get(WRITE))
        self._heads: dict[str, bytes] = {}
        """What stands before the payload, by subscription id."""
        self._loop = asyncio.get_running_loop()
        self._broker = service.broker
        self._relay = service.relay
        self._executable = service.executable
        self._subprotocols = scope.get("subprotocols", ())
        self._clock = service.elapsed
        self._socket = Socket(self._loop, self._deliver, self._end, self._tick)
        self._may_wait, self._ask = service.auth.may_wait, service.ask
        self._held: list[list[Message]] | None = None
        """Events that wait for the answer to a message; None while there is none."""
        self._is_gone = False
        self._ticks_at = 0.0
        """The deadline the timer is set to."""
        self._timer: asyncio.TimerHandle
        self._is_closing = False
        self._protocol = Protocol(
            credentials(
                self._subprotocols,
                scope.get("query_string", b"").decode("latin-1"),
                {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", ())},
            ),
            authenticate=service.auth.authenticate,
            start=self._start,
            stop=self._stop,
            limits=service.settings.connection_limits,
            clock=self._clock,
            path=scope.get("path", "/graphql").rstrip("/").removesuffix("/realtime"),
        )

    @classmethod
    def as_asgi(cls, service: Service | None = None) -> Application:
        """The application of all sockets of an API, by default the settings'."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            await cls(service or services.current(), scope, receive, send).run()

        return serve

    async def run(self) -> None:
        """From the handshake to the end, whoever ends it. To return without a close frame cuts the line."""
        await self._receive()
        if not await self._hears_all():
            await self._send({"type": "websocket.close", "code": 1013})
            return
        await self._send({"type": "websocket.accept", "subprotocol": self._subprotocol()})
        self._timer = self._loop.call_later(0, self._tick)
        self._sending = asyncio.create_task(self._queue.run())
        reading = asyncio.create_task(self._read())
        self._broker.join(self._socket)
        try:
            await asyncio.wait({self._sending, reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._is_gone = True
            self._broker.leave(self._socket)
            self._timer.cancel()
            await _cancel(self._sending, reading)

    async def _hears_all(self) -> bool:
        """Whether events of other processes come, too, where there are such."""
        if self._relay is None or self._relay.is_started:
            return True
        return await asyncio.to_thread(self._relay.start)

    def _subprotocol(self) -> str | None:
        """What is accepted: credentials that came as a subprotocol are none."""
        return SUBPROTOCOL if SUBPROTOCOL in self._subprotocols else None

    async def _read(self) -> None:
        while (message := await self._receive())["type"] == "websocket.receive":
            if self._may_wait:
                await self._receive_in_thread(message.get("text"))
            else:
                self._put(self._protocol.receive(message.get("text")))
            if self._protocol.deadline < self._ticks_at:
                self._tick()
            if len(self._queue) > _MAX_UNSENT:
                await self._queue.empty()

    async def _receive_in_thread(self, text: str | None) -> None:
        """To ask others who it is may take its time. What happens meanwhile goes out behind the answer."""
        self._held = []
        answers = await self._ask(self._protocol.receive, text)
        held, self._held = self._held, None
        self._put(answers)
        for messages in held:
            self._deliver(messages)

    def _put(self, messages: list[Outgoing]) -> None:
        for message in messages:
            if isinstance(message, Close):
                self._close(message)
            else:
                self._queue.put(message.encode())

    def _close(self, close: Close) -> None:
        """Closes; who does not read what comes before it is cut off in the end."""
        self._is_closing = True
        self._broker.leave(self._socket)
        self._queue.close(close)
        self._timer.cancel()
        self._timer = self._loop.call_later(CLOSING_SECONDS, self._sending.cancel)

    def _start(self, subscription_id: str, text: str, identity: Identity) -> None:
        call = Call.parse(text)
        prepared = self._executable.prepare(call.query, call.variables, call.operation_name)
        self._broker.subscribe(self._socket, self._executable.subscription(prepared, subscription_id, identity))
        self._heads[subscription_id] = data_head(subscription_id)
        if self._is_gone:  # while a thread asked who it is
            self._broker.leave(self._socket)

    def _stop(self, subscription_id: str) -> None:
        self._broker.unsubscribe(self._socket, subscription_id)
        self._heads.pop(subscription_id, None)

    def _deliver(self, messages: list[Message]) -> None:
        if self._held is not None:
            self._held.append(messages)
            return
        for subscription_id, payload in messages:
            if (head := self._heads.get(subscription_id)) is not None:  # else it was stopped just now
                self._queue.write(head, payload.encoded, DATA_TAIL)
        if self._queue.is_overfull:
            self._close(_TOO_SLOW)

    def _end(self, code: int | None) -> None:
        if code is None:
            self._sending.cancel()
        else:
            self._close(Close(code))

    def _tick(self) -> None:
        """Says what the time demands, and sets the timer anew."""
        if self._is_gone or self._is_closing:
            return
        self._timer.cancel()
        messages = self._protocol.tick()
        self._ticks_at = self._protocol.deadline
        self._timer = self._loop.call_later(self._ticks_at - self._clock(), self._tick)
        self._put(messages)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    """Ends the tasks; what one of them failed of is raised, except that nobody is there any more."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
            raise outcome
