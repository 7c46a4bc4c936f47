"""The socket that brings changes: opens it, subscribes, and hands messages on in the order they arrive. Asynchronous.

    async with RealtimeConnection(endpoint, auth) as connection:        # open, greeted, acknowledged
        subscription = await connection.subscribe(*document)            # live: AppSync said start_ack
        async for message in connection.messages(): ...                 # ends with the classified error when it is lost

A connection lives once. After it is lost make a new one: credentials are asked for anew. A delta sync fills the gap.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from gql.transport.exceptions import TransportError

from django_datastore.appsync import errors
from django_datastore.appsync.auth import Auth
from django_datastore.appsync.endpoint import Endpoint
from django_datastore.appsync.errors import Attempt
from django_datastore.appsync.socket import FrameError, SocketTransport
from django_datastore.exceptions import Offline, ServerError, SyncError
from django_datastore.types import ProcessName

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """One subscription of one connection. Compared by identity."""

    id: int
    document: str = field(repr=False)
    variables: Mapping[str, Any] = field(repr=False)
    operation: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What arrived for a subscription: `data`, or an `error` in its place."""

    subscription: Subscription | None
    """None if the server does not say which subscription its error is about."""
    data: Mapping[str, Any] | None = field(default=None, repr=False)
    """The payload's `data`: the response field, such as `onCreatePost`, to its record."""
    error: SyncError | None = None
    is_end: bool = False
    """No more messages come for this subscription; the others go on."""


