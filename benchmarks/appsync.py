"""AppSync for a benchmark: the local server in a process of its own, so that its work is not counted as ours."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from django.db import connection

from benchmarks.models import Book
from django_datastore import registry
from django_datastore.appsync.documents import Documents, MutationRequest
from django_datastore.appsync_local.server import LocalServer, LocalServerProcess
from django_datastore.sync.engine import Engine
from django_datastore.testing import connected
from django_datastore.types import Operation

_FILL = 100


@contextmanager
def running_appsync(
    *, fill: Callable[[LocalServer], None] | None = None
) -> Iterator[tuple[LocalServerProcess, Engine, httpx.Client]]:
    """A server that holds what `fill` gives it, our engine connected to it, and a client without us."""
    with tempfile.TemporaryDirectory(prefix="datastore-bench-appsync-") as directory:
        database = str(Path(directory) / "appsync.sqlite3")
        if fill:
            with LocalServer(registry.as_schema(), database=database) as server:
                fill(server)
        with (
            LocalServerProcess("127.0.0.1:0", "--database", database) as process,
            httpx.Client(headers={"x-api-key": process.api_key}, timeout=30) as http,
            connected(process) as engine,
        ):
            yield process, engine, http


@contextmanager
def own_database() -> Iterator[str]:
    """A fresh database for the local server, of the kind that is being measured: a file or a URL."""
    if connection.vendor == "sqlite":
        with tempfile.TemporaryDirectory(prefix="datastore-bench-appsync-") as directory:
            yield str(Path(directory) / "appsync.sqlite3")
        return
    site = connection.settings_dict
    name = f"appsync_{uuid.uuid4().hex[:12]}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        server = site["HOST"].replace("/", "%2F")
        host, port, options = (server, site["PORT"], "") if "%2F" not in server else ("", "", f"?host={site['HOST']}")
        yield f"postgres://{site['USER']}:{site['PASSWORD']}@{host}{f':{port}' if port else ''}/{name}{options}"
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def running_server(database: str) -> LocalServerProcess:
    """The local server as a process on that database; a context manager."""
    return LocalServerProcess("127.0.0.1:0", "--database", database)


def fill_books(database: str, count: int, *, shelf: str) -> None:
    """Gives the server that many books."""
    with LocalServer(registry.as_schema(), database=database) as server:
        create_books(server, count, shelf=shelf)


def create_books(server: LocalServer, count: int, *, shelf: str) -> None:
    """Creates books of a shelf, a hundred in a document."""
    schema = registry.get(Book).schema
    documents = Documents(registry.model_schemas())
    for start in range(0, count, _FILL):
        inputs = [
            {
                "title": f"Book {number}",
                "rating": number,
                "tags": ["a", "b"],
                "publishedAt": "2026-01-01T00:00:00.000Z",
                "shelfId": shelf,
            }
            for number in range(start, min(start + _FILL, count))
        ]
        requests = [MutationRequest(Operation.CREATE, schema, {"id": str(uuid.uuid4()), **item}) for item in inputs]
        answer = server.execute(*documents.batch_mutation(requests))
        assert not answer.get("errors"), answer
