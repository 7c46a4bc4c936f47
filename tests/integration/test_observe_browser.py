"""storage ─▶ observe ─▶ browsers: what a connection is told, through the whole ASGI application with real sessions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import Permission, User
from django.core.asgi import get_asgi_application
from django.db import connections
from django.db.models import Q
from django.test import Client

from django_datastore import registry, routing
from django_datastore.consumers import DataStoreConsumer
from django_datastore.models import ModelMetadata
from django_datastore.observe import live_query
from testproject.blog.models import Blog, Post
from tests.shop.models import Article, Supplier

pytestmark = pytest.mark.django_db(transaction=True)

APPLICATION = routing.application(get_asgi_application())


class Browser:
    """One WebSocket connection, as a browser makes it."""

    def __init__(self, cookies: str = "", *, origin: str = "http://localhost", application: Any = APPLICATION) -> None:
        headers = [(b"host", b"localhost"), (b"origin", origin.encode()), (b"cookie", cookies.encode())]
        scope = {
            "type": "websocket",
            "path": "/ws/datastore/",
            "headers": headers,
            "query_string": b"",
            "subprotocols": [],
        }
        self._link = ApplicationCommunicator(application, scope)

    async def __aenter__(self) -> Self:
        await self._link.send_input({"type": "websocket.connect"})
        assert (await self._link.receive_output(10))["type"] == "websocket.accept"
        assert await self.told() == {"type": "ready", "protocol": 1, "maxSubscriptions": 100}
        return self

    async def __aexit__(self, kind: type | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        await self._link.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._link.wait(10)

    async def refused(self) -> bool:
        """Whether the site will not have the connection."""
        await self._link.send_input({"type": "websocket.connect"})
        found = (await self._link.receive_output(10))["type"] == "websocket.close"
        await self._link.wait(10)
        return found

    async def say(self, **message: Any) -> None:
        await self.send(text=json.dumps(message))

    async def send(self, **frame: Any) -> None:
        await self._link.send_input({"type": "websocket.receive", **frame})

    async def told(self) -> dict[str, Any]:
        frame = await self._link.receive_output(10)
        found: dict[str, Any] = json.loads(frame["text"])
        return found

    async def ask(self, **message: Any) -> dict[str, Any]:
        await self.say(**message)
        return await self.told()


@pytest.fixture(autouse=True)
async def _close_connections() -> AsyncIterator[None]:
    """PostgreSQL keeps a test database as long as the thread behind `acreate` is connected to it."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.fixture
def suppliers_of_ann() -> Iterator[None]:
    """Users may watch the suppliers that carry their name."""
    sync: Any = registry.get(Supplier)
    sync.observable_by = lambda user: Q(name=user.username)
    yield
    del sync.observable_by


def login(*codenames: str, username: str = "ann") -> tuple[User, str]:
    user = User.objects.create_user(username)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return user, f"sessionid={client.cookies['sessionid'].value}"


alogin = sync_to_async(login)


async def test_a_live_query_starts_with_a_snapshot_and_goes_on_with_changes() -> None:
    blog = await Blog.objects.acreate(name="A")
    first = await Post.objects.acreate(title="first", rating=3, blog=blog)
    async with Browser() as browser:
        snapshot = await browser.ask(type="observeQuery", id="1", model="Post", sort=["-rating"])
        assert (snapshot["type"], snapshot["id"], snapshot["isSynced"]) == ("snapshot", "1", False)
        assert snapshot["keyFields"] == ["id"]
        (item,) = snapshot["items"]
        assert (item["id"], item["title"], item["blogPostsId"]) == (str(first.pk), "first", str(blog.pk))
        assert "draftNotes" not in item

        second = await Post.objects.acreate(title="second", rating=5)
        added = await browser.told()
        assert [found["title"] for found in added["upserts"]] == ["second"]
        assert (added["type"], added["id"], added["positions"], added["deletes"]) == ("changes", "1", [0], [])
        assert added["cursor"] > snapshot["cursor"]

        first.rating = 9
        await first.asave()
        assert (await browser.told())["positions"] == [0]
        key = str(second.pk)
        await second.adelete()
        assert (await browser.told())["deletes"] == [key]
        await ModelMetadata.objects.acreate(model="blog.post", last_sync=1)
        assert (await browser.told())["isSynced"] is True