class RealtimeConnection:
    """One open socket to AppSync and its subscriptions.

    Messages wait in a queue of `queue_size`; when it is full nothing more is read from the socket until somebody takes
    messages, so subscribe first, then read all the time.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        auth: Auth,
        *,
        connect_timeout_seconds: float = 15.0,
        start_timeout_seconds: float = 15.0,
        queue_size: int = 1000,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.auth = auth
        self._connect_timeout_seconds = connect_timeout_seconds
        self._start_timeout_seconds = start_timeout_seconds
        self._ssl_context = ssl_context
        self._transport: SocketTransport | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting: dict[int, asyncio.Future[None]] = {}
        self._subscriptions: dict[int, Subscription] = {}
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue(queue_size)
        self._failure: SyncError | None = None

    @property
    def connection_timeout_seconds(self) -> float:
        """How long the server may be silent before the connection counts as lost."""
        return self._open_transport().connection_timeout_ms / 1000

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Opens the socket and waits for AppSync's acknowledgement; raises the classified error if that fails."""
        if self._transport is not None:
            raise RuntimeError("A RealtimeConnection connects once. Make a new one.")
        transport = SocketTransport(self.endpoint, self.auth, self._connect_timeout_seconds, self._ssl_context)
        try:
            await transport.connect()
        except (TransportError, OSError, FrameError) as exc:
            raise self._classified(exc, "open the socket") from exc
        finally:
            if not transport.is_ready:
                await transport.close()
        self._transport = transport
        self._reader = asyncio.create_task(self._read(transport))

    async def subscribe(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation: str | None = None,
        model: str | None = None,
    ) -> Subscription:
        """The subscription, once AppSync has acknowledged it: from then on no change is missed.

        Raises the classified error if AppSync refuses it or does not answer in time; other subscriptions are not
        touched. May be called for many documents at once. `operation` and `model` are for messages and ride along.
        """
        transport = self._open_transport()
        subscription = Subscription(transport.next_query_id, document, variables or {}, operation, model)
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._starting[subscription.id] = started
        self._subscriptions[subscription.id] = subscription
        try:
            async with asyncio.timeout(self._start_timeout_seconds):
                await transport.start(subscription.document, subscription.variables)
                await started
        except TimeoutError as exc:
            why = f"AppSync did not acknowledge it in {self._start_timeout_seconds:g} seconds"
            raise self._ended(subscription, why) from exc
        except TransportError as exc:
            raise self._failure or self._classified(exc, "subscribe") from exc
        finally:
            self._starting.pop(subscription.id, None)
            if started.cancelled() or not started.done() or started.exception() is not None:
                await self.unsubscribe(subscription)
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Ends one subscription. Messages that arrived before may still be in the queue."""
        if self._subscriptions.pop(subscription.id, None) is None or self._failure or self._transport is None:
            return
        try:
            await self._transport.stop(subscription.id)
        except TransportError:
            logger.debug("The socket was lost before a subscription could be stopped.")

    async def messages(self) -> AsyncIterator[Message]:
        """Everything that arrives for all subscriptions, in order, until the connection is closed here.

        Raises the classified error (`Offline` as a rule) when the connection is lost, after what had arrived before.
        """
        while (message := await self._queue.get()) is not None:
            yield message
        self._queue.put_nowait(None)
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Closes the socket; `messages()` ends without an error."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        if self._transport is not None:
            await self._transport.close()
        self._fail_starting(Offline(self._attempt("subscribe").describe("the connection was closed here")))
        self._end_queue()

    async def _read(self, transport: SocketTransport) -> None:
        try:
            while True:
                frame = await transport.next_frame()
                if (message := self._handled(frame)) is not None:
                    await self._queue.put(message)
        except Exception as exc:  # whatever it is, those who wait for messages must hear of it
            self._failure = self._classified(exc, "listen")
            self._failure.__cause__ = exc
        self._fail_starting(self._failure)
        await self._queue.put(None)
        await transport.close()

    def _handled(self, frame: Mapping[str, Any]) -> Message | None:
        """What a frame means for whoever reads messages; None if nothing."""
        match frame.get("type"):
            case "start_ack":
                self._started(frame)
            case "data":
                return self._data(frame)
            case "error":
                return self._error(frame)
            case "complete":
                return self._completed(frame)
            case "connection_error":
                raise FrameError(frame.get("payload"))
        return None

    def _started(self, frame: Mapping[str, Any]) -> None:
        started = self._starting.get(_id_of(frame))
        if started is not None and not started.done():
            started.set_result(None)

    def _data(self, frame: Mapping[str, Any]) -> Message | None:
        subscription = self._subscriptions.get(_id_of(frame))
        if subscription is None:
            return None
        payload = frame.get("payload")
        if not isinstance(payload, Mapping):
            return None
        if payload.get("errors"):
            attempt = self._attempt("receive a message", subscription)
            return Message(subscription, error=errors.from_graphql(errors.first_error(payload), attempt))
        data = payload.get("data")
        return Message(subscription, data) if isinstance(data, Mapping) else None

    def _error(self, frame: Mapping[str, Any]) -> Message | None:
        subscription = self._subscriptions.get(_id_of(frame))
        error = errors.from_frame(frame.get("payload"), self._attempt("subscribe", subscription))
        started = self._starting.get(_id_of(frame))
        if started is not None and not started.done():
            del self._subscriptions[_id_of(frame)]
            started.set_exception(error)
            return None
        if subscription is not None:
            del self._subscriptions[subscription.id]
        return Message(subscription, error=error, is_end=subscription is not None)

    def _completed(self, frame: Mapping[str, Any]) -> Message | None:
        subscription = self._subscriptions.pop(_id_of(frame), None)
        if subscription is None:
            return None  # the answer to our stop
        error = self._ended(subscription, "AppSync ended the subscription")
        started = self._starting.get(subscription.id)
        if started is not None and not started.done():
            started.set_exception(error)
            return None
        return Message(subscription, error=error, is_end=True)

    def _ended(self, subscription: Subscription, why: str) -> SyncError:
        attempt = self._attempt("subscribe", subscription)
        return ServerError(attempt.describe(why), maybe_applied=False, **attempt.facts())

    def _fail_starting(self, error: SyncError | None) -> None:
        for started in self._starting.values():
            if error is not None and not started.done():
                started.set_exception(error)

    def _end_queue(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    def _open_transport(self) -> SocketTransport:
        if self._failure is not None:
            raise self._failure
        if self._transport is None:
            raise RuntimeError("The RealtimeConnection is not connected. Use it in an `async with` statement.")
        return self._transport

    def _classified(self, exc: Exception, action: str) -> SyncError:
        attempt = self._attempt(action)
        if isinstance(exc, FrameError):
            return errors.from_frame(exc.payload, attempt)
        return errors.from_socket(exc, attempt)

    def _attempt(self, action: str, subscription: Subscription | None = None) -> Attempt:
        return Attempt(
            self.endpoint.host,
            process=ProcessName.SUBSCRIBE,
            operation=subscription.operation if subscription else None,
            model=subscription.model if subscription else None,
            action=action,
            secrets=self.auth.secrets,
            variables=subscription.variables if subscription else None,
        )


def _id_of(frame: Mapping[str, Any]) -> int:
    """The id as the number we gave; -1 for none of ours."""
    try:
        return int(str(frame.get("id")))
    except ValueError:
        return -1
