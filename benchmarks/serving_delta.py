"""The local server: a delta sync among many stored records against one among few."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from benchmarks.appsync import fill_books, running_server
from benchmarks.databases import own_database
from benchmarks.posting import Post, posting
from benchmarks.timing import Row, Turn, in_turns
from django_datastore import registry
from django_datastore.appsync_local.server import LocalServer
from django_datastore.appsync_local.tables.records import key_text

MANY = 100_000
FEW = 1_000
CHANGED = 100
REQUESTS = 20
ROUNDS = 7
_SHELF = "00000000-0000-4000-8000-000000000003"
_DELTA = "query($since: AWSTimestamp) { syncBooks(lastSync: $since, limit: 1000) { items { id title _version } } }"


def rows() -> Iterator[Row]:
    """A hundred changes of the last minute, with 100,000 records in the base table and with 1,000."""
    with ExitStack() as stack:
        turns: dict[str, Turn] = {}
        for name, count in (("ours", MANY), ("raw", FEW)):
            database = stack.enter_context(own_database())
            _fill_long_ago(database, count)
            fill_books(database, CHANGED, shelf=_SHELF)
            server = stack.enter_context(running_server(database))
            post = stack.enter_context(posting(server.url, server.api_key))
            since = int(time.time() * 1000) - 60_000
            body = json.dumps({"query": _DELTA, "variables": {"since": since}}).encode()
            assert len(json.loads(post(body))["data"]["syncBooks"]["items"]) == CHANGED
            turns[name] = partial(partial, _ask, post, body)
        seconds = in_turns(turns, rounds=ROUNDS)
    ours, raw = (seconds[name] / REQUESTS * 1000 for name in ("ours", "raw"))
    yield Row(f"a delta sync of {CHANGED} changes among {MANY:,}; raw: among {FEW:,}", ours, raw, "ms")


def _ask(post: Post, body: bytes) -> None:
    for _ in range(REQUESTS):
        post(body)


def _fill_long_ago(database: str, count: int) -> None:
    """Records that changed before the delta log begins."""
    hour_ago = int(time.time() * 1000) - 3_600_000
    with LocalServer(registry.as_schema(), database=database, now=lambda: hour_ago) as server:
        store = server.service.store

        def fill() -> None:
            with store.writing() as now:
                for number in range(count):
                    values = {"id": f"old-{number}", "title": f"Book {number}", "rating": 1, "shelfId": _SHELF}
                    store.insert("Book", key_text([values["id"]]), values, now=now)

        server.service.workers.call(fill)