async def test_a_filter_is_amplifys_and_rows_leave_that_match_no_more() -> None:
    post = await Post.objects.acreate(title="x", rating=5)
    await Post.objects.acreate(title="y", rating=1)
    async with Browser() as browser:
        wanted = {"or": [{"rating": {"gt": 3}}, {"title": {"beginsWith": "z"}}]}
        snapshot = await browser.ask(type="observeQuery", id="q", model="Post", filter=wanted)
        assert [item["title"] for item in snapshot["items"]] == ["x"]
        post.rating = 2
        await post.asave()
        assert (await browser.told())["deletes"] == [str(post.pk)]


async def test_observe_tells_of_each_change() -> None:
    async with Browser() as browser:
        # a live query's first snapshot says that what was asked for before it is watched, too
        await browser.say(type="observe", id="o", model="Post", filter={"rating": {"ge": 1}})
        await browser.ask(type="observeQuery", id="q", model="Blog")
        post = await Post.objects.acreate(title="x", rating=1)
        change = await browser.told()
        assert (change["type"], change["id"], change["opType"], change["model"]) == ("change", "o", "INSERT", "Post")
        assert change["element"]["title"] == "x"
        await post.adelete()
        change = await browser.told()
        assert (change["opType"], change["element"]["title"]) == ("DELETE", "x")


async def test_unsubscribing_is_confirmed_and_nothing_follows() -> None:
    async with Browser() as browser:
        await browser.ask(type="observeQuery", id="1", model="Post")
        await browser.ask(type="observeQuery", id="2", model="Post")
        assert await browser.ask(type="unsubscribe", id="1") == {"type": "complete", "id": "1"}
        await Post.objects.acreate(title="x")
        assert (await browser.told())["id"] == "2"
        assert (await browser.ask(type="unsubscribe", id="1"))["code"] == "unknown_id"


@pytest.mark.parametrize(
    ("frame", "code", "said"),
    [
        ({"bytes": b"\x00"}, "bad_message", "Binary frames"),
        ({"text": "{"}, "bad_message", "not JSON"),
        ({"text": "[" * 5000}, "bad_message", "not JSON"),
        ({"text": "[]"}, "bad_message", "JSON object"),
        ({"text": '{"type": "dance", "id": "1"}'}, "unknown_type", "Known: observe, observeQuery"),
        ({"text": '{"type": "observe", "id": 1}'}, "bad_message", "needs an 'id'"),
        ({"text": '{"type": "observe", "id": "1", "model": "Pots"}'}, "unknown_model", "Did you mean 'Post'"),
        ({"text": '{"type": "observe", "id": "1", "model": "Article"}'}, "forbidden", "may not watch 'Article'"),
        ({"text": '{"type": "observe", "id": "1", "model": "Post", "filter": []}'}, "bad_filter", "'filter' is an"),
        (
            {"text": '{"type": "observeQuery", "id": "1", "model": "Post", "filter": {"rating": {"like": 1}}}'},
            "bad_filter",
            "Allowed: eq, ne",
        ),
        (
            {"text": '{"type": "observeQuery", "id": "1", "model": "Post", "filter": {"blog": {"name": {"eq": "A"}}}}'},
            "bad_filter",
            "related model",
        ),
        (
            {"text": '{"type": "observeQuery", "id": "1", "model": "Post", "sort": ["x"]}'},
            "bad_sort",
            "no synced field",
        ),
    ],
)
async def test_nonsense_is_answered_and_the_connection_lives(frame: dict[str, Any], code: str, said: str) -> None:
    async with Browser() as browser:
        await browser.send(**frame)
        error = await browser.told()
        assert (error["type"], error["code"]) == ("error", code)
        assert said in error["message"]
        assert (await browser.ask(type="observeQuery", id="1", model="Post"))["type"] == "snapshot"


async def test_what_only_the_database_can_refuse_is_answered_too() -> None:
    async with Browser() as browser:
        for operand in ("\x00", "\ud800"):
            found = await browser.ask(type="observeQuery", id="1", model="Post", filter={"title": {"eq": operand}})
            assert found["type"] == "error" or found["items"] == []
            if found["type"] == "snapshot":
                await browser.ask(type="unsubscribe", id="1")
        assert (await browser.ask(type="observeQuery", id="1", model="Post"))["type"] == "snapshot"


