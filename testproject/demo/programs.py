"""Which programs the demo consists of, where they listen, and how each proves that it answers."""

from __future__ import annotations

import os
import secrets
import shlex
import socket
import sys
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from testproject.demo import line
from testproject.demo.processes import Process, Processes

HOST = "127.0.0.1"
WORKER = "celery -A testproject worker -B -P threads -c 2 -l info --without-gossip --without-mingle"
WEB = "uvicorn testproject.asgi:application --no-access-log --timeout-graceful-shutdown 2"


@dataclass(frozen=True)
class Places:
    """The ports of one run and the directory it keeps everything in."""

    directory: Path
    web: int
    appsync: int
    line: int
    control: int

    @classmethod
    def choose(cls, directory: Path, *, any_port: bool = False) -> Places:
        """8000 and up; where a port is taken, or with `any_port`, a free one."""
        wanted = [0, 0, 0, 0] if any_port else [8000, 8001, 8002, 8003]
        sockets = [_reserve(port) for port in wanted]
        ports = [reserved.getsockname()[1] for reserved in sockets]
        for reserved in sockets:
            reserved.close()
        return cls(directory, *ports)

    @property
    def site_url(self) -> str:
        """The page."""
        return f"http://{HOST}:{self.web}/"

    @property
    def appsync_url(self) -> str:
        """AppSync itself, past the line."""
        return f"http://{HOST}:{self.appsync}/graphql"

    def environment(self) -> dict[str, str]:
        """What the settings of every process of this run read."""
        return {
            "DJANGO_SETTINGS_MODULE": "testproject.settings",
            "DEMO_DIR": str(self.directory),
            "APPSYNC_URL": self.appsync_url,
            "APPSYNC_ENDPOINT": f"http://{HOST}:{self.line}/graphql",
            "LINE_CONTROL": f"{HOST}:{self.control}",
            "PYTHONUNBUFFERED": "1",
        }


def _reserve(port: int) -> socket.socket:
    """A socket bound to the port, or to a free one if that is taken."""
    for candidate in (port, 0):
        reserved = socket.socket()
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            reserved.bind((HOST, candidate))
        except OSError:
            reserved.close()
            continue
        return reserved
    raise OSError("no port is free")


def processes(places: Places) -> Processes:
    """The demo's five processes, not started yet."""
    python = sys.executable
    ports = (places.line, places.appsync, places.control)
    manage = [python, str(Path(__file__).parents[2] / "manage.py")]
    appsync = Process(
        "appsync",
        [*manage, "appsync_local", f"{HOST}:{places.appsync}"],
        answers=lambda: _http_status(places.appsync, "POST", "/graphql") in {200, 400, 401} or "no answer",
        describe=lambda: f"local AppSync on {places.appsync_url}",
    )
    carrier = Process(
        "line",
        [python, "-m", "testproject.demo.line", *(f"{HOST}:{port}" for port in ports)],
        answers=lambda: line.tell(f"{HOST}:{places.control}", "status") == "up" or "the line is cut",
        describe=lambda: f"port {places.line}, can be cut",
    )
    worker = Process(
        "worker",
        [python, "-m", *shlex.split(WORKER)],
        answers=WorkerAnswer(places.directory),
        describe=lambda: f"Celery with beat over {'Redis' if os.environ.get('REDIS_URL') else 'files'}",
    )
    listener = Process(
        "listener",
        [*manage, "datastore_listen"],
        answers=lambda: "listener: live" in listener.printed() or listener.printed()[-200:],
        describe=lambda: "subscribed and in sync",
    )
    web = Process(
        "web",
        [python, "-m", *shlex.split(WEB), "--host", HOST, "--port", str(places.web)],
        answers=lambda: _http_status(places.web, "GET", "/") == 200 or "no page",
        describe=lambda: places.site_url,
    )
    environment = {**os.environ, **places.environment()}
    return Processes([appsync, carrier, worker, listener, web], environment, places.directory / "log")


class WorkerAnswer:
    """True once the worker has done a task that it was sent."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / f"worker-{secrets.token_hex(4)}"
        self.sent = False

    def __call__(self) -> object:
        from testproject.celery import answer

        if not self.sent:
            answer.delay(str(self.file))
            self.sent = True
        if not self.file.exists():
            return "the task is not done"
        self.file.unlink()
        self.sent = False
        return True


def _http_status(port: int, method: str, path: str) -> int | str:
    connection = HTTPConnection(HOST, port, timeout=3)
    try:
        connection.request(method, path, body=b"{}" if method == "POST" else None)
        return connection.getresponse().status
    except HTTPException as exc:
        return repr(exc)
    finally:
        connection.close()
