"""storage ─▶ observe ─▶ Python: what `observe` and `observe_query` deliver, from real tables and the real log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.db.models import Q

from django_datastore import registry
from django_datastore.exceptions import InvalidPredicate
from django_datastore.models import ModelMetadata
from django_datastore.observe import hub
from django_datastore.observe.hub import Hub, ObservedChange, Overrun
from django_datastore.observe.live_query import Diff, State
from django_datastore.types import OpType
from testproject.blog.models import Blog, Post

pytestmark = pytest.mark.django_db(transaction=True)

POST = registry.get(Post)


@pytest.fixture(autouse=True)
async def _close_connections() -> AsyncIterator[None]:
    """PostgreSQL keeps a test database as long as the thread behind `acreate` is connected to it."""
    yield
    await sync_to_async(connections.close_all)()


async def within(awaited: Awaitable[Any], seconds: float = 10) -> Any:
    """The result, or a failure instead of a test that hangs."""
    return await asyncio.wait_for(awaited, seconds)


async def until(step: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool]) -> Any:
    """The first step's outcome for which something holds."""
    async with asyncio.timeout(60):
        while True:
            found = await step()
            if holds(found):
                return found


def titles(snapshot: Any) -> list[str]:
    return [item.title for item in snapshot.items]


async def test_observe_delivers_inserts_updates_and_deletes_in_order() -> None:
    async with Hub().observe(POST) as changes:
        post = await Post.objects.acreate(title="one")
        first = await within(anext(changes))
        post.title = "two"
        await post.asave()
        second = await within(anext(changes))
        await post.adelete()
        third = await within(anext(changes))
    assert [item.op_type for item in (first, second, third)] == [OpType.INSERT, OpType.UPDATE, OpType.DELETE]
    assert [item.element.title for item in (first, second, third)] == ["one", "two", "two"]
    assert third.model is Post


async def test_observe_keeps_to_its_predicate() -> None:
    async with Hub().observe(POST, Q(rating__gte=3)) as changes:
        await Post.objects.acreate(title="low", rating=1)
        high = await Post.objects.acreate(title="high", rating=4)
        assert (await within(anext(changes))).element.title == "high"
        await Post.objects.filter(title="low").adelete()
        await high.adelete()
        assert (await within(anext(changes))).op_type is OpType.DELETE


async def test_observe_tells_of_a_deleted_row_by_its_foreign_keys_row() -> None:
    blog = await Blog.objects.acreate(name="A")
    other = await Blog.objects.acreate(name="B")
    async with Hub().observe(POST, Q(blog__name="A")) as changes:
        mine = await Post.objects.acreate(title="mine", blog=blog)
        foreign = await Post.objects.acreate(title="foreign", blog=other)
        assert (await within(anext(changes))).element.pk == mine.pk
        key = mine.pk
        await foreign.adelete()
        await mine.adelete()
        change = await within(anext(changes))
    assert (change.op_type, change.element.pk) == (OpType.DELETE, key)


async def test_observe_says_nothing_of_a_rollback() -> None:
    def fail() -> None:
        with transaction.atomic():
            Post.objects.create(title="never")
            transaction.set_rollback(True)

    async with Hub().observe(POST) as changes:
        await sync_to_async(fail)()
        await Post.objects.acreate(title="committed")
        assert (await within(anext(changes))).element.title == "committed"


async def test_an_observer_that_is_too_slow_is_told() -> None:
    host = Hub()
    watcher = await host.watch_changes(POST, None, max_changes=2)
    other = await host.watch_changes(POST, None)
    try:
        for number in range(3):
            await Post.objects.acreate(title=str(number))
            await within(other.next())
        with pytest.raises(Overrun, match="More than 2 changes"):
            await within(watcher.next())
    finally:
        await host.release(watcher)
        await host.release(other)


async def test_observe_query_starts_with_what_is_there_even_nothing() -> None:
    async with Hub().observe_query(POST) as snapshots:
        first = await within(anext(snapshots))
    assert (first.items, first.is_synced) == ([], False)


