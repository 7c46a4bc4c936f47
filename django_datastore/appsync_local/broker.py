"""Carries what a mutation changed to the sockets that watch it. In process: one server process, all its event loops.

Mutations publish from their own thread right after the commit, so events go out in commit order, and only to who was
subscribed at that moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

logger = logging.getLogger(__name__)

MAX_PAYLOAD_BYTES = 240 * 1024
"""AppSync's subscription payload."""

Payload: TypeAlias = Mapping[str, Any]
"""What the mutation selected, by field name."""


class Text(str):
    """JSON text that many share: it is encoded once."""

    @cached_property
    def encoded(self) -> bytes:
        """As UTF-8."""
        return self.encode()


Message: TypeAlias = tuple[str, Text]
"""A subscription's id, and the `payload` for it."""
Deliver: TypeAlias = Callable[[list[Message]], None]
"""Takes the messages of one socket, in its event loop."""
End: TypeAlias = Callable[[int | None], None]
"""Ends one socket, in its event loop: with this close code, or with None abruptly, as a lost line would."""


@dataclass(frozen=True, eq=False)
class Subscription:
    """One `start` of one socket."""

    id: str
    topic: str
    """The subscription field, such as `onCreatePost`."""
    matches: Callable[[Payload], bool] | None
    """The `filter` argument, or None."""
    filter_key: Hashable
    """Equal for equal filters, so that each is asked once per event."""
    render: Callable[[Payload], Any]
    """The `payload` of the data message."""
    render_key: Hashable
    """Equal for equal selections, so that each is serialised once per event."""
    admits: Callable[[Event], bool] | None = None
    """Whether the rules let the subscriber see the event; None if they let him see all."""
    admits_key: Hashable = None
    """Equal for equal rules and callers, so that each is asked once per event."""


@dataclass(frozen=True, eq=False)
class Event:
    """A record after a mutation."""

    topic: str
    payload: Payload
    mutation: str = ""
    """The mutation field, such as `createPost`."""
    record: Payload = field(default_factory=dict)
    """The whole record, which nobody is sent: for those who look at what passes."""


Intercept: TypeAlias = Callable[[list[Event]], Iterable[Event]]
"""Takes the events of one commit, and returns what is delivered now; the rest may go to `Broker.deliver` later."""


@dataclass(eq=False)
class Socket:
    """A connection as the broker sees it."""

    loop: asyncio.AbstractEventLoop
    deliver: Deliver
    end: End = lambda code: None
    tick: Callable[[], None] = lambda: None
    """Looks at the clock, in its event loop."""
    subscriptions: dict[str, Subscription] = field(default_factory=dict)


