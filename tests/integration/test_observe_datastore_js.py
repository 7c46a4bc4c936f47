"""storage ─▶ observe ─▶ datastore.js: the module browsers load, in Node, against the real WebSocket."""

from __future__ import annotations

import json
import queue
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter

import django_datastore
from django_datastore import routing
from testproject.blog.models import Blog, Comment, Post

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(shutil.which("node") is None, reason="datastore.js runs in Node here, and there is none"),
]

SOURCE = Path(django_datastore.__file__).parent / "static/django_datastore/datastore.js"
SCRIPTS = Path(__file__).parent / "datastore_js"
# Node sends no Origin; that browsers' origins are checked is proved in test_observe_browser.py
APPLICATION = ProtocolTypeRouter({"websocket": AuthMiddlewareStack(URLRouter(routing.websocket_urlpatterns))})


@contextmanager
def serving(listener: socket.socket) -> Iterator[None]:
    """The site, until the end of the block; connections are closed then."""
    config = uvicorn.Config(APPLICATION, lifespan="off", log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener.dup()]}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)


class Page:
    """What datastore.js printed, read as it comes."""

    def __init__(self, url: str, script: str = "watch.mjs") -> None:
        command = ["node", "--experimental-websocket", "--no-warnings", str(SCRIPTS / script), str(SOURCE), url]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._lines: queue.Queue[str] = queue.Queue()
        self.seen: list[Any] = []
        self._taken = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def until(self, *wanted: Any) -> None:
        """Reads on until all that is wanted was said, in whatever order."""
        deadline = time.monotonic() + 20
        while any(line not in self.seen[self._taken :] for line in wanted):
            try:
                self.seen.append(json.loads(self._lines.get(timeout=max(0, deadline - time.monotonic()))))
            except queue.Empty:
                pytest.fail(f"datastore.js did not say {wanted!r}; it said {self.seen[-8:]!r}")
        self._taken = len(self.seen)

    def close(self) -> int:
        try:
            return self._process.wait(10)
        finally:
            self._process.kill()


def posts() -> dict[str, Any]:
    found = Post.objects.filter(rating__gte=0).order_by("-rating", "title")
    return {"titles": list(found.values_list("title", flat=True)), "isSynced": False}


def test_a_page_follows_the_site_through_edits_and_a_lost_connection() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/ws/datastore/"
    numbers = random.Random(11)
    Post.objects.create(title="first", rating=1)
    with serving(listener):
        page = Page(url)
        page.until(
            {"state": "connected"},
            {"titles": ["first"], "isSynced": False},
            {"name": "DataStoreError", "code": "unknown_model"},
            {"comments": 0},
        )
        for number in range(20):
            edit(numbers, number)
            page.until(posts())
        Blog.objects.create(name="B")
        page.until({"opType": "INSERT", "name": "B", "model": "Blog"})
    page.until({"state": "disconnected"})
    Post.objects.create(title="while away", rating=99)
    with serving(listener):
        page.until({"state": "connected"}, posts(), {"comments": 0})
        Comment.objects.create(content="x")
        page.until("the loop ended", "watching comments")
        Comment.objects.create(content="y")
        page.until({"change": "y"}, {"ends": True})
        assert page.close() == 0
    assert "never" not in page.seen
    listener.close()


def edit(numbers: random.Random, number: int) -> None:
    """A change that shows: a new post, another rating, or one less."""
    found = list(Post.objects.filter(rating__gte=0).order_by("title"))
    kind = numbers.choice(["add", "rate", "delete"]) if len(found) > 2 else "add"
    if kind == "add":
        Post.objects.create(title=f"post {number:02}", rating=numbers.randint(0, 5))
        return
    post = numbers.choice(found)
    if kind == "delete":
        post.delete()
        return
    post.rating = 50 + number if numbers.random() < 0.7 else -1
    post.save()


def test_what_a_page_does_in_its_listeners_leaves_the_connection_whole() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/ws/datastore/"
    with serving(listener):
        page = Page(url, "listeners.mjs")
        page.until({"reported": "connected"}, {"posts": 0}, {"blogs": 0})
        assert page.seen.count({"sent": "Blog"}) == 1  # subscribed to in the listener: once is enough
    page.until({"reported": "disconnected"})
    Post.objects.create(title="while away")
    with serving(listener):  # a listener that throws has stopped nothing
        page.until({"reported": "connected"}, {"posts": 1}, {"blogs": 0})
    page.until({"opened": 0})  # closed in the pause before another attempt, it stays closed
    assert page.close() == 0
    listener.close()
