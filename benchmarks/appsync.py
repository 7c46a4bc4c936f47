"""AppSync for a benchmark: the local server in a process of its own, so that its work is not counted as ours."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from django_datastore import registry
from django_datastore.appsync_local.server import LocalServer, LocalServerProcess
from django_datastore.sync.engine import Engine
from django_datastore.testing import connected


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
