"""One predicate, three readers: the ORM, the match in memory and the GraphQL filter (as the local server reads it)."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from django_datastore import registry
from django_datastore.appsync_local import filters
from django_datastore.exceptions import InvalidPredicate
from django_datastore.predicates import evaluate, graphql
from testproject.blog.models import Blog, Post

POST = registry.get(Post)
BLOGS = [uuid.UUID(int=number) for number in (1, 2, 3)]
MOMENTS = [datetime.datetime(2026, 1, day, 12, tzinfo=datetime.UTC) for day in (1, 2, 3)]
TITLES = ["", "a", "b", "ab", "ba", "50%", "a_b", "a\\b", "é", "z'\""]

titles = st.sampled_from([*TITLES, "%", "_", "\\", "A", "Ab", "É"])
ratings = st.integers(-2, 6)
moments = st.sampled_from(MOMENTS)


def _ordered(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Q]:
    comparison = st.tuples(st.sampled_from(["", "__gt", "__gte", "__lt", "__lte"]), values)
    return st.one_of(
        comparison.map(lambda pair: Q(**{name + pair[0]: pair[1]})),
        st.tuples(values, values).map(lambda pair: Q(**{f"{name}__range": pair})),
        _choices(name, values),
    )


def _choices(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Q]:
    return st.one_of(
        values.map(lambda value: Q(**{name: value})),
        st.lists(values | st.none(), max_size=3).map(lambda found: Q(**{f"{name}__in": found})),
        st.booleans().map(lambda is_null: Q(**{f"{name}__isnull": is_null})),
        st.just(Q(**{name: None})),
    )


def _text(name: str) -> st.SearchStrategy[Q]:
    return st.tuples(st.sampled_from(["contains", "startswith"]), titles).map(
        lambda pair: Q(**{f"{name}__{pair[0]}": pair[1]})
    )


# How text is ordered is the database's matter (its collation), so it is only compared for equality and parts.
conditions = st.one_of(
    _ordered("rating", ratings),
    _ordered("published_at", moments),
    _choices("title", titles),
    _choices("status", st.sampled_from(["DRAFT", "PUBLISHED", "nothing"])),
    _choices("blog", st.sampled_from(BLOGS)),
    _choices("blog_id", st.sampled_from([str(key) for key in BLOGS])),
    _text("title"),
)
predicates = st.recursive(
    conditions | st.just(Q()),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1]),
        inner.map(lambda q: ~q),
    ),
    max_leaves=8,
)


@pytest.fixture
def posts(db: Any) -> list[Post]:
    """Rows in which every column is null once, and every value meets every other kind."""
    Blog.objects.bulk_create([Blog(pk=key, name=str(key.int)) for key in BLOGS])
    for number, title in enumerate(TITLES * 3):
        Post.objects.create(
            title=title,
            rating=None if number % 4 == 0 else number % 7 - 1,
            status=[None, "DRAFT", "PUBLISHED"][number % 3],
            published_at=[*MOMENTS, None][number % 4 - 1],
            blog_id=[*BLOGS, None][number % 4],
        )
    return list(Post.objects.all())


def assert_told(q: Q, posts: list[Post], expected: set[uuid.UUID], related: evaluate.Related | None = None) -> None:
    """Memory tells what the ORM does; on MariaDB, whose collation it does not know, or nothing."""
    for post in posts:
        told = evaluate.matches(q, post, related=related)
        assert told is (post.pk in expected) or (told is None and connection.vendor == "mysql")


def test_memory_agrees_with_the_orm(posts: list[Post]) -> None:
    @settings(max_examples=400)
    @given(predicates)
    def agree(q: Q) -> None:
        expected = set(Post.objects.filter(q).values_list("pk", flat=True))
        assert_told(q, posts, expected)

    agree()


def test_the_graphql_filter_agrees_with_memory(posts: list[Post]) -> None:
    records = {post.pk: POST.to_wire(post) for post in posts}

    @settings(max_examples=400)
    @given(predicates)
    def agree(q: Q) -> None:
        read = filters.compile_filter(_wire(q))
        expected = {post.pk for post in posts if _case_sensitive(q, post)}
        assert {key for key, record in records.items() if read is None or read(record)} == expected

    agree()


@pytest.mark.parametrize(
    "q",
    [
        Q(rating__in=[1, None]),
        ~Q(rating__in=[1, None]),
        ~~Q(rating__in=[1, None]),
        ~(Q(rating__in=[1, None]) | Q(title="a")),
        ~(~Q(rating__in=[1, None]) & Q(title="a")),
        ~Q(published_at__in=(MOMENTS[0], None)),
        ~Q(blog__in=[BLOGS[0], None]),
        ~Q(title__in={"a", None}),  # the column has no null
    ],
    ids=str,
)
def test_none_among_choices_is_what_the_orm_takes_it_for(q: Q, posts: list[Post]) -> None:
    expected = set(Post.objects.filter(q).values_list("pk", flat=True))
    read = filters.compile_filter(graphql.to_filter(q, POST))
    assert read is not None
    assert_told(q, posts, expected)
    assert {post.pk for post in posts if read(POST.to_wire(post))} == expected


@pytest.mark.parametrize("lookup", ["contains", "startswith"])
def test_parts_of_texts_are_told_on_every_database(lookup: str, posts: list[Post]) -> None:
    for part in ["a", "A", "", "%", "_", "\\", "é"]:
        q = Q(**{f"title__{lookup}": part})
        expected = set(Post.objects.filter(q).values_list("pk", flat=True))
        assert {post.pk: evaluate.matches(q, post) for post in posts} == {
            post.pk: post.pk in expected for post in posts
        }


def test_none_alone_in_a_negation_is_what_the_orm_takes_it_for(posts: list[Post]) -> None:
    for q in (~Q(rating__in=[None]), ~Q(blog__in=[None]), ~Q(rating__in=[])):
        expected = set(Post.objects.filter(q).values_list("pk", flat=True))
        assert {post.pk for post in posts if evaluate.matches(q, post)} == expected


def test_none_among_choices_of_a_related_row(posts: list[Post]) -> None:
    def related(foreign_key: Any, key: Any) -> Any:
        return foreign_key.related_model.objects.filter(pk=key).first()

    for q in (~Q(blog__name__in=["1", None]), Q(blog__name__in=["1", None]), ~Q(blog__name__in=[None])):
        expected = set(Post.objects.filter(q).values_list("pk", flat=True))
        assert_told(q, posts, expected, related=related)


def _wire(q: Q) -> Any:
    """The filter; predicates that choose from nothing have none."""
    try:
        return graphql.to_filter(q, POST)
    except InvalidPredicate:
        reject()


def _case_sensitive(q: Q, post: Post) -> bool:
    evaluation = evaluate._Evaluation(post, None, "default")
    evaluation.vendor = "postgresql"  # AppSync tells letters of either case apart
    return evaluation.of(q) is True


def test_a_filter_survives_the_way_to_a_predicate_and_back(posts: list[Post]) -> None:
    @settings(max_examples=300)
    @given(predicates)
    def agree(q: Q) -> None:
        back = graphql.from_filter(_wire(q) or {}, POST)
        expected = set(Post.objects.filter(q).values_list("pk", flat=True))
        assert set(Post.objects.filter(back).values_list("pk", flat=True)) == expected

    agree()


@pytest.mark.parametrize("lookup", ["gt", "gte", "lt", "lte"])
def test_text_is_ordered_by_code_point_where_the_database_does_so(lookup: str, posts: list[Post]) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL orders text by its collation")
    for title in [*TITLES, "A", "É"]:
        q = Q(**{f"title__{lookup}": title})
        expected = set(Post.objects.filter(q).values_list("pk", flat=True))
        assert {post.pk for post in posts if evaluate.matches(q, post)} == expected
