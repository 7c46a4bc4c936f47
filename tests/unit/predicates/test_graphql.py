"""`Q` to GraphQL filter in Amplify's shape, and filter JSON to `Q`."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q

from django_datastore import registry
from django_datastore.exceptions import InvalidPredicate
from django_datastore.predicates import graphql
from testproject.blog.models import Blog, Post
from tests.shop.models import Article

POST = registry.get(Post)
ARTICLE = registry.get(Article)
A, B, C, D, E = ({"title": {"eq": letter}} for letter in "abcde")


def t(letter: str) -> Q:
    return Q(title=letter)


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        (Q(), None),
        (Q(title__contains="x"), {"and": [{"title": {"contains": "x"}}]}),  # one condition stays in the root's and
        (t("a") & t("b"), {"and": [A, B]}),
        (Q(title="a", rating=1), {"and": [{"rating": {"eq": 1}}, A]}),  # Q sorts its keywords
        (t("a") | t("b"), {"or": [A, B]}),  # the root's and goes: its only child is a group
        (
            (t("a") & t("b")) | ((t("c") | t("d")) & t("e")),
            {"or": [{"and": [A, B]}, {"and": [{"or": [C, D]}, E]}]},
        ),
        (~(t("a") | t("b")), {"and": [{"not": {"or": [A, B]}}]}),
        (~t("a"), {"and": [{"title": {"ne": "a"}}]}),
        (~~t("a"), {"and": [A]}),
        (~Q(title__contains="x"), {"and": [{"title": {"notContains": "x"}}]}),
        (~Q(rating__gt=3), {"and": [{"not": {"rating": {"gt": 3}}}]}),  # le would leave out null
        (Q(rating__gte=1, rating__lte=2), {"and": [{"rating": {"ge": 1}}, {"rating": {"le": 2}}]}),
        (Q(rating__range=(1, 5)), {"and": [{"rating": {"between": [1, 5]}}]}),
        (Q(title__startswith="x"), {"and": [{"title": {"beginsWith": "x"}}]}),
        (Q(rating__in=[1, 2]), {"or": [{"rating": {"eq": 1}}, {"rating": {"eq": 2}}]}),  # AppSync has no in
        (Q(rating=None), {"and": [{"rating": {"eq": None}}]}),
        (Q(rating__isnull=False), {"and": [{"rating": {"ne": None}}]}),
        (Q(tags__contains=["x"]), {"and": [{"tags": {"contains": "x"}}]}),
        (Q(published_at__gt="2026-01-01T00:00:00Z"), {"and": [{"publishedAt": {"gt": "2026-01-01T00:00:00.000Z"}}]}),
    ],
)
def test_to_filter(q: Q, expected: Any) -> None:
    assert graphql.to_filter(q, POST) == expected


def test_names_and_values_are_those_of_the_wire() -> None:
    blog = Blog(name="A")
    expected = {"and": [{"blogPostsId": {"eq": str(blog.pk)}}]}
    for q in (Q(blog=blog), Q(blog_id=blog.pk), Q(blog__pk=str(blog.pk)), Q(blog__id=blog.pk)):
        assert graphql.to_filter(q, POST) == expected
    assert graphql.to_filter(Q(size="extra-large"), ARTICLE) == {"and": [{"size": {"eq": "extra_large"}}]}


def test_a_condition_leaves_out_the_key() -> None:
    assert graphql.to_condition(Q(pk=uuid.uuid4()) & Q(rating__lt=5), POST) == {"and": [{"rating": {"lt": 5}}]}
    assert graphql.to_condition(Q(pk=uuid.uuid4()), POST) is None


@pytest.mark.parametrize(
    ("q", "said"),
    [
        (Q(blog__name="A"), "related models are not supported"),
        (Q(comments__content="A"), "to many rows"),
        (Q(draft_notes="x"), "no synced field 'draft_notes'. It has: blogPostsId"),
        (Q(title__icontains="x"), "'icontains', which Amplify has no word for. Allowed: exact"),
        (Q(rating="many"), "cannot take 'many'"),
        (Q(rating__in=[]), "nothing to choose from"),
    ],
)
def test_what_graphql_cannot_say_is_refused(q: Q, said: str) -> None:
    with pytest.raises(InvalidPredicate, match=said):
        graphql.to_filter(q, POST)


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ({}, Q()),
        ({"and": []}, Q()),
        ({"or": []}, Q()),
        ({"or": [A, {}]}, Q()),  # an empty filter lets everything through
        ({"not": {}}, Q()),
        ({"and": {"title": {"eq": "a"}}}, t("a")),  # a single child without its list
        ({"rating": {"gt": 3, "le": 5}}, Q(rating__gt=3) & Q(rating__lte=5)),
        ({"and": [A, {"or": []}]}, t("a")),
        ({"or": [A, {"and": [B, C]}]}, t("a") | (t("b") & t("c"))),
        ({"rating": {"ne": None}}, Q(rating__isnull=False)),
        ({"rating": {"ne": 3}}, ~Q(rating=3)),
        ({"rating": {"between": [1, 2]}}, Q(rating__gte=1, rating__lte=2)),
        ({"rating": {"in": [1, 10**20]}}, Q(rating__in=[1])),  # no row has the other, and no database takes it
        ({"rating": {"in": [1, None]}}, Q(rating__in=[1]) | Q(rating__isnull=True)),
        ({"rating": {"notIn": [1]}}, ~Q(rating__in=[1])),
        ({"title": {"notContains": "x"}}, ~Q(title__contains="x")),
        ({"title": {"beginsWith": "x"}}, Q(title__startswith="x")),
        ({"rating": {"attributeExists": True}}, Q(rating__isnull=False)),
        ({"rating": {"eq": "3"}}, Q(rating=3)),
    ],
)
def test_from_filter(wire: Any, expected: Q) -> None:
    assert graphql.from_filter(wire, POST) == expected


def test_from_filter_reads_wire_names_and_values() -> None:
    key = uuid.uuid4()
    assert graphql.from_filter({"blogPostsId": {"eq": str(key)}}, POST) == Q(blog_id=key)
    assert graphql.from_filter({"size": {"eq": "extra_large"}}, ARTICLE) == Q(size="extra-large")


def test_membership_in_a_list_needs_a_database_that_looks_into_json() -> None:
    if connection.features.supports_json_field_contains:
        assert graphql.from_filter({"tags": {"contains": "x"}}, POST) == Q(tags__contains=["x"])
    else:
        with pytest.raises(InvalidPredicate, match="cannot look into lists"):
            graphql.from_filter({"tags": {"contains": "x"}}, POST)


def nested(depth: int) -> Any:
    found: Any = A
    for _ in range(depth):
        found = {"not": found}
    return found


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ([], "A filter is an object"),
        ({"and": "x"}, "'and' takes a list of filters"),
        ({"and": ["x"]}, "A filter is an object"),
        ({"nonsense": {"eq": 1}}, "no synced field 'nonsense'. It has: blogPostsId"),
        ({"draft_notes": {"eq": ""}}, "no synced field 'draft_notes'"),
        ({"blog": {"name": {"eq": "A"}}}, "'blog' is a related model"),
        ({"rating": 3}, "Say how to compare 'rating'"),
        ({"rating": {}}, "Say how to compare 'rating'"),
        ({"rating": {"gte": 3}}, "No operator 'gte' on 'rating'. Allowed: eq, ne, gt, ge"),
        ({"rating": {"gt": None}}, "'gt' takes one value of type Int"),
        ({"rating": {"eq": {"a": 1}}}, "'eq' takes one value of type Int"),
        ({"rating": {"eq": "many"}}, "'eq' takes a value of type Int"),
        ({"rating": {"eq": float("inf")}}, "'eq' takes a value of type Int"),
        ({"rating": {"between": [1]}}, "'between' takes a list of two values"),
        ({"title": {"eq": "a\x00"}}, "'title': 'eq' takes text without NUL"),
        ({"title": {"in": ["a", "\ud800"]}}, "'title': 'in' takes text without NUL"),
        ({"title": {"between": ["a", "\udfff"]}}, "'title': 'between' takes text without NUL"),
        ({"title": {"notContains": "\x00"}}, "'title': 'contains' takes text without NUL"),
        ({"rating": {"in": 1}}, "'in' takes a list"),
        ({"rating": {"contains": "1"}}, "looks for text in a text field"),
        ({"title": {"contains": 1}}, "looks for text in a text field"),
        ({"id": {"eq": "no uuid"}}, "takes a value of type ID"),
        ({"metadata": {"eq": "{}"}}, "cannot compare lists or JSON"),
        (nested(30), "nested deeper than 20 levels"),
        ({"or": [{"rating": {"eq": 1}}] * 501}, "more than 500 conditions"),
        ({"rating": {"in": list(range(501))}}, "more than 500 conditions"),
    ],
)
def test_nonsense_is_refused_in_words(wire: Any, said: str) -> None:
    with pytest.raises(InvalidPredicate, match=said):
        graphql.from_filter(wire, POST)
