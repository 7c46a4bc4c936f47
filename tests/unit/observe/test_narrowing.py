"""Rows that a model's default manager hides: nothing is told of them, not even that they are gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, Exists, F, Manager, OuterRef, Q, QuerySet
from django.db.models.functions import Length
from django.test.utils import isolate_apps

from django_datastore import ModelSync, registry
from django_datastore.observe import narrowing
from django_datastore.observe.changes import Batch, Entry
from django_datastore.observe.live_query import Observation, Selection
from django_datastore.predicates import evaluate
from django_datastore.types import OpType
from testproject.blog.models import Blog, Comment, Post

pytestmark = pytest.mark.django_db
Narrow = Callable[[QuerySet[Any]], QuerySet[Any]]

TOLD: list[Narrow] = [
    lambda rows: rows,
    lambda rows: rows.filter(rating=1),
    lambda rows: rows.filter(rating__gte=1, title="a"),
    lambda rows: rows.exclude(rating=1),
    lambda rows: rows.exclude(title="a"),
    lambda rows: rows.exclude(status="DRAFT", rating=1),
    lambda rows: rows.exclude(rating__isnull=True),
    lambda rows: rows.exclude(status=None),
    lambda rows: rows.filter(~Q(status="DRAFT") | ~Q(~Q(rating=1))),
    lambda rows: rows.filter(status__in=["DRAFT", "PUBLISHED"]).exclude(rating__in=[1]),
    lambda rows: rows.filter(blog=None),
    lambda rows: rows.exclude(blog=None),
    lambda rows: rows.filter(rating__range=(1, 2)),
    lambda rows: rows.filter(title__startswith="a").order_by("-title").select_related("blog").defer("tags"),
    lambda rows: rows.annotate(long=Length("title")),
]
"""Managers whose meaning memory can tell."""
UNTOLD: list[Narrow] = [
    lambda rows: rows.none(),
    lambda rows: rows.filter(draft_notes=""),  # not in the snapshot of a row that is gone
    lambda rows: rows.exclude(draft_notes="x"),
    lambda rows: rows.filter(blog__name="b"),
    lambda rows: rows.exclude(blog__name="c"),
    lambda rows: rows.filter(rating__lt=F("id")),
    lambda rows: rows.filter(Exists(Comment.objects.filter(post=OuterRef("pk")))),
    lambda rows: rows.filter(comments__content="c").distinct(),
    lambda rows: rows.filter(title__iexact="A"),
    lambda rows: rows.annotate(count=Count("comments")).filter(count=0),
    lambda rows: rows.annotate(long=Length("title")).filter(long__gt=0),
    lambda rows: rows.filter(blog__in=Blog.objects.filter(name="b")),
    lambda rows: rows.extra(where=["title = 'a'"]),
    lambda rows: rows[:2],
    lambda rows: rows.filter(title="a").union(rows.filter(title="b")),
]
"""Managers that only the database can read."""


def narrowed_sync(narrow: Narrow) -> ModelSync:
    """The post as a model with such a default manager."""

    class Narrowed(Manager[Any]):
        def get_queryset(self) -> QuerySet[Any]:
            return narrow(super().get_queryset())

    class NarrowedPost(Post):
        objects = Narrowed()

        class Meta:
            app_label = "blog"
            proxy = True

    return ModelSync(NarrowedPost, related=registry.get)


def every_kind_of_post() -> list[Post]:
    blog = Blog.objects.create(name="b")
    return [
        Post.objects.create(title=title, rating=rating, status=status, blog=parent)
        for title in ("a", "b")
        for rating in (None, 1, 2)
        for status in (None, "DRAFT", "PUBLISHED")
        for parent in (None, blog)
    ]


def deletes_told(sync: ModelSync, posts: list[Post]) -> set[Any]:
    records = [Post.objects.get(pk=post.pk) for post in posts]
    snapshots = [sync.to_wire(post) for post in records]
    for record in snapshots:
        del record["draftNotes"]
    keys = [sync.key_of(post) for post in posts]
    entries = [Entry(OpType.DELETE, key, record) for key, record in zip(keys, snapshots, strict=True)]
    found = Observation(Selection(sync, None, "default")).changes(Batch({sync.label: entries}, (1,)))
    return {change.element.pk for change in found}


def is_told(found: set[Any], shown: set[Any]) -> bool:
    """All that is shown; on MariaDB no more than that, as memory does not know how its collation compares texts."""
    return found <= shown if connection.vendor == "mysql" else found == shown


@isolate_apps("testproject.blog")
@pytest.mark.parametrize("narrow", TOLD)
def test_deletes_are_told_of_the_rows_that_a_manager_shows(narrow: Narrow) -> None:
    posts, sync = every_kind_of_post(), narrowed_sync(narrow)
    shown = set(sync.model._default_manager.values_list("pk", flat=True))
    assert is_told(deletes_told(sync, posts), shown)


@isolate_apps("testproject.blog")
@pytest.mark.parametrize("narrow", UNTOLD)
def test_nothing_is_told_where_only_the_database_knows(narrow: Narrow) -> None:
    posts, sync = every_kind_of_post(), narrowed_sync(narrow)
    assert deletes_told(sync, posts) == set()


@pytest.mark.parametrize("narrow", TOLD)
def test_the_predicate_of_a_queryset_says_the_same(narrow: Narrow) -> None:
    posts = every_kind_of_post()
    queryset = narrow(QuerySet(Post, using="default"))
    q = narrowing.of(queryset)
    assert q is not None
    shown = set(queryset.values_list("pk", flat=True))
    assert is_told({post.pk for post in posts if evaluate.matches(q, post)}, shown)
