"""Deletes and what they detach, captured whatever cascades and by whatever way."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import django
import pytest
from django.apps import apps
from django.db import connection, models, transaction
from django.db.models import ProtectedError, QuerySet, RestrictedError
from django.db.models.deletion import Collector
from django.db.models.signals import post_delete, pre_delete
from django.db.models.sql import UpdateQuery
from django.test.utils import CaptureQueriesContext

import django_datastore as datastore
from django_datastore.models import Change, RecordMetadata
from testproject.blog.models import Blog, Comment, Post
from tests.shop.mirror import Mirror, outbox, registered
from tests.shop.models import Account, Article, Card, Kiosk, Label, Parcel, Place, Remark, Restaurant, Step, Supplier

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def receiving(signal: Any, sender: type[models.Model], receiver: Callable[..., None]) -> Iterator[None]:
    """With a receiver of the site's own; Django then deletes row by row."""
    signal.connect(receiver, sender=sender, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=sender)


def make_tree() -> Blog:
    """A blog with two posts of three comments each."""
    blog = Blog.objects.create(name="B")
    for title in "ab":
        post = Post.objects.create(title=title, blog=blog)
        Comment.objects.bulk_create(Comment(content="c", post=post) for _ in range(3))
    return blog


@pytest.mark.parametrize("way", ["the instance", "a queryset", "with receivers"])
def test_a_delete_tells_all_it_takes_along(way: str, mirror: Mirror) -> None:
    blog = make_tree()
    mirror.acknowledge_all()
    match way:
        case "the instance":
            blog.delete()
        case "a queryset":
            Blog.objects.filter(posts__title="a").delete()
        case _:
            with receiving(pre_delete, Comment, lambda **_: None), receiving(post_delete, Post, lambda **_: None):
                blog.delete()
    mirror.check()
    assert [operation for operation, *_ in outbox()] == ["delete"] * 9


