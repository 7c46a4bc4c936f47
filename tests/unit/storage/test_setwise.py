"""Set-wise writes: `update`, `bulk_create`, `bulk_update` and what Django builds on them, captured to the row."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from django.db import NotSupportedError, connection, connections, models, transaction
from django.db.models import Case, Count, Exists, F, JSONField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Concat, Lower
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_datastore.models import MutationEvent, RecordMetadata
from testproject.blog.models import Blog, Comment, Post
from tests.shop.mirror import Mirror, outbox
from tests.shop.models import (
    Account,
    Bistro,
    Card,
    Collection,
    Kiosk,
    Label,
    OpenPlace,
    Place,
    Restaurant,
    Seat,
    Supplier,
)
from tests.upserts import on

pytestmark = pytest.mark.django_db(transaction=True)
P = Post.objects


@pytest.fixture
def posts(mirror: Mirror) -> list[Post]:
    """Six posts AppSync has, some of them with a blog and comments."""
    blogs = [Blog.objects.create(name="a"), None, Blog.objects.create(name="z")]
    made = [
        P.create(title=title, rating=index, blog=blogs[index % 3], metadata={"k": index})
        for index, title in enumerate("abcdef")
    ]
    for post in made[:3] * 2:
        Comment.objects.create(content="c", post=post)
    mirror.acknowledge_all()
    return made


def comments_of() -> QuerySet[Comment, Any]:
    """How many comments each post has."""
    comments = Comment.objects.filter(post=OuterRef("pk")).order_by().values("post")
    return comments.annotate(n=Count("pk")).values("n")


# -- update: queries of every kind -------------------------------------------------------------------------------------

QUERIES: dict[str, Callable[[], QuerySet[Post]]] = {
    "all": P.all,
    "none": P.none,
    "one": lambda: P.filter(title="a"),
    "nobody": lambda: P.filter(title="nobody"),
    "a join": lambda: P.filter(blog__name="a"),
    "a nullable relation": lambda: P.filter(blog__name__isnull=True),
    "exclude over a relation": lambda: P.exclude(blog__name="a"),
    "or over relations": lambda: P.filter(Q(blog__name="z") | Q(comments__content="c")),
    "to many, distinct": lambda: P.filter(comments__content="c").distinct(),
    "an annotation": lambda: P.annotate(x=F("rating")).filter(x__gt=3),
    "an aggregate": lambda: P.annotate(n=Count("comments")).filter(n__gt=0),
    "an alias": lambda: P.alias(n=Count("comments")).filter(n=2),
    "values and an aggregate": lambda: P.values("blog").annotate(n=Count("id")),
    "values_list": lambda: P.values_list("title", flat=True),
    "ordered": lambda: P.order_by("-title"),
    "reversed": lambda: P.order_by("title").reverse(),
    "select_related": lambda: P.select_related("blog"),
    "only and defer": lambda: P.only("title").defer("rating"),
    "a JSON key": lambda: P.filter(metadata__k__gt=2),
    "a subquery": lambda: P.filter(pk__in=P.filter(title__lt="c")),
    "exists": lambda: P.filter(Exists(Comment.objects.filter(post=OuterRef("pk")))),
    "extra": lambda: P.extra(where=["rating > 2"]),
    "an alias of the database": lambda: P.using("default"),
}

VALUES: dict[str, dict[str, Any]] = {
    "a constant": {"rating": 10},
    "null": {"rating": None},
    "F": {"rating": F("rating") + 1},
    "Case": {"rating": Case(When(title="a", then=Value(1)), default=Value(2))},
    "a function": {"title": Concat("title", Value("!"))},
    "JSON": {"metadata": {"k": True}},
    "JSON of the database": {"metadata": Value({"a": 1}, JSONField())},
    "a list": {"tags": ["a", "b"]},
    "several": {"rating": F("rating") * 2, "title": "T", "draft_notes": "mine"},
    "what is not synced": {"draft_notes": "mine"},
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_update_tells_what_it_changed_and_counts_as_django(
    query: Callable[[], QuerySet[Post]], posts: list[Post], mirror: Mirror
) -> None:
    expected = _count_of_plain_django(query)
    for values in VALUES.values():
        assert query().filter(pk__isnull=False).update(rating=F("rating")) == expected
        with transaction.atomic():
            query().update(**values)
            mirror.check()
            transaction.set_rollback(True)


def _count_of_plain_django(query: Callable[[], QuerySet[Post]]) -> int:
    with transaction.atomic():
        count = QuerySet.update.__wrapped__(query(), rating=0)  # type: ignore[attr-defined]  # Django's own
        transaction.set_rollback(True)
    return int(count)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="DISTINCT ON is PostgreSQL's.")
@pytest.mark.skipif(django.VERSION >= (6, 1), reason="Django 6.1 refuses it.")
def test_update_of_a_query_distinct_on_fields_is_as_djangos(posts: list[Post], mirror: Mirror) -> None:
    assert P.order_by("metadata").distinct("metadata").filter(title__lt="d").update(rating=9) == 3
    assert P.order_by("blog").distinct("blog").update(rating=8) == 6
    mirror.check()


def test_update_in_a_locked_query_is_captured(posts: list[Post], mirror: Mirror) -> None:
    with transaction.atomic():
        assert P.select_for_update().filter(rating__gt=2).update(rating=9) == 3
    mirror.check()


def test_update_over_a_subquery_is_captured(posts: list[Post], mirror: Mirror) -> None:
    P.update(rating=Subquery(comments_of()))
    mirror.check()
    assert set(P.values_list("rating", flat=True)) == {2, None}


def test_update_of_a_foreign_key_is_captured(posts: list[Post], mirror: Mirror) -> None:
    blog = Blog.objects.get(name="z")
    for values in ({"blog": blog}, {"blog_id": None}, {"blog": blog.pk}):
        P.update(**values)
        mirror.check()


def test_an_update_that_changes_nothing_tells_nothing(posts: list[Post]) -> None:
    assert P.update(title=F("title")) == 6
    assert outbox() == []


def test_update_refuses_what_django_refuses(posts: list[Post]) -> None:
    with pytest.raises(TypeError):
        P.all()[:2].update(rating=1)
    with pytest.raises(NotSupportedError):
        P.filter(rating=1).union(P.filter(rating=2)).update(rating=1)
    assert outbox() == []


@pytest.mark.parametrize("rows", [3, 1200])
def test_an_update_takes_the_same_statements_for_any_number_of_rows(rows: int, mirror: Mirror) -> None:
    P.bulk_create(Post(title=str(index), rating=0) for index in range(rows))
    mirror.acknowledge_all()
    with CaptureQueriesContext(connection) as queries:
        assert P.filter(comments__isnull=True).update(rating=F("rating") + 1) == rows
    mirror.check()
    assert len(queries) < 10 + rows // 100  # a handful for each 500 entries


def test_a_key_only_the_database_knows_is_refused(mirror: Mirror) -> None:
    Supplier.objects.create(code="a", name="A")
    with pytest.raises(NotSupportedError, match="AppSync has to be told the new key"):
        Supplier.objects.update(code=Lower("code"))
    mirror.check()


def test_an_update_of_the_key_is_a_delete_and_a_create(mirror: Mirror) -> None:
    Supplier.objects.create(code="a", name="A")
    mirror.acknowledge_all()
    Supplier.objects.filter(code="a").update(code="b", name="B")
    mirror.check()
    assert [operation for operation, *_ in outbox()] == ["delete", "create"]


# -- update: models of every shape -------------------------------------------------------------------------------------


def test_update_through_children_and_proxies_is_captured(mirror: Mirror) -> None:
    OpenPlace.objects.create(name="P")
    Bistro.objects.create(name="B")
    Kiosk.objects.create(name="K", number="1")
    mirror.acknowledge_all()
    OpenPlace.objects.update(city="Rome")
    mirror.check()
    Restaurant.objects.filter(stars=0).update(name="S", stars=3)
    mirror.check()
    Bistro.objects.update(name=Concat("name", Value("!")), has_terrace=True)
    mirror.check()
    Kiosk.objects.filter(sells_beer=False).update(name="L", holder="me", sells_beer=True)
    mirror.check()
    Kiosk.objects.filter(holder="me").update(holder="you")
    mirror.check()


def test_updates_of_many_rows_of_two_tables_are_captured(mirror: Mirror) -> None:
    for index in range(60):
        Kiosk.objects.create(name="K", number=f"n{index}")
    mirror.acknowledge_all()
    assert Kiosk.objects.update(name="L", holder=Concat("number", Value("!"))) == 60
    mirror.check()
    assert len(outbox()) == 120


def test_thousands_of_composite_keys_are_updated_in_one_statement(mirror: Mirror) -> None:
    Seat.objects.bulk_create(Seat(hall="A", number=number) for number in range(1500))
    mirror.acknowledge_all()
    assert Seat.objects.filter(hall="A").update(taken_by=Concat("hall", Value("!"))) == 1500
    mirror.check()
    Seat.objects.filter(number__lt=3).update(hall="B")
    mirror.check()
    Seat.objects.bulk_update([Seat(hall="A", number=9, taken_by="me")], ["taken_by"])
    mirror.check()
    assert Seat.objects.filter(hall="A").delete()[0] == 1497
    mirror.check()


def test_many_rows_whose_key_is_a_foreign_key_are_captured(mirror: Mirror) -> None:
    accounts = Account.objects.bulk_create([Account(email=f"{index}@b.de") for index in range(60)])
    Card.objects.bulk_create([Card(account=account) for account in accounts])
    mirror.acknowledge_all()
    assert Card.objects.filter(account__email__contains="@").update(pin="1234") == 60
    mirror.check()


def test_rows_a_manager_hides_are_captured(mirror: Mirror) -> None:
    Account.objects.create(email="a@b.de")
    Account.objects.update(is_open=False, balance=1)
    mirror.check()
    QuerySet(Account).update(balance=2)
    mirror.check()
    assert outbox()[0][2]["balance"] == 2


# -- bulk_create -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 2])
def test_bulk_create_tells_every_row(batch_size: int | None, mirror: Mirror) -> None:
    rows = (Account(email=f"{index}@b.de", branch=Lower(Value("N")), number=index) for index in range(5))
    assert len(Account.objects.bulk_create(rows, batch_size=batch_size)) == 5
    mirror.check()
    assert outbox()[0][2]["status"] == "new"


def test_bulk_create_with_keys_as_text_reads_the_right_rows_back(mirror: Mirror) -> None:
    Account.objects.bulk_create(
        [Account(id=str(uuid.uuid4()), email=f"{name}@b.de", branch=Lower(Value(name))) for name in "AB"]
    )
    mirror.check()


def test_bulk_create_through_a_proxy_is_captured(mirror: Mirror) -> None:
    OpenPlace.objects.bulk_create([OpenPlace(name="P"), OpenPlace(name="Q")])
    mirror.check()
    assert len(outbox()) == 2


def test_ignored_conflicts_tell_only_what_was_made(mirror: Mirror) -> None:
    account = Account.objects.create(email="a@b.de", balance=1)
    mirror.acknowledge_all()
    Account.objects.bulk_create(
        [
            Account(id=account.pk, email="x@b.de"),
            Account(email="a@b.de", balance=2),
            Account(email="c@b.de"),
            Account(email="c@b.de"),
        ],
        ignore_conflicts=True,
    )
    mirror.check()
    assert [data["email"] for _, _, data in outbox()] == ["c@b.de"]


def test_a_row_made_by_others_meanwhile_is_updated_not_created_again(mirror: Mirror) -> None:
    """Between the look and the insert, another process can make the same record, and AppSync take it."""
    place = Place(name="P")
    synced_key = f'["{place.pk}"]'
    RecordMetadata.objects.create(model="shop.place", record_key=synced_key, version=1)
    Place.objects.bulk_create([place], ignore_conflicts=True)
    assert [operation for operation, *_ in outbox()] == ["update"]


UPSERTS: dict[str, tuple[list[str], Callable[[Account], Account]]] = {
    "the key": (["pk"], lambda old: Account(id=old.pk, email="new@b.de", balance=5)),
    "the key by its name": (["id"], lambda old: Account(id=old.pk, email="new@b.de", balance=5)),
    "a unique field": (["email"], lambda old: Account(email=old.email, balance=5)),
    "fields unique together": (
        ["branch", "number"],
        lambda old: Account(email="n@b.de", branch=old.branch, number=old.number, balance=5),
    ),
}


@pytest.mark.parametrize(("fields", "twin"), UPSERTS.values(), ids=UPSERTS)
def test_an_upsert_tells_the_row_it_met(fields: list[str], twin: Callable[[Account], Account], mirror: Mirror) -> None:
    old = Account.objects.create(email="a@b.de", branch="n", number=1)
    mirror.acknowledge_all()
    rows = [twin(old), Account(email="other@b.de", branch="n", number=None)]
    Account.objects.bulk_create((row for row in rows), update_conflicts=True, update_fields=["balance"], **on(*fields))
    mirror.check()
    assert sorted(operation for operation, *_ in outbox()) == ["create", "update"]
    assert Account.objects.get(pk=old.pk).balance == 5


def test_an_upsert_meets_rows_that_managers_hide(mirror: Mirror) -> None:
    Account.objects.create(email="a@b.de", is_open=False)
    mirror.acknowledge_all()
    rows = [Account(email="a@b.de", balance=5)]
    Account.objects.bulk_create(rows, update_conflicts=True, update_fields=["balance"], **on("email"))
    mirror.check()
    assert len(outbox()) == 1


def test_an_upsert_of_composite_keys_is_captured(mirror: Mirror) -> None:
    Seat.objects.create(hall="A", number=1)
    mirror.acknowledge_all()
    rows = [Seat(hall="A", number=1, taken_by="me"), Seat(hall="A", number=2, taken_by="you")]
    Seat.objects.bulk_create(rows, update_conflicts=True, update_fields=["taken_by"], **on("hall", "number"))
    mirror.check()


def test_an_upsert_nobody_could_follow_is_refused(mirror: Mirror) -> None:
    rows = [Account(email=Lower(Value("A@b.de")), balance=5)]
    with pytest.raises(NotSupportedError, match="email"):
        Account.objects.bulk_create(rows, update_conflicts=True, update_fields=["balance"], unique_fields=["email"])
    mirror.check()


# -- bulk_update and related managers ----------------------------------------------------------------------------------


def test_bulk_update_tells_every_row(posts: list[Post], mirror: Mirror) -> None:
    for index, post in enumerate(posts):
        post.rating, post.metadata = index * 2, {"k": bool(index)}
    posts[0].rating = F("rating") + 7
    assert P.bulk_update(posts, ["rating", "metadata"], batch_size=4) == 6
    mirror.check()


def test_bulk_update_through_a_child_is_captured(mirror: Mirror) -> None:
    bistro = Bistro.objects.create(name="B")
    mirror.acknowledge_all()
    bistro.name, bistro.stars = "C", 3
    Bistro.objects.bulk_update([bistro], ["name", "stars"])
    mirror.check()
    assert len(outbox()) == 1


def test_related_managers_are_captured(posts: list[Post], mirror: Mirror) -> None:
    blog = Blog.objects.create(name="new")
    steps: list[Callable[[], Any]] = [
        lambda: blog.posts.add(*posts),
        lambda: blog.posts.remove(posts[0]),
        lambda: blog.posts.add(posts[0], bulk=False),
        lambda: blog.posts.set([posts[1], posts[2]]),
        lambda: blog.posts.set([posts[3]], bulk=False, clear=True),
        lambda: blog.posts.create(title="g"),
        lambda: blog.posts.get_or_create(title="h"),
        lambda: blog.posts.update_or_create(title="h", defaults={"rating": 3}),
        lambda: blog.posts.update(rating=8),
        lambda: blog.posts.clear(),
    ]
    for step in steps:
        step()
        mirror.check()


def test_many_to_many_relations_through_a_model_are_captured(mirror: Mirror) -> None:
    collection = Collection.objects.create(name="C")
    labels = [Label.objects.create(text=text) for text in "abc"]
    steps: list[Callable[[], Any]] = [
        lambda: collection.labels.add(*labels, through_defaults={"weight": 3}),
        lambda: collection.labels.remove(labels[0]),
        lambda: collection.labels.set([labels[0], labels[1]], through_defaults={"weight": 5}),
        lambda: labels[2].collections.add(collection),
        lambda: collection.labels.create(text="d"),
        lambda: collection.labels.clear(),
    ]
    for step in steps:
        step()
        mirror.check()


# -- other databases ---------------------------------------------------------------------------------------------------


class PrimaryReplicaRouter:
    """The router of Django's documentation: reads go elsewhere."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str:
        """The replica."""
        return "replica"

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str:
        """The primary."""
        return "default"

    def allow_relation(self, *_: Any, **hints: Any) -> bool:
        """They are one."""
        return True


@pytest.fixture
def replica() -> Iterator[None]:
    """A replica that has nothing yet: whoever reads from it to write, sees no rows."""
    connections.settings["replica"] = {**connections.settings["default"], "NAME": ":memory:"}
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.PrimaryReplicaRouter"]):
        yield
    connections["replica"].close()
    del connections["replica"], connections.settings["replica"]


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="A second empty database is easy on SQLite only.")
def test_behind_a_replica_router_writes_are_captured_on_the_primary(replica: None, mirror: Mirror) -> None:
    rows = P.bulk_create([Post(title="T"), Post(title="U")])
    P.update(rating=3)
    rows[0].rating = 7
    P.bulk_update(rows[:1], ["rating"])
    rows[1].title = "V"
    rows[1].save(update_fields=["title"])
    P.filter(title="T").delete()
    found = QuerySet(MutationEvent, using="default").values_list("operation", "data")
    assert list(found) == [("create", {"title": "V", "rating": 3})]
