"""A base sync against fetching and writing the same pages bare, and against Amplify's own client.

All of them fetch the same pages of 1,000 records from the same server, which has them ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import bare_sync
from benchmarks.bare_appsync import running_bare_appsync
from benchmarks.books import start_over
from benchmarks.databases import settle
from benchmarks.models import Book
from benchmarks.npm_client import NpmClient, running_npm_client
from benchmarks.posting import Post, posting
from benchmarks.records import SHELF
from benchmarks.timing import Row, Skipped, Turn, in_turns
from django_datastore import registry
from django_datastore.sync.engine import Engine
from django_datastore.testing import connected

RECORDS = 50_000
ROUNDS = 5


def rows() -> Iterator[Row | Skipped]:
    """50 pages, into empty tables."""
    with (
        running_bare_appsync(books=RECORDS) as appsync,
        connected(appsync) as engine,
        posting(appsync.url) as post,
        running_npm_client(appsync.url, appsync.api_key) as npm_client,
    ):
        turns: dict[str, Turn] = {"ours": partial(_syncing, engine), "raw": partial(_writing, post)}
        if isinstance(npm_client, NpmClient):
            turns["npm"] = lambda: partial(_asking, npm_client)
        seconds = in_turns(turns, rounds=ROUNDS)
    rates = {name: RECORDS / found for name, found in seconds.items()}
    what = f"base sync of {RECORDS:,} records"
    yield Row(f"{what}; raw: two tables written", rates["ours"], rates["raw"], "/s")
    if isinstance(npm_client, Skipped):
        yield npm_client
    else:
        yield Row(f"{what}; raw: Amplify's npm client", rates["ours"], rates["npm"], "/s")


def _syncing(engine: Engine) -> Callable[[], None]:
    start_over(pk=SHELF)
    settle()

    def run() -> None:
        engine.sync([registry.get(Book)], full=True)
        assert Book.objects.count() == RECORDS

    return run


def _writing(post: Post) -> Callable[[], None]:
    start_over(pk=SHELF)
    settle()

    def run() -> None:
        bare_sync.sync(post)
        assert Book.objects.count() == RECORDS

    return run


def _asking(npm_client: NpmClient) -> float:
    seconds, count = npm_client.sync()
    assert count == RECORDS, count
    return seconds
