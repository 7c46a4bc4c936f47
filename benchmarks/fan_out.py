"""One mutation to 1,000 subscribed sockets: the time until the last one has it."""

from __future__ import annotations

import base64
import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

from benchmarks.appsync import running_server
from benchmarks.bare_sockets import running_sockets
from benchmarks.databases import own_database
from benchmarks.posting import Post, posting
from benchmarks.timing import Row, Turn, in_turns
from benchmarks.watching import Watchers
from django_datastore.appsync_local.server import LocalServerProcess

Start: TypeAlias = Callable[[], tuple[str, str]]
"""A subscription's id and its document."""

SOCKETS = 1_000
ROUNDS = 15
_SELECTED = "id title rating tags publishedAt shelfId createdAt updatedAt _version _lastChangedAt _deleted"
_ALL = f"subscription {{ onCreateBook {{ {_SELECTED} }} }}"
_MUTATION = f"mutation operation($input: CreateBookInput!) {{ createBook(input: $input) {{ {_SELECTED} }} }}"
_numbers = itertools.count(1)

_STARTS: dict[str, Start] = {
    "one selection, ids of their own": lambda: (str(uuid.uuid4()), _ALL),
    "one selection, one id": lambda: ("1", _ALL),
    "100 selections": lambda: ("1", f"subscription {{ n{next(_numbers) % 100}: onCreateBook {{ {_SELECTED} }} }}"),
}


def rows() -> Iterator[Row]:
    """The same event for all, under ids of their own or under one; then a hundred selections of it."""
    with (
        own_database() as database,
        running_server(database) as server,
        running_sockets() as bare,
    ):
        for what, start in _STARTS.items():
            greetings = partial(_greetings, server.api_key, start)
            with (
                Watchers(_connect_url(server), SOCKETS, greetings, answers=3) as ours,
                Watchers(bare, SOCKETS, tuple, answers=0) as raw,
                posting(server.url, server.api_key) as mutate,
                posting(bare) as write,
            ):
                turns = {"ours": _creating(ours, mutate), "raw": _writing(raw, write, ours)}
                seconds = in_turns(turns, rounds=ROUNDS)
            title = f"a create to {SOCKETS:,} sockets, {what}"
            yield Row(title, seconds["ours"] * 1000, seconds["raw"] * 1000, "ms")


def _connect_url(server: LocalServerProcess) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"x-api-key": server.api_key}).encode()).decode()
    return f"{server.url}?header={header}"


def _greetings(api_key: str, start: Start) -> Sequence[str]:
    subscription_id, document = start()
    authorization = {"host": "localhost", "x-api-key": api_key}
    payload = {"data": json.dumps({"query": document}), "extensions": {"authorization": authorization}}
    return (
        '{"type": "connection_init"}',
        json.dumps({"type": "start", "id": subscription_id, "payload": payload}),
    )


def _creating(watchers: Watchers, post: Post) -> Turn:
    """A create that all of them hear of."""

    def prepare() -> Callable[[], None]:
        mark = f"book {next(_numbers):08}"
        values = {"title": mark, "rating": 5, "tags": ["a", "b"], "publishedAt": "2026-01-01T00:00:00.000Z"}
        body = json.dumps({"query": _MUTATION, "variables": {"input": values}}).encode()

        def create() -> None:
            with watchers.expecting(mark):
                post(body)

        return create

    return prepare


def _writing(watchers: Watchers, post: Post, ours: Watchers) -> Turn:
    """A text as long as ours, written to all of them."""

    def prepare() -> Callable[[], None]:
        mark = f"book {next(_numbers):08}"
        body = (mark + "x" * (len(ours.last) or 500))[: len(ours.last) or 500].encode()

        def write() -> None:
            with watchers.expecting(mark):
                post(body)

        return write

    return prepare
