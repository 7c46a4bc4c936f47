"""AppSync for a benchmark: the local server in a process of its own, so that its work is not counted as ours."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.models import Book
from django_datastore import registry
from django_datastore.appsync.documents import Documents, MutationRequest
from django_datastore.appsync_local.server import LocalServer, LocalServerProcess
from django_datastore.sync.engine import Engine
from django_datastore.testing import connected
from django_datastore.types import Operation, WireRecord

_FILL = 100


@contextmanager
def running_appsync() -> Iterator[tuple[LocalServerProcess, Engine, httpx.Client]]:
    """An empty server, our engine connected to it, and a client without us."""
    with (
        tempfile.TemporaryDirectory(prefix="datastore-bench-appsync-") as directory,
        running_server(str(Path(directory) / "appsync.sqlite3")) as process,
        httpx.Client(headers={"x-api-key": process.api_key}, timeout=30) as http,
        connected(process) as engine,
    ):
        yield process, engine, http


def running_server(database: str) -> LocalServerProcess:
    """The local server as a process on that database; a context manager."""
    return LocalServerProcess("127.0.0.1:0", "--database", database)


def fill_books(database: str, count: int, *, shelf: str) -> None:
    """Gives the server that many books, a hundred in a document."""
    documents = Documents(registry.model_schemas())
    with LocalServer(registry.as_schema(), database=database) as server:
        for start in range(0, count, _FILL):
            requests = [create_request(number, shelf) for number in range(start, min(start + _FILL, count))]
            answer = server.execute(*documents.batch_mutation(requests))
            assert not answer.get("errors"), answer


def create_request(number: int, shelf: str) -> MutationRequest:
    """The create of a new book."""
    wire: WireRecord = {
        "id": str(uuid.uuid4()),
        "title": f"Book {number}",
        "rating": number,
        "tags": ["a", "b"],
        "publishedAt": "2026-01-01T00:00:00.000Z",
        "shelfId": shelf,
    }
    return MutationRequest(Operation.CREATE, registry.get(Book).schema, wire)
