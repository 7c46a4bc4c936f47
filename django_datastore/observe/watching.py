"""Who watches: a watcher's own bounded queue, and `Stream`, the async iterator that Python code holds. Asynchronous."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar

from django_datastore.exceptions import DataStoreError
from django_datastore.observe.live_query import Diff, LiveQuery, Observation, ObservedChange, State

T = TypeVar("T")
Update: TypeAlias = State | Diff | ObservedChange
Source: TypeAlias = LiveQuery | Observation


class Overrun(DataStoreError):
    """The observer took changes more slowly than they came, and missed some. Query, then observe again."""


@dataclass(frozen=True)
class Snapshot:
    """DataStore's `{items, isSynced}`: the rows of a live query at one moment."""

    items: list[Any]
    is_synced: bool


@dataclass(eq=False)
class Live:
    """A live query or an observation, with those who watch it."""

    identity: tuple[Hashable, ...]
    source: Source
    state: State | None = None
    """Where a live query stands; an observation stands nowhere."""
    watchers: set[Watcher] = field(default_factory=set)

    @property
    def label(self) -> str:
        """The model's."""
        return self.source.sync.label


class Watcher:
    """One who watches: a bounded queue of what it has not taken yet. In its loop only."""

    def __init__(self, live: Live, *, length: int) -> None:
        self.live = live
        self._length = length
        self._queue: deque[Update] = deque()
        self._arrived = asyncio.Event()
        self._error: Exception | None = None
        self._wants_state = live.state is not None
        if self._wants_state:
            self._arrived.set()

    async def next(self) -> Update:
        """What is new: a state first, and after having been too slow; diffs or changes otherwise. Raises `Overrun`."""
        await self._arrived.wait()
        if self._wants_state and self.live.state is not None:
            self._wants_state = False
            return self._taken(self.live.state)
        if self._queue:
            return self._taken(self._queue.popleft())
        raise self._error or DataStoreError("This watch was released.")

    def _taken(self, update: Update) -> Update:
        if not self._queue and self._error is None:
            self._arrived.clear()
        return update

    def put(self, update: Update) -> None:
        """Hand over an update. A live query's queue that is full is replaced by a state to be taken instead."""
        if self._wants_state or self._error is not None:
            return
        if len(self._queue) >= self._length:
            self._queue.clear()
            if self.live.state is None:
                self._error = Overrun(f"More than {self._length} changes were waiting to be taken; some are lost.")
            else:
                self._wants_state = True
        else:
            self._queue.append(update)
        self._arrived.set()

    def fail(self, error: Exception) -> None:
        """End the watch with an error, after what is queued."""
        self._error = self._error or error
        self._wants_state = False
        self._arrived.set()


class Host(Protocol):
    """The hub, as a stream knows it."""

    def release(self, watcher: Watcher) -> Coroutine[Any, Any, None]:
        """The watcher goes."""
        ...


class Stream(Generic[T]):
    """What `DataStore.observe` and `observe_query` return: an async iterator that watches while it is held.

    It begins with its first step, or with `async with`, after which nothing is missed:

        async with DataStore.observe(Post) as changes:
            async for change in changes: ...

    It ends with the `async with`, with `aclose()`, or when nobody holds it any more.
    """

    def __init__(self, host: Host, begin: Callable[[], Awaitable[Watcher]], convert: Callable[[Any], T]) -> None:
        self._host = host
        self._begin = begin
        self._convert = convert
        self._lock: asyncio.Lock | None = None
        self._watcher: Watcher | None = None
        self._is_closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._is_closed:
            raise StopAsyncIteration
        watcher = await self._watching()
        return self._convert(await watcher.next())

    async def __aenter__(self) -> Self:
        await self._watching()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Watch no more."""
        self._is_closed = True
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            await self._host.release(watcher)

    async def _watching(self) -> Watcher:
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            if self._watcher is None:
                self._watcher = await self._begin()
                weakref.finalize(self, _let_go, asyncio.get_running_loop(), self._host, self._watcher)
            return self._watcher


def _let_go(loop: asyncio.AbstractEventLoop, host: Host, watcher: Watcher) -> None:
    """The stream is gone; called from whatever thread collects garbage."""
    if watcher in watcher.live.watchers and not loop.is_closed():
        loop.call_soon_threadsafe(_release, host, watcher)


_releases: set[asyncio.Task[None]] = set()
"""Keeps the tasks alive that release what nobody holds."""


def _release(host: Host, watcher: Watcher) -> None:
    task = asyncio.get_running_loop().create_task(host.release(watcher))
    _releases.add(task)
    task.add_done_callback(_releases.discard)
