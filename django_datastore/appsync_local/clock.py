"""A clock that a test moves. Everything the server dates and everything that expires there goes by it."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable


def real_now() -> int:
    """This machine's time, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class MovableClock:
    """Runs like the real one until it is moved or stopped. Every method may be called from any thread."""

    def __init__(self, now: Callable[[], int] = real_now) -> None:
        self._real = now
        self._lock = threading.Lock()
        self._offset_ms = 0
        self._stopped_at: int | None = None
        self._leapt_ms = 0

    def elapsed(self) -> float:
        """Seconds that only ever grow: they run while the clock is stopped, and leap when it is moved on."""
        return time.monotonic() + self._leapt_ms / 1000

    def now(self) -> int:
        """Epoch milliseconds."""
        with self._lock:
            return self._now()

    def advance(self, duration: datetime.timedelta) -> None:
        """Moves on by that much, or back; a stopped clock stays stopped."""
        self.set(self.now() + duration // datetime.timedelta(milliseconds=1))

    def set(self, moment_ms: int) -> None:
        """Is at this moment now."""
        with self._lock:
            self._leapt_ms += max(0, moment_ms - self._now())
            if self._stopped_at is not None:
                self._stopped_at = moment_ms
            else:
                self._offset_ms = moment_ms - self._real()

    def stop(self) -> None:
        """Shows the same moment until it runs again."""
        with self._lock:
            self._stopped_at = self._now()

    def run(self) -> None:
        """Goes on from the moment it shows."""
        with self._lock:
            if self._stopped_at is not None:
                self._offset_ms = self._stopped_at - self._real()
                self._stopped_at = None

    def reset(self) -> None:
        """Shows the real time again."""
        with self._lock:
            self._offset_ms, self._stopped_at = 0, None

    def _now(self) -> int:
        return self._real() + self._offset_ms if self._stopped_at is None else self._stopped_at
