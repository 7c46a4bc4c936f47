"""`DataStore`: Amplify's names over the ORM, conditions checked here and there, live queries in Python."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db.models import Q, QuerySet

from django_datastore import DataStore, registry
from django_datastore.appsync_local.server import LocalServer
from django_datastore.exceptions import ConditionFailed, InvalidPredicate, UnsentMutations
from django_datastore.models import MutationEvent, RecordMetadata
from django_datastore.storage.outbox.entries import muted
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
    DataStore.clear()
    assert not Post.objects.exists()
    DataStore.sync()
    assert [post.title for post in Post.objects.all()] == ["T"]
    assert not MutationEvent.objects.exists()


def test_clear_refuses_to_lose_unsent_mutations_and_says_which(site: Engine, appsync: LocalServer) -> None:
    sent = Post.objects.create(title="sent")
    site.drain()
    sent.title = "edited"
    sent.save()
    Post.objects.create(title="unsent", blog=Blog.objects.create(name="parked"))
    MutationEvent.objects.filter(model="blog.blog").update(state=MutationEvent.State.PARKED)
    with pytest.raises(UnsentMutations, match=r"3 mutations .*\(Blog: 1, Post: 2\).*force=True") as refusal:
        DataStore.clear()
    assert refusal.value.unsent == {"Blog": 1, "Post": 2}
    assert (Post.objects.count(), Blog.objects.count(), MutationEvent.objects.count()) == (2, 1, 3)
    assert RecordMetadata.objects.exists()
    with pytest.raises(UnsentMutations):
        async_to_sync(DataStore.aclear)()


def test_clear_refuses_to_lose_rows_that_were_never_sent(site: Engine, appsync: LocalServer) -> None:
    Post.objects.create(title="sent")
    site.drain()
    with muted():  # as rows that were there before the model was registered
        Post.objects.bulk_create([Post(title=f"old {number}") for number in range(1001)])
    with pytest.raises(UnsentMutations, match=r"would lose 1001 rows it was never told of \(Post: 1001\)") as refusal:
        DataStore.clear()
    assert (refusal.value.unsent, refusal.value.never_sent) == ({}, {"Post": 1001})
    assert Post.objects.count() == 1002


def test_clear_refuses_what_is_written_while_it_clears(
    site: Engine, appsync: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    Post.objects.create(title="sent")
    site.drain()
    delete = QuerySet.delete

    def write_and_delete(rows: QuerySet[Any]) -> Any:
        done = delete(rows)
        if rows.model is Post:
            MutationEvent.objects.create(model="blog.post", record_key='["late"]', operation="create")
        return done

    monkeypatch.setattr(QuerySet, "delete", write_and_delete)
    with pytest.raises(UnsentMutations):
        DataStore.clear()
    monkeypatch.undo()
    assert Post.objects.count() == 1


@pytest.mark.parametrize("clear", [DataStore.clear, async_to_sync(DataStore.aclear)], ids=["clear", "aclear"])
def test_clear_by_force_loses_what_was_not_sent(site: Engine, appsync: LocalServer, clear: Callable[..., None]) -> None:
    Post.objects.create(title="unsent", blog=Blog.objects.create(name="unsent"))
    clear(force=True)
    assert not Post.objects.exists()
    assert not MutationEvent.objects.exists()


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
