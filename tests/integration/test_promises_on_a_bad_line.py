"""Promises 6, 8 and 10 on a line that fails: a sync goes on where it was, a listener misses nothing for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, close_old_connections

from django_datastore.exceptions import SyncError
from django_datastore.sync import merger
from django_datastore.sync.engine import Engine
from django_datastore.testing.appsync import AppSyncForTests
from django_datastore.testing.faults import ActiveFault, FaultSwitches
from testproject.blog.models import Post

Switch = Callable[[FaultSwitches], ActiveFault]
FIELDS = "id title tags _version _lastChangedAt _deleted"
CREATE = f"mutation ($input: CreatePostInput!) {{ createPost(input: $input) {{ {FIELDS} }} }}"
UPDATE = f"mutation ($input: UpdatePostInput!) {{ updatePost(input: $input) {{ {FIELDS} }} }}"


@pytest.fixture
def datastore_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Small pages; little patience only where no answer comes."""
    seconds = 3.0 if "too_late" in request.node.name else 20.0
    return {"REQUEST_TIMEOUT_SECONDS": seconds, "LEASE_SECONDS": 40.0, "SYNC_PAGE_SIZE": 10}


SECOND_PAGE: dict[str, Any] = {"after": 1, "times": 1}
PAGES: dict[str, Switch] = {
    "reply_lost": lambda faults: faults.reply_lost("syncPosts", **SECOND_PAGE),
    "reply_cut": lambda faults: faults.reply_cut("syncPosts", **SECOND_PAGE),
    "reply_shortened": lambda faults: faults.reply_shortened("syncPosts", **SECOND_PAGE),
    "captive_portal": lambda faults: faults.html("syncPosts", **SECOND_PAGE),
    "throttled": lambda faults: faults.throttled("syncPosts", **SECOND_PAGE),
    "token_expired": lambda faults: faults.token_expired("syncPosts", **SECOND_PAGE),
    "server_error": lambda faults: faults.server_error("syncPosts", **SECOND_PAGE),
    "internal_failure": lambda faults: faults.internal_failure("syncPosts", **SECOND_PAGE),
    "null": lambda faults: faults.null("syncPosts", **SECOND_PAGE),
    "too_late": lambda faults: faults.hold("syncPosts", **SECOND_PAGE),
}


@pytest.mark.parametrize("switch", PAGES.values(), ids=PAGES.keys())
def test_sync_goes_on_at_the_page_that_failed(site: Engine, appsync: AppSyncForTests, switch: Switch) -> None:
    appsync.load("Post", [{"title": f"P{n}", "_version": 1 + n, **_id(n)} for n in range(35)])
    with switch(appsync.faults) as fault:
        with pytest.raises(SyncError):
            site.sync(full=True)
        assert fault.hits == 1
        assert Post.objects.count() == 10
    site.sync()
    assert set(Post.objects.values_list("title", flat=True)) == {f"P{n}" for n in range(35)}
    assert len(appsync.requests("syncPosts", outcome="ok")) + len(appsync.requests("syncPosts", outcome="lost")) <= 5


@pytest.mark.parametrize("switch", PAGES.values(), ids=PAGES.keys())
def test_failed_base_sync_sweeps_nothing(site: Engine, appsync: AppSyncForTests, switch: Switch) -> None:
    appsync.load("Post", [{"title": f"P{n}", **_id(n)} for n in range(15)])
    site.sync(full=True)
    with switch(appsync.faults) as fault, pytest.raises(SyncError):
        site.sync(full=True)
    assert fault.hits == 1
    assert Post.objects.count() == 15
    site.sync(full=True)
    assert Post.objects.count() == 15


def test_pages_get_smaller_until_they_fit(site: Engine, appsync: AppSyncForTests) -> None:
    appsync.load("Post", [{"title": f"P{n}", **_id(n)} for n in range(15)])
    with appsync.faults.page_too_large("syncPosts", beyond=4) as fault:
        site.sync(full=True)
    assert fault.hits == 2  # 10, 5, and then 2 for this page and all others
    assert Post.objects.count() == 15
    assert len(appsync.requests("syncPosts", outcome="ok")) == 8


def test_record_that_fits_no_page_is_told(site: Engine, appsync: AppSyncForTests) -> None:
    with appsync.faults.page_too_large("syncPosts") as fault, pytest.raises(SyncError, match="too large"):
        site.sync(full=True)
    assert fault.hits == 4  # 10, 5, 2, 1


def _id(number: int) -> dict[str, str]:
    return {"id": f"00000000-0000-4000-8000-{number:012}"}


# -- realtime ----------------------------------------------------------------------------------------------------------


class Listener:
    """A listener of this site and what it said."""

    def __init__(self, site: Engine) -> None:
        self._lives = asyncio.Semaphore(0)
        self.lines: list[str] = []
        self._task = asyncio.create_task(site.listen(announce=self._announce))

    def _announce(self, line: str) -> None:
        self.lines.append(line)
        if line == "live":
            self._lives.release()

    async def live(self) -> None:
        """Returns when it is live (once more)."""
        await asyncio.wait_for(self._lives.acquire(), 60)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def listening(site: Engine) -> AsyncIterator[Listener]:
    listener = Listener(site)
    try:
        yield listener
    finally:
        await listener.stop()
        await sync_to_async(close_old_connections)()


