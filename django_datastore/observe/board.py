"""What is watched in one process, each distinct thing once, with where it stands. The hub calls it from its thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from django_datastore.models import ModelMetadata
from django_datastore.observe.changes import Batch, Reader
from django_datastore.observe.live_query import Diff, LiveQuery, Observation, ObservedChange, State

logger = logging.getLogger(__name__)

_REFRESH_SECONDS = 2.0
"""How often a live query is read anew whose rows depend on what is not in the change log."""
_MAX_FAILURES = 5
"""Database errors in a row that one watched thing may cost before it is given up; else it would stop all others."""

Watched: TypeAlias = LiveQuery | Observation
Identity: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Joined:
    """A watcher is in: what it watches, and for a live query where that stands."""

    identity: Identity
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Advanced:
    """A live query went on."""

    state: State
    diff: Diff


NewsItem: TypeAlias = Advanced | Sequence[ObservedChange] | Exception


@dataclass(frozen=True, slots=True)
class News:
    """What one look at the change log brought; an exception ends what is watched."""

    by_identity: dict[Identity, NewsItem] = field(default_factory=dict)
    has_more: bool = False


class Board:
    """Everything that is watched. Not thread-safe: one thread calls it."""

    def __init__(self, using: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._using = using
        self._clock = clock
        self._reader = Reader(using, clock=clock)
        self._is_started = False
        self._observations: dict[Identity, Observation] = {}
        self._queries: dict[Identity, LiveQuery] = {}
        self._states: dict[Identity, State] = {}
        self._failures: dict[Identity, int] = {}
        self._refreshed = clock()

    def advance(self, wanted: frozenset[Identity]) -> News:
        """Read the change log and bring everything in `wanted` up to date; the rest is forgotten.

        Raises `OperationalError` and `InterfaceError`; nothing counts as read then, so that it can be called again.
        """
        self._forget_all_but(wanted)
        if not self._is_started:
            self._reader.start()
            self._is_started = True
        batch = self._reader.read()
        cursor = max((self._reader.cursor, *batch.ids))
        news = self._evaluate(batch, cursor)
        for identity, found in news.items():
            if isinstance(found, Advanced):
                self._states[identity] = found.state
            elif isinstance(found, Exception):
                self._forget(identity)
        self._reader.accept(batch)
        return News(news, batch.is_full)

    def join(self, watched: Sequence[Watched]) -> list[Joined | Exception]:
        """Take in what somebody wants to watch. Evaluated now only if nobody watches the same already."""
        return [self._join(item) for item in watched]

    def disconnect(self) -> None:
        """Close this thread's database connections."""
        connections.close_all()

    def _join(self, item: Watched) -> Joined | Exception:
        try:
            identity = item.identity()
            if isinstance(item, Observation):
                self._observations.setdefault(identity, item)
                return Joined(identity)
            if identity not in self._states:
                is_synced = self._synced([item])[item.sync.label]
                self._states[identity] = item.load(is_synced=is_synced, cursor=self._reader.cursor)
                self._queries[identity] = item
            return Joined(identity, self._states[identity])
        except Exception as exc:  # whatever a predicate makes a database do: it is this watcher's alone
            return exc

    def _evaluate(self, batch: Batch, cursor: int) -> dict[Identity, NewsItem]:
        synced = self._synced(list(self._queries.values()))
        refresh = self._clock() - self._refreshed >= _REFRESH_SECONDS
        if refresh:
            self._refreshed = self._clock()
        news: dict[Identity, NewsItem] = {}
        for identity, query in self._queries.items():

            def advance(identity: Identity = identity, query: LiveQuery = query) -> NewsItem | None:
                state, diff = query.advance(
                    self._states[identity],
                    batch,
                    is_synced=synced[query.sync.label],
                    cursor=cursor,
                    refresh=refresh and query.selection.is_volatile,
                )
                return None if diff is None else Advanced(state, diff)

            self._guarded(identity, advance, news)
        if batch.entries:
            for identity, observation in self._observations.items():
                self._guarded(identity, lambda observation=observation: observation.changes(batch), news)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        return news

    def _guarded(
        self, identity: Identity, evaluate: Callable[[], NewsItem | None], news: dict[Identity, NewsItem]
    ) -> None:
        try:
            found = evaluate()
        except (OperationalError, InterfaceError) as exc:
            self._failures[identity] = self._failures.get(identity, 0) + 1
            if self._failures[identity] < _MAX_FAILURES:
                raise
            news[identity] = exc
        except Exception as exc:  # whatever a site's predicate or field does: the other watchers go on
            if not isinstance(exc, DatabaseError):
                logger.warning("A watched predicate of %s failed", identity[1], exc_info=True)
            news[identity] = exc
        else:
            self._failures.pop(identity, None)
            if found:
                news[identity] = found

    def _synced(self, queries: Sequence[LiveQuery]) -> dict[str, bool]:
        found = dict.fromkeys((query.sync.label for query in queries), False)
        if found:
            known = ModelMetadata.objects.using(self._using).filter(model__in=list(found), last_sync__isnull=False)
            found.update(dict.fromkeys(known.values_list("model", flat=True), True))
        return found

    def _forget_all_but(self, wanted: frozenset[Identity]) -> None:
        for identity in [*self._queries, *self._observations]:
            if identity not in wanted:
                self._forget(identity)

    def _forget(self, identity: Identity) -> None:
        for kept in (self._queries, self._observations, self._states, self._failures):
            kept.pop(identity, None)  # type: ignore[attr-defined]  # dicts of different values
