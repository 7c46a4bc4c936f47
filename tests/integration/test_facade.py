"""`DataStore`: Amplify's names over the ORM, conditions checked here and there, live queries in Python."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db.models import Q

from django_datastore import DataStore, registry
from django_datastore.appsync_local.server import LocalServer
from django_datastore.exceptions import ConditionFailed, InvalidPredicate
from django_datastore.models import MutationEvent, RecordMetadata
from django_datastore.sync import merger
from django_datastore.sync.engine import Engine
from testproject.blog.models import Blog, Post

pytestmark = pytest.mark.django_db(transaction=True)
RECORD = {"id": "00000000-0000-4000-8000-000000000001", "title": "a", "rating": 1, "_version": 1, "_lastChangedAt": 1}


def test_condition_is_checked_here_and_sent_along(site: Engine, appsync: LocalServer) -> None:
    post = Post.objects.create(title="a", rating=1)
    site.drain()
    post.title = "b"
    DataStore.save(post, condition=Q(rating__lt=5))
    event = MutationEvent.objects.get()
    assert event.condition
    site.drain()
    assert appsync.records("Post")[0]["title"] == "b"
    post.title = "c"
    with pytest.raises(ConditionFailed):
        DataStore.save(post, condition=Q(rating__gt=5))
    assert not MutationEvent.objects.exists()


def test_condition_that_fails_on_the_server_parks_the_mutation(site: Engine, appsync: LocalServer) -> None:
    post = Post.objects.create(title="a", rating=1)
    site.drain()
    post.title = "b"
    DataStore.save(post, condition=Q(rating=1))
    record = appsync.records("Post")[0]
    change = "mutation($i: UpdatePostInput!) { updatePost(input: $i) { id _version } }"
    appsync.execute(change, {"i": {"id": record["id"], "rating": 9, "_version": 1}})
    RecordMetadata.objects.update(version=2)
    site.drain()
    parked = MutationEvent.objects.parked().get()
    assert "condition" in parked.last_error.lower()


def test_conditional_save_of_a_new_row_is_refused() -> None:
    with pytest.raises(InvalidPredicate, match="nothing to check"):
        DataStore.save(Post(title="T"), condition=Q(rating=1))


def test_query_sorts_and_pages() -> None:
    Post.objects.bulk_create([Post(title=str(number), rating=number % 3) for number in range(7)])
    found = DataStore.query(Post, Q(rating__gt=0), sort=["-rating", "title"], page=0, limit=3)
    assert [post.title for post in found] == ["2", "5", "1"]
    with pytest.raises(InvalidPredicate):
        DataStore.query(Post, sort=["nope"])
    with pytest.raises(ValueError, match="needs a limit"):
        DataStore.query(Post, page=1)


def test_clear_empties_local_tables_without_telling_appsync(site: Engine, appsync: LocalServer) -> None:
    Post.objects.create(title="T", blog=Blog.objects.create(name="B"))
    site.drain()
    Post.objects.create(title="unsent")
    DataStore.clear()
    assert not Post.objects.exists()
    assert not MutationEvent.objects.exists()
    DataStore.sync()
    assert [post.title for post in Post.objects.all()] == ["T"]


def test_observe_query_follows_local_writes_and_merges() -> None:
    async def story() -> list[tuple[list[str], bool]]:
        seen: list[tuple[list[str], bool]] = []
        async with asyncio.timeout(60):
            async for snapshot in DataStore.observe_query(Post, Q(rating__gte=1), sort=["title"]):
                seen.append(([post.title for post in snapshot.items], snapshot.is_synced))
                match len(seen):
                    case 1:
                        await Post.objects.acreate(title="b", rating=5)
                    case 2:
                        await sync_to_async(merger.merge_page)(registry.get(Post), [RECORD])
                    case 3:
                        post = await Post.objects.aget(title="b")
                        post.rating = 0
                        await DataStore.asave(post)
                    case 4:
                        return seen
        return seen

    titles = [item[0] for item in async_to_sync(story)()]
    assert titles == [[], ["b"], ["a", "b"], ["a"]]
