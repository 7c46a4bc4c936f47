"""Which creates an entry waits for: those of its parents, and never in a circle."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.utils import timezone

from django_datastore.models import MutationEvent, RecordMetadata
from django_datastore.sync.lanes import due_heads
from testproject.blog.models import Blog, Comment, Post
from tests.shop.mirror import Mirror, outbox
from tests.shop.models import Account, Article, Card, Supplier

pytestmark = pytest.mark.django_db(transaction=True)


def waiting() -> list[tuple[MutationEvent, str, str]]:
    """Each entry that waits, with label and key of what it waits for."""
    creates = {(event.model, event.record_key) for event in MutationEvent.objects.filter(operation="create")}
    found = [(event, *lane) for event in MutationEvent.objects.all() for lane in event.waits_for if (*lane,) in creates]
    due = due_heads(timezone.now(), "default")
    assert not {event.pk for event, *_ in found} & {event.pk for event in due}, "what waits is claimed"
    return found


def waits() -> set[tuple[str, str]]:
    """Which model's entry waits for which model's create."""
    return {(event.model, label) for event, label, _ in waiting()}


def test_a_child_waits_for_its_parents_create(mirror: Mirror) -> None:
    Post.objects.create(title="T", blog=Blog.objects.create(name="B"))
    assert waits() == {("blog.post", "blog.blog")}


def test_children_made_set_wise_wait_too(mirror: Mirror) -> None:
    blog = Blog.objects.create(name="B")
    posts = Post.objects.bulk_create([Post(title="T", blog=blog), Post(title="U")])
    Comment.objects.bulk_create(Comment(content="c", post=post) for post in posts)
    assert waits() == {("blog.post", "blog.blog"), ("blog.comment", "blog.post")}
    assert len(waiting()) == 3


def test_a_child_of_a_parent_appsync_has_does_not_wait(mirror: Mirror) -> None:
    blog = Blog.objects.create(name="B")
    mirror.acknowledge_all()
    Post.objects.create(title="T", blog=blog)
    Post.objects.bulk_create([Post(title="U", blog=blog), Post(title="V", blog=blog)])
    assert waits() == set()


def test_an_update_that_points_to_something_new_waits(mirror: Mirror) -> None:
    post = Post.objects.create(title="T")
    mirror.acknowledge_all()
    Post.objects.update(blog=Blog.objects.create(name="B"))
    assert waits() == {("blog.post", "blog.blog")}
    post.delete()
    assert waits() == set()


def test_a_create_that_points_elsewhere_later_waits_for_that(mirror: Mirror) -> None:
    post = Post.objects.create(title="T", blog=Blog.objects.create(name="A"))
    post.blog = second = Blog.objects.create(name="B")
    post.save()
    assert [key for *_, key in waiting()] == [f'["{second.pk}"]']
    post.blog = None
    post.save()
    assert waits() == set()


def test_a_key_that_is_a_foreign_key_waits_for_its_target(mirror: Mirror) -> None:
    Card.objects.create(account=Account.objects.create(email="a@b.de"))
    assert waits() == {("shop.card", "shop.account")}


def test_a_record_that_points_to_itself_waits_for_nothing(mirror: Mirror) -> None:
    article = Article(name="A")
    article.part_of = article
    article.save()
    assert waits() == set()
    mirror.check()


def test_two_new_rows_that_point_at_each_other_do_not_both_wait(mirror: Mirror) -> None:
    first = Article.objects.create(name="A")
    second = Article.objects.create(name="B", part_of=first)
    first.part_of = second
    first.save()
    mirror.check()
    assert [operation for operation, *_ in outbox()] == ["create", "create", "update"]
    lanes = {(event.operation, key) for event, _, key in waiting()}
    assert lanes == {("create", f'["{first.pk}"]'), ("update", f'["{second.pk}"]')}


@pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB checks foreign keys with each statement")
def test_rows_made_together_in_a_circle_do_not_all_wait(mirror: Mirror) -> None:
    one, two, three = (Article(name=name) for name in "abc")
    one.part_of, two.part_of, three.part_of = two, three, one
    with transaction.atomic():
        Article.objects.bulk_create([one, two, three])
    mirror.check()
    creates = {event.record_key: event.pk for event in MutationEvent.objects.all()}
    assert len(creates) == 3
    assert set(creates.values()) - {event.pk for event, *_ in waiting()}, "one of them can be sent first"


def test_what_appsync_deleted_is_waited_for_again_when_it_is_made_anew(mirror: Mirror) -> None:
    supplier = Supplier.objects.create(code="s", name="S")
    mirror.acknowledge_all()
    supplier.delete()
    mirror.acknowledge_all()
    assert RecordMetadata.objects.get().presence == RecordMetadata.Presence.DELETED
    supplier = Supplier.objects.create(code="s", name="S")
    Article.objects.create(name="A", supplier=supplier)
    Article.objects.bulk_create([Article(name="B", supplier=supplier), Article(name="C", supplier=supplier)])
    assert waits() == {("shop.article", "shop.supplier")}
    assert len(waiting()) == 3
