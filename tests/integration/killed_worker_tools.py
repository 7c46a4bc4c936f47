"""A Celery worker that can be killed, and the line to AppSync that knows when: both real, both seen from outside."""

from __future__ import annotations

import enum
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
WORKER = "celery -A testproject worker -B -P threads -c 2 -l info --without-gossip --without-mingle"


class Moment(enum.Enum):
    """When the worker dies, seen from one of its requests."""

    LOST = "the request is on its way and never arrives"
    LATE = "the request is on its way and arrives after the death"
    ANSWERED = "AppSync has executed the request, the answer is on its way"
    SETTLING = "the answer has arrived"
    ANY = "any time"


class Line:
    """An HTTP proxy between worker and AppSync. Armed with a moment, it holds the first request that reaches it."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.reached = threading.Event()
        self._released = threading.Event()
        self._moment: Moment | None = None
        self._lock = threading.Lock()

    def arm(self, moment: Moment) -> None:
        """Hold the next request of the mutation processor at that moment; `reached` says that it is there."""
        self.reached.clear()
        self._released.clear()
        with self._lock:
            self._moment = moment

    def release(self) -> None:
        """The worker is dead (or may go on): let the held request go its way."""
        with self._lock:
            self._moment = None
        self._released.set()

    def carry(self, body: bytes, headers: dict[str, str]) -> Iterator[tuple[int, bytes]]:
        """Carry a request and yield the answer, unless one of them gets lost."""
        moment = self._take(body)
        if moment in (Moment.LOST, Moment.LATE):
            self._hold()
            if moment is Moment.LOST:
                return
        answer = self._forward(body, headers)
        if moment is Moment.ANSWERED:
            self._hold()
        yield answer
        if moment in (Moment.SETTLING, Moment.ANY):
            self.reached.set()

    def _take(self, body: bytes) -> Moment | None:
        """The armed moment, for the first request that sends mutations or reads them back."""
        if b"lastSync" in body:
            return None
        with self._lock:
            moment, self._moment = self._moment, None
        return moment

    def _hold(self) -> None:
        self.reached.set()
        self._released.wait()

    def _forward(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = HTTPConnection(self.target.hostname or "", self.target.port, timeout=30)
        try:
            connection.request("POST", self.target.path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


@contextmanager
def line_to(target: str) -> Iterator[tuple[Line, str]]:
    """A running line to `target`, and its own URL."""
    line = Line(target)
    handler = type("Handler", (_Handler,), {"line": line})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield line, f"http://127.0.0.1:{server.server_port}{line.target.path}"
    finally:
        line.release()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A dead worker's connection breaks: nothing to tell."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    line: ClassVar[Line]

    def do_POST(self) -> None:
        """Carries one request. One that got lost closes the connection."""
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name: value for name, value in self.headers.items() if name.lower() in ("content-type", "x-api-key")}
        self.close_connection = True
        with suppress(OSError, HTTPException):
            for status, content in self.line.carry(body, headers):
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                self.wfile.flush()
                self.close_connection = False

    def log_message(self, *args: Any) -> None:
        """Nothing: pytest shows the worker's log where it matters."""


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
