"""A local server in a process of its own, and the line on which its test talks to it.

    test ── stdin: (number, path, args, kwargs) ──▶ python -m django_datastore.testing.process
         ◀─ stdout: (number, is_fine, value) ─────

The line is the child's stdin and stdout: nobody else can reach it, and the child ends when its test does.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import Future
from typing import IO, Any

_MINIMAL_APPS = ["django_datastore.appsync_local"]
_END_SECONDS = 30
_WAITING = ("faults.wait", "journal.settle")
"""The calls that wait for what others do."""


class Child:
    """The process, seen from the test. Every method may be called from any thread."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._asked: dict[int, Future[Any]] = {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "django_datastore.testing.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        self._reader = threading.Thread(target=self._read, name="appsync-process", daemon=True)
        self._reader.start()
        try:
            self.ask("", options)
        except BaseException:
            self.kill()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def ask(self, path: str, *args: Any, **named: Any) -> Any:
        """Calls a method of the `Inside` over there; raises what it raises, `RuntimeError` if the process is gone."""
        number, answer = next(self._numbers), Future[Any]()
        try:
            message = pickle.dumps((number, path, args, named))
        except (pickle.PicklingError, AttributeError, TypeError) as exc:
            raise TypeError(
                f"This cannot be sent to a server in another process: {exc}. "
                "Use values and functions at the top level of a module, or LocalAppSync."
            ) from exc
        with self._lock:
            self._asked[number] = answer
            try:
                self._stdin.write(message)
                self._stdin.flush()
            except (OSError, ValueError):
                self._asked.pop(number, None)
                raise RuntimeError(self._gone()) from None
        if not self._reader.is_alive():
            self._fail_all()
        return answer.result()

    def end(self) -> None:
        """Lets the process end by itself, and waits for it."""
        with self._lock:
            self._stdin.close()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reap()

    def kill(self) -> None:
        """Ends the process at once, as a power cut does."""
        self.process.kill()
        self._reap()

    def _reap(self) -> None:
        self.process.wait()
        self._reader.join()
        with self._lock:
            if not self._stdin.closed:
                _close(self._stdin)
        self._stdout.close()

    @property
    def _stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def _read(self) -> None:
        while True:
            try:
                number, is_fine, value = pickle.load(self._stdout)
            except (EOFError, OSError, ValueError, pickle.UnpicklingError):
                break
            answer = self._asked.pop(number)
            if is_fine:
                answer.set_result(value)
            else:
                answer.set_exception(value)
        self._fail_all()

    def _fail_all(self) -> None:
        for number in list(self._asked):
            answer = self._asked.pop(number, None)
            if answer is not None:
                answer.set_exception(RuntimeError(self._gone()))

    def _gone(self) -> str:
        return f"The process of the local server is gone (exit code {self.process.poll()})."


def _close(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # what was not sent yet has nowhere to go
        file.close()


class _Door:
    """The other end of the line, in the child."""

    def __init__(self, answers: IO[bytes]) -> None:
        self._answers = answers
        self._lock = threading.Lock()
        self._inside: Any = None

    def serve(self, requests: IO[bytes]) -> None:
        """Answers until the test is gone."""
        try:
            while True:
                number, path, args, named = pickle.load(requests)
                if path in _WAITING:
                    threading.Thread(target=self._answer, args=(number, path, args, named), daemon=True).start()
                else:
                    self._answer(number, path, args, named)
        except EOFError:
            pass
        finally:
            if self._inside is not None:
                self._inside.close()

    def _answer(self, number: int, path: str, args: Any, named: Any) -> None:
        try:
            is_fine, value = True, self._call(path, args, named)
        except Exception as exc:
            is_fine, value = False, exc
        message = pickle.dumps((number, is_fine, _portable(value)))
        with self._lock:
            self._answers.write(message)
            self._answers.flush()

    def _call(self, path: str, args: Any, named: Any) -> Any:
        if path:
            return self._inside.ask(path, *args, **named)
        from django_datastore.testing.inside import Inside

        self._inside = Inside(**args[0])
        return None


def _portable(value: Any) -> Any:
    """The value, or what can be told of it where it does not survive the journey."""
    if not isinstance(value, Exception):
        return value
    try:
        pickle.loads(pickle.dumps(value))
    except Exception:
        return RuntimeError(f"{type(value).__name__}: {value}")
    return value


def _set_up() -> None:
    """Django as the test has it, or as much of it as the server needs."""
    import django
    from django.conf import settings

    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        settings.configure(INSTALLED_APPS=_MINIMAL_APPS, USE_TZ=True)
    django.setup()


def main() -> None:
    """The child."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what others print must not get onto the line
    _set_up()
    # as module of its own, not as `__main__`: what is sent has to be found by its name
    importlib.import_module("django_datastore.testing.process")._Door(answers).serve(sys.stdin.buffer)


if __name__ == "__main__":
    main()
