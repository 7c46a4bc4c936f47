"""A predicate in memory: what it says, and what it does not guess."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest
from django.db import connection, models
from django.db.models import F, Q, Value
from django.test.utils import isolate_apps

from django_datastore.predicates import evaluate
from django_datastore.predicates.evaluate import Related
from testproject.blog.models import Blog, Post
from tests.shop.models import Article, Supplier


def test_a_related_instance_stands_for_its_key() -> None:
    blog = Blog(name="A")
    assert evaluate.matches(Q(blog=blog), Post(title="x", blog=blog))
    assert evaluate.matches(Q(blog__in=[blog]), Post(title="x", blog=blog))
    assert evaluate.matches(Q(blog__id=blog.pk) & Q(blog__pk=str(blog.pk)), Post(title="x", blog=blog))
    assert not evaluate.matches(Q(blog=blog), Post(title="x"))


def test_values_are_read_as_their_field_reads_them() -> None:
    article = Article(name="x", price=decimal.Decimal("1.50"), available_on=datetime.date(2026, 1, 2), weight=2.5)
    assert evaluate.matches(Q(price="1.5", available_on__lt="2026-02-01", weight__gte="2.5", in_stock=True), article)


def test_an_instance_with_unclean_values_matches_as_stored() -> None:
    key = uuid.uuid4()
    assert evaluate.matches(Q(pk=key, rating=3), Post(pk=str(key), title="x", rating="3"))


def test_a_list_in_json_contains_its_elements() -> None:
    article = Article(name="x", labels=["a", "b"])
    assert evaluate.matches(Q(labels__contains=["a"]), article)
    assert not evaluate.matches(Q(labels__contains=["a", "c"]), article)


def test_a_list_in_json_contains_what_the_database_says_it_does() -> None:
    assert evaluate.matches(~Q(labels__contains=[1]), Article(name="x", labels=[True]))
    assert evaluate.matches(Q(labels__contains=[1]), Article(name="x", labels=[1.0]))
    assert evaluate.matches(~Q(labels__contains=["a"]), Article(name="x", labels={"a": 1}))
    held = Article(name="x", labels=[{"deny": "bob", "since": 1}])
    assert evaluate.matches(~Q(labels__contains=[{"deny": "bob"}]), held) is None  # PostgreSQL contains by parts


def found(*rows: Any) -> Related:
    """Looks rows up among these."""
    known = {(type(row), row.pk): row for row in rows}
    return lambda foreign_key, key: known.get((foreign_key.related_model, key))


def test_a_foreign_keys_row_is_asked_for() -> None:
    article = Article(name="x", supplier_id="acme")
    supplier = Supplier(code="acme", name="ACME")
    assert evaluate.matches(Q(supplier__name__startswith="A"), article, related=found(supplier)) is True
    assert evaluate.matches(Q(supplier__name__startswith="B"), article, related=found(supplier)) is False


def test_keys_are_followed_from_row_to_row() -> None:
    whole = Article(name="whole", supplier_id="acme")
    part = Article(name="part", part_of=whole)
    supplier = Supplier(code="acme", name="ACME")
    q = Q(part_of__supplier__name="ACME")
    assert evaluate.matches(q, part, related=found(whole, supplier)) is True
    assert evaluate.matches(~q, part, related=found(whole, supplier)) is False
    assert evaluate.matches(~q, part, related=found(whole)) is None
    assert evaluate.matches(~q, part, related=found(supplier)) is None


def test_a_missing_foreign_key_is_null() -> None:
    article = Article(name="x")
    assert evaluate.matches(Q(supplier__name="A"), article, related=found()) is False
    assert evaluate.matches(~Q(supplier__name="A") & Q(supplier__name=None), article, related=found()) is True


GONE = Q(supplier__name="A")
"""A condition on a row that is gone: unknown."""
YES, NO = Q(in_stock=True), Q(in_stock=False)


@pytest.mark.parametrize(
    ("q", "told"),
    [
        (GONE, None),
        (~GONE, None),
        (~~GONE, None),
        (Q(supplier__name__isnull=True), None),
        (YES | GONE, True),
        (YES & GONE, None),
        (NO | GONE, None),
        (NO & GONE, False),
        (~(YES | GONE), False),
        (~(YES & GONE), None),
        (~(NO | GONE), None),
        (~(NO & GONE), True),
        (YES | ~GONE, True),
        (NO | ~GONE, None),
        (YES & ~(NO & ~GONE), True),
        (GONE | ~GONE, None),
        (~Q() & GONE, None),
        (~Q() | GONE, None),  # an empty group is no condition
        (~Q(), True),
    ],
)
def test_unknown_stays_unknown_unless_the_rest_decides(q: Q, told: bool | None) -> None:
    article = Article(name="x", supplier_id="gone")
    assert evaluate.matches(q, article, related=found()) is told
    assert evaluate.matches(q, article) is told


@pytest.mark.parametrize(
    "q",
    [
        Q(blog__name="A"),
        Q(comments__content="A"),
        Q(nonsense=1),
        Q(title__iendswith="x"),
        Q(title__length__gt=3),
        Q(rating__gt=F("id")),
        Q(rating=Value(3)),
        Q(Value(True)),
        Q(rating=1) ^ Q(rating=2),
        Q(rating__gt=None),
        Q(rating__range=(None, 2)),
        Q(rating="many"),
        Q(blog="no uuid"),
        Q(rating__contains="1"),
        Q(metadata={"a": 1}),
        Q(tags=None),  # the null of JSON, or SQL's
    ],
)
def test_what_memory_cannot_tell_is_unknown(q: Q) -> None:
    post = Post(title="x", rating=1, blog_id=uuid.uuid4(), metadata={"a": 1})
    assert evaluate.matches(q, post) is None
    assert evaluate.matches(~q, post) is None


def test_a_field_that_was_not_loaded_is_unknown() -> None:
    post = Post.from_db("default", ["id", "title"], [uuid.uuid4(), "x"])
    assert evaluate.matches(Q(title="x"), post) is True
    assert evaluate.matches(~Q(rating=1), post) is None


@pytest.mark.django_db  # MariaDB is asked which types it has
@isolate_apps("tests.shop")
def test_text_that_the_database_folds_is_only_known_to_equal_itself() -> None:
    class Folded(models.Model):
        name = models.CharField(max_length=10, db_collation="nocase")

        class Meta:
            app_label = "shop"

    assert evaluate.matches(Q(name="Bob"), Folded(name="Bob")) is True
    for q in (Q(name="bob"), Q(name__in=["bob"]), Q(name__lt="c")):
        assert evaluate.matches(~q, Folded(name="Bob")) is None
    for q in (Q(name__contains="o"), Q(name__startswith="b")):  # MariaDB looks for bytes, whatever the collation
        assert (evaluate.matches(~q, Folded(name="Bob")) is None) is (connection.vendor != "mysql")


@pytest.mark.django_db  # MariaDB is asked which types it has
@isolate_apps("tests.shop")
def test_text_of_a_binary_collation_is_told_on_mariadb() -> None:
    class Plain(models.Model):
        name = models.CharField(max_length=10, db_collation="utf8mb4_nopad_bin")

        class Meta:
            app_label = "shop"

    told = True if connection.vendor == "mysql" else None
    assert evaluate.matches(~Q(name="bob"), Plain(name="Bob")) is told
    assert evaluate.matches(~Q(name__in=["Bob "]), Plain(name="Bob")) is told


def test_order_of_text_is_the_databases_matter() -> None:
    told = True if connection.vendor == "sqlite" else None
    assert evaluate.matches(~Q(title__lt="b"), Post(title="x")) is told