class Broker:
    """Who watches what. Every method may be called from any thread.

    Events pass through `intercept` before they are delivered: tests lose, double and reorder them there.
    """

    def __init__(self, *, intercept: Intercept | None = None) -> None:
        self.intercept = intercept
        self.too_big = 0
        """Payloads that were not delivered because of their size: one for each selection of an event."""
        self._lock = threading.Lock()
        self._sockets: set[Socket] = set()
        self._topics: dict[str, dict[tuple[int, str], tuple[Socket, Subscription]]] = defaultdict(dict)

    def join(self, socket: Socket) -> None:
        """There is a socket, which watches nothing yet."""
        with self._lock:
            self._sockets.add(socket)

    @property
    def sockets(self) -> set[Socket]:
        """Those that are connected now."""
        with self._lock:
            return set(self._sockets)

    def subscribe(self, socket: Socket, subscription: Subscription) -> None:
        """From now on the socket gets the topic's events."""
        with self._lock:
            socket.subscriptions[subscription.id] = subscription
            self._topics[subscription.topic][id(socket), subscription.id] = (socket, subscription)

    def unsubscribe(self, socket: Socket, subscription_id: str) -> None:
        """No more events for this subscription; unknown ids are no error."""
        with self._lock:
            subscription = socket.subscriptions.pop(subscription_id, None)
            if subscription is not None:
                del self._topics[subscription.topic][id(socket), subscription_id]

    def leave(self, socket: Socket) -> None:
        """The socket is gone."""
        with self._lock:
            self._sockets.discard(socket)
        for subscription_id in list(socket.subscriptions):
            self.unsubscribe(socket, subscription_id)

    def cut(self, chosen: Callable[[Socket], bool] | None = None) -> int:
        """Ends sockets abruptly, without a close frame: all, or those `chosen` says; how many."""
        return self._end(chosen, None)

    def close_all(self, code: int = 1001, chosen: Callable[[Socket], bool] | None = None) -> int:
        """Closes every socket, or those `chosen` says, with this code; how many."""
        return self._end(chosen, code)

    def _end(self, chosen: Callable[[Socket], bool] | None, code: int | None) -> int:
        ended = [socket for socket in self.sockets if chosen is None or chosen(socket)]
        for socket in ended:
            _call(socket.loop, socket.end, code)
        return len(ended)

    def tick_all(self) -> None:
        """Lets every socket look at the clock, which has been moved."""
        with self._lock:
            sockets = list(self._sockets)
        for socket in sockets:
            _call(socket.loop, socket.tick)

    def watching(self, topic: str) -> int:
        """How many subscriptions a topic has."""
        with self._lock:
            return len(self._topics.get(topic, {}))

    def publish(self, events: Iterable[Event]) -> None:
        """Takes the events of a commit, which reach those who are subscribed now."""
        self.deliver(events if self.intercept is None else self.intercept(list(events)))

    def deliver(self, events: Iterable[Event]) -> None:
        """Hands events to those who are subscribed now, past `intercept`."""
        deliveries: dict[Socket, list[Message]] = defaultdict(list)
        for event in events:
            with self._lock:
                watching = list(self._topics.get(event.topic, {}).values())
            if watching:
                self._address(event, watching, deliveries)
        loops: dict[asyncio.AbstractEventLoop, list[tuple[Socket, list[Message]]]] = defaultdict(list)
        for socket, messages in deliveries.items():
            loops[socket.loop].append((socket, messages))
        for loop, batch in loops.items():
            _call(loop, _deliver, batch)

    def _address(
        self,
        event: Event,
        watching: list[tuple[Socket, Subscription]],
        deliveries: dict[Socket, list[Message]],
    ) -> None:
        wanted: dict[Hashable, bool] = {}
        admitted: dict[Hashable, bool] = {}
        texts: dict[Hashable, Text | None] = {}
        for socket, subscription in watching:
            if subscription.admits is not None:
                if subscription.admits_key not in admitted:
                    admitted[subscription.admits_key] = subscription.admits(event)
                if not admitted[subscription.admits_key]:
                    continue
            if subscription.matches is not None:
                if subscription.filter_key not in wanted:
                    wanted[subscription.filter_key] = subscription.matches(event.payload)
                if not wanted[subscription.filter_key]:
                    continue
            if subscription.render_key not in texts:
                texts[subscription.render_key] = self._text(subscription, event)
            if (text := texts[subscription.render_key]) is not None:
                deliveries[socket].append((subscription.id, text))

    def _text(self, subscription: Subscription, event: Event) -> Text | None:
        """The payload as it is sent; None for one that is too big, which AppSync does not deliver either."""
        payload = subscription.render(event.payload)
        text = Text(json.dumps(payload, separators=(",", ":")))
        if len(text) > MAX_PAYLOAD_BYTES and _size(payload) > MAX_PAYLOAD_BYTES:
            self.too_big += 1
            logger.warning(
                "An event for %s is not delivered: it has more than %s bytes.",
                event.topic,
                MAX_PAYLOAD_BYTES,
                extra={"action": "event_too_big"},
            )
            return None
        return text


def _size(payload: Any) -> int:
    """The bytes AppSync would send: what is no ASCII is not escaped there."""
    return len(json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _deliver(batch: list[tuple[Socket, list[Message]]]) -> None:
    for socket, messages in batch:
        socket.deliver(messages)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed, and its sockets with it
        loop.call_soon_threadsafe(function, *args)
