"""A base sync as bare as it goes: each page fetched, and written to two tables in one transaction.

The tables are those that DataStore writes: the books', and the one that keeps each record's version.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connection, transaction

from benchmarks import records
from benchmarks.bare_tables import BareTable
from benchmarks.books import known_records
from benchmarks.models import Book
from benchmarks.posting import Post
from django_datastore import registry

PAGE = 1_000
_COLUMNS = ("id", "title", "rating", "tags", "published_at", "shelf_id")
_SYNC = (
    "query operation($limit: Int, $nextToken: String, $lastSync: AWSTimestamp) "
    "{ syncBooks(limit: $limit, nextToken: $nextToken, lastSync: $lastSync) "
    f"{{ items {{ {records.SELECTED} }} nextToken startedAt }} }}"
)


class BareStore:
    """The two tables."""

    def __init__(self) -> None:
        self._books = BareTable.of(Book, _COLUMNS)
        self._known = known_records(registry.get(Book).label, seen_in_sync=1)
        self._columns = _on_postgresql if connection.vendor == "postgresql" else _on_sqlite

    def write(self, found: Sequence[dict[str, Any]]) -> None:
        """New records, in one transaction."""
        with transaction.atomic():
            self._books.write(map(self._columns, found))
            self._known.write((f'["{item["id"]}"]', item["_version"], item["_lastChangedAt"]) for item in found)


def sync(post: Post) -> None:
    """All pages, into the tables."""
    write_all(pages(post))


def write_all(found: Iterable[Sequence[dict[str, Any]]]) -> None:
    """Pages, or batches, of new records."""
    store = BareStore()
    for items in found:
        store.write(items)


def pages(post: Post) -> Iterator[list[dict[str, Any]]]:
    """The pages of a base sync."""
    token: str | None = None
    while True:
        variables = {"limit": PAGE, "nextToken": token, "lastSync": 0}
        answer = json.loads(post(json.dumps({"query": _SYNC, "variables": variables}).encode()))
        found = answer["data"]["syncBooks"]
        yield found["items"]
        if not (token := found["nextToken"]):
            return


def _on_postgresql(item: dict[str, Any]) -> tuple[Any, ...]:
    tags = json.dumps(item["tags"])
    return item["id"], item["title"], item["rating"], tags, item["publishedAt"], item["shelfId"]


def _on_sqlite(item: dict[str, Any]) -> tuple[Any, ...]:
    published_at = item["publishedAt"][:19].replace("T", " ")
    key, shelf = item["id"].replace("-", ""), item["shelfId"].replace("-", "")
    return key, item["title"], item["rating"], json.dumps(item["tags"]), published_at, shelf