async def test_observe_query_keeps_the_sort_and_drops_what_no_longer_matches() -> None:
    a = await Post.objects.acreate(title="a", rating=5)
    b = await Post.objects.acreate(title="b", rating=3)
    await Post.objects.acreate(title="other", rating=1)
    async with Hub().observe_query(POST, Q(rating__gte=2), ["-rating"]) as snapshots:
        assert titles(await within(anext(snapshots))) == ["a", "b"]
        b.rating = 9
        await b.asave()
        assert titles(await within(anext(snapshots))) == ["b", "a"]
        a.rating = 1
        await a.asave()
        assert titles(await within(anext(snapshots))) == ["b"]
        await Post.objects.acreate(title="c", rating=9)
        assert titles(await within(anext(snapshots))) == ["b", "c"]
        await b.adelete()
        assert titles(await within(anext(snapshots))) == ["c"]


async def test_a_row_deleted_and_inserted_again_in_one_window_stays() -> None:
    post = await Post.objects.acreate(title="one")
    await Post.objects.acreate(title="two")

    def swap() -> None:
        with transaction.atomic():
            Post.objects.get(pk=post.pk).delete()
            Post.objects.create(pk=post.pk, title="one again")

    async with Hub().observe_query(POST, sort=["title"]) as snapshots:
        await within(anext(snapshots))
        await sync_to_async(swap)()
        assert titles(await within(anext(snapshots))) == ["one again", "two"]


async def test_a_row_that_leaves_and_comes_back_in_one_window_stays() -> None:
    post = await Post.objects.acreate(title="x", rating=5)

    def leave_and_come_back() -> None:
        with transaction.atomic():
            for rating in (1, 6):
                post.rating = rating
                post.save()

    async with Hub().observe_query(POST, Q(rating__gte=3)) as snapshots:
        await within(anext(snapshots))
        await sync_to_async(leave_and_come_back)()
        assert [item.rating for item in (await within(anext(snapshots))).items] == [6]


async def test_observe_query_says_when_the_model_is_synced() -> None:
    async with Hub().observe_query(POST) as snapshots:
        assert not (await within(anext(snapshots))).is_synced
        await ModelMetadata.objects.acreate(model="blog.post", last_sync=1)
        assert (await within(anext(snapshots))).is_synced


async def test_observe_query_follows_the_rows_its_predicate_reaches_into() -> None:
    blog = await Blog.objects.acreate(name="draft")
    await Post.objects.acreate(title="mine", blog=blog)
    async with Hub().observe_query(POST, Q(blog__name="live")) as snapshots:
        assert titles(await within(anext(snapshots))) == []
        blog.name = "live"
        await blog.asave()
        assert titles(await within(anext(snapshots))) == ["mine"]


async def test_elements_are_the_watchers_own() -> None:
    await Post.objects.acreate(title="one", tags=["a"])
    host = Hub()
    async with host.observe_query(POST) as mine, host.observe_query(POST) as yours:
        element = (await within(anext(mine))).items[0]
        element.title = "changed in memory"
        element.tags.append("b")
        other = (await within(anext(yours))).items[0]
    assert (other.title, other.tags) == ("one", ["a"])


async def test_equal_live_queries_are_evaluated_once() -> None:
    host = Hub()
    watchers = [
        await host.watch_query(POST, Q(rating__gte=3) & Q(title="x"), ["title"]),
        await host.watch_query(POST, Q(rating__gte=3, title="x"), ["title"]),
    ]
    try:
        assert watchers[0].live is watchers[1].live
        states = [await within(watcher.next()) for watcher in watchers]
        assert states[0] is states[1]
        await Post.objects.acreate(title="x", rating=4)
        diffs = [await within(watcher.next()) for watcher in watchers]
        assert diffs[0] is diffs[1]
        assert isinstance(diffs[0], Diff)
    finally:
        for watcher in watchers:
            await host.release(watcher)


