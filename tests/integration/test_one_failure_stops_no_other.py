"""What fails for reasons of its own, a socket or a model, stops nothing else: no sending, syncing or listening."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.db.models import Q

from django_datastore import registry
from django_datastore.exceptions import BadModel, SyncError
from django_datastore.models import Lease, ModelMetadata, MutationEvent
from django_datastore.sync import connectivity, engine, listening, reachability
from django_datastore.sync.engine import Engine
from django_datastore.testing.appsync import AppSyncForTests
from django_datastore.testing.faults import ActiveFault, FaultSwitches
from testproject.blog.models import Blog, Post
from tests.integration.test_appsync_reaches_storage import device
from tests.integration.test_commands import run
from tests.integration.test_promises_on_a_bad_line import listening as listener_of
from tests.integration.test_promises_on_a_bad_line import titles

T = TypeVar("T")
Switch = Callable[[FaultSwitches], ActiveFault]


@pytest.fixture
def datastore_settings() -> dict[str, Any]:
    """Polls soon, with patience for answers."""
    return {"REQUEST_TIMEOUT_SECONDS": 20.0, "LEASE_SECONDS": 40.0, "POLL_SYNC_SECONDS": 1}


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    """Returns when that is so."""
    async with asyncio.timeout(60):
        while not await fact():  # noqa: ASYNC110 - other threads and processes make it so
            await asyncio.sleep(0.02)


# -- a socket ------------------------------------------------------------------------------------------------------

SOCKETS: dict[str, Switch] = {
    "upgrade refused": lambda faults: faults.refuse_socket(status=503),
    "no such page": lambda faults: faults.refuse_socket(status=404),
    "credentials refused": lambda faults: faults.refuse_socket(status=401),
    "connection refused": lambda faults: faults.refuse_connection(),
}


@pytest.mark.parametrize("switch", SOCKETS.values(), ids=SOCKETS.keys())
def test_socket_that_never_opens_stops_neither_sending_nor_syncing(
    site: Engine, appsync: AppSyncForTests, switch: Switch
) -> None:
    async def story() -> None:
        with switch(appsync.faults) as fault:
            async with listener_of(site) as listener:
                await asyncio.to_thread(fault.wait, hits=3)
                await Post.objects.acreate(title="mine")
                await sync_to_async(site.drain)()
                assert not await MutationEvent.objects.aexists()
                await sync_to_async(device)(appsync, "create", "Post", title="theirs")
                await titles("mine", "theirs")  # the listener polls
                assert "live" not in listener.lines
                status = await sync_to_async(run)("datastore", "status")
                assert "AppSync: reachable" in status
                assert "listener: not live, changes are polled: Cannot" in status

    asyncio.run(story())


def test_socket_that_opens_at_last_is_live_and_says_so(site: Engine, appsync: AppSyncForTests) -> None:
    async def story() -> None:
        with appsync.faults.refuse_socket(times=3):
            async with listener_of(site) as listener:
                await listener.live()
                assert "listener: live\n" in await sync_to_async(run)("datastore", "status")

    asyncio.run(story())
    assert "listener: no; changes are polled\n" in run("datastore", "status")


def test_listener_of_an_idle_site_notices_an_outage_and_its_end(site: Engine, appsync: AppSyncForTests) -> None:
    async def story() -> None:
        async with listener_of(site) as listener:
            await listener.live()
            await sync_to_async(appsync.stop)()
            await until(sync_to_async(connectivity.is_offline))
            await sync_to_async(appsync.start)()
            await listener.live()
            assert not await sync_to_async(connectivity.is_offline)()

    asyncio.run(story())


def test_model_whose_subscription_is_refused_is_polled(site: Engine, appsync: AppSyncForTests) -> None:
    async def story() -> None:
        with appsync.faults.refuse_start("onCreateBlog"):
            async with listener_of(site) as listener:
                await listener.live()
                assert "live; refused and polled: Blog" in await sync_to_async(run)("datastore", "status")
                await sync_to_async(device)(appsync, "create", "Blog", name="polled")
                await until(Blog.objects.filter(name="polled").aexists)

    asyncio.run(story())


def test_models_that_are_heard_are_not_polled(site: Engine, appsync: AppSyncForTests) -> None:
    async def story() -> None:
        with appsync.faults.refuse_start("onCreateBlog"):
            async with listener_of(site) as listener:
                await listener.live()
                asked = len(appsync.requests("syncBlogs"))
                await until(sync_to_async(lambda: len(appsync.requests("syncBlogs")) > asked))
                assert len(appsync.requests("syncPosts")) == 1

    asyncio.run(story())


def test_listener_keeps_its_lease_through_a_long_catch_up(
    site: Engine, appsync: AppSyncForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_LISTENER_LEASE", timedelta(seconds=1.5))

    async def expires_at() -> datetime:
        return await asyncio.to_thread(
            _with_a_connection_of_its_own, lambda: Lease.objects.get(pk="listener").expires_at
        )

    async def is_later_than(moment: datetime) -> bool:
        return await expires_at() > moment

    async def story() -> None:
        held = appsync.faults.hold("syncPosts")
        async with listener_of(site) as listener:
            await asyncio.to_thread(held.wait)
            before = await expires_at()
            await until(lambda: is_later_than(before + timedelta(seconds=1.5)))
            assert (await asyncio.to_thread(_with_a_connection_of_its_own, listening.current)).is_running
            held.release()
            await listener.live()

    asyncio.run(story())


def _with_a_connection_of_its_own(call: Callable[[], T]) -> T:
    """The thread that async code shares is busy with the catch-up."""
    try:
        return call()
    finally:
        connections.close_all()


# -- a model -------------------------------------------------------------------------------------------------------

MODELS: dict[str, Switch] = {
    "internal failure": lambda faults: faults.internal_failure("syncBlogs"),
    "server error": lambda faults: faults.server_error("syncBlogs"),
    "throttled": lambda faults: faults.throttled("syncBlogs"),
    "not authorized": lambda faults: faults.not_authorized("syncBlogs"),
    "nothing": lambda faults: faults.null("syncBlogs"),
    "a page": lambda faults: faults.html("syncBlogs"),
}
each_failure = pytest.mark.parametrize("switch", MODELS.values(), ids=MODELS.keys())


@each_failure
def test_model_that_cannot_be_synced_is_told_and_the_others_are_synced(
    site: Engine, appsync: AppSyncForTests, switch: Switch
) -> None:
    device(appsync, "create", "Post", title="heard")
    assert registry.in_topological_order().index(registry.get(Blog)) < registry.in_topological_order().index(
        registry.get(Post)
    )
    with switch(appsync.faults), pytest.raises(SyncError) as failure:
        site.sync()
    assert Post.objects.get().title == "heard"
    assert ModelMetadata.objects.get(model="blog.blog").last_error == failure.value.message
    assert f"Blog: synced never   error: {failure.value.message}" in run("datastore", "status")
    site.sync()
    assert ModelMetadata.objects.get(model="blog.blog").last_error == ""


@each_failure
def test_outbox_drains_after_an_outage_though_one_model_cannot_catch_up(
    site: Engine, appsync: AppSyncForTests, switch: Switch
) -> None:
    Post.objects.create(title="mine", blog=Blog.objects.create(name="mine"))
    _after_an_outage()
    with switch(appsync.faults):
        site.drain()
    assert not MutationEvent.objects.exists()
    assert not connectivity.is_offline()
    assert [record["title"] for record in appsync.records("Post")] == ["mine"]


def test_outbox_drains_after_an_outage_though_no_model_can_catch_up(site: Engine, appsync: AppSyncForTests) -> None:
    Post.objects.create(title="mine")
    _after_an_outage()
    for sync in registry.all():
        appsync.faults.internal_failure(f"sync{sync.schema.plural_name}")
    site.drain()
    assert len(appsync.records("Post")) == 1


AWAY: dict[str, Switch] = {
    "server error": lambda faults: faults.server_error(),
    "throttled": lambda faults: faults.throttled(),
    "captive portal": lambda faults: faults.html(),
}


@pytest.mark.parametrize("switch", AWAY.values(), ids=AWAY.keys())
def test_nothing_is_sent_while_appsync_answers_nothing_after_an_outage(
    site: Engine, appsync: AppSyncForTests, switch: Switch
) -> None:
    Post.objects.create(title="mine")
    _after_an_outage()
    with switch(appsync.faults):
        site.drain()
        assert connectivity.is_offline()
        assert not reachability.may_probe()
    assert MutationEvent.objects.get().attempts == 0
    assert not appsync.requests("createPost")
    reachability.probe_now()
    site.drain()
    assert not MutationEvent.objects.exists()


@each_failure
def test_listener_is_live_though_one_model_cannot_catch_up(
    site: Engine, appsync: AppSyncForTests, switch: Switch
) -> None:
    async def story() -> None:
        fault = switch(appsync.faults)
        async with listener_of(site) as listener:
            await listener.live()
            await sync_to_async(device)(appsync, "create", "Post", SELECTION, title="heard")
            await titles("heard")
            assert len(appsync.requests("syncPosts")) == 1  # it was heard, not asked for
            await sync_to_async(device)(appsync, "create", "Blog", "id _version", name="not heard")
            fault.off()
            await until(Blog.objects.filter(name="not heard").aexists)  # the model is asked again

    asyncio.run(story())


SELECTION = "id title _version _lastChangedAt _deleted"


def _after_an_outage() -> None:
    connectivity.went_offline()
    reachability.probe_now()


# -- a person's sync expression ------------------------------------------------------------------------------------


def _raises() -> Q:
    raise RuntimeError("no tenant")


@pytest.mark.parametrize("expression", [Q(nonsense=1), Q(name__nonsense=1), _raises, lambda: "rubbish", 5])
def test_sync_expression_that_fails_stops_its_model_only(
    site: Engine, appsync: AppSyncForTests, monkeypatch: pytest.MonkeyPatch, expression: Any
) -> None:
    monkeypatch.setattr(registry.get(Blog), "sync_expression", expression)
    device(appsync, "create", "Post", title="synced")
    with pytest.raises(BadModel, match=r"sync_expression of 'blog\.blog'"):
        site.sync()
    assert Post.objects.get().title == "synced"
    assert "sync_expression" in ModelMetadata.objects.get(model="blog.blog").last_error

    async def story() -> None:
        async with listener_of(site) as listener:
            await listener.live()
            await sync_to_async(device)(appsync, "create", "Post", SELECTION, title="heard")
            await titles("synced", "heard")

    asyncio.run(story())
