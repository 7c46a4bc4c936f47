"""AppSync answers something that is no GraphQL: nothing is lost, nothing is doubled, no secret is written down."""

from __future__ import annotations

import json
import logging

import pytest

from django_datastore import DISCARD, registry
from django_datastore.exceptions import SyncError
from django_datastore.models import Conflict, MutationEvent, RecordMetadata
from django_datastore.sync.engine import Engine
from django_datastore.testing import connected
from django_datastore.testing.appsync import AppSyncForTests
from testproject.blog.models import Post

KEY = "da2-very-secret"
pytestmark = pytest.mark.appsync_local(api_key=KEY)


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
    appsync: AppSyncForTests,
    status: int,
    body: bytes,
    is_doubtful: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    post = Post.objects.create(title="precious", tags=["a"])
    with appsync.faults.answers(status=status, body=body, content_type="text/html") as fault:
        site.drain()
    assert fault.hits == 1
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
    site: Engine, appsync: AppSyncForTests
) -> None:
    appsync.execute('mutation { createPost(input: {title: "T"}) { id } }')
    site.sync()
    with appsync.faults.html("syncPosts"), pytest.raises(SyncError):
        site.sync(full=True)
    assert Post.objects.count() == 1
    with connected(appsync) as mended:
        assert mended.sync(full=True) is not None
    assert Post.objects.count() == 1


def test_discarded_edit_of_a_field_without_a_remote_value_is_undone(
    site: Engine, appsync: AppSyncForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.get(Post), "resolve_conflict", lambda conflict: DISCARD)
    post = Post.objects.create(title="a")
    site.drain()
    post.rating, post.tags = 7, ["mine"]
    post.save()
    record = {"id": str(post.pk), "title": "theirs", "_version": 2, "_lastChangedAt": 1, "_deleted": None}
    error = {"path": ["m0"], "errorType": "ConflictUnhandled", "message": "Conflict resolver rejects mutation."}
    body = json.dumps({"data": {"m0": None}, "errors": [{**error, "data": record}]}).encode()
    with appsync.faults.answers(status=200, body=body, content_type="application/json"):
        site.drain()
    post.refresh_from_db()
    assert (post.title, post.rating, post.tags) == ("theirs", None, None)
    assert not MutationEvent.objects.exists()
