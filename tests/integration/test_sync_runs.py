"""Runs of the sync processor: interrupted, with holes, in another shape or expression, from another API."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F, Q
from django.utils import timezone

import django_datastore as datastore
from django_datastore import conf, events, registry
from django_datastore.exceptions import AnotherApi, LeaseLost, SyncError
from django_datastore.models import Conflict, Lease, ModelMetadata, RecordMetadata
from django_datastore.sync import engine
from django_datastore.sync.engine import Engine
from django_datastore.sync.merger import Counts
from django_datastore.testing import LocalAppSync, connected
from django_datastore.testing.appsync import AppSyncForTests
from testproject.blog.datastore import PostSync
from testproject.blog.models import Post

RECORD = {"id": "00000000-0000-4000-8000-000000000001", "title": "T"}
UPDATE = "mutation($input: UpdatePostInput!) { updatePost(input: $input) { id _version } }"


def page(items: list[dict[str, Any]], errors: Sequence[object] = ()) -> dict[str, Any]:
    """An answer to a sync query of posts."""
    records = [{"_lastChangedAt": 1_000, "_deleted": None, "_version": 1, **item} for item in items]
    found = {"items": records, "nextToken": None, "startedAt": int(time.time() * 1000)}
    answer: dict[str, Any] = {"data": {"syncPosts": found}}
    if errors:
        answer["errors"] = list(errors)
    return {"status": 200, "body": json.dumps(answer).encode(), "content_type": "application/json"}


def titles() -> list[str]:
    return sorted(Post.objects.values_list("title", flat=True))


def post_metadata() -> ModelMetadata:
    return ModelMetadata.objects.get(model="blog.post")


@contextmanager
def registered_as(**attributes: Any) -> Iterator[None]:
    """Inside, posts are registered otherwise."""
    registry.unregister(Post)
    datastore.register(Post, type("OtherSync", (PostSync,), attributes))
    try:
        yield
    finally:
        registry.unregister(Post)
        datastore.register(Post, PostSync)


def test_interrupted_sync_goes_on_at_its_page(site: Engine, appsync: AppSyncForTests, settings: Any) -> None:
    settings.DATASTORE = {**settings.DATASTORE, "SYNC_PAGE_SIZE": 10}
    appsync.load("Post", [{"title": str(number)} for number in range(25)])
    posts = [registry.get(Post)]
    with appsync.faults.internal_failure("syncPosts", after=2), pytest.raises(SyncError):
        engine.current().sync(posts)
    assert Post.objects.count() == 20
    done = engine.current().sync(posts)
    assert done is not None
    assert done["blog.post"].new == 5


def test_page_is_not_stored_once_another_process_syncs(site: Engine, appsync: AppSyncForTests) -> None:
    appsync.load("Post", [{"title": "late"}])

    def take_over(**_: Any) -> None:
        Lease.objects.filter(pk="sync").update(owner="another", fence=F("fence") + 1)

    events.sync_queries_started.connect(take_over)
    try:
        with pytest.raises(LeaseLost):
            site.sync()
    finally:
        events.sync_queries_started.disconnect(take_over)
    assert not Post.objects.exists()
    assert not RecordMetadata.objects.exists()
    assert not ModelMetadata.objects.exclude(last_sync=None).exists()


# -- what is here, and what is not ---------------------------------------------------------------------------------


def test_rows_come_back_when_the_sync_expression_is_widened(
    site: Engine, appsync: AppSyncForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = registry.get(Post)
    appsync.load("Post", [{"title": f"r{number}", "rating": number} for number in range(5)])
    site.sync()
    monkeypatch.setattr(type(synced), "sync_expression", Q(rating__gte=3))
    site.sync()
    assert titles() == ["r3", "r4"]
    assert not Conflict.objects.exists(), "they have just left the expression"
    monkeypatch.setattr(type(synced), "sync_expression", None)
    site.sync()
    assert titles() == ["r0", "r1", "r2", "r3", "r4"]


def test_record_that_was_swept_comes_back_with_any_version(site: Engine, appsync: AppSyncForTests) -> None:
    vanished = {**RECORD, "_version": 7}
    with appsync.faults.answers("syncPosts", **page([vanished])):
        site.sync()
    site.sync(full=True)
    assert titles() == []
    assert Conflict.objects.get().kind == Conflict.Kind.VANISHED
    appsync.load("Post", [{"id": RECORD["id"], "title": "made anew"}])
    site.sync(full=True)
    assert titles() == ["made anew"]


def test_nothing_is_swept_after_a_page_with_a_record_that_came_as_nothing(
    site: Engine, appsync: AppSyncForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    appsync.load("Post", [{"title": f"p{number}"} for number in range(3)])
    site.sync(full=True)
    real = site.client.execute

    def holey(document: str, *args: Any, **facts: Any) -> Any:
        answer = real(document, *args, **facts)
        if found := answer.data.get("syncPosts"):
            found["items"][1] = None
        return answer

    monkeypatch.setattr(site.client, "execute", holey)
    site.sync(full=True)
    assert titles() == ["p0", "p1", "p2"]
    assert "1 records as nothing" in post_metadata().last_error
    monkeypatch.undo()
    site.sync(full=True)
    assert post_metadata().last_error == ""


# -- a part of a record is unknown ---------------------------------------------------------------------------------


def test_field_with_an_error_beside_it_is_unknown_and_read_by_key(site: Engine, appsync: AppSyncForTests) -> None:
    appsync.load("Post", [{**RECORD, "rating": 7}])
    site.sync()
    appsync.execute(UPDATE, {"input": {"id": RECORD["id"], "title": "U", "_version": 1}})
    changed = appsync.record("Post", RECORD["id"])
    error = {"path": ["syncPosts", "items", 0, "rating"], "errorType": "Oops", "message": "no"}
    with appsync.faults.answers("syncPosts", **page([{**(changed or {}), "rating": None}], [error])):
        site.sync()
    post = Post.objects.get()
    assert (post.title, post.rating) == ("U", 7)
    assert not RecordMetadata.objects.get().incomplete, "it was read by its key at once"


def test_field_that_was_added_to_the_registration_is_filled(site: Engine, appsync: AppSyncForTests) -> None:
    appsync.load("Post", [{"title": "P", "rating": 7}])
    with registered_as(exclude=["draft_notes", "rating"]), connected(appsync) as narrow:
        narrow.sync()
        assert Post.objects.get().rating is None
    with connected(appsync) as wide:
        done = wide.sync()
    assert Post.objects.get().rating == 7
    assert done is not None
    assert done["blog.post"].updated == 1
    assert not RecordMetadata.objects.get().incomplete


def test_model_whose_table_is_not_as_its_code_stops_no_other(site: Engine, appsync: AppSyncForTests) -> None:
    appsync.load("Blog", [{"name": "B"}])
    appsync.load("Post", [{"title": "P"}])
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE blog_blog RENAME COLUMN name TO title")  # a migration that was not run
    try:
        with pytest.raises(SyncError, match="The database cannot store it"):
            site.sync()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE blog_blog RENAME COLUMN title TO name")
    assert titles() == ["P"]
    assert ModelMetadata.objects.get(model="blog.blog").last_error
    assert not RecordMetadata.objects.filter(model="blog.blog").exists(), "nothing is quarantined for it"


# -- runs that overlap ---------------------------------------------------------------------------------------------


def test_run_that_was_overtaken_sweeps_nothing(site: Engine, appsync: AppSyncForTests) -> None:
    appsync.load("Post", [RECORD, {"title": "a"}, {"title": "b"}])
    site.sync()
    appsync.execute(UPDATE, {"input": {"id": RECORD["id"], "title": "c", "_version": 1}})
    others: list[dict[str, Counts] | None] = []

    def oversleep(**_: Any) -> None:
        """Once a page is stored, the lease runs out, and another process syncs."""
        if not others:
            Lease.objects.update(expires_at=timezone.now())
            others.append(Engine(conf.current()).sync(full=True))

    events.record_merged.connect(oversleep, sender=Post)
    try:
        with pytest.raises(LeaseLost):
            site.sync(full=True)
    finally:
        events.record_merged.disconnect(oversleep, sender=Post)
    assert [other is not None for other in others] == [True]
    assert titles() == ["a", "b", "c"]
    assert not Conflict.objects.exists()


# -- another API ---------------------------------------------------------------------------------------------------


def test_another_endpoint_is_refused_until_it_is_said_to_be_the_same_api(
    site: Engine, appsync: AppSyncForTests
) -> None:
    appsync.load("Post", [{"title": "one"}])
    site.sync()
    post = Post.objects.get()
    with LocalAppSync() as other, connected(other) as moved:
        other.load("Post", [{"id": str(post.pk), "title": "another's"}])
        with pytest.raises(AnotherApi, match="ENDPOINT names"):
            moved.sync()
        post.title = "mine"
        post.save()
        moved.drain()
        assert other.records("Post")[0]["title"] == "another's", "nothing is sent there either"
        assert titles() == ["mine"]
        call_command("datastore", "move")
        assert moved.sync() is not None


def test_backend_that_was_restored_from_a_backup_is_noticed(site: Engine, appsync: AppSyncForTests) -> None:
    long_ago = {"_lastChangedAt": 1_000}
    newer = [{**RECORD, "title": "newer", "_version": 9, "_lastChangedAt": 2_000}]
    with appsync.faults.answers("syncPosts", **page(newer)):
        site.sync()
    appsync.load("Post", [{**RECORD, "title": "restored", "_version": 2, **long_ago}])
    with pytest.raises(AnotherApi, match="older than they were here"):
        site.sync(full=True)
    assert titles() == ["newer"]


def test_sync_that_begins_before_the_last_one_is_another_backends(site: Engine, appsync: AppSyncForTests) -> None:
    site.sync()
    ModelMetadata.objects.update(last_sync=9_000_000_000_000)
    with pytest.raises(AnotherApi, match="clock"):
        site.sync()


def test_first_sync_of_rows_that_were_made_here_and_sent_looks_what_is_known(
    site: Engine, appsync: AppSyncForTests
) -> None:
    appsync.load("Post", [{"title": "theirs"}])
    post = Post.objects.create(title="mine")
    site.drain()
    post.rating = 3
    post.save()
    done = site.sync()
    assert done is not None
    assert (done["blog.post"].new, done["blog.post"].updated) == (1, 0)
    assert titles() == ["mine", "theirs"]
    assert not Conflict.objects.exists()
