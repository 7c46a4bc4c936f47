"""The local server against a plain Django site that reads and writes the same rows: a page, and mutations."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

from django.db import connection

from benchmarks.appsync import fill_books, running_server
from benchmarks.books import empty_shelf
from benchmarks.databases import own_database
from benchmarks.models import ServedBook
from benchmarks.plain_site import PAGE, running_site
from benchmarks.posting import Post, posting
from benchmarks.timing import Row, Turn, in_turns

MUTATIONS = 500
ALIASES = 25
CONNECTIONS = 10
ROUNDS = 7
_SHELF = "00000000-0000-4000-8000-000000000002"
_SELECTED = "id title rating tags publishedAt shelfId createdAt updatedAt _version _lastChangedAt _deleted"
_SYNC = "query operation($limit: Int) { syncBooks(limit: $limit) { items { %s } nextToken startedAt } }"
_AS_AMPLIFY = (
    "id title rating tags publishedAt createdAt updatedAt _version _lastChangedAt _deleted shelf { id _deleted }"
)


def rows() -> Iterator[Row]:
    """A page of 1,000 records, then creates: one connection and ten, alone and 25 in a document."""
    shelf = empty_shelf(pk=_SHELF)
    stored = [ServedBook(**_book(number), shelf=shelf) for number in range(PAGE)]
    ServedBook.objects.bulk_create(stored)
    with ExitStack() as stack:
        database = stack.enter_context(own_database())
        fill_books(database, PAGE, shelf=_SHELF)
        server = stack.enter_context(running_server(database))
        site = stack.enter_context(running_site(str(connection.settings_dict["NAME"])))
        yield from _pages(server.url, server.api_key, site)
        yield from _mutations(server.url, server.api_key, site)


def _pages(url: str, api_key: str, site: str) -> Iterator[Row]:
    with posting(url, api_key) as appsync, posting(f"{site}/books") as plain:
        documents = {"ours": _body(_SYNC % _SELECTED, limit=PAGE), "amplify": _body(_SYNC % _AS_AMPLIFY, limit=PAGE)}
        for body in documents.values():
            items = json.loads(appsync(body))["data"]["syncBooks"]["items"]
            assert len(items) == PAGE, len(items)
        assert len(json.loads(plain(None))["items"]) == PAGE
        turns: dict[str, Turn] = {name: partial(partial, appsync, body) for name, body in documents.items()}
        seconds = in_turns({**turns, "raw": lambda: partial(plain, None)}, rounds=5 * ROUNDS)
    what = f"a sync page of {PAGE:,} records"
    yield Row(f"{what}; raw: JsonResponse of the rows", seconds["ours"] * 1000, seconds["raw"] * 1000, "ms")
    yield Row(f"{what}, with each one's parent", seconds["amplify"] * 1000, seconds["raw"] * 1000, "ms")


def _mutations(url: str, api_key: str, site: str) -> Iterator[Row]:
    for connections in (1, CONNECTIONS):
        with ExitStack() as stack:
            appsync = [stack.enter_context(posting(url, api_key)) for _ in range(connections)]
            plain = [stack.enter_context(posting(f"{site}/create")) for _ in range(connections)]
            pool = stack.enter_context(ThreadPoolExecutor(connections))
            turns: dict[str, Turn] = {
                "alone": partial(_creating, pool, appsync, partial(_documents, 1)),
                "aliased": partial(_creating, pool, appsync, partial(_documents, ALIASES)),
                "raw": partial(_creating, pool, plain, _plain_bodies),
            }
            seconds = {name: found / MUTATIONS * 1000 for name, found in in_turns(turns, rounds=ROUNDS).items()}
        what = f"a create, {connections} connection{'s' if connections > 1 else ''}"
        yield Row(f"{what}; raw: a view that saves the row", seconds["alone"], seconds["raw"], "ms")
        yield Row(f"{what}, {ALIASES} in a document", seconds["aliased"], seconds["raw"], "ms")


def _creating(pool: ThreadPoolExecutor, posts: Sequence[Post], bodies: Callable[[], list[bytes]]) -> Callable[[], None]:
    waiting = bodies()
    shares = [waiting[number :: len(posts)] for number in range(len(posts))]

    def post_all(post: Post, share: list[bytes]) -> None:
        for body in share:
            answer = post(body)
            assert b'"errors"' not in answer, answer

    return lambda: list(pool.map(post_all, posts, shares)) and None


def _documents(size: int) -> list[bytes]:
    """Creates, so many in a document. The variables carry the values: the text is always the same."""
    names = range(size)
    variables = ", ".join(f"$i{number}: CreateBookInput!" for number in names)
    fields = " ".join(f"m{number}: createBook(input: $i{number}) {{ {_SELECTED} }}" for number in names)
    text = f"mutation operation({variables}) {{ {fields} }}"
    return [_body(text, **{f"i{number}": _input(number) for number in names}) for _ in range(MUTATIONS // size)]


def _plain_bodies() -> list[bytes]:
    values = [{**_book(number), "shelf_id": _SHELF} for number in range(MUTATIONS)]
    return [json.dumps(item).encode() for item in values]


def _input(number: int) -> dict[str, Any]:
    book = _book(number)
    return {"id": str(uuid.uuid4()), "publishedAt": book.pop("published_at"), "shelfId": _SHELF, **book}


def _book(number: int) -> dict[str, Any]:
    published_at = "2026-01-01T00:00:00.000Z"
    return {"title": f"Book {number}", "rating": number, "tags": ["a", "b"], "published_at": published_at}


def _body(query: str, **variables: Any) -> bytes:
    return json.dumps({"query": query, "variables": variables}).encode()
