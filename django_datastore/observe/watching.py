"""Who watches: a watcher's own bounded queue, and `Watch`, the async iterator over it that Python code holds."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from django_datastore.exceptions import DataStoreError
from django_datastore.observe.board import Advanced, Identity, Joined, NewsItem, Watched
from django_datastore.observe.live_query import Diff, LiveQuery, Observation, ObservedChange, State

_MAX_DIFFS = 50
"""Differences a slow watcher of a live query may be behind; then it gets a snapshot instead."""
_MAX_CHANGES = 10_000
"""Changes a slow observer may be behind; then it is told that it has missed some."""

T = TypeVar("T")
W = TypeVar("W", bound=Watched)


class WatcherTooSlow(DataStoreError):
    """Changes came faster than they were taken, and some are lost to this observer. Observe and query anew."""


class WatchClosed(DataStoreError):
    """The watcher was closed."""


class Host(Protocol):
    """The hub, as its watchers know it."""

    def join(self, watcher: Watcher[Any]) -> None: ...
    def drop(self, watcher: Watcher[Any]) -> None: ...
    async def settle(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows of a live query at one moment: DataStore's `{items, isSynced}`."""

    items: list[Any]
    is_synced: bool


class Watcher(Generic[W]):
    """One who watches, in the hub's loop. Nothing is shared with other watchers but what is being told."""

    def __init__(self, host: Host, watched: W) -> None:
        self.host = host
        self.watched = watched
        self.identity: Identity = ()
        self.is_closed = False
        self._error: Exception | None = None
        self._has_joined = False
        self._is_admitted = False
        self._news = asyncio.Event()

    @property
    def is_settled(self) -> bool:
        """Whether its wish to join was answered."""
        return self._is_admitted or self.is_closed or self._error is not None

    async def join(self) -> None:
        """Begin to watch; what is committed after this is not missed. Raises `InvalidPredicate`."""
        self._ask_in()
        await self._wait(lambda: self._is_admitted)

    async def leave(self) -> None:
        """Watch no more, and let the hub stop if nobody does."""
        self.close()
        await self.host.settle()

    def close(self) -> None:
        """Watch no more. In the hub's loop only."""
        if not self.is_closed:
            self.is_closed = True
            self.host.drop(self)
            self._news.set()

    def admit(self, joined: Joined) -> None:
        """The hub took it in."""
        self.identity = joined.identity
        self._is_admitted = True
        self._news.set()

    def put(self, news: NewsItem) -> None:
        """The hub has news for it."""
        if isinstance(news, Exception):
            self.fail(news)
        else:
            self._keep(news)
            self._news.set()

    def fail(self, exc: Exception) -> None:
        """The hub cannot go on with it; whoever waits gets the exception."""
        self._error = exc
        self.host.drop(self)
        self._news.set()

    def _keep(self, news: Any) -> None:
        raise NotImplementedError

    def _ask_in(self) -> None:
        if not self._has_joined and not self.is_closed:
            self._has_joined = True
            self.host.join(self)

    async def _wait(self, is_there: Callable[[], object]) -> None:
        """Until there is something; raises what ended the watch otherwise."""
        self._ask_in()
        while True:
            if self.is_closed:
                raise WatchClosed("The watch was closed.")
            if self._error is not None:
                raise self._error
            if is_there():
                return
            self._news.clear()
            await self._news.wait()


class ChangeWatcher(Watcher[Observation]):
    """Gets the changes of a model."""

    def __init__(self, host: Host, watched: Observation, *, max_changes: int = _MAX_CHANGES) -> None:
        super().__init__(host, watched)
        self._changes: deque[ObservedChange] = deque()
        self._max_changes = max_changes

    async def take(self) -> ObservedChange:
        """The next change. Raises `WatcherTooSlow`."""
        await self._wait(lambda: self._changes)
        return self._changes.popleft()

    async def changes(self) -> ObservedChange:
        """The next change with an element of the caller's own."""
        return (await self.take()).own()

    def _keep(self, news: Any) -> None:
        self._changes.extend(news)
        if len(self._changes) > self._max_changes:
            waiting = len(self._changes)
            self._changes.clear()
            self.fail(
                WatcherTooSlow(
                    f"An observer of {self.watched.sync.name!r} is {waiting} changes behind and has been dropped. "
                    "Observe again, and query what was missed; observe_query does both by itself."
                )
            )


class QueryWatcher(Watcher[LiveQuery]):
    """Gets a live query: where it stands, then how it goes on."""

    def __init__(self, host: Host, watched: LiveQuery, *, max_diffs: int = _MAX_DIFFS) -> None:
        super().__init__(host, watched)
        self._state: State | None = None
        self._diffs: deque[Diff] = deque()
        self._max_diffs = max_diffs
        self._needs_state = True
        self._is_new = False

    async def take(self) -> State | Diff:
        """The state first; then each difference, or the state again if it fell behind."""
        await self._wait(lambda: self._is_new)
        if self._needs_state:
            return self._take_state()
        found = self._diffs.popleft()
        self._is_new = bool(self._diffs)
        return found

    async def state(self) -> State:
        """The newest state, once it is another than the one taken before."""
        await self._wait(lambda: self._is_new)
        return self._take_state()

    async def snapshot(self) -> Snapshot:
        """The newest state as rows of the caller's own."""
        found = await self.state()
        return Snapshot(found.elements(), found.is_synced)

    def admit(self, joined: Joined) -> None:
        """The hub took it in; there is a first state to take."""
        self._state = joined.state
        self._is_new = True
        super().admit(joined)

    def _keep(self, news: Any) -> None:
        advanced = cast(Advanced, news)
        self._state = advanced.state
        self._is_new = True
        if self._needs_state:
            return
        self._diffs.append(advanced.diff)
        if len(self._diffs) > self._max_diffs:
            self._diffs.clear()
            self._needs_state = True

    def _take_state(self) -> State:
        self._diffs.clear()
        self._needs_state = self._is_new = False
        return cast(State, self._state)


C = TypeVar("C", bound=Watcher[Any])


class Watch(Generic[T]):
    """What `DataStore.observe` and `observe_query` return: an async iterator that watches while it is held.

    It begins with its first step, or with `async with`, after which nothing is missed. A step that is cancelled loses
    nothing. Let go of it, `aclose()` it or leave the `async with`, and it ends.
    """

    def __init__(self, watcher: C, step: Callable[[C], Any]) -> None:
        self._watcher: Watcher[Any] = watcher
        self._step = step
        self._loop = asyncio.get_running_loop()
        weakref.finalize(self, _let_go, self._loop, watcher)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            return cast(T, await self._step(cast(Any, self._watcher)))
        except WatchClosed:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        await self._watcher.join()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop watching. A step that waits elsewhere ends the iteration."""
        await self._watcher.leave()


def _let_go(loop: asyncio.AbstractEventLoop, watcher: Watcher[Any]) -> None:
    """The iterator is gone; from whatever thread collects garbage."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(watcher.close)
