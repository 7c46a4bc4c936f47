"""A base sync against fetching the same pages and `bulk_create`, which keeps neither versions nor a place to go on."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

import httpx
from django.db import transaction

from benchmarks.appsync import create_books, running_appsync
from benchmarks.models import Book, PlainBook
from benchmarks.saves import forget_waiting, known_shelf
from benchmarks.timing import Row, Turn, in_turns
from django_datastore import registry
from django_datastore.appsync.documents import sync_field
from django_datastore.models import ModelMetadata, RecordMetadata
from django_datastore.sync.engine import Engine

RECORDS = 20_000
ROUNDS = 3
_SHELF = "00000000-0000-4000-8000-000000000001"


def rows() -> Iterator[Row]:
    """20 pages of 1,000 records."""
    known_shelf(pk=_SHELF)
    with running_appsync(fill=partial(create_books, count=RECORDS, shelf=_SHELF)) as (appsync, engine, http):
        turns: dict[str, Turn] = {
            "ours": lambda: _syncing(engine),
            "raw": lambda: _storing(http, appsync.url, engine),
            "fetch": lambda: lambda: [None for _ in _pages(http, appsync.url, engine)],
        }
        seconds = in_turns(turns, rounds=ROUNDS)
    what = f"base sync of {RECORDS:,} records"
    yield Row(f"{what}; raw: fetch and bulk_create", seconds["ours"], seconds["raw"])
    fetch = seconds["fetch"]
    yield Row(f"{what}, without the time AppSync takes", seconds["ours"] - fetch, seconds["raw"] - fetch)


def _syncing(engine: Engine) -> Callable[[], None]:
    sync = registry.get(Book)
    Book._base_manager.all()._raw_delete(Book._base_manager.db)
    RecordMetadata.objects.filter(model=sync.label).delete()
    ModelMetadata.objects.filter(model=sync.label).delete()
    forget_waiting()

    def run() -> None:
        counts = engine.sync([sync], full=True)
        assert counts is not None
        assert counts[sync.label].new == RECORDS, counts

    return run


def _storing(http: httpx.Client, url: str, engine: Engine) -> Callable[[], None]:
    PlainBook.objects.all().delete()

    def run() -> None:
        for records in _pages(http, url, engine):
            with transaction.atomic():
                PlainBook.objects.bulk_create([_plain(record) for record in records])
        assert PlainBook.objects.count() == RECORDS

    return run


def _pages(http: httpx.Client, url: str, engine: Engine) -> Iterator[list[dict[str, Any]]]:
    schema = registry.get(Book).schema
    token: str | None = None
    while True:
        document = engine.documents.sync(schema, limit=engine.settings.SYNC_PAGE_SIZE, next_token=token)
        answer = http.post(url, json={"query": document.text, "variables": document.variables}).json()
        found = answer["data"][sync_field(schema)]
        yield found["items"]
        token = found["nextToken"]
        if not token:
            return


def _plain(record: dict[str, Any]) -> PlainBook:
    return PlainBook(
        id=uuid.UUID(record["id"]),
        title=record["title"],
        rating=record["rating"],
        tags=record["tags"],
        published_at=datetime.fromisoformat(record["publishedAt"]),
        shelf_id=uuid.UUID(record["shelfId"]),
    )
