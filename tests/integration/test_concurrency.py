"""Many threads at once, on a real database: no mutation is lost, none is sent twice, no merge goes backwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.models import Model
from django.utils import timezone

from django_datastore import registry
from django_datastore.appsync_local.server import LocalServer
from django_datastore.exceptions import TransientError
from django_datastore.models import Conflict, MutationEvent, RecordMetadata
from django_datastore.sync import lanes, merger
from django_datastore.sync.engine import Engine
from django_datastore.sync.lanes import Retry
from django_datastore.sync.processors.mutation import MutationProcessor
from django_datastore.types import WireRecord
from testproject.blog.models import Blog, Comment, Post

WORKERS = 4


def at_once(*calls: Callable[[], object]) -> None:
    """Run all calls in threads of their own, begun together."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        for future in [pool.submit(run, call) for call in calls]:
            future.result(timeout=60)


_BLOCKED = {
    "mysql": "SELECT CAST(VARIABLE_VALUE AS UNSIGNED) FROM information_schema.GLOBAL_STATUS "
    "WHERE VARIABLE_NAME = 'INNODB_ROW_LOCK_CURRENT_WAITS'",
    "postgresql": "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))",
}


def wait_until_another_waits_for_us(done: threading.Event | None = None) -> None:
    """Or, with `done`, until it has done what it does without a wait."""
    deadline = time.monotonic() + 30
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            if done is not None and done.is_set():
                return
            cursor.execute(_BLOCKED[connection.vendor])
            if cursor.fetchone() != (0,):
                return
    raise AssertionError("nobody waits")


def test_several_workers_drain_one_outbox_and_send_each_mutation_once(site: Engine, appsync: LocalServer) -> None:
    Post.objects.bulk_create([Post(title=str(number)) for number in range(200)])
    engines = [Engine(site.settings) for _ in range(WORKERS)]
    at_once(*(engine.drain for engine in engines))
    site.drain()
    assert not MutationEvent.objects.exists()
    assert sorted(record["_version"] for record in appsync.records("Post")) == [1] * 200
    assert not Conflict.objects.exists()


def test_edits_while_draining_all_arrive(site: Engine, appsync: LocalServer) -> None:
    posts = Post.objects.bulk_create([Post(title="0", rating=0) for _ in range(8)])

    def edit(mine: list[Post]) -> None:
        for number in range(1, 16):
            for post in mine:
                post.rating = number
                post.save()

    def drain() -> None:
        for _ in range(20):
            site.drain()

    at_once(lambda: edit(posts[:4]), lambda: edit(posts[4:]), drain)
    site.drain()
    assert not MutationEvent.objects.exists()
    assert {record["rating"] for record in appsync.records("Post")} == {15}
    assert set(Post.objects.values_list("rating", flat=True)) == {15}
    assert not Conflict.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_merges_of_one_record_in_parallel_end_with_the_newest() -> None:
    sync = registry.get(Post)
    key = "00000000-0000-4000-8000-000000000001"

    def merge(versions: list[int]) -> None:
        for version in versions:
            wire = {"id": key, "title": f"v{version}", "_version": version, "_lastChangedAt": version}
            merger.merge_page(sync, [wire])

    at_once(lambda: merge([1, 4, 5, 8, 12]), lambda: merge([12, 2, 7, 9]), lambda: merge([3, 11, 6, 10]))
    assert Post.objects.get().title == "v12"
    assert RecordMetadata.objects.get().version == 12


@pytest.mark.django_db(transaction=True)
def test_two_saves_of_one_row_leave_the_last_committed_values_in_the_outbox() -> None:
    post = Post.objects.create(title="a", rating=0)

    def save(name: str) -> None:
        for number in range(20):
            mine = Post.objects.get(pk=post.pk)
            mine.title = f"{name}{number}"
            mine.save(update_fields=["title"])

    at_once(lambda: save("x"), lambda: save("y"))
    post.refresh_from_db()
    event = MutationEvent.objects.get()
    assert (event.operation, event.data["title"]) == ("create", post.title)
    connection.close()


