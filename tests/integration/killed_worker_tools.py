"""A Celery worker that can be killed, and a request of it that is held until then."""

from __future__ import annotations

import enum
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from django_datastore.appsync_local.injection.faults import Subject
from django_datastore.testing.appsync import AppSyncForTests
from django_datastore.testing.faults import ActiveFault

ROOT = Path(__file__).parents[2]
WORKER = "celery -A testproject worker -B -P threads -c 2 -l info --without-gossip --without-mingle"


class Moment(enum.Enum):
    """When the worker dies, seen from one of its requests."""

    LOST = "the request is on its way and never arrives"
    LATE = "the request is on its way and arrives after the death"
    ANSWERED = "AppSync has executed the request, the answer is on its way"
    SETTLING = "the answer has arrived"
    ANY = "any time"


def sends_or_reads_back(subject: Subject) -> bool:
    """Whether a request is one of the mutation processor's: a mutation, or a `get` to read back."""
    return subject.action in ("create", "update", "delete", "get")


def hold(appsync: AppSyncForTests, moment: Moment) -> ActiveFault:
    """Hold the next request of the mutation processor at that moment, until it is released."""
    at = "request" if moment in (Moment.LOST, Moment.LATE) else "reply"
    if moment is Moment.LOST:
        appsync.faults.request_lost(when=sends_or_reads_back, times=1)
    return appsync.faults.hold(at=at, when=sends_or_reads_back, times=1)


class Worker:
    """`celery worker -B` as a process group of its own, to be killed as a power cut does."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.environment = {**os.environ, **environment, "DJANGO_SETTINGS_MODULE": "tests.worker_settings"}
        self.log = log
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; what it prints is appended to its log."""
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                [sys.executable, "-m", *WORKER.split()],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL for the worker and its beat. Fails if it had died by itself."""
        running, self._running = self._running, None
        if running is None:
            return
        code = running.poll()
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        assert code is None, f"the worker ended by itself with code {code}:\n{self.last_words()}"

    def last_words(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""
