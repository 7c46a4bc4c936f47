"""What a server that a test started has seen and done: the requests that came, the mutations that were applied."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Applied:
    """A mutation that is committed."""

    operation: str
    """The mutation, such as `createPost`."""
    action: str
    """`create`, `update` or `delete`."""
    model: str
    key: tuple[str, ...]
    version: int
    """The record's `_version` since then."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request and what became of it."""

    operations: tuple[str, ...]
    """Its root fields, such as `createPost`; none if it was no GraphQL document of this API."""
    outcome: str
    """`ok`, `errors` (an answer with errors in it), `refused` (an HTTP error), `lost` (no whole answer)."""
    status: int | None
    """The HTTP status of the answer, if there was one."""
    faults: tuple[int, ...] = ()
    """The numbers of the faults that happened to it."""


class Journal:
    """Written by the server, read by the test, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._under_way = 0
        self._applied: list[Applied] = []
        self._requests: list[Request] = []

    def add_applied(self, entry: Applied) -> None:
        """A mutation was committed."""
        with self._lock:
            self._applied.append(entry)

    def begin_request(self) -> None:
        """A request came."""
        with self._lock:
            self._under_way += 1

    def add_request(self, entry: Request) -> None:
        """A request is over."""
        with self._lock:
            self._requests.append(entry)
            self._under_way -= 1
            self._lock.notify_all()

    def settle(self, timeout_seconds: float) -> bool:
        """Waits until no request is under way; False if one still is."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._under_way, timeout_seconds)

    def applied(self) -> list[Applied]:
        """The mutations so far, in the order they were committed."""
        with self._lock:
            return list(self._applied)

    def requests(self) -> list[Request]:
        """The requests so far, in the order they ended."""
        with self._lock:
            return list(self._requests)

    def clear(self) -> None:
        """Begins anew."""
        with self._lock:
            self._applied.clear()
            self._requests.clear()