_BLOG = {"id": "00000000-0000-4000-8000-000000000001", "name": "B", "_version": 1, "_lastChangedAt": 1}
_POST = {"id": "00000000-0000-4000-8000-000000000002", "title": "T", "_version": 1, "_lastChangedAt": 1}
_COMMENT = {"id": "00000000-0000-4000-8000-000000000003", "content": "C", "_version": 1, "_lastChangedAt": 1}
_GONE = {"_version": 2, "_deleted": True}


def merge_overlapping(first: tuple[type[Model], WireRecord], last: tuple[type[Model], WireRecord]) -> None:
    """Merge two records in two transactions: the last has done its work when the first begins, and commits after it."""
    stored, committed = threading.Event(), threading.Event()

    def overlapping() -> None:
        with transaction.atomic():
            merger.merge_page(registry.get(last[0]), [last[1]])
            stored.set()
            wait_until_another_waits_for_us(committed)

    def meanwhile() -> None:
        assert stored.wait(30)
        merger.merge_page(registry.get(first[0]), [first[1]])
        committed.set()

    at_once(overlapping, meanwhile)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")
@pytest.mark.parametrize("parent_is_last", [True, False])
@pytest.mark.django_db(transaction=True)
def test_parent_and_child_that_two_processes_store_at_once_find_each_other(parent_is_last: bool) -> None:
    pages = (Blog, _BLOG), (Post, {**_POST, "blogPostsId": _BLOG["id"]})
    merge_overlapping(*(reversed(pages) if parent_is_last else pages))
    assert Post.objects.get().blog is not None
    assert not RecordMetadata.objects.exclude(hold="").exists()


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")
@pytest.mark.parametrize("parent_is_last", [True, False])
@pytest.mark.django_db(transaction=True)
def test_parent_and_child_that_two_processes_delete_at_once_both_go(parent_is_last: bool) -> None:
    comment = {**_COMMENT, "postCommentsId": _POST["id"]}
    merger.merge_page(registry.get(Post), [_POST])
    merger.merge_page(registry.get(Comment), [comment])
    pages = (Post, {**_POST, **_GONE}), (Comment, {**comment, **_GONE})
    merge_overlapping(*(reversed(pages) if parent_is_last else pages))
    assert not Comment.objects.exists()
    assert not Post.objects.exists()
    assert not RecordMetadata.objects.exclude(hold="").exists()


# -- deadlocks ---------------------------------------------------------------------------------------------------------


def release_failures(claimed: list[MutationEvent]) -> None:
    verdict = Retry(TransientError("lost"), timezone.now(), outcome_unknown=True, counts=False)
    MutationProcessor._release_failures([(event, verdict) for event in claimed])


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time, so nobody waits crosswise.")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("settle", [lanes.give_back, release_failures])
def test_worker_that_loses_a_deadlock_begins_again(settle: Callable[[list[MutationEvent]], None]) -> None:
    Post.objects.bulk_create([Post(title=str(number)) for number in range(20)])
    claimed = lanes.claim(owner="me", limit=2, lease=timedelta(minutes=5))
    entries = MutationEvent.objects.all()

    def settle_and_close() -> None:
        try:
            settle(claimed)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        # On a slow machine PostgreSQL may pick us as the victim.
        with suppress(OperationalError), transaction.atomic():
            entries.exclude(pk=claimed[0].pk).update(error_type="ours")  # more than the other does: it is the victim
            settling = pool.submit(settle_and_close)
            wait_until_another_waits_for_us()
            entries.filter(pk=claimed[0].pk).update(error_type="ours")
        settling.result(timeout=60)
    found = entries.filter(pk__in=[event.pk for event in claimed])
    assert set(found.values_list("state", "lease_owner", "attempts")) == {(MutationEvent.State.PENDING, "", 0)}
