"""Starting, watching and stopping the demo's processes. Each is the leader of its own session, so that nothing it
starts can outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

POLL_SECONDS = 0.05
STOP_SECONDS = 10


class DemoError(Exception):
    """The demo cannot go on; the message says what was expected and what was seen."""


def wait_until(fact: Callable[[], object], expected: str, *, timeout_seconds: float = 30) -> None:
    """Returns once `fact()` holds; raises `DemoError` at the deadline.

    `fact` returns True (holds) or what it saw instead; an `OSError` it raises is what it saw.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            seen = fact()
        except OSError as exc:
            seen = exc
        if seen is True:
            return
        if time.monotonic() > deadline:
            raise DemoError(f"Expected within {timeout_seconds:.0f} s: {expected}. Seen: {seen!r}")
        time.sleep(POLL_SECONDS)


@dataclass
class Process:
    """One program of the demo: how it is started and how it proves that it answers."""

    name: str
    command: list[str]
    answers: Callable[[], object]
    """True once it answers, else what was seen; may raise `OSError`."""
    describe: Callable[[], str] = field(default=lambda: "ready")
    running: subprocess.Popen[bytes] | None = None
    log: Path = Path()
    log_start: int = 0

    def start(self, environment: dict[str, str], log_dir: Path) -> None:
        """Starts it; what it prints goes to its log."""
        self.log = log_dir / f"{self.name}.log"
        with self.log.open("ab") as log:
            self.log_start = log.tell()
            self.running = subprocess.Popen(
                self.command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait_until_it_answers(self, *, timeout_seconds: float = 40) -> None:
        """Returns once it answers; raises `DemoError` if it dies or the time is up."""

        def answers() -> object:
            self.check_alive()
            return self.answers()

        try:
            wait_until(answers, f"{self.name} answers", timeout_seconds=timeout_seconds)
        except DemoError as exc:
            raise DemoError(f"{exc}\n{self.last_words()}") from exc

    def check_alive(self) -> None:
        """Raises `DemoError` if it has ended."""
        code = None if self.running is None else self.running.poll()
        if code is not None:
            raise DemoError(f"{self.name} ended with code {code}.\n{self.last_words()}")

    def printed(self) -> str:
        """What it printed since it was started."""
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace")

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        tail = "\n".join(f"    {line}" for line in self.printed().splitlines()[-lines:])
        return f"  The end of {self.log}:\n{tail or '    (empty)'}"

    def signal_group(self, number: int) -> None:
        """Signals it and everything it started."""
        if self.running is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.running.pid, number)

    @property
    def has_left(self) -> bool:
        """Whether it and everything it started are gone."""
        if self.running is None:
            return True
        self.running.poll()
        try:
            os.killpg(self.running.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # macOS says so of a group of which only zombies are left
            return self.running.returncode is not None
        return False

    def kill(self) -> None:
        """Kills it and everything it started, as a power cut does."""
        self.signal_group(signal.SIGKILL)
        if self.running is not None:
            self.running.wait()
        wait_until(lambda: self.has_left, f"{self.name} is gone")


class Processes:
    """All of them, in the order of their start."""

    def __init__(self, processes: list[Process], environment: dict[str, str], log_dir: Path) -> None:
        self.processes = processes
        self.environment = environment
        self.log_dir = log_dir
        log_dir.mkdir(parents=True, exist_ok=True)

    def __getitem__(self, name: str) -> Process:
        return next(process for process in self.processes if process.name == name)

    def start(self) -> Iterator[Process]:
        """Starts all of them at once and yields each when it answers."""
        for process in self.processes:
            process.start(self.environment, self.log_dir)
        for process in self.processes:
            process.wait_until_it_answers()
            yield process

    def restart(self, name: str) -> None:
        """Starts one that was killed."""
        self[name].start(self.environment, self.log_dir)

    def check_alive(self) -> None:
        """Raises `DemoError` for the first that has ended."""
        for process in self.processes:
            process.check_alive()

    def stop(self) -> None:
        """Stops all of them; returns when nothing they started is left."""
        for process in reversed(self.processes):
            process.signal_group(signal.SIGTERM)
        with suppress(DemoError):
            wait_until(
                lambda: all(p.has_left for p in self.processes), "every process is gone", timeout_seconds=STOP_SECONDS
            )
        for process in self.processes:
            if not process.has_left:
                process.kill()
