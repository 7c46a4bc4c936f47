"""A predicate in memory: what it says, and what it refuses to guess."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest
from django.db.models import F, Q, Value

from django_datastore.exceptions import InvalidPredicate
from django_datastore.predicates import evaluate
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


def test_a_foreign_keys_row_is_asked_for() -> None:
    asked: list[Any] = []

    def related(model: Any, key: Any, q: Q) -> bool:
        asked.append((model, key, q))
        return True

    article = Article(name="x", supplier_id="acme")
    assert evaluate.matches(Q(supplier__name__startswith="A"), article, related=related)
    assert asked == [(Supplier, "acme", Q(name__startswith="A"))]


def test_a_missing_foreign_keys_row_is_null() -> None:
    def related(*_: Any) -> bool:
        raise AssertionError("there is no row to ask for")

    article = Article(name="x")
    assert not evaluate.matches(Q(supplier__name="A"), article, related=related)
    assert evaluate.matches(~Q(supplier__name="A") & Q(supplier__name=None), article, related=related)


@pytest.mark.parametrize(
    ("q", "said"),
    [
        (Q(blog__name="A"), "follows a foreign key"),
        (Q(comments__content="A"), "to many rows"),
        (Q(nonsense=1), "has no field 'nonsense'"),
        (Q(title__iendswith="x"), "Allowed: exact, gt"),
        (Q(title__length__gt=3), "'length__gt'"),
        (Q(rating__gt=F("id")), "compares with a F"),
        (Q(rating=Value(3)), "Use a plain value"),
        (Q(Value(True)), "holds a Value"),
        (Q(rating=1) ^ Q(rating=2), "XOR"),
        (Q(rating__gt=None), "compares with None"),
        (Q(rating__range=(None, 2)), "compares with None"),
        (Q(rating="many"), "cannot take 'many'"),
        (Q(blog="no uuid"), "cannot take 'no uuid'"),
        (Q(rating__contains="1"), "looks for text in a IntegerField"),
        (Q(metadata={"a": 1}), "looks into JSON"),
    ],
)
def test_what_memory_cannot_tell_is_refused(q: Q, said: str) -> None:
    with pytest.raises(InvalidPredicate, match=said):
        evaluate.matches(q, Post(title="x", rating=1, blog_id=uuid.uuid4(), metadata={"a": 1}))


def test_a_field_that_was_not_loaded_is_no_ground_for_a_guess() -> None:
    post = Post.from_db("default", ["id", "title"], [uuid.uuid4(), "x"])
    assert evaluate.matches(Q(title="x"), post)
    with pytest.raises(InvalidPredicate, match="'rating', which was not loaded"):
        evaluate.matches(Q(rating=1), post)
