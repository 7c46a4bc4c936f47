from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from django_datastore.models import Change
from django_datastore.observe.changes import Batch, Reader
from django_datastore.storage import change_log
from django_datastore.types import OpType
from testproject.blog.models import Blog, Post

POST = "blog.post"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def log(*ids: int) -> None:
    Change.objects.bulk_create([Change(id=pk, model=POST, entries=[["UPDATE", f'["{pk}"]', None]]) for pk in ids])


def take(reader: Reader) -> Batch:
    batch = reader.read()
    reader.accept(batch)
    return batch


def started(clock: Clock | None = None) -> Reader:
    reader = Reader("default", clock=clock or Clock())
    reader.start()
    return reader


@pytest.mark.django_db
def test_every_write_is_logged_with_its_key() -> None:
    reader = started()
    post = Post.objects.create(title="a")
    post.title = "b"
    post.save()
    key = f'["{post.pk}"]'
    post.delete()
    found = take(reader).entries[POST]
    assert [(item.op_type, item.key) for item in found] == [
        (OpType.INSERT, key),
        (OpType.UPDATE, key),
        (OpType.DELETE, key),
    ]
    assert found[0].snapshot is None
    assert found[2].snapshot is not None
    assert found[2].snapshot["title"] == "b"


@pytest.mark.django_db
def test_a_save_that_changes_nothing_is_not_logged() -> None:
    post = Post.objects.create(title="a")
    reader = started()
    post.save()
    assert take(reader).entries == {}


@pytest.mark.django_db(transaction=True)
def test_the_log_rolls_back_with_the_write() -> None:
    reader = started()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Post.objects.create(title="a")
        raise ZeroDivisionError
    assert take(reader).entries == {}


@pytest.mark.django_db
def test_a_cascade_logs_the_children_too() -> None:
    blog = Blog.objects.create(name="b")
    Post.objects.create(title="a", blog=blog)
    reader = started()
    blog.delete()
    assert {label: [item.op_type for item in found] for label, found in take(reader).entries.items()} == {
        "blog.post": [OpType.DELETE],
        "blog.blog": [OpType.DELETE],
    }


@pytest.mark.django_db
def test_a_reader_begins_after_what_is_there() -> None:
    log(1, 2)
    assert take(started()).ids == ()


@pytest.mark.django_db
def test_what_was_not_accepted_is_read_again() -> None:
    reader = started()
    log(1)
    assert reader.read().ids == reader.read().ids == (1,)
    assert take(reader).ids == (1,)
    assert take(reader).ids == ()


@pytest.mark.django_db
@pytest.mark.parametrize("seen_at_start", [True, False])
def test_an_id_that_shows_up_late_is_read_once(seen_at_start: bool) -> None:
    log(1)
    reader = started()
    log(4)
    if seen_at_start:
        reader = started()
    else:
        assert take(reader).ids == (4,)
    assert reader.gaps == {2, 3}
    log(3)
    assert take(reader).ids == (3,)
    assert reader.gaps == {2}
    assert take(reader).ids == ()


@pytest.mark.django_db
def test_an_id_is_not_waited_for_longer_than_a_minute() -> None:
    clock = Clock()
    reader = started(clock)
    log(1, 3)
    take(reader)
    clock.now += 59
    take(reader)
    assert reader.gaps == {2}
    clock.now += 2
    take(reader)
    assert reader.gaps == frozenset()


@pytest.mark.django_db
def test_gaps_anywhere_in_a_long_page_are_remembered() -> None:
    reader = started()
    ids = [pk for pk in range(1, 1011) if pk % 100]  # a thousand rows, ten of the numbers missing
    log(*ids)
    assert take(reader).is_full
    assert reader.gaps == set(range(100, 1001, 100))


@pytest.mark.django_db
def test_a_sequence_that_jumped_is_not_taken_for_gaps() -> None:
    reader = started()
    log(1, 5_000_000)
    take(reader)
    assert len(reader.gaps) <= 10_000


@pytest.mark.django_db
def test_a_long_log_is_read_in_pages() -> None:
    reader = started()
    log(*range(1, 1002))
    first, second = take(reader), take(reader)
    assert (len(first.ids), first.is_full) == (1000, True)
    assert (second.ids, second.is_full) == ((1001,), False)


@pytest.mark.django_db
def test_prune_forgets_what_is_old() -> None:
    log(1, 2)
    Change.objects.filter(pk=1).update(created_at=timezone.now() - timedelta(hours=2))
    assert change_log.prune(timedelta(hours=1), "default") == 1
    assert list(Change.objects.values_list("pk", flat=True)) == [2]
    assert change_log.prune(timedelta(hours=-1), "default") == 1
    assert change_log.prune(timedelta(0), "default") == 0


@pytest.mark.django_db
def test_prune_is_not_stopped_by_what_a_clock_far_ahead_has_written() -> None:
    log(1, 2, 3, 4)
    Change.objects.filter(pk=2).update(created_at=timezone.now() + timedelta(days=400))
    Change.objects.filter(pk__in=[1, 3]).update(created_at=timezone.now() - timedelta(hours=2))
    assert change_log.prune(timedelta(hours=1), "default") == 3
    Change.objects.update(created_at=timezone.now() + timedelta(days=400))
    assert change_log.prune(timedelta(hours=1), "default") == 0


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="ids become visible out of order on PostgreSQL only")
@pytest.mark.parametrize("starts_between", [False, True])
def test_two_transactions_that_commit_out_of_order_are_both_read(starts_between: bool) -> None:
    reader = started()
    written, may_commit = threading.Event(), threading.Event()

    def write_first_and_commit_last() -> None:
        try:
            with transaction.atomic():
                Post.objects.create(title="first")
                written.set()
                assert may_commit.wait(10)
        finally:
            connections.close_all()

    thread = threading.Thread(target=write_first_and_commit_last)
    thread.start()
    assert written.wait(10)
    Post.objects.create(title="second")
    if starts_between:
        reader = started()
    else:
        assert len(take(reader).ids) == 1
    assert len(reader.gaps) >= 1
    may_commit.set()
    thread.join(10)
    late = take(reader)
    first = Post.objects.get(title="first")
    assert [item.key for item in late.entries[POST]] == [f'["{first.pk}"]']
    assert take(reader).ids == ()
