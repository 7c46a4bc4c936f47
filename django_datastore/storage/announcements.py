"""After a commit, tell the other processes: coalesced, in one background thread, so that a save costs microseconds.

An announcement is only a nudge. The tables are the truth, and a sweep repairs every announcement that was lost.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable

from django.db import transaction

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.02
"""Announcements closer together than this are one."""
_REST = 100
"""After an announcement, so many times its processor time passes before the next: a stream of saves comes first."""
_PATIENCE_SECONDS = 2.0
"""How long a process that ends waits for an announcement that is being sent."""


class Announcer:
    """Calls its listeners some time after `announce()`, once for any number of calls in between."""

    def __init__(self, *, pause_seconds: float = _PAUSE_SECONDS) -> None:
        self._listeners: list[Callable[[], None]] = []
        self._pause_seconds = pause_seconds
        self._due = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid: int | None = None

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` on every announcement, in the background thread."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    def announce(self) -> None:
        """Something was committed."""
        if not self._listeners:
            return
        self._due.set()
        if self._thread is None or self._pid != os.getpid():
            self._start()

    def announce_on_commit(self, using: str) -> None:
        """Announce once the running transaction has committed (at once in autocommit)."""
        transaction.on_commit(self.announce, using=using, robust=True)

    def flush(self) -> None:
        """Send what is due now, in this thread; at exit nothing else would."""
        if self._pid != os.getpid():
            return
        self._stopping.set()
        if self._telling.acquire(timeout=_PATIENCE_SECONDS):  # the thread may be in the middle of it
            self._telling.release()
        if self._due.is_set():
            self._tell()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None and self._pid == os.getpid():
                return
            if self._pid is None:
                atexit.register(self.flush)
            self._pid = os.getpid()
            self._telling = threading.Lock()  # a fork may have copied one that is held
            self._thread = threading.Thread(target=self._run, name="datastore-announcer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._due.wait()
            if self._stopping.is_set():
                return
            began = time.thread_time()
            self._tell()
            self._stopping.wait(max(self._pause_seconds, _REST * (time.thread_time() - began)))

    def _tell(self) -> None:
        with self._telling:
            self._due.clear()
            for listener in list(self._listeners):
                try:
                    listener()
                except Exception:  # whatever a broker raises: the sweep repairs it
                    logger.warning("An announcement was lost; the next sweep repairs it.", exc_info=True)


announcer = Announcer()
"""The announcer of this process."""
