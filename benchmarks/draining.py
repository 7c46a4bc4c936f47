"""Draining the outbox against posting the very same documents with nothing around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx

from benchmarks.appsync import create_request, running_appsync
from benchmarks.books import empty_shelf, forget_waiting, values
from benchmarks.models import Book, Shelf
from benchmarks.timing import Row, Turn, in_turns
from django_datastore.appsync.documents import Documents
from django_datastore.models import MutationEvent
from django_datastore.sync.engine import Engine

MUTATIONS = 1_000
ROUNDS = 3


def rows() -> Iterator[Row]:
    """Our mutations against the same documents raw, and against a document for each mutation."""
    shelf = empty_shelf()
    with running_appsync() as (appsync, engine, http):
        batch_size = engine.settings.MUTATION_BATCH_SIZE
        turns: dict[str, Turn] = {
            "ours": lambda: _draining(engine, shelf),
            "documents": lambda: _posting(http, appsync.url, engine.documents, shelf, batch_size),
            "singly": lambda: _posting(http, appsync.url, engine.documents, shelf, 1),
        }
        seconds = in_turns(turns, rounds=ROUNDS)
    yield Row(f"draining {MUTATIONS:,} mutations; raw: the same documents", seconds["ours"], seconds["documents"])
    yield Row(f"draining {MUTATIONS:,} mutations; raw: one by one", seconds["ours"], seconds["singly"])


def _draining(engine: Engine, shelf: Shelf) -> Callable[[], None]:
    forget_waiting()
    Book.objects.bulk_create([Book(**values(number, shelf)) for number in range(MUTATIONS)])

    def drain() -> None:
        engine.drain(slice_seconds=120)
        left = MutationEvent.objects.count()
        assert not left, f"{left} mutations were not acknowledged"

    return drain


def _posting(http: httpx.Client, url: str, documents: Documents, shelf: Shelf, batch_size: int) -> Callable[[], None]:
    requests = [create_request(number, str(shelf.pk)) for number in range(MUTATIONS)]
    batches = [requests[start : start + batch_size] for start in range(0, len(requests), batch_size)]
    bodies = [documents.batch_mutation(batch) for batch in batches]

    def post() -> None:
        for document in bodies:
            response = http.post(url, json={"query": document.text, "variables": document.variables})
            answer = response.json()
            assert not answer.get("errors"), answer

    return post
