"""Carries what a mutation changed to the sockets that watch it. In process: one server process, all its event loops.

Mutations publish from their own thread right after the commit, so events go out in commit order, and only to who was
subscribed at that moment.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Payload: TypeAlias = Mapping[str, Any]
"""What the mutation selected, by field name."""
Deliver: TypeAlias = Callable[[list[tuple[str, str]]], None]
"""Takes the (subscription id, payload text) pairs of one socket, in its event loop."""


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


@dataclass(frozen=True, eq=False)
class Event:
    """A record after a mutation."""

    topic: str
    payload: Payload


@dataclass(eq=False)
class Socket:
    """A connection as the broker sees it."""

    loop: asyncio.AbstractEventLoop
    deliver: Deliver
    subscriptions: dict[str, Subscription] = field(default_factory=dict)


class Broker:
    """Who watches what. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._topics: dict[str, dict[tuple[int, str], tuple[Socket, Subscription]]] = defaultdict(dict)

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
        for subscription_id in list(socket.subscriptions):
            self.unsubscribe(socket, subscription_id)

    def watching(self, topic: str) -> int:
        """How many subscriptions a topic has."""
        with self._lock:
            return len(self._topics.get(topic, {}))

    def publish(self, events: Iterable[Event]) -> None:
        """Hands committed events to those who are subscribed now."""
        deliveries: dict[Socket, list[tuple[str, str]]] = defaultdict(list)
        for event in events:
            with self._lock:
                watching = list(self._topics.get(event.topic, {}).values())
            if watching:
                self._address(event, watching, deliveries)
        loops: dict[asyncio.AbstractEventLoop, list[tuple[Socket, list[tuple[str, str]]]]] = defaultdict(list)
        for socket, messages in deliveries.items():
            loops[socket.loop].append((socket, messages))
        for loop, batch in loops.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, batch)

    @staticmethod
    def _address(
        event: Event,
        watching: list[tuple[Socket, Subscription]],
        deliveries: dict[Socket, list[tuple[str, str]]],
    ) -> None:
        wanted: dict[Hashable, bool] = {}
        texts: dict[Hashable, str] = {}
        for socket, subscription in watching:
            if subscription.matches is not None:
                if subscription.filter_key not in wanted:
                    wanted[subscription.filter_key] = subscription.matches(event.payload)
                if not wanted[subscription.filter_key]:
                    continue
            if subscription.render_key not in texts:
                texts[subscription.render_key] = json.dumps(subscription.render(event.payload), separators=(",", ":"))
            deliveries[socket].append((subscription.id, texts[subscription.render_key]))


def _deliver(batch: list[tuple[Socket, list[tuple[str, str]]]]) -> None:
    for socket, messages in batch:
        socket.deliver(messages)
