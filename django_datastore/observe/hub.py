"""The hub: reads the change log while somebody watches, and hands each watcher what concerns it. Asynchronous.

    change log ─▶ reader ─▶ each distinct live query or observation, once ─▶ the queues of its watchers

All database work is done in one thread per running event loop, so that what is read is in order: a live query is
either opened before a batch is read, and gets it, or after, and has it in its first state.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from django.db import DatabaseError, InterfaceError, connections, models
from django.db.models import Q

from django_datastore import conf
from django_datastore.exceptions import DataStoreError
from django_datastore.introspection import SyncedModel
from django_datastore.models import ModelMetadata
from django_datastore.observe.changes import Batch, Reader
from django_datastore.observe.live_query import Diff, LiveQuery, Observation, ObservedChange, Selection, State
from django_datastore.predicates import sort as sorting
from django_datastore.storage.transactions import outbox_alias

logger = logging.getLogger(__name__)

T = TypeVar("T")
Update: TypeAlias = State | Diff | ObservedChange

_REFRESH_SECONDS = 30.0
"""How often live queries are read anew whose outcome depends on tables without a change log."""
_RETRY_SECONDS = 1.0
"""How long the hub waits for a database that failed."""
_QUEUE_LENGTH = 100
"""Diffs a watcher may be behind before it gets a fresh snapshot instead."""
_OBSERVER_QUEUE_LENGTH = 10_000
"""Changes an observer may be behind; it cannot be given a snapshot, so it is told and ended."""


class Overrun(DataStoreError):
    """The observer took changes more slowly than they came, and missed some. Query, then observe again."""


@dataclass(frozen=True)
class Snapshot:
    """DataStore's `{items, isSynced}`: the rows of a live query at one moment."""

    items: list[Any]
    is_synced: bool


class Watcher:
    """One who watches: a bounded queue of what it has not taken yet."""

    def __init__(self, live: _Live, *, length: int) -> None:
        self._live = live
        self._length = length
        self._queue: deque[Update] = deque()
        self._arrived = asyncio.Event()
        self._error: Exception | None = None
        self._wants_snapshot = live.state is not None
        if self._wants_snapshot:
            self._arrived.set()

    async def next(self) -> Update:
        """What is new: a state first, and after having been too slow; diffs or changes otherwise. Raises `Overrun`."""
        await self._arrived.wait()
        if self._wants_snapshot and self._live.state is not None and self._error is None:
            self._wants_snapshot = False
            self._queue.clear()
            self._arrived.clear()
            return self._live.state
        if self._queue:
            found = self._queue.popleft()
            if not self._queue and self._error is None:
                self._arrived.clear()
            return found
        raise self._error or Overrun("The watch has ended.")

    def put(self, update: Update) -> None:
        """Hand over an update; a queue that is full is replaced by a snapshot to come."""
        if self._wants_snapshot or self._error is not None:
            return
        if len(self._queue) < self._length:
            self._queue.append(update)
        elif self._live.state is not None:
            self._queue.clear()
            self._wants_snapshot = True
        else:
            self._queue.clear()
            self._error = Overrun(f"More than {self._length} changes were waiting to be taken; some are lost.")
        self._arrived.set()

    def fail(self, error: Exception) -> None:
        """End the watch with an error, after what is queued."""
        self._error = self._error or error
        self._arrived.set()


@dataclass(eq=False)
class _Live:
    """A live query or an observation, with those who watch it."""

    identity: tuple[Any, ...]
    source: LiveQuery | Observation
    state: State | None = None
    watchers: set[Watcher] = field(default_factory=set)

    @property
    def label(self) -> str:
        return self.source.sync.label


@dataclass(frozen=True)
class _Outcome:
    """What one step means for one live query or observation."""

    live: _Live
    state: State | None = None
    updates: Sequence[Update] = ()
    error: Exception | None = None


