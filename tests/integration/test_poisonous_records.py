"""A record that cannot be stored here, wherever it comes by: the others arrive, it is visible, the outbox empties."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync

from django_datastore.models import Conflict, MutationEvent, RecordMetadata
from django_datastore.sync import connectivity, reachability
from django_datastore.sync.engine import Engine
from django_datastore.testing.appsync import AppSyncForTests
from testproject.blog.models import Blog, Post
from tests.integration.test_promises_on_a_bad_line import announce, listening, titles

SELECTION = "{ id title rating status tags metadata publishedAt blogPostsId _version _lastChangedAt _deleted }"
CREATE = f"mutation($input: CreatePostInput!) {{ createPost(input: $input) {SELECTION} }}"
UPDATE = f"mutation($input: UpdatePostInput!) {{ updatePost(input: $input) {SELECTION} }}"
KEY = "00000000-0000-4000-8000-000000000001"
POISONS: list[dict[str, Any]] = [
    {"title": "half a character \ud83d"},
    {"publishedAt": "9999-12-31T23:59:59.000-12:00"},  # the year 10000 in UTC
    {"tags": ["half a character \ud83d"]},
]
poisonous = pytest.mark.parametrize("poison", POISONS, ids=lambda poison: next(iter(poison)))


def is_visible() -> bool:
    held = RecordMetadata.objects.filter(record_key=f'["{KEY}"]', hold=RecordMetadata.Hold.QUARANTINED)
    return held.exists() and Conflict.objects.filter(kind=Conflict.Kind.QUARANTINED).count() == 1


@poisonous
def test_in_the_middle_of_a_base_sync(site: Engine, appsync: AppSyncForTests, poison: dict[str, Any]) -> None:
    appsync.load("Post", [{"title": "before"}])
    appsync.execute(CREATE, {"input": {"id": KEY, "title": "T", **poison}})
    appsync.load("Post", [{"title": "after"}])
    appsync.load("Blog", [{"name": "of another model"}])
    site.sync()
    site.sync(full=True)
    assert sorted(Post.objects.values_list("title", flat=True)) == ["after", "before"]
    assert Blog.objects.exists()
    assert is_visible()


@poisonous
def test_in_a_batch_of_events(site: Engine, appsync: AppSyncForTests, poison: dict[str, Any]) -> None:
    async def story() -> None:
        async with listening(site) as listener:
            await listener.live()
            await announce(appsync, CREATE, title="before")
            await announce(appsync, CREATE, **{"id": KEY, "title": "T", **poison})
            await announce(appsync, CREATE, title="after")
            await titles("before", "after")

    async_to_sync(story)()
    assert is_visible()


@poisonous
def test_in_the_answer_to_a_mutation(site: Engine, appsync: AppSyncForTests, poison: dict[str, Any]) -> None:
    post = Post.objects.create(pk=KEY, title="T", rating=1)
    other = Post.objects.create(title="other")
    site.drain()
    post.rating = 2
    post.save()
    other.rating = 3
    other.save()
    appsync.execute(UPDATE, {"input": {"id": KEY, "_version": 1, **poison}})
    site.drain()
    assert not MutationEvent.objects.exists()
    assert 3 in {record["rating"] for record in appsync.records("Post")}
    assert is_visible()


@poisonous
def test_after_an_outage(site: Engine, appsync: AppSyncForTests, poison: dict[str, Any]) -> None:
    appsync.execute(CREATE, {"input": {"id": KEY, "title": "T", **poison}})
    Post.objects.create(title="mine")
    connectivity.went_offline()
    reachability.probe_now()
    site.drain()
    assert not MutationEvent.objects.exists()
    assert "mine" in {record["title"] for record in appsync.records("Post")}
    assert is_visible()
