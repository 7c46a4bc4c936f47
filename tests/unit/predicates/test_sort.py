"""Sort orders: what they take, and that databases and memory agree."""

from __future__ import annotations

import random
from typing import Any

import pytest

from django_datastore import registry
from django_datastore.exceptions import InvalidPredicate
from django_datastore.predicates import sort
from testproject.blog.models import Post

POST = registry.get(Post)


def test_no_sort_is_no_order() -> None:
    assert not sort.parse(None, POST)
    assert sort.parse([], POST).order_by == ()


def test_fields_go_by_django_and_wire_names() -> None:
    assert sort.parse(["-published_at", "blog"], POST) == sort.parse(("-publishedAt", "blogPostsId"), POST)
    assert sort.parse(["-published_at"], POST).names == ("-publishedAt",)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["nonsense"], "no synced field 'nonsense'"),
        (["draft_notes"], "no synced field 'draft_notes'"),
        (["-"], "names fields such as"),
        ([3], "names fields such as"),
        ("rating", "is a list of field names"),
        (["tags"], "lists and JSON have no order"),
        (["metadata"], "lists and JSON have no order"),
    ],
)
def test_what_has_no_order_is_refused(names: Any, said: str) -> None:
    with pytest.raises(InvalidPredicate, match=said):
        sort.parse(names, POST)


@pytest.mark.django_db
@pytest.mark.parametrize("names", [["rating", "title"], ["-rating", "title"], ["-status", "rating", "-title"]])
def test_memory_sorts_as_the_database(names: list[str]) -> None:
    numbers = random.Random(7)
    for number in range(40):
        Post.objects.create(
            title=f"{number:02}", rating=numbers.choice([None, 1, 2, 3]), status=numbers.choice([None, "DRAFT"])
        )
    found = sort.parse(names, POST)
    expected = list(Post.objects.order_by(*found.order_by))
    shuffled = list(Post.objects.order_by("id"))
    assert sorted(shuffled, key=found.key) == expected