class _Thread:
    """The hub's side that talks to the database. Every method runs in the one thread of its executor."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._synced: dict[str, bool] = {}
        self.reader = Reader(using)

    def start(self) -> None:
        self._synced.clear()
        self.reader.start()

    def prepare(self, source: LiveQuery | Observation) -> tuple[Any, ...]:
        return source.identity()

    def load(self, source: LiveQuery) -> State:
        label = source.sync.label
        self._learn_synced({label})
        return source.load(is_synced=self._synced[label], cursor=self.reader.cursor)

    def step(self, lives: Sequence[_Live], *, refresh: bool) -> tuple[list[_Outcome], bool]:
        """Reads what was committed; nothing of it is accepted before all of it was evaluated."""
        batch = self.reader.read()
        labels = {live.label for live in lives if live.state is not None}
        self._learn_synced({name for name in labels if refresh or name in batch.entries or not self._synced.get(name)})
        cursor = max(self.reader.cursor, *batch.ids, 0)
        outcomes = [self._outcome(live, batch, cursor, refresh) for live in lives]
        self.reader.accept(batch)
        return outcomes, batch.is_full

    def _outcome(self, live: _Live, batch: Batch, cursor: int, refresh: bool) -> _Outcome:
        try:
            if live.state is None or isinstance(live.source, Observation):
                assert isinstance(live.source, Observation)
                return _Outcome(live, updates=live.source.changes(batch))
            source = live.source
            state, diff = source.advance(
                live.state,
                batch,
                is_synced=self._synced.get(live.label, False),
                cursor=cursor,
                refresh=refresh and source.selection.is_volatile,
            )
            return _Outcome(live, state, (diff,) if diff else ())
        except (DatabaseError, InterfaceError):
            raise
        except Exception as exc:  # a row or hook that fails is one query's matter: the others go on
            logger.exception("A live query of %s failed", live.label)
            return _Outcome(live, error=exc)

    def _learn_synced(self, labels: set[str]) -> None:
        if not labels:
            return
        found = ModelMetadata.objects.using(self._using).filter(model__in=labels, last_sync__isnull=False)
        synced = set(found.values_list("model", flat=True))
        self._synced |= {label: label in synced for label in labels}

    @staticmethod
    def disconnect() -> None:
        connections.close_all()


class _Runner:
    """The hub of one event loop. It runs from the first watcher to the last."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._lives: dict[tuple[Any, ...], _Live] = {}
        self._executor: ThreadPoolExecutor | None = None
        self._thread = _Thread(outbox_alias())
        self._task: asyncio.Task[None] | None = None
        self._refreshed_at = 0.0
        self.loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Look at the log now. For any thread."""
        with suppress(RuntimeError):  # the loop has ended, and its watchers with it
            self.loop.call_soon_threadsafe(self._wake.set)

    async def open(self, source: LiveQuery | Observation, *, length: int) -> Watcher:
        """A new watcher. Raises `InvalidPredicate`."""
        async with self._lock:
            await self._start()
            try:
                return await self._join(source, length)
            finally:
                await self._stop_if_idle()

    async def release(self, watcher: Watcher) -> None:
        """The watcher goes."""
        live = watcher._live
        live.watchers.discard(watcher)
        async with self._lock:
            if not live.watchers and self._lives.get(live.identity) is live:
                del self._lives[live.identity]
            await self._stop_if_idle()

    async def _join(self, source: LiveQuery | Observation, length: int) -> Watcher:
        identity = await self._run(self._thread.prepare, source)
        live = self._lives.get(identity)
        if live is None:
            live = _Live(identity, source)
            if isinstance(source, LiveQuery):
                live.state = await self._run(self._thread.load, source)
            self._lives[identity] = live
        watcher = Watcher(live, length=length)
        live.watchers.add(watcher)
        return watcher

    async def _start(self) -> None:
        if self._executor is not None:
            return
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="datastore-hub")
        try:
            await self._run(self._thread.start)
        except BaseException:
            await self._close_executor()
            raise
        self._refreshed_at = self.loop.time()
        self._task = asyncio.create_task(self._poll(), name="datastore-hub")

    async def _stop_if_idle(self) -> None:
        if self._lives or self._executor is None:
            return
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._close_executor()

    async def _close_executor(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            await asyncio.shield(self.loop.run_in_executor(executor, self._thread.disconnect))
            executor.shutdown(wait=False)

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        assert self._executor is not None
        return await self.loop.run_in_executor(self._executor, work, *args)

    async def _poll(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), conf.settings.POLL_SECONDS)
            self._wake.clear()
            try:
                async with self._lock:
                    await self._step()
            except (DatabaseError, InterfaceError):
                logger.warning("The change log cannot be read; trying again", exc_info=True)
                await self._run(self._thread.disconnect)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _step(self) -> None:
        refresh = self.loop.time() - self._refreshed_at >= _REFRESH_SECONDS
        lives = list(self._lives.values())
        executor_step = self._executor and self.loop.run_in_executor(
            self._executor, lambda: self._thread.step(lives, refresh=refresh)
        )
        if executor_step is None:
            return
        outcomes, is_full = await executor_step
        if refresh:
            self._refreshed_at = self.loop.time()
        for outcome in outcomes:
            self._deliver(outcome)
        if is_full:
            self._wake.set()

    def _deliver(self, outcome: _Outcome) -> None:
        live = outcome.live
        if outcome.error is not None:
            self._lives.pop(live.identity, None)
            for watcher in live.watchers:
                watcher.fail(outcome.error)
            return
        live.state = outcome.state or live.state
        for update in outcome.updates:
            for watcher in live.watchers:
                watcher.put(update)


class Hub:
    """The hub of this process."""

    def __init__(self) -> None:
        self._runners: WeakKeyDictionary[asyncio.AbstractEventLoop, _Runner] = WeakKeyDictionary()
        self._guard = threading.Lock()

    def wake(self) -> None:
        """Something was committed: look now instead of at the next poll. For any thread."""
        with self._guard:
            runners = list(self._runners.values())
        for runner in runners:
            runner.wake()

    async def watch_query(
        self, sync: SyncedModel, q: Q | None, sort: Sequence[str] = (), *, length: int = _QUEUE_LENGTH
    ) -> Watcher:
        """A watcher of a live query: a `State`, then `Diff`s. Give it back with `release`. Raises `InvalidPredicate`."""
        source = LiveQuery(Selection(sync, q, outbox_alias()), sorting.parse(sort, sync))
        return await self._runner().open(source, length=length)

    async def watch_changes(self, sync: SyncedModel, q: Q | None, *, length: int = _OBSERVER_QUEUE_LENGTH) -> Watcher:
        """A watcher of a model's changes. Give it back with `release`. Raises `InvalidPredicate`."""
        return await self._runner().open(Observation(Selection(sync, q, outbox_alias())), length=length)

    async def release(self, watcher: Watcher) -> None:
        """Stop watching."""
        await self._runner().release(watcher)

    async def observe(self, sync: SyncedModel, q: Q | None = None) -> AsyncIterator[ObservedChange]:
        """Every change committed from the first iteration on. Raises `InvalidPredicate`, `Overrun`."""
        watcher = await self.watch_changes(sync, q)
        try:
            while True:
                change = await watcher.next()
                assert isinstance(change, ObservedChange)
                yield change.own()
        finally:
            await self.release(watcher)

    async def observe_query(
        self, sync: SyncedModel, q: Q | None = None, sort: Sequence[str] = ()
    ) -> AsyncIterator[Snapshot]:
        """The rows at once, and again after each change. One who is slow gets the newest. Raises `InvalidPredicate`."""
        watcher = await self.watch_query(sync, q, sort, length=0)
        try:
            while True:
                state = await watcher.next()
                assert isinstance(state, State)
                yield Snapshot(state.elements(), state.is_synced)
        finally:
            await self.release(watcher)

    def _runner(self) -> _Runner:
        loop = asyncio.get_running_loop()
        with self._guard:
            found = self._runners.get(loop)
            if found is None:
                found = self._runners[loop] = _Runner()
            return found


_hub = Hub()


def get_hub() -> Hub:
    """The hub of this process."""
    return _hub


def wake() -> None:
    """Wake the hub of this process. For any thread."""
    _hub.wake()


__all__ = ["Diff", "Hub", "ObservedChange", "Overrun", "Snapshot", "State", "Watcher", "get_hub", "models", "wake"]
