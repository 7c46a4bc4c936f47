"""The hub: reads the change log while somebody watches, and hands each watcher what concerns it. Asynchronous.

    change log ─▶ reader ─▶ each distinct live query or observation, once ─▶ the queues of its watchers

All database work is done in one thread per running event loop, so that what is read is in order: a live query is
either opened before a batch is read, and gets it, or after, and has it in its first state.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.db.models import Q

from django_datastore import conf
from django_datastore.introspection import SyncedModel
from django_datastore.models import ModelMetadata
from django_datastore.observe.changes import Batch, Reader
from django_datastore.observe.live_query import LiveQuery, Observation, ObservedChange, Selection, State
from django_datastore.observe.watching import Live, Overrun, Snapshot, Source, Stream, Update, Watcher
from django_datastore.predicates import sort as sorting
from django_datastore.storage.transactions import outbox_alias

__all__ = ["Hub", "ObservedChange", "Overrun", "Snapshot", "Stream", "Watcher", "get_hub", "wake"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_REFRESH_SECONDS = 30.0
"""How often live queries are read anew whose outcome depends on tables without a change log."""
_RETRY_SECONDS = 1.0
"""How long the hub waits for a database that failed."""
_MAX_FAILURES = 5
"""Database failures in a row that one live query may cost before it is given up; else it would stop all others."""
_MAX_DIFFS = 100
"""Diffs a watcher may be behind before it gets a fresh state instead."""
_MAX_CHANGES = 10_000
"""Changes an observer may be behind; there is no state to give it, so it is told and ended."""


@dataclass(frozen=True)
class _Outcome:
    """What one step means for one live query or observation."""

    live: Live
    state: State | None = None
    updates: Sequence[Update] = ()
    error: Exception | None = None


class _Evaluator:
    """The hub's side that talks to the database. Every method runs in the one thread of the runner's executor."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._synced: dict[str, bool] = {}
        self._failures: dict[tuple[Hashable, ...], int] = {}
        self._reader = Reader(using)

    def start(self) -> None:
        """Begin after what is committed now."""
        self._synced.clear()
        self._reader = Reader(self._using)
        self._reader.start()

    def load(self, query: LiveQuery) -> State:
        """A live query's first state."""
        label = query.sync.label
        self._learn_synced({label})
        return query.load(is_synced=self._synced[label], cursor=self._reader.cursor)

    def step(self, lives: Sequence[Live], refresh: bool) -> tuple[list[_Outcome], bool]:
        """What was committed since the last step, and whether there is more.

        Nothing is accepted before all was evaluated: after an error the next step reads the same again.
        """
        batch = self._reader.read()
        labels = {live.label for live in lives if live.state is not None}
        self._learn_synced({name for name in labels if refresh or name in batch.entries or not self._synced.get(name)})
        cursor = max((self._reader.cursor, *batch.ids))
        outcomes = [self._guarded(live, batch, cursor, refresh) for live in lives]
        self._reader.accept(batch)
        return outcomes, batch.is_full

    def disconnect(self) -> None:
        """Close this thread's connections."""
        connections.close_all()

    def _guarded(self, live: Live, batch: Batch, cursor: int, refresh: bool) -> _Outcome:
        try:
            outcome = self._outcome(live, batch, cursor, refresh)
        except (OperationalError, InterfaceError) as exc:
            failures = self._failures[live.identity] = self._failures.get(live.identity, 0) + 1
            if failures < _MAX_FAILURES:
                raise
            outcome = _Outcome(live, error=exc)
        except Exception as exc:  # a row or a hook that fails is one query's matter: the others go on
            logger.warning("A live query of %s failed", live.label, exc_info=True)
            outcome = _Outcome(live, error=exc)
        self._failures.pop(live.identity, None)
        return outcome

    def _outcome(self, live: Live, batch: Batch, cursor: int, refresh: bool) -> _Outcome:
        if isinstance(live.source, Observation):
            return _Outcome(live, updates=live.source.changes(batch))
        state, diff = live.source.advance(
            cast(State, live.state),
            batch,
            is_synced=self._synced.get(live.label, False),
            cursor=cursor,
            refresh=refresh and live.source.selection.is_volatile,
        )
        return _Outcome(live, state, (diff,) if diff else ())

    def _learn_synced(self, labels: set[str]) -> None:
        if labels:
            found = ModelMetadata.objects.using(self._using).filter(model__in=labels, last_sync__isnull=False)
            synced = set(found.values_list("model", flat=True))
            self._synced |= {label: label in synced for label in labels}


