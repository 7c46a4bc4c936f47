"""The broker's peer: a bare uvicorn that writes what is posted to it to every socket, and knows nothing else.

`python -m benchmarks.bare_sockets` prints its URL and serves until it is told to stop.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
import uvicorn

_sockets: dict[int, Any] = {}


@contextmanager
def running_sockets() -> Iterator[str]:
    """The server in a process of its own; yields its URL."""
    command = [sys.executable, "-m", "benchmarks.bare_sockets"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield (process.stdout.readline() if process.stdout else "").strip()
        finally:
            process.terminate()


async def application(scope: Any, receive: Any, send: Any) -> None:
    """A WebSocket is kept; a POST goes to all of them."""
    message = await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        _sockets[id(scope)] = send
        while message["type"] != "websocket.disconnect":
            message = await receive()
        del _sockets[id(scope)]
        return
    frame = {"type": "websocket.send", "text": message["body"].decode()}
    for socket in list(_sockets.values()):
        await socket(frame)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


def main() -> None:
    """Serves on a free port."""
    django.setup()
    from django_datastore.appsync_local.server import listen

    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(application, lifespan="off", log_level="warning", ws_per_message_deflate=False)
    print("http://{}:{}/graphql".format(*listening.getsockname()), flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