QUERIES: dict[str, Callable[[], QuerySet[Comment]]] = {
    "all": Comment.objects.all,
    "none": Comment.objects.none,
    "a join": lambda: Comment.objects.filter(post__title="a"),
    "a nullable relation": lambda: Comment.objects.filter(post__blog__name__isnull=True),
    "an aggregate": lambda: Comment.objects.annotate(n=models.Count("post__comments")).filter(n__gt=1),
    "ordered": lambda: Comment.objects.order_by("post__title").select_related("post"),
    "a subquery": lambda: Comment.objects.filter(post__in=Post.objects.filter(title="b")),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_queryset_of_any_kind_tells_what_it_deletes(query: Callable[[], QuerySet[Comment]], mirror: Mirror) -> None:
    make_tree()
    mirror.acknowledge_all()
    expected, before = query().count(), Comment.objects.count()
    count, _ = query().delete()
    mirror.check()
    assert before - Comment.objects.count() == count
    if connection.vendor != "mysql":  # which works an aggregate out anew after each row it has deleted
        assert count == expected


def test_a_delete_of_what_appsync_never_had_is_not_told(mirror: Mirror) -> None:
    make_tree().delete()
    assert outbox() == []


def test_a_delete_of_what_appsync_has_deleted_is_not_told(mirror: Mirror) -> None:
    blog = Blog.objects.create(name="B")
    mirror.acknowledge_all()
    RecordMetadata.objects.update(presence=RecordMetadata.Presence.DELETED)
    blog.delete()
    assert outbox() == []


def test_a_row_that_no_longer_meets_the_condition_is_not_told_as_deleted(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the DELETE another process may change a row, which then stays."""
    make_tree()
    mirror.acknowledge_all()
    from django_datastore.storage.capture import deletes, stored

    look = stored.rows

    def look_and_be_overtaken(*arguments: Any, lock: bool = False) -> Any:
        if lock:
            with connection.cursor() as cursor:
                cursor.execute("UPDATE blog_comment SET content = 'kept' WHERE post_id IS NOT NULL")
        return look(*arguments, lock=lock)

    monkeypatch.setattr(deletes.stored, "rows", look_and_be_overtaken)
    Comment.objects.filter(content="c").delete()
    assert outbox() == []
    assert Comment.objects.count() == 6


def test_what_goes_is_told_as_it_was_though_it_is_detached_first(mirror: Mirror) -> None:
    """Who may watch a deleted row is decided by what it pointed to."""
    supplier = Supplier.objects.create(code="gone", name="gone")
    article = Article.objects.create(name="goes, too", supplier=supplier)
    mirror.acknowledge_all()
    Change.objects.all().delete()
    collector = Collector(using="default")
    collector.collect([article])
    collector.collect([supplier])  # which sets the article's to null, and only then are both deleted
    collector.delete()
    mirror.check()
    told = {
        op_type: snapshot
        for change in Change.objects.filter(model="shop.article")
        for op_type, _, snapshot in change.entries
    }
    assert {op_type: snapshot["supplierId"] for op_type, snapshot in told.items()} == {"DELETE": "gone"}
    assert [operation for operation, *_ in outbox()] == ["delete"] * 2


# -- children that stay ------------------------------------------------------------------------------------------------

ROLES = {"sender": None, "payer": "house", "carrier": "unknown"}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("with_receivers", [False, True])
def test_what_becomes_of_detached_children_is_told(role: str, with_receivers: bool, mirror: Mirror) -> None:
    for code in ("house", "gone"):
        Supplier.objects.create(code=code, name=code)
    for _ in range(2):
        Parcel.objects.create(**{"payer_id": "house", f"{role}_id": "gone"})
    mirror.acknowledge_all()
    if with_receivers:
        with receiving(post_delete, Supplier, lambda **_: None), receiving(pre_delete, Parcel, lambda **_: None):
            Supplier.objects.get(code="gone").delete()
    else:
        Supplier.objects.filter(code="gone").delete()
    mirror.check()
    assert set(Parcel.objects.values_list(f"{role}_id", flat=True)) == {ROLES[role]}


def test_children_django_does_nothing_about_stay_as_they_are(mirror: Mirror) -> None:
    supplier = Supplier.objects.create(code="depot", name="D")
    Parcel.objects.create(depot=supplier, payer=None)
    mirror.acknowledge_all()
    supplier.delete()
    mirror.check()
    assert len(outbox()) == 1


@pytest.mark.parametrize(("role", "error"), [("insurer", ProtectedError), ("customs", RestrictedError)])
def test_a_delete_that_is_refused_tells_nothing(role: str, error: type[Exception], mirror: Mirror) -> None:
    supplier = Supplier.objects.create(code="s", name="S")
    parcel = Parcel.objects.create(payer=None, **{role: supplier})
    mirror.acknowledge_all()
    with transaction.atomic():
        with pytest.raises(error):
            supplier.delete()
        setattr(parcel, role, None)
        parcel.save()
    mirror.check()
    supplier.delete()
    mirror.check()
    assert len(outbox()) == 2


def test_children_named_by_keys_of_another_type_are_detached_once(mirror: Mirror) -> None:
    supplier = Supplier.objects.create(code="s", name="S")
    parcel = Parcel.objects.create(sender=supplier, payer=None)
    mirror.acknowledge_all()
    UpdateQuery(Parcel).update_batch([str(parcel.pk)], {"sender": None}, "default")
    mirror.check()
    assert [operation for operation, *_ in outbox()] == ["update"]


# -- other models ------------------------------------------------------------------------------------------------------


def test_several_tables_are_deleted_together(mirror: Mirror) -> None:
    kiosk, restaurant = Kiosk.objects.create(name="K", number="1"), Restaurant.objects.create(name="R")
    mirror.acknowledge_all()
    kiosk.delete()
    mirror.check()
    restaurant.delete(keep_parents=True)
    mirror.check()
    Place.objects.all().delete()
    mirror.check()
    assert len(outbox()) == 3


def test_a_key_that_is_a_foreign_key_goes_with_its_parent(mirror: Mirror) -> None:
    account = Account.objects.create(email="a@b.de")
    Card.objects.create(account=account)
    mirror.acknowledge_all()
    account.delete()
    mirror.check()
    assert {model for _, model, _ in outbox()} == {"shop.account", "shop.card"}


def test_children_that_are_not_registered_go_as_in_plain_django(mirror: Mirror) -> None:
    article = Article.objects.create(name="A")
    Step.objects.create(article=article, text="s")
    Remark.objects.create(article=article, text="r")
    mirror.acknowledge_all()
    assert article.delete()[1] == {"shop.Article": 1, "shop.Step": 1, "shop.Remark": 1}
    mirror.check()


@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_what_receivers_of_a_delete_write_is_captured(signal: Any, mirror: Mirror) -> None:
    def log(**_: Any) -> None:
        Label.objects.create(text=str(uuid.uuid4())[:30])

    blog = make_tree()
    mirror.acknowledge_all()
    with receiving(signal, Comment, log), receiving(signal, Blog, log):
        blog.delete()
    mirror.check()
    assert Label.objects.count() == 7


def test_a_receiver_that_refuses_a_delete_keeps_it_from_being_told(mirror: Mirror) -> None:
    def veto(**_: Any) -> None:
        raise PermissionError

    blog = make_tree()
    mirror.acknowledge_all()
    with receiving(pre_delete, Post, veto), pytest.raises(PermissionError), transaction.atomic():
        blog.delete()
    mirror.check()
    assert outbox() == []


# -- what the database deletes by itself -------------------------------------------------------------------------------


@pytest.fixture
def shelves(mirror: Mirror) -> Iterator[dict[str, Any]]:
    """A parent that is not registered, and children whose rows the database deletes or detaches (Django 6.1)."""
    if django.VERSION < (6, 1):
        pytest.skip("The database deletes by itself from Django 6.1 on.")
    on: Any = models

    class Shelf(models.Model):
        class Meta:
            app_label = "shop"

    class Box(models.Model):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        shelf = models.ForeignKey(Shelf, on.DB_CASCADE, null=True)
        inside = models.ForeignKey("self", on.DB_CASCADE, null=True)
        name = models.CharField(max_length=20, default="")

        class Meta:
            app_label = "shop"

    class Seal(models.Model):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        box = models.ForeignKey(Box, on.DB_SET_NULL, null=True)

        class Meta:
            app_label = "shop"

    made = {"Shelf": Shelf, "Box": Box, "Seal": Seal}

    class BoxSync(datastore.ModelSync):
        exclude = ["shelf"]

    with _without_foreign_key_checks(), connection.schema_editor() as editor:
        for model in made.values():
            editor.create_model(model)
    try:
        with registered({Box: BoxSync, Seal: datastore.ModelSync}):
            yield made
    finally:
        with _without_foreign_key_checks(), connection.schema_editor() as editor:
            for model in reversed(made.values()):
                editor.delete_model(model)
        for name in made:
            del apps.all_models["shop"][name.lower()]
        apps.clear_cache()


@contextmanager
def _without_foreign_key_checks() -> Iterator[None]:
    """SQLite's schema editor wants that."""
    with connection.constraint_checks_disabled():
        yield


def test_rows_the_database_deletes_or_detaches_are_told(shelves: dict[str, Any], mirror: Mirror) -> None:
    Shelf, Box, Seal = shelves["Shelf"], shelves["Box"], shelves["Seal"]
    shelf = Shelf.objects.create()
    outer = Box.objects.create(shelf=shelf)
    inner = Box.objects.create(inside=Box.objects.create(inside=outer))
    Seal.objects.create(box=inner)
    Box.objects.create(name="stays")
    mirror.acknowledge_all()
    shelf.delete()
    mirror.check()
    assert sorted(operation for operation, *_ in outbox()) == ["delete"] * 3 + ["update"]


def test_what_the_database_deletes_is_told_of_querysets_too(shelves: dict[str, Any], mirror: Mirror) -> None:
    Shelf, Box = shelves["Shelf"], shelves["Box"]
    for _ in range(60):
        Box.objects.create(shelf=Shelf.objects.create())
    mirror.acknowledge_all()
    Shelf.objects.all().delete()
    mirror.check()
    assert len(outbox()) == 60


def test_a_delete_far_from_registered_models_costs_what_plain_django_costs(mirror: Mirror) -> None:
    article = Article.objects.create(name="A")
    Remark.objects.create(article=article, text="r")
    collector = Collector(using="default")
    collector.collect(list(Remark.objects.all()))
    with CaptureQueriesContext(connection) as queries:
        collector.delete()
    assert len(queries) == 1


def test_many_long_rows_are_deleted_at_once(mirror: Mirror) -> None:
    for _ in range(4):
        Comment.objects.bulk_create([Comment(content="x" * 100_000) for _ in range(45)])
    mirror.acknowledge_all()
    Change.objects.all().delete()
    keys = {f'["{pk}"]' for pk in Comment.objects.values_list("pk", flat=True)}
    Comment.objects.all().delete()
    told = [entry for change in Change.objects.order_by("id") for entry in change.entries]
    assert len(told) == 180
    assert all(len(change.entries) < 20 for change in Change.objects.all()), "MariaDB takes statements of 16 MB"
    assert {key for _, key, _ in told} == keys
    mirror.check()
