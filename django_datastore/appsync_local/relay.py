"""Takes events to the sockets of all server processes on one database. Off where there is one process.

mutation ─▶ a row, in its transaction ─▶ commit ─▶ each process reads the rows in the order of the commits ─▶ its broker

The row is the truth; PostgreSQL's NOTIFY only says that there is one. A process that could not read for long has missed
events: it closes its sockets, and the clients catch up when they come back.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence

from django.db import DatabaseError, connections
from django.db.models import Max

from django_datastore.appsync_local.broker import Broker, Event
from django_datastore.appsync_local.models import Publication
from django_datastore.appsync_local.workers import Workers

logger = logging.getLogger(__name__)

RETENTION_SECONDS = 120
"""How long a row is kept for processes that have not read it yet."""
_MISSED_SECONDS = RETENTION_SECONDS / 2
_PURGE_SECONDS = 30
_POLL_SECONDS = 0.1
_LISTEN_SECONDS = 0.5
_RETRY_SECONDS = 0.5
_START_SECONDS = 5
_CHUNK = 500
_SERVICE_RESTART = 1012
_CHANNEL = "appsync_local_events"


class Relay:
    """One process's end."""

    def __init__(
        self,
        workers: Workers,
        broker: Broker,
        *,
        alias: str,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = workers
        self._broker = broker
        self._alias = alias
        self._now = now
        self._clock = clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._positioned = threading.Event()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._last_id = 0
        self._read_at: float | None = None
        self._purged_at = clock()

    def add(self, events: Sequence[Event]) -> None:
        """Writes the events down; to be called inside the transaction that made them.

        Writes take turns until they are committed, in all processes: so the rows' ids are in the order of the commits.
        """
        if not events:
            return
        if self._is_postgresql:
            with connections[self._alias].cursor() as cursor:
                cursor.execute(f"NOTIFY {_CHANNEL}")
        data = json.dumps([[it.topic, it.payload, it.mutation, it.record] for it in events], separators=(",", ":"))
        Publication.objects.using(self._alias).create(data=data, created_at=int(self._now()))
        if self._clock() - self._purged_at > _PURGE_SECONDS:
            self._purge()

    def wake(self) -> None:
        """This process has committed something."""
        self._wake.set()

    @property
    def is_started(self) -> bool:
        """Whether events reach the broker already."""
        return self._positioned.is_set()

    def start(self) -> bool:
        """Returns True once every event committed from now on will reach the broker, False if that takes too long."""
        with self._lock:
            if self._thread is None and not self._stopping.is_set():
                self._thread = self._workers.start(self._run, "events")
        return self._positioned.wait(_START_SECONDS)

    def stop(self) -> None:
        """No more events."""
        with self._lock:
            self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._positioned.set()

    @property
    def _is_postgresql(self) -> bool:
        return connections[self._alias].vendor == "postgresql"

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
                while not self._stopping.is_set():
                    self.read()
                    self._positioned.set()
                    self._wait()
            except DatabaseError:
                logger.warning("Events could not be read. Trying again.", exc_info=True, extra={"action": "relay"})
                connections[self._alias].close()
                self._stopping.wait(_RETRY_SECONDS)

    def read(self) -> None:
        """Hands the broker what is new, in the order of the commits."""
        now = self._clock()
        if self._read_at is None:
            self._begin()
        elif now - self._read_at > _MISSED_SECONDS:
            self._begin()
            self._broker.close_all(_SERVICE_RESTART)
        while self._read_chunk() == _CHUNK:
            pass
        self._read_at = now

    def _begin(self) -> None:
        """From here on."""
        last = Publication.objects.using(self._alias).aggregate(last=Max("id"))["last"]
        self._last_id = last or 0

    def _read_chunk(self) -> int:
        rows = list(
            Publication.objects.using(self._alias)
            .filter(id__gt=self._last_id)
            .order_by("id")
            .values_list("id", "data")[:_CHUNK]
        )
        for number, data in rows:
            self._last_id = number
            self._publish(data)
        return len(rows)

    def _publish(self, data: str) -> None:
        try:
            self._broker.publish([Event(*item) for item in json.loads(data)])
        except Exception:  # one event must not cost the others, and there is nobody to tell
            logger.exception("Events could not be delivered.", extra={"action": "relay"})

    def _purge(self) -> None:
        self._purged_at = self._clock()
        old = int(self._now()) - RETENTION_SECONDS
        Publication.objects.using(self._alias).filter(created_at__lt=old).delete()

    def _listen(self) -> None:
        if self._is_postgresql:
            with connections[self._alias].cursor() as cursor:
                cursor.execute(f"LISTEN {_CHANNEL}")

    def _wait(self) -> None:
        """Until there may be something new."""
        connection = connections[self._alias]
        notifies = getattr(connection.connection, "notifies", None)
        if callable(notifies):  # psycopg 3
            with connection.wrap_database_errors:
                for _ in notifies(timeout=_LISTEN_SECONDS, stop_after=1):
                    pass
            return
        self._wake.wait(_POLL_SECONDS)
        self._wake.clear()
