"""AppSync answers something that is no GraphQL: nothing is lost, nothing is doubled, no secret is written down."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from django_datastore.exceptions import SyncError
from django_datastore.models import Conflict, MutationEvent, RecordMetadata
from django_datastore.sync import engine
from django_datastore.sync.engine import Engine
from django_datastore.testing import LocalAppSync, connected
from testproject.blog.models import Post

KEY = "da2-very-secret"


@contextmanager
def answering(status: int, body: bytes, content_type: str = "text/html") -> Iterator[str]:
    """A server that answers every request with the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/graphql"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "is_doubtful"),
    [
        (200, b"<html>Sign in to the hotel's network</html>", True),  # a captive portal
        (502, b"<html>Bad gateway</html>", True),  # it may have been executed
        (200, b'{"data": {"m0": {"id": "', True),  # half a page
        (500, b"", True),
        (200, b'{"data": {"m0": {"id": "x"}}}', True),  # a record without its version
        (429, b'{"errors": [{"errorType": "TooManyRequestsException", "message": "slow"}]}', False),
        (401, b'{"errors": [{"errorType": "UnauthorizedException", "message": "no"}]}', False),
        (404, b"<html>Not here</html>", False),  # some other site
    ],
)
def test_mutation_survives_a_strange_answer(
    site: Engine,
    appsync: LocalAppSync,
    status: int,
    body: bytes,
    is_doubtful: bool,
    settings: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    post = Post.objects.create(title="precious", tags=["a"])
    with answering(status, body) as url:
        settings.DATASTORE = {**settings.DATASTORE, "ENDPOINT": url, "API_KEY": KEY}  # type: ignore[attr-defined]
        engine.current().drain()
    event = MutationEvent.objects.get()
    assert (event.state, event.outcome_unknown) == (MutationEvent.State.PENDING, is_doubtful)
    assert event.error_type
    assert KEY not in event.last_error + caplog.text
    assert "precious" not in caplog.text
    Post.objects.filter(pk=post.pk).update(rating=3)  # the site goes on
    MutationEvent.objects.update(next_attempt_at=event.created_at)
    with connected(appsync) as mended:
        mended.drain()
        mended.drain()
    record = appsync.record("Post", str(post.pk))
    assert record is not None
    assert (record["title"], record["tags"], record["rating"]) == ("precious", ["a"], 3)
    assert not MutationEvent.objects.exists()
    assert not Conflict.objects.exists()
    assert RecordMetadata.objects.get().version == record["_version"]


def test_sync_that_gets_a_strange_answer_changes_nothing_and_can_be_repeated(
    site: Engine, appsync: LocalAppSync, settings: object
) -> None:
    appsync.execute('mutation { createPost(input: {title: "T"}) { id } }')
    site.sync()
    with answering(200, b"<html>hello</html>") as url:
        settings.DATASTORE = {**settings.DATASTORE, "ENDPOINT": url}  # type: ignore[attr-defined]
        with pytest.raises(SyncError):
            engine.current().sync(full=True)
    assert Post.objects.count() == 1
    with connected(appsync) as mended:
        assert mended.sync(full=True) is not None
    assert Post.objects.count() == 1
