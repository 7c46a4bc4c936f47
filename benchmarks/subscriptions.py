"""What the listener takes from its socket, against reading the same frames and writing the same two tables bare."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from typing import Any

from websockets.sync.client import ClientConnection, connect

from benchmarks.bare_appsync import Address, running_bare_appsync
from benchmarks.bare_sync import write_all
from benchmarks.books import empty_shelf, start_over
from benchmarks.children import environment
from benchmarks.databases import settle, url_of
from benchmarks.models import Book
from benchmarks.posting import Post, posting
from benchmarks.records import SELECTED, SHELF, book_id
from benchmarks.timing import Row, Turn, in_turns

EVENTS = 5_000
ROUNDS = 5
_BATCH = 500
_LAST = book_id(EVENTS - 1, 0)
_PATIENCE_SECONDS = 60
_LOOK_SECONDS = 0.005


def rows() -> Iterator[Row]:
    """5,000 creates, all at once. The listener is a process of its own, as in production."""
    start_over(pk=SHELF)
    with ExitStack() as stack:
        turns: dict[str, Turn] = {}
        for name, opening, prepare in (("ours", _listening, _hearing), ("raw", _subscribed, _reading)):
            appsync = stack.enter_context(running_bare_appsync(events=EVENTS))
            opened = stack.enter_context(opening(appsync))
            replay = stack.enter_context(posting(f"{appsync.url}/replay"))
            turns[name] = partial(prepare, replay, opened)
        rates = {name: EVENTS / seconds for name, seconds in in_turns(turns, rounds=ROUNDS).items()}
    yield Row(f"{EVENTS:,} subscription events into the table", rates["ours"], rates["raw"], "/s")


@contextmanager
def _listening(appsync: Address) -> Iterator[None]:
    """The command `datastore_listen`, live."""
    command = [sys.executable, "-m", "django", "datastore_listen"]
    with subprocess.Popen(command, env=environment(url_of(), appsync), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert any("live" in line for line in process.stdout or ()), "The listener ended."
            yield
        finally:
            process.terminate()


def _hearing(replay: Post, _: None) -> Callable[[], None]:
    empty_shelf(pk=SHELF)
    settle()

    def hear() -> None:
        replay(b"")
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not Book.objects.filter(pk=_LAST).exists():
            assert time.monotonic() < deadline, f"{Book.objects.count()} of {EVENTS} events are in the table."
            time.sleep(_LOOK_SECONDS)
        assert Book.objects.count() == EVENTS

    return hear


@contextmanager
def _subscribed(appsync: Address) -> Iterator[ClientConnection]:
    """A socket with one subscription."""
    url = f"{appsync.url.replace('http', 'ws', 1)}/realtime"
    start = {"data": json.dumps({"query": f"subscription {{ onCreateBook {{ {SELECTED} }} }}"})}
    with connect(url, subprotocols=["graphql-ws"], compression=None) as socket:
        socket.send(json.dumps({"type": "connection_init"}))
        socket.send(json.dumps({"type": "start", "id": "1", "payload": start}))
        assert any('"start_ack"' in message for message in socket)
        yield socket


def _reading(replay: Post, socket: ClientConnection) -> Callable[[], None]:
    empty_shelf(pk=SHELF)
    settle()

    def read() -> None:
        replay(b"")
        write_all(_batches(socket))
        assert Book.objects.count() == EVENTS

    return read


def _batches(socket: ClientConnection) -> Iterator[list[dict[str, Any]]]:
    for _ in range(EVENTS // _BATCH):
        frames = map(json.loads, islice(socket, _BATCH))
        yield [frame["payload"]["data"]["onCreateBook"] for frame in frames]
