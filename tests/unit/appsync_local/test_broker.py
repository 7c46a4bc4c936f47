"""The broker: who gets which event, and how often it is written down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from django_datastore.appsync_local.broker import MAX_PAYLOAD_BYTES, Broker, Event, Message, Socket, Subscription


class Watcher:
    """A socket that keeps what it is handed."""

    def __init__(self, broker: Broker) -> None:
        self.got: list[tuple[str, Any]] = []
        self.broker = broker
        self.ended: list[int | None] = []
        self.socket = Socket(asyncio.get_running_loop(), self.deliver, self.ended.append)
        broker.join(self.socket)

    def deliver(self, messages: list[Message]) -> None:
        self.got += [(subscription_id, json.loads(text)) for subscription_id, text in messages]

    def watch(self, subscription_id: str, topic: str, **options: Any) -> None:
        defaults: dict[str, Any] = {
            "matches": None,
            "filter_key": "null",
            "render": dict,
            "render_key": "all",
        }
        self.broker.subscribe(self.socket, Subscription(id=subscription_id, topic=topic, **{**defaults, **options}))


async def publish(broker: Broker, *events: tuple[str, Mapping[str, Any]]) -> None:
    """Publishes from another thread, as mutations do, and lets the loop deliver."""
    await asyncio.to_thread(broker.publish, [Event(topic, payload) for topic, payload in events])
    await asyncio.sleep(0)


async def test_event_goes_to_its_topic_only_and_in_order():
    broker = Broker()
    one, other = Watcher(broker), Watcher(broker)
    one.watch("a", "onCreatePost")
    one.watch("b", "onUpdatePost")
    other.watch("a", "onUpdatePost")
    await publish(broker, ("onCreatePost", {"n": 1}), ("onUpdatePost", {"n": 2}), ("onDeletePost", {"n": 3}))
    assert one.got == [("a", {"n": 1}), ("b", {"n": 2})]
    assert other.got == [("a", {"n": 2})]


async def test_event_is_rendered_once_for_each_selection_and_filtered_once_for_each_filter():
    broker = Broker()
    calls: list[str] = []

    def render(payload: Mapping[str, Any]) -> Mapping[str, Any]:
        calls.append("render")
        return payload

    def matches(payload: Mapping[str, Any]) -> bool:
        calls.append("matches")
        return True

    watchers = [Watcher(broker) for _ in range(50)]
    for number, watcher in enumerate(watchers):
        watcher.watch("1", "t", render=render, render_key=number % 2, matches=matches, filter_key="f")
    await publish(broker, ("t", {"n": 1}))
    assert sorted(calls) == ["matches", "render", "render"]
    assert all(watcher.got == [("1", {"n": 1})] for watcher in watchers)


async def test_who_left_gets_nothing():
    broker = Broker()
    watcher = Watcher(broker)
    watcher.watch("1", "t")
    watcher.watch("2", "t")
    broker.unsubscribe(watcher.socket, "1")
    broker.unsubscribe(watcher.socket, "unknown")
    await publish(broker, ("t", {"n": 1}))
    assert watcher.got == [("2", {"n": 1})]
    broker.leave(watcher.socket)
    await publish(broker, ("t", {"n": 2}))
    assert len(watcher.got) == 1
    assert broker.watching("t") == 0


def test_watcher_of_a_closed_loop_is_passed_over():
    broker = Broker()

    async def watch() -> None:
        Watcher(broker).watch("1", "t")

    asyncio.run(watch())
    broker.publish([Event("t", {"n": 1})])


async def test_intercept_may_drop_double_and_keep_events_for_later():
    kept: list[Event] = []

    def intercept(events: list[Event]) -> list[Event]:
        passing = []
        for event in events:
            match event.mutation:
                case "dropped":
                    continue
                case "doubled":
                    passing += [event, event]
                case "kept":
                    kept.append(event)
                case _:
                    passing.append(event)
        return passing

    broker = Broker(intercept=intercept)
    watcher = Watcher(broker)
    watcher.watch("1", "t")
    names = ("dropped", "kept", "doubled", "plain")
    await asyncio.to_thread(broker.publish, [Event("t", {"is": name}, mutation=name) for name in names])
    broker.deliver(kept)
    await asyncio.sleep(0)
    assert [payload["is"] for _, payload in watcher.got] == ["doubled", "doubled", "plain", "kept"]


async def test_cut_ends_the_chosen_sockets_and_no_other():
    broker = Broker()
    one, other = Watcher(broker), Watcher(broker)
    assert broker.cut(lambda socket: socket is one.socket) == 1
    await asyncio.sleep(0)
    assert (one.ended, other.ended) == ([None], [])
    broker.leave(one.socket)
    assert broker.close_all(1012) == 1
    await asyncio.sleep(0)
    assert (one.ended, other.ended) == ([None], [1012])


async def test_payload_of_more_than_240_kb_is_counted_and_not_delivered():
    broker = Broker()
    watcher = Watcher(broker)
    watcher.watch("1", "t")
    room = MAX_PAYLOAD_BYTES - len('{"n":""}')
    # AppSync counts bytes of UTF-8: an umlaut is two of them, however we write it
    for text in ("x" * room, "x" * (room + 1), "ü" * (room // 2), "ü" * (room // 2 + 1)):
        await publish(broker, ("t", {"n": text}))
    assert [payload["n"][0] for _, payload in watcher.got] == ["x", "ü"]
    assert broker.too_big == 2