class _Runner:
    """The hub of one event loop. It runs from the first watcher to the last."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._lives: dict[tuple[Hashable, ...], Live] = {}
        self._evaluator = _Evaluator(outbox_alias())
        self._executor: ThreadPoolExecutor | None = None
        self._task: asyncio.Task[None] | None = None
        self._refreshed_at = 0.0

    def wake(self) -> None:
        """Look at the log now. For any thread."""
        with suppress(RuntimeError):  # the loop has ended, and its watchers with it
            self._loop.call_soon_threadsafe(self._wake.set)

    async def open(self, source: Source, length: int) -> Watcher:
        """A new watcher. Raises `InvalidPredicate`."""
        async with self._lock:
            try:
                await self._start()
                await self._catch_up()
                return await self._join(source, length)
            except (DatabaseError, InterfaceError):
                await self._run(self._evaluator.disconnect)
                raise
            finally:
                await self._stop_if_idle()

    async def release(self, watcher: Watcher) -> None:
        """The watcher goes; the last one stops the hub."""
        live = watcher.live
        live.watchers.discard(watcher)
        watcher.fail(StopAsyncIteration())
        async with self._lock:
            if not live.watchers and self._lives.get(live.identity) is live:
                del self._lives[live.identity]
            await self._stop_if_idle()

    async def _join(self, source: Source, length: int) -> Watcher:
        identity = await self._run(source.identity)
        live = self._lives.get(identity)
        if live is None:
            state = await self._run(self._evaluator.load, source) if isinstance(source, LiveQuery) else None
            live = self._lives[identity] = Live(identity, source, state)
        watcher = Watcher(live, length=length)
        live.watchers.add(watcher)
        return watcher

    async def _catch_up(self) -> None:
        """Read what is committed, so that who joins a running hub gets neither an old state nor an old change.

        A caller that is cancelled meanwhile still sees the step through: what was read must reach the others.
        """
        if not self._lives:
            return
        step = asyncio.ensure_future(self._step())
        try:
            await asyncio.shield(step)
        except asyncio.CancelledError:
            await asyncio.wait([step])
            raise

    async def _start(self) -> None:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="datastore-hub")
        if self._task is None:
            await self._run(self._evaluator.start)
            self._refreshed_at = self._loop.time()
            self._task = asyncio.create_task(self._poll(), name="datastore-hub")

    async def _stop_if_idle(self) -> None:
        if self._lives or self._executor is None:
            return
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        executor, self._executor = self._executor, None
        closing = self._loop.run_in_executor(executor, self._evaluator.disconnect)
        executor.shutdown(wait=False)
        await closing

    async def _run(self, work: Callable[..., T], *args: Any) -> T:
        return await self._loop.run_in_executor(self._executor, work, *args)

    async def _poll(self) -> None:
        while True:
            # not wait_for: in Python 3.11 it may swallow the cancellation that stops this, and whoever stops it waits
            with suppress(TimeoutError):
                async with asyncio.timeout(conf.settings.POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                async with self._lock:
                    await self._step()
            except Exception:  # whatever a database raises: watchers wait until it is back
                logger.warning("The change log cannot be read; trying again", exc_info=True)
                await self._run(self._evaluator.disconnect)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _step(self) -> None:
        refresh = self._loop.time() - self._refreshed_at >= _REFRESH_SECONDS
        outcomes, is_full = await self._run(self._evaluator.step, list(self._lives.values()), refresh)
        if refresh:
            self._refreshed_at = self._loop.time()
        for outcome in outcomes:
            self._deliver(outcome)
        if is_full:
            self._wake.set()

    def _deliver(self, outcome: _Outcome) -> None:
        live = outcome.live
        if outcome.error is not None:
            del self._lives[live.identity]
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
        self._runners: dict[asyncio.AbstractEventLoop, _Runner] = {}
        self._guard = threading.Lock()

    def wake(self) -> None:
        """Something was committed: look now instead of at the next poll. For any thread."""
        with self._guard:
            runners = list(self._runners.values())
        for runner in runners:
            runner.wake()

    async def watch_query(
        self, sync: SyncedModel, q: Q | None, sort: Sequence[str] = (), *, max_diffs: int = _MAX_DIFFS
    ) -> Watcher:
        """A watcher of a live query: a `State`, then `Diff`s. Give it back to `release`. Raises `InvalidPredicate`."""
        source = LiveQuery(Selection(sync, q, outbox_alias()), sorting.parse(sort, sync))
        return await self._runner().open(source, max_diffs)

    async def watch_changes(self, sync: SyncedModel, q: Q | None, *, max_changes: int = _MAX_CHANGES) -> Watcher:
        """A watcher of a model's changes. Give it back with `release`. Raises `InvalidPredicate`."""
        return await self._runner().open(Observation(Selection(sync, q, outbox_alias())), max_changes)

    async def release(self, watcher: Watcher) -> None:
        """Stop watching, in the loop the watcher is of."""
        await asyncio.shield(self._runner().release(watcher))

    def observe(self, sync: SyncedModel, q: Q | None = None) -> Stream[ObservedChange]:
        """Every change committed once it watches. Steps raise `InvalidPredicate`, `Overrun`."""
        return Stream(self, lambda: self.watch_changes(sync, q), ObservedChange.own)

    def observe_query(self, sync: SyncedModel, q: Q | None = None, sort: Sequence[str] = ()) -> Stream[Snapshot]:
        """The rows at once, and again after each change; one who is slow gets the newest. Raises `InvalidPredicate`."""
        sorting.parse(sort, sync)
        return Stream(self, lambda: self.watch_query(sync, q, sort, max_diffs=0), _snapshot)

    def _runner(self) -> _Runner:
        loop = asyncio.get_running_loop()
        with self._guard:
            if loop not in self._runners:
                self._runners = {known: runner for known, runner in self._runners.items() if not known.is_closed()}
                self._runners[loop] = _Runner()
            return self._runners[loop]


def _snapshot(state: State) -> Snapshot:
    return Snapshot(state.elements(), state.is_synced)


_hub = Hub()


def get_hub() -> Hub:
    """The hub of this process."""
    return _hub


def wake() -> None:
    """Wake the hub of this process. For any thread."""
    _hub.wake()