async def test_an_id_is_taken_once_and_subscriptions_are_limited() -> None:
    async with Browser() as browser:
        for number in range(100):
            await browser.ask(type="observeQuery", id=str(number), model="Post")
        assert (await browser.ask(type="observeQuery", id="0", model="Post"))["code"] == "duplicate_id"
        error = await browser.ask(type="observeQuery", id="more", model="Post")
        assert (error["code"], error["id"]) == ("too_many", "more")
        assert "100" in error["message"]


async def test_users_see_what_their_permission_and_observable_by_allow(suppliers_of_ann: None) -> None:
    await Supplier.objects.acreate(code="a", name="ann")
    await Supplier.objects.acreate(code="b", name="bob")
    _, stranger = await alogin(username="eve")
    _, cookies = await alogin("view_supplier")
    async with Browser(stranger) as browser:
        assert (await browser.ask(type="observeQuery", id="1", model="Supplier"))["code"] == "forbidden"
    async with Browser(cookies) as browser:
        snapshot = await browser.ask(type="observeQuery", id="1", model="Supplier")
        assert [item["code"] for item in snapshot["items"]] == ["a"]
        await browser.say(type="observe", id="2", model="Supplier")
        await browser.ask(type="observeQuery", id="3", model="Post")
        await Supplier.objects.filter(code="b").adelete()
        await Supplier.objects.filter(code="a").adelete()
        told = [await browser.told(), await browser.told()]
    assert {found["id"]: found.get("deletes") or found["element"]["code"] for found in told} == {"1": ["a"], "2": "a"}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions are asked for again at once."""
    monkeypatch.setattr(DataStoreConsumer, "recheck_seconds", 0.02)


@pytest.mark.usefixtures("impatient")
async def test_a_permission_that_is_withdrawn_ends_the_subscription() -> None:
    user, cookies = await alogin("view_article")
    async with Browser(cookies) as browser:
        assert (await browser.ask(type="observeQuery", id="1", model="Article"))["type"] == "snapshot"
        await user.user_permissions.aclear()
        error = await browser.told()
        assert (error["id"], error["code"]) == ("1", "forbidden")
        await Article.objects.acreate(name="secret")
        assert (await browser.ask(type="observeQuery", id="2", model="Post"))["type"] == "snapshot"


@pytest.mark.usefixtures("impatient")
async def test_logging_out_ends_what_only_the_user_may_see() -> None:
    _, cookies = await alogin("view_article")
    async with Browser(cookies) as browser:
        assert (await browser.ask(type="observeQuery", id="1", model="Article"))["type"] == "snapshot"
        client = Client()
        client.cookies.load(cookies)
        await sync_to_async(client.logout)()
        assert (await browser.told())["code"] == "forbidden"


@pytest.mark.usefixtures("impatient", "suppliers_of_ann")
async def test_rows_follow_the_user_who_may_see_them() -> None:
    await Supplier.objects.acreate(code="a", name="ann")
    await Supplier.objects.acreate(code="b", name="bob")
    user, cookies = await alogin("view_supplier")
    async with Browser(cookies) as browser:
        await browser.ask(type="observeQuery", id="1", model="Supplier")
        user.username = "bob"
        await user.asave()
        snapshot = await browser.told()
        assert (snapshot["type"], [item["code"] for item in snapshot["items"]]) == ("snapshot", ["b"])


async def test_browsers_share_one_evaluation_and_one_text(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    encode = live_query.protocol.encode
    monkeypatch.setattr(live_query.protocol, "encode", lambda message: made.append(message["type"]) or encode(message))
    browsers = [Browser() for _ in range(5)]
    for number, browser in enumerate(browsers):
        await browser.__aenter__()
        snapshot = await browser.ask(type="observeQuery", id=str(number), model="Post", filter={"rating": {"ge": 1}})
        assert snapshot["id"] == str(number)
    await Post.objects.acreate(title="x", rating=1)
    told = await asyncio.gather(*(browser.told() for browser in browsers))
    for browser in browsers:
        await browser.__aexit__(None, None, None)
    assert [found.pop("id") for found in told] == ["0", "1", "2", "3", "4"]
    assert all(found == told[0] for found in told)
    assert (made.count("snapshot"), made.count("changes")) == (1, 1)
