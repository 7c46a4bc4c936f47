"""The consumer, between an ASGI server and a broker that are both made up of a few lines."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from django_datastore.appsync_local import consumers
from django_datastore.appsync_local.auth.api_keys import ApiKeys
from django_datastore.appsync_local.broker import Broker, Event, Subscription
from django_datastore.appsync_local.conf import Settings
from django_datastore.appsync_local.consumers import RealtimeConsumer

INIT = {"type": "websocket.receive", "text": '{"type": "connection_init"}'}


class Line:
    """The server's side of a socket: what the client says, and what reached it. It may stop taking anything."""

    def __init__(self, relay: Any = None) -> None:
        self.says: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.says.put_nowait({"type": "websocket.connect"})
        self.sent: list[dict[str, Any]] = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.broker = Broker()
        service: Any = SimpleNamespace(
            settings=Settings(API_KEY="key"),
            broker=self.broker,
            relay=relay,
            auth=SimpleNamespace(authenticate=ApiKeys(["key"]).authenticate, may_wait=False),
            executable=None,
            elapsed=time.monotonic,
            ask=asyncio.to_thread,
        )
        scope = {"subprotocols": ["graphql-ws"], "headers": [(b"x-api-key", b"key")]}
        self.task = asyncio.ensure_future(RealtimeConsumer.as_asgi(service)(scope, self.says.get, self.send))

    async def send(self, message: dict[str, Any]) -> None:
        await self.is_open.wait()
        self.sent.append(message)

    async def settle(self) -> None:
        """Lets everybody do what can be done now."""
        for _ in range(3000):
            await asyncio.sleep(0)

    def close(self) -> None:
        self.says.put_nowait({"type": "websocket.disconnect", "code": 1000})

    def watch(self, topic: str) -> None:
        """What a `start` does."""
        (socket,) = self.broker.sockets
        socket.deliver.__self__._heads["1"] = b'{"id":"1","type":"data","payload":'  # type: ignore[attr-defined]
        self.broker.subscribe(
            socket, Subscription(id="1", topic=topic, matches=None, filter_key=None, render=dict, render_key=None)
        )


@pytest.fixture
async def line() -> Line:
    found = Line()
    found.says.put_nowait(INIT)
    await found.settle()
    return found


async def test_client_that_takes_nothing_is_not_read_any_further(line: Line):
    line.is_open.clear()
    for _ in range(1000):
        line.says.put_nowait({"type": "websocket.receive", "text": "nonsense"})
    await line.settle()
    assert line.says.qsize() > 850
    line.is_open.set()
    await line.settle()
    assert line.says.empty()
    line.close()
    await line.task


async def test_client_that_falls_too_far_behind_is_closed(line: Line):
    line.watch("t")
    line.is_open.clear()
    for _ in range(12):
        line.broker.publish([Event("t", {"n": n}) for n in range(1000)])
    await line.settle()
    assert line.broker.watching("t") == 0
    line.is_open.set()
    await asyncio.wait_for(line.task, 30)
    assert line.sent[-1] == {"type": "websocket.close", "code": 1013, "reason": "Too slow"}


async def test_client_that_is_gone_leaves_nothing_behind(line: Line):
    line.watch("t")
    line.close()
    await line.task
    assert line.broker.watching("t") == 0
    assert line.broker.sockets == set()


async def test_answers_and_events_go_out_in_the_order_they_happened(line: Line):
    line.watch("t")
    line.says.put_nowait({"type": "websocket.receive", "text": "nonsense"})
    await line.settle()
    line.broker.publish([Event("t", {"n": 1}), Event("t", {"n": 2})])
    await line.settle()
    kinds = [json.loads(message["text"])["type"] for message in line.sent[1:]]
    assert kinds == ["connection_ack", "ka", "error", "data", "data"]
    line.close()
    await line.task


async def test_client_that_does_not_read_the_close_is_cut_off(line: Line, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(consumers, "CLOSING_SECONDS", 0)
    line.is_open.clear()
    line.broker.close_all(1001)
    await line.task
    assert "websocket.close" not in {message["type"] for message in line.sent}


async def test_nothing_comes_for_a_subscription_after_it_was_stopped(line: Line):
    line.watch("t")
    line.broker.publish([Event("t", {"n": 1})])
    (socket,) = line.broker.sockets
    socket.deliver.__self__._stop("1")  # type: ignore[attr-defined]
    await line.settle()
    assert "data" not in {json.loads(message["text"])["type"] for message in line.sent[1:]}
    line.close()
    await line.task


async def test_client_is_sent_away_while_events_of_other_processes_cannot_be_read():
    line = Line(SimpleNamespace(is_started=False, start=lambda: False))
    await line.task
    assert line.sent == [{"type": "websocket.close", "code": 1013}]
    line = Line(SimpleNamespace(is_started=False, start=lambda: True))
    line.close()
    await line.task
    assert line.sent[0]["type"] == "websocket.accept"
