"""Starting, driving and stopping the programs of this test. Waiting is waiting for the next line of any of them.

The two that write, `client.js` and `site.py`, are driven by JSON lines and have the same commands: each is a `Peer`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from re import Match, Pattern
from re import compile as pattern
from time import monotonic
from typing import Any, Self, TypeAlias

Key: TypeAlias = str | Mapping[str, Any]
"""An id, or the values of all key fields."""

PATIENCE_SECONDS = 60.0
STOP_SECONDS = 10.0
LAST_LINES = 30


class Bell:
    """Rings whenever one of its programs says something."""

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self._rung = threading.Condition()
        self._count = 0

    def ring(self) -> None:
        """Wakes who waits."""
        with self._rung:
            self._count += 1
            self._rung.notify_all()

    def until(self, fact: Callable[[], Any], expected: str) -> Any:
        """What `fact` returns once it is true; it is asked again after every ring. Fails when patience ends."""
        deadline = monotonic() + PATIENCE_SECONDS
        while True:
            heard = self._count
            if found := fact():
                return found
            with self._rung:
                if not self._rung.wait_for(lambda before=heard: self._count != before, deadline - monotonic()):
                    said = "\n".join(program.last_words() for program in self.programs)
                    raise AssertionError(f"Expected within {PATIENCE_SECONDS:.0f} s: {expected}.\n{said}")


class Program:
    """A process of its own session; what it prints is kept and can be waited for."""

    def __init__(self, name: str, command: Sequence[str], *, bell: Bell, log: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.bell = bell
        self.lines: list[str] = []
        self.has_ended = False
        self._log = log.open("a+")  # appending: the child writes at the end, wherever we read
        self.process = subprocess.Popen(
            command,
            env={**env},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors(),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name=f"reads {name}", daemon=True)
        self._reader.start()
        bell.programs.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def says(self, expected: str) -> Match[str]:
        """Waits for a line that matches."""
        return self.wait_for(lambda: self._first(pattern(expected)), f"a line like {expected!r}")

    def ends_well(self) -> None:
        """Waits for its end; fails unless its exit code is 0."""
        self.bell.until(lambda: self.has_ended, f"{self.name} ends")
        assert self.process.wait() == 0, self.last_words()

    def wait_for(self, fact: Callable[[], Any], expected: str) -> Any:
        """What `fact` returns once it is true; fails at once if the program ends first."""

        def asked() -> Any:
            if found := fact():
                return found
            assert not self.has_ended, f"{self.name} ended before {expected}. {self.last_words()}"
            return None

        return self.bell.until(asked, f"{self.name}: {expected}")

    def last_words(self) -> str:
        """The end of what it printed."""
        self._log.seek(0)
        said = [*self._log.read().splitlines(), *self.lines]
        return "\n    ".join([f"The end of what {self.name} said:", *said[-LAST_LINES:]])

    def stop(self) -> None:
        """Asks it to end, then ends it with everything it started."""
        self._ask_to_end()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        self._signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join(STOP_SECONDS)
        for stream in (self.process.stdin, self.process.stdout, self._log):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def _ask_to_end(self) -> None:
        self._signal(signal.SIGTERM)

    def _errors(self) -> Any:
        return subprocess.STDOUT

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _first(self, wanted: Pattern[str]) -> Match[str] | None:
        return next((found for line in list(self.lines) if (found := wanted.search(line))), None)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._take(line)
        self._end()

    def _take(self, line: str) -> None:
        """A line, in the reader's thread."""
        self.lines.append(line.rstrip())
        self.bell.ring()

    def _end(self) -> None:
        """It will say no more."""
        self.has_ended = True
        self.bell.ring()


class Peer(Program):
    """A program that writes and reads records: `create`, `update`, `delete` and `get` mean the same in each."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self._answers: Queue[dict[str, Any] | None] = Queue()
        self._number = 0
        super().__init__(*args, **options)

    def create(self, model: str, **values: Any) -> dict[str, Any]:
        """Saves a new record."""
        return self.ask("create", model=model, values=values)

    def update(self, model: str, key: Key, **values: Any) -> dict[str, Any]:
        """Changes a record."""
        return self.ask("update", model=model, key=key, values=values)

    def delete(self, model: str, key: Key) -> None:
        """Deletes a record."""
        self.ask("delete", model=model, key=key)

    def get(self, model: str, key: Key) -> dict[str, Any] | None:
        """A record as this peer has it."""
        return self.ask("get", model=model, key=key)

    def has(self, model: str, key: Key, **values: Any) -> dict[str, Any]:
        """Waits until this peer has the record with these values."""

        def found() -> dict[str, Any] | None:
            record = self.get(model, key)
            return record if covers(record, values) else None

        return self.wait_for(found, f"{model} {key} has {values}")

    def lacks(self, model: str, key: Key) -> None:
        """Waits until this peer does not have the record."""
        self.wait_for(lambda: self.get(model, key) is None, f"{model} {key} is gone")

    def event(self, name: str, *, since: int = 0, **values: Any) -> dict[str, Any]:
        """Waits for an event with these values; `since` skips as many."""
        wanted = {"event": name, **values}
        return self.wait_for(
            lambda: next((event for event in self.events[since:] if covers(event, wanted)), None), f"the event {wanted}"
        )

    def ask(self, command: str, **options: Any) -> Any:
        """Sends a command and waits for its answer."""
        self._number += 1
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": self._number, "command": command, **options}) + "\n")
        self.process.stdin.flush()
        try:
            answer = self._answers.get(timeout=PATIENCE_SECONDS)
        except Empty:
            raise AssertionError(f"{self.name} does not answer {command} {options}. {self.last_words()}") from None
        assert answer is not None, f"{self.name} ended at {command} {options}. {self.last_words()}"
        assert answer["id"] == self._number, f"{self.name} answered {answer} to {command} {options}"
        assert "error" not in answer, f"{self.name} failed at {command} {options}: {answer.get('error')}"
        return answer["value"]

    def complaints(self) -> list[str]:
        """The warnings it gave, such as of a change that it skipped."""
        self._log.seek(0)
        return [line for line in self._log.read().splitlines() if "[WARN]" in line or "[ERROR]" in line]

    def _ask_to_end(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def _errors(self) -> Any:
        return self._log  # stdout is for JSON lines

    def _take(self, line: str) -> None:
        message = json.loads(line)
        if "id" in message:
            self._answers.put(message)  # not a ring: what asks again after each ring would never come to rest
        else:
            self.events.append(message)
            self.bell.ring()

    def _end(self) -> None:
        self._answers.put(None)
        super()._end()


def covers(found: Any, wanted: Any) -> bool:
    """Whether `found` has all of `wanted`; of a mapping it may have more, nested ones too."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            name in found and covers(found[name], value) for name, value in wanted.items()
        )
    return bool(found == wanted)