async def titles(*expected: str) -> None:
    """Returns when these are the posts here."""
    found: set[str] = set()
    for _ in range(6000):
        found = {title async for title in Post.objects.values_list("title", flat=True)}
        if found == set(expected):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"The posts are {found}.")


async def announce(appsync: AppSyncForTests, document: str, **values: Any) -> None:
    await sync_to_async(appsync.execute)(document, {"input": values})


@pytest.mark.parametrize("end", ["cut", "closed", "restarted"])
def test_listener_comes_back_and_catches_up(site: Engine, appsync: AppSyncForTests, end: str) -> None:
    async def story() -> None:
        async with listening(site) as listener:
            await listener.live()
            with appsync.faults.drop_event("onCreatePost") as fault:
                await announce(appsync, CREATE, title="missed", **_id(1))
            assert fault.hits == 1
            if end == "cut":
                assert appsync.cut_sockets() == 1
            elif end == "closed":
                assert appsync.close_sockets(1001) == 1
            else:
                await sync_to_async(appsync.stop)()
                await sync_to_async(appsync.start)()
            await listener.live()
            await titles("missed")
            await announce(appsync, CREATE, title="heard", **_id(2))
            await titles("missed", "heard")

    asyncio.run(story())


def test_events_twice_and_in_reverse_end_up_right(site: Engine, appsync: AppSyncForTests) -> None:
    async def story() -> None:
        async with listening(site) as listener:
            await listener.live()
            with (
                appsync.faults.duplicate_event("onCreatePost"),
                appsync.faults.reorder_events("onUpdatePost", count=3, times=3) as reversed_,
            ):
                await announce(appsync, CREATE, title="one", tags=["a"], **_id(1))
                for version, title in enumerate(("two", "three", "four"), start=1):
                    await announce(appsync, UPDATE, title=title, _version=version, **_id(1))
            assert reversed_.hits == 3
            await titles("four")
            await announce(appsync, CREATE, title="last", **_id(2))
            await titles("four", "last")

    asyncio.run(story())
    assert Post.objects.count() == 2


def test_update_that_comes_before_its_create_ends_up_right(site: Engine, appsync: AppSyncForTests) -> None:
    async def story() -> None:
        async with listening(site) as listener:
            await listener.live()
            held = appsync.faults.hold_event("onCreatePost")
            await announce(appsync, CREATE, title="one", **_id(1))
            await announce(appsync, UPDATE, title="two", _version=1, **_id(1))
            await titles("two")
            held.release()
            await announce(appsync, CREATE, title="last", **_id(2))
            await titles("two", "last")

    asyncio.run(story())


def test_listener_outlives_a_deadlock(site: Engine, appsync: AppSyncForTests, monkeypatch: pytest.MonkeyPatch) -> None:
    def merge_page(*args: Any, **named: Any) -> None:
        monkeypatch.undo()
        raise OperationalError("deadlock detected")

    async def story() -> None:
        async with listening(site) as listener:
            await listener.live()
            monkeypatch.setattr(merger, "merge_page", merge_page)
            await announce(appsync, CREATE, title="heard", **_id(1))
            await listener.live()
            await titles("heard")
            assert listener.lines[-2:] == ["disconnected: the database failed: deadlock detected", "live"]

    asyncio.run(story())


def test_refused_subscription_holds_back_no_other(site: Engine, appsync: AppSyncForTests) -> None:
    async def story() -> None:
        with appsync.faults.refuse_start("onCreateBlog") as fault:
            async with listening(site) as listener:
                await listener.live()
                assert fault.hits == 1
                await announce(appsync, CREATE, title="heard", **_id(1))
                await titles("heard")

    asyncio.run(story())


SOCKETS: dict[str, Switch] = {
    "401": lambda faults: faults.refuse_socket(status=401, times=2),
    "503": lambda faults: faults.refuse_socket(status=503, times=2),
    "token_expired": lambda faults: faults.refuse_connection(times=2),
}


@pytest.mark.parametrize("switch", SOCKETS.values(), ids=SOCKETS.keys())
def test_socket_that_is_refused_is_tried_again(site: Engine, appsync: AppSyncForTests, switch: Switch) -> None:
    async def story() -> None:
        with switch(appsync.faults) as fault:
            async with listening(site) as listener:
                await listener.live()
                assert fault.hits == 2
                assert [line.split(":")[0] for line in listener.lines][-3:] == ["disconnected", "disconnected", "live"]

    asyncio.run(story())


@pytest.mark.appsync_local(CONNECTION_TIMEOUT_SECONDS=1, KEEP_ALIVE_SECONDS=0.2)
def test_listener_leaves_a_line_on_which_no_keep_alive_comes(site: Engine, appsync: AppSyncForTests) -> None:
    async def story() -> None:
        async with listening(site) as listener:
            await listener.live()
            with appsync.faults.stop_keep_alives() as fault, appsync.faults.drop_event("onCreatePost"):
                await announce(appsync, CREATE, title="missed", **_id(1))
                await asyncio.to_thread(fault.wait)
                await titles("missed")  # it came back and caught up, though no event ever came

    asyncio.run(story())
