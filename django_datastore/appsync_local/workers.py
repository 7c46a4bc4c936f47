"""The threads that use the database: one that writes, so that events keep commit order, and some that read."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MethodType
from typing import Any, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_datastore.appsync_local import databases

R = TypeVar("R")

_READERS = 3


class Workers:
    """Runs the server's database work. Each thread keeps one connection open."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._lock = threading.Lock()
        self._opened: list[BaseDatabaseWrapper] = []
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"{alias}-write", initializer=self._open)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix=f"{alias}-read", initializer=self._open)

    async def write(self, work: Callable[..., R], *args: Any) -> R:
        """Runs in the one thread that writes, in the order of the calls."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, partial(self._run, work, *args))

    async def read(self, work: Callable[..., R], *args: Any) -> R:
        """Runs in one of the threads that read."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, partial(self._run, work, *args))

    def call(self, work: Callable[..., R], *args: Any) -> R:
        """Runs in the thread that writes, and waits for it: for callers that are no coroutine."""
        return self._writer.submit(self._run, work, *args).result()

    def start(self, work: Callable[[], None], name: str) -> threading.Thread:
        """Runs in a thread of its own, with a connection like the others'. Who starts it ends it, before `close`."""

        def run() -> None:
            self._open()
            work()

        thread = threading.Thread(target=run, name=f"{self._alias}-{name}", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Waits for what is running, then closes the connections."""
        self._writer.shutdown()
        self._readers.shutdown()
        closing = threading.Thread(
            target=self._close_connections
        )  # the caller may be a coroutine, where Django refuses
        closing.start()
        closing.join()

    def _close_connections(self) -> None:
        for connection in self._opened:
            connection.close()
        self._opened.clear()

    def _open(self) -> None:
        connection = connections[self._alias]
        connection.inc_thread_sharing()  # `close` comes from another thread
        if databases.is_private(self._alias):
            # Test frameworks forbid the database to tests that did not ask for it. This one is the server's own.
            connection.ensure_connection = MethodType(_ensure_connection, connection)  # type: ignore[method-assign]
        with self._lock:
            self._opened.append(connection)

    def _run(self, work: Callable[..., R], *args: Any) -> R:
        connection = connections[self._alias]
        if connection.errors_occurred and not connection.is_usable():
            connection.close()
        connection.errors_occurred = False
        return work(*args)


def _ensure_connection(connection: BaseDatabaseWrapper) -> None:
    if connection.connection is None:
        with connection.wrap_database_errors:
            connection.connect()