async def test_a_watcher_that_is_too_slow_gets_the_state_again() -> None:
    host = Hub()
    slow = await host.watch_query(POST, None, max_diffs=2)
    quick = await host.watch_query(POST, None)
    try:
        assert isinstance(await within(slow.next()), State)
        await within(quick.next())
        for number in range(4):
            await Post.objects.acreate(title=str(number))
            await within(quick.next())
        state = await within(slow.next())
        assert isinstance(state, State)
        assert len(state.items) == 4
        await Post.objects.acreate(title="more")
        assert isinstance(await within(slow.next()), Diff)
    finally:
        await host.release(slow)
        await host.release(quick)


async def test_a_predicate_the_database_cannot_read_is_refused_and_others_go_on() -> None:
    host = Hub()
    async with host.observe_query(POST) as snapshots:
        await within(anext(snapshots))
        with pytest.raises(InvalidPredicate, match="Cannot filter 'Post'"):
            await within(host.watch_query(POST, Q(nonsense=1)))
        await Post.objects.acreate(title="one")
        assert titles(await within(anext(snapshots))) == ["one"]


async def test_closing_a_stream_ends_a_step_that_waits() -> None:
    changes = Hub().observe(POST)
    waiting = asyncio.ensure_future(anext(changes, None))
    async with changes:
        await asyncio.sleep(0)
    assert await within(waiting) is None
    assert [item async for item in changes] == []


async def test_a_stream_nobody_holds_stops_watching() -> None:
    host = Hub()
    changes = host.observe(POST)
    await within(changes.__aenter__())
    watcher = changes._watcher
    assert watcher is not None
    live = watcher.live
    del changes, watcher

    async def step() -> int:
        await asyncio.sleep(0)
        return len(live.watchers)

    await until(step, lambda count: count == 0)


async def test_a_commit_wakes_the_hub_without_waiting_for_its_poll(settings: Any) -> None:
    settings.DATASTORE = {**settings.DATASTORE, "POLL_SECONDS": 3600.0}
    async with hub.get_hub().observe(POST) as changes:
        await Post.objects.acreate(title="one")
        assert (await within(anext(changes))).element.title == "one"


async def test_each_change_of_many_is_delivered_once() -> None:
    def write() -> None:
        Post.objects.bulk_create([Post(title=str(number)) for number in range(1200)])
        for post in Post.objects.all()[:50]:
            post.delete()

    async with Hub().observe(POST) as changes, Hub().observe_query(POST) as snapshots:
        await within(anext(snapshots))
        await sync_to_async(write)()
        gone: list[ObservedChange] = []
        while len(gone) < 50:
            change = await within(anext(changes))
            gone += [change] if change.op_type is OpType.DELETE else []
        assert len({change.element.pk for change in gone}) == 50
        snapshot = await until(lambda: anext(snapshots), lambda found: len(found.items) == 1150)
    assert snapshot.is_synced is False


async def test_who_joins_a_running_query_sees_what_is_committed() -> None:
    async with asyncio.timeout(60), hub.get_hub().observe_query(registry.get("Post")) as first:
        await anext(first)
        for number in range(5):
            await Post.objects.acreate(title=str(number))
            async with hub.get_hub().observe_query(registry.get("Post")) as second:
                assert len((await anext(second)).items) == number + 1


async def test_who_joins_a_running_hub_gets_no_old_change() -> None:
    async with asyncio.timeout(60), hub.get_hub().observe_query(registry.get("Post")) as first:
        await anext(first)
        for number in range(5):
            await Post.objects.acreate(title=f"old {number}")
            async with hub.get_hub().observe(registry.get("Post")) as changes:
                await Post.objects.acreate(title=f"new {number}")
                assert (await anext(changes)).element.title == f"new {number}"


async def test_the_last_watcher_stops_the_hub_whatever_it_does_just_then() -> None:
    for turn in range(300):
        async with asyncio.timeout(60), hub.get_hub().observe_query(registry.get("Post")) as snapshots:
            await anext(snapshots)
            hub.wake()  # the poll wakes while it is being cancelled
            if turn % 3:
                await asyncio.sleep(0)
