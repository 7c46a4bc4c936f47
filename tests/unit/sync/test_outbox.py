"""The outbox: one entry for each local change, in the same transaction, absorbed where nothing can be lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import F

from django_datastore.models import MutationEvent, RecordMetadata
from testproject.blog.models import Blog, Comment, Post
from tests.shop.models import Article, Supplier

pytestmark = pytest.mark.django_db(transaction=True)
State = MutationEvent.State


def outbox() -> list[tuple[str, str, dict[str, object]]]:
    return [(event.operation, event.model, event.data) for event in MutationEvent.objects.order_by("id")]


def acknowledge_all() -> None:
    """As if AppSync had acknowledged everything."""
    for event in MutationEvent.objects.all():
        RecordMetadata.objects.update_or_create(
            model=event.model, record_key=event.record_key, defaults={"version": 1, "last_changed_at": 1}
        )
    MutationEvent.objects.all().delete()


def test_create_carries_given_fields_by_wire_name() -> None:
    blog = Blog.objects.create(name="B")
    acknowledge_all()
    Post.objects.create(title="T", blog=blog, tags=["a"], metadata={"x": 1}, status="DRAFT", draft_notes="mine")
    assert outbox() == [
        (
            "create",
            "blog.post",
            {
                "title": "T",
                "blogPostsId": str(blog.pk),
                "tags": ["a"],
                "metadata": '{"x": 1}',
                "status": "DRAFT",
            },
        )
    ]


def test_update_carries_changed_fields_and_their_base() -> None:
    post = Post.objects.create(title="old", rating=1)
    acknowledge_all()
    post.title = "new"
    post.save()
    assert outbox() == [("update", "blog.post", {"title": "new"})]
    assert MutationEvent.objects.get().base == {"title": "old"}


def test_save_that_changes_nothing_enqueues_nothing() -> None:
    post = Post.objects.create(title="T", rating=1)
    acknowledge_all()
    post.save()
    Post.objects.get(pk=post.pk).save()
    post.draft_notes = "not synced"
    post.save()
    assert outbox() == []


def test_stale_instance_sends_only_what_differs_from_the_stored_row() -> None:
    post = Post.objects.create(title="T", rating=1)
    acknowledge_all()
    Post.objects.filter(pk=post.pk).update(rating=2)
    acknowledge_all()
    post.rating, post.title = 2, "U"
    post.save()
    assert outbox() == [("update", "blog.post", {"title": "U"})]


def test_update_fields_limits_what_is_sent() -> None:
    post = Post.objects.create(title="T", rating=1)
    acknowledge_all()
    post.title, post.rating = "U", 5
    post.save(update_fields=["rating"])
    assert outbox() == [("update", "blog.post", {"rating": 5})]


def test_expression_is_sent_as_the_value_it_became() -> None:
    post = Post.objects.create(title="T", rating=1)
    acknowledge_all()
    post.rating = F("rating") + 1
    post.save()
    assert outbox() == [("update", "blog.post", {"rating": 2})]


def test_read_only_fields_are_not_sent() -> None:
    Article.objects.create(name="A")
    assert set(outbox()[0][2]) == {"name", "inStock", "labels"}


@contextmanager
def full_outbox() -> Iterator[None]:
    """A database that has no room for another entry."""

    def execute(run: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "INSERT" in sql and MutationEvent._meta.db_table in sql:
            raise OperationalError("no room in the outbox")
        return run(sql, params, many, context)

    with connection.execute_wrapper(execute):
        yield


def test_row_and_entry_roll_back_together_in_autocommit() -> None:
    with full_outbox():
        with pytest.raises(OperationalError):
            Post.objects.create(title="T")
        with pytest.raises(OperationalError):
            Post.objects.bulk_create([Post(title="T")])
    assert not Post.objects.exists()
    assert outbox() == []


def test_failed_delete_keeps_the_row() -> None:
    post = Post.objects.create(title="T")
    acknowledge_all()
    with full_outbox(), pytest.raises(OperationalError):
        Post.objects.get(pk=post.pk).delete()
    assert Post.objects.filter(pk=post.pk).exists()


def test_rollback_of_the_callers_transaction_takes_the_entry_along() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        Post.objects.create(title="T")
        raise RuntimeError
    assert outbox() == []


# -- coalescing  ------------------------------------------------------


def test_update_is_absorbed_by_a_pending_create() -> None:
    post = Post.objects.create(title="T")
    post.rating = 3
    post.save()
    assert outbox() == [("create", "blog.post", {"title": "T", "rating": 3})]


def test_create_and_delete_cancel_out() -> None:
    Post.objects.create(title="T").delete()
    assert outbox() == []


def test_updates_are_merged_in_place_and_keep_the_first_base() -> None:
    one, two = Post.objects.create(title="1", rating=1), Post.objects.create(title="2")
    acknowledge_all()
    for post, title in ((one, "1a"), (two, "2a"), (one, "1b")):
        post.title = title
        post.save()
    assert outbox() == [("update", "blog.post", {"title": "1b"}), ("update", "blog.post", {"title": "2a"})]
    assert MutationEvent.objects.order_by("id").first().base == {"title": "1"}  # type: ignore[union-attr]


def test_delete_replaces_a_pending_update() -> None:
    post = Post.objects.create(title="T")
    acknowledge_all()
    post.title = "U"
    post.save()
    post.delete()
    assert outbox() == [("delete", "blog.post", {})]


def test_create_over_a_pending_delete_sets_every_field_of_the_living_record() -> None:
    post = Post.objects.create(title="T", rating=4)
    acknowledge_all()
    key = post.pk
    post.delete()
    Post.objects.create(id=key, title="again")
    operation, _, data = outbox()[0]
    assert (len(outbox()), operation, data["title"], data["rating"]) == (1, "update", "again", None)


@pytest.mark.parametrize(
    "sent",
    [
        {"state": State.IN_FLIGHT},  # a worker is sending it
        {"outcome_unknown": True},  # it was sent, and nobody knows what became of it
    ],
)
def test_change_after_a_possibly_sent_entry_gets_an_entry_of_its_own(sent: dict[str, object]) -> None:
    post = Post.objects.create(title="T")
    MutationEvent.objects.update(**sent)
    post.title = "U"
    post.save()
    assert [item[0] for item in outbox()] == ["create", "update"]


def test_edit_of_a_parked_record_is_tried_again() -> None:
    post = Post.objects.create(title="T")
    MutationEvent.objects.update(state=State.PARKED, last_error="too long", attempts=7)
    post.title = "U"
    post.save()
    event = MutationEvent.objects.get()
    assert (event.state, event.attempts, event.last_error, event.data) == (State.PENDING, 0, "", {"title": "U"})


def test_same_key_in_two_models_makes_two_lanes() -> None:
    post = Post.objects.create(title="T")
    Comment.objects.create(id=post.pk, content="C")
    assert {(item[0], item[1]) for item in outbox()} == {("create", "blog.post"), ("create", "blog.comment")}


# -- deletes and bulk writes ----------------------------------------------------------------------------------------


def test_cascade_enqueues_children_too() -> None:
    blog = Blog.objects.create(name="B")
    post = Post.objects.create(title="T", blog=blog)
    Comment.objects.create(content="C", post=post)
    acknowledge_all()
    blog.delete()
    assert sorted(item[1] for item in outbox()) == ["blog.blog", "blog.comment", "blog.post"]
    assert {item[0] for item in outbox()} == {"delete"}


def test_set_null_enqueues_the_orphans_update() -> None:
    supplier = Supplier.objects.create(code="S", name="Sup")
    Article.objects.create(name="A", supplier=supplier)
    acknowledge_all()
    supplier.delete()
    assert sorted((item[0], item[1]) for item in outbox()) == [("delete", "shop.supplier"), ("update", "shop.article")]
    assert MutationEvent.objects.get(model="shop.article").data == {"supplierId": None}


def test_queryset_update_enqueues_each_changed_row() -> None:
    Post.objects.bulk_create([Post(title=str(number), rating=number) for number in range(3)])
    assert [item[0] for item in outbox()] == ["create"] * 3
    acknowledge_all()
    Post.objects.filter(rating__lt=5).update(rating=2)
    assert [item[2] for item in outbox()] == [{"rating": 2}, {"rating": 2}]


def test_bulk_update_and_queryset_delete_enqueue_each_row() -> None:
    posts = Post.objects.bulk_create([Post(title=str(number)) for number in range(3)])
    acknowledge_all()
    for post in posts:
        post.title += "!"
    Post.objects.bulk_update(posts, ["title"])
    assert sorted(item[2]["title"] for item in outbox()) == ["0!", "1!", "2!"]
    Post.objects.all().delete()
    assert [item[0] for item in outbox()] == ["delete"] * 3


def test_related_manager_writes_are_caught() -> None:
    blog = Blog.objects.create(name="B")
    post = Post.objects.create(title="T")
    acknowledge_all()
    blog.posts.add(post)
    assert outbox() == [("update", "blog.post", {"blogPostsId": str(blog.pk)})]


# -- what waits for what ---------------------------------------------------------------------------------------------


def test_child_refers_to_a_parent_that_is_not_acknowledged() -> None:
    blog = Blog.objects.create(name="B")
    Post.objects.create(title="T", blog=blog)
    assert MutationEvent.objects.get(model="blog.post").waits_for == [["blog.blog", f'["{blog.pk}"]']]


def test_creates_that_point_at_each_other_do_not_wait_for_each_other() -> None:
    one = Article.objects.create(name="1")
    two = Article.objects.create(name="2", part_of=one)
    one.part_of = two
    one.save()
    assert [item[0] for item in outbox()] == ["create", "create", "update"]


def test_forced_update_of_a_row_nobody_read_is_an_update() -> None:
    post = Post.objects.create(title="T")
    acknowledge_all()
    Post(id=post.pk, title="U").save(force_update=True)
    assert [(item[0], item[2]["title"]) for item in outbox()] == [("update", "U")]


def test_fixture_over_an_existing_row_is_an_update() -> None:
    from django.core import serializers

    post = Post.objects.create(title="T")
    acknowledge_all()
    text = serializers.serialize("json", [post]).replace('"T"', '"U"')
    for item in serializers.deserialize("json", text):
        item.save()
    assert outbox() == [("update", "blog.post", {"title": "U"})]
