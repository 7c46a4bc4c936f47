"""Processes that write the same rows at once: one of them wins as in plain Django, and AppSync is told what became."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models import F

from django_datastore.models import MutationEvent
from testproject.blog.models import Blog, Comment, Post
from tests.shop.mirror import Mirror, outbox
from tests.shop.models import Label
from tests.upserts import on

pytestmark = pytest.mark.django_db(transaction=True)

_PATIENCE_SECONDS = 120
_fork = multiprocessing.get_context("fork")


def in_processes(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls return, each made in a process of its own, begun together."""
    connections.close_all()
    barrier = _fork.Barrier(len(calls))
    lines = [_fork.Pipe(duplex=False) for _ in calls]
    running = []
    for call, (_, answer) in zip(calls, lines, strict=True):
        process = _fork.Process(target=_run, args=(call, barrier, answer), daemon=True)
        process.start()
        running.append(process)
    answers = []
    for receiver, _ in lines:
        assert receiver.poll(_PATIENCE_SECONDS), "a process did not answer"
        answers.append(receiver.recv())
    for process in running:
        process.join(_PATIENCE_SECONDS)
    failures = [failure for _, failure in answers if failure]
    assert not failures, "\n".join(failures)
    return [found for found, _ in answers]


def _run(call: Callable[[], Any], barrier: Any, answer: Any) -> None:
    barrier.wait(_PATIENCE_SECONDS)
    try:
        answer.send((call(), None))
    except BaseException:
        answer.send((None, traceback.format_exc()))
    finally:
        connections.close_all()
        os._exit(0)


QUERIES = {
    "one table": {"rating": None},
    "over a relation": {"rating": None, "blog__name": "B"},
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_of_several_that_compare_and_set_one_wins(query: dict[str, Any]) -> None:
    mirror = Mirror()
    posts = [Post.objects.create(title="T", blog=Blog.objects.create(name="B")) for _ in range(10)]
    mirror.acknowledge_all()

    def take(worker: int) -> Callable[[], list[int]]:
        return lambda: [Post.objects.filter(pk=post.pk, **query).update(rating=worker) for post in posts]

    counts = in_processes(*(take(worker) for worker in range(3)))
    assert [sum(each) for each in zip(*counts, strict=True)] == [1] * len(posts)
    mirror.check()
    assert len(outbox()) == len(posts)


@pytest.mark.parametrize("query", [{"rating": 0}, {"rating": 0, "comments__isnull": True}], ids=["plain", "joined"])
def test_no_row_is_updated_unseen_while_others_insert(query: dict[str, Any]) -> None:
    mirror = Mirror()

    def insert() -> None:
        for number in range(60):
            Post.objects.create(title=str(number), rating=0)

    def update() -> int:
        return sum(Post.objects.filter(**query).update(rating=F("rating") + 1) for _ in range(60))

    in_processes(insert, update, insert)
    mirror.check()
    assert Post.objects.count() == 120


@pytest.mark.parametrize("query", [{}, {"comments__isnull": True}], ids=["plain", "joined"])
def test_what_others_change_meanwhile_is_not_held_for_unchanged(query: dict[str, Any]) -> None:
    mirror = Mirror()
    posts = Post.objects.bulk_create([Post(title="T", rating=1) for _ in range(150)])
    mirror.acknowledge_all()

    def turn(value: int) -> Callable[[], None]:
        def run() -> None:
            for post in posts:
                Post.objects.filter(pk=post.pk, **query).update(rating=value)

        return run

    in_processes(turn(1), turn(0), turn(1))
    mirror.check()


def test_a_row_that_escapes_a_delete_is_not_deleted_in_appsync() -> None:
    mirror = Mirror()
    posts = Post.objects.bulk_create([Post(title="T", rating=number % 2) for number in range(80)])
    mirror.acknowledge_all()

    def flip() -> None:
        for post in posts:
            Post.objects.filter(pk=post.pk).update(rating=1 - F("rating"))

    def delete() -> None:
        for _ in range(15):
            Post.objects.filter(rating=0, title="T", comments__isnull=True).delete()

    in_processes(flip, delete)
    mirror.check()


def test_rows_that_several_make_are_made_once() -> None:
    mirror = Mirror()
    labels = [Label(text=str(number)) for number in range(40)]

    def make(step: int) -> Callable[[], None]:
        def run() -> None:
            for start in range(0, len(labels), step):
                Label.objects.bulk_create(labels[start : start + step], ignore_conflicts=True)

        return run

    in_processes(make(1), make(3), make(7))
    mirror.check()
    assert len(outbox()) == len(labels)


def test_upserts_of_several_end_as_the_rows_do() -> None:
    mirror = Mirror()
    posts = [Post(title="T", rating=0) for _ in range(20)]

    def upsert(worker: int) -> Callable[[], None]:
        def run() -> None:
            for post in posts:
                post.rating = worker
                Post.objects.bulk_create([post], update_conflicts=True, update_fields=["rating"], **on("id"))

        return run

    in_processes(*(upsert(worker) for worker in range(3)))
    mirror.check()


def test_saves_and_transactions_that_read_first_end_as_the_rows_do() -> None:
    mirror = Mirror()
    post = Post.objects.create(title="T", rating=0)
    mirror.acknowledge_all()

    def count_up() -> None:
        for _ in range(20):
            with transaction.atomic():
                found = Post.objects.select_for_update().get(pk=post.pk) if _can_lock() else None
                if found is None:
                    Post.objects.filter(pk=post.pk).update(rating=F("rating") + 1)
                else:
                    found.rating = (found.rating or 0) + 1
                    found.save()
                Comment.objects.create(content="counted", post_id=post.pk)

    in_processes(count_up, count_up, count_up)
    mirror.check()
    assert Post.objects.get().rating == 60
    assert MutationEvent.objects.filter(model="blog.post").count() == 1


def _can_lock() -> bool:
    return bool(connections["default"].features.has_select_for_update)
