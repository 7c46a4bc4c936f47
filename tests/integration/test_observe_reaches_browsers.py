"""storage ─▶ observe ─▶ browsers: the WebSocket with sessions, permissions and nonsense, on real rows."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers, get_channel_layer
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import Permission, User
from django.core.asgi import get_asgi_application
from django.db import connection, connections
from django.db.models import Q
from django.test import Client

from django_datastore import consumers, registry, routing
from django_datastore.models import Change
from django_datastore.storage.outbox.entries import muted
from testproject.blog.models import Blog, Post
from tests.shop.models import Supplier

pytestmark = pytest.mark.django_db(transaction=True)

APPLICATION = routing.application(get_asgi_application())


class Browser:
    """A connection as a browser has it: with cookies and an origin."""

    def __init__(self, user: User | None = None, origin: str = "http://localhost") -> None:
        headers = [(b"origin", origin.encode())]
        if user is not None:
            self.client = Client()
            self.client.force_login(user)
            headers.append((b"cookie", f"sessionid={self.client.cookies['sessionid'].value}".encode()))
        self.socket = WebsocketCommunicator(APPLICATION, "/ws/datastore/", headers=headers)

    async def send(self, **message: Any) -> None:
        await self.socket.send_to(text_data=json.dumps(message))

    async def next(self) -> dict[str, Any]:
        found = json.loads((await self.socket.receive_from(timeout=60)).encode())  # a real socket carries UTF-8
        assert isinstance(found, dict)
        return found

    async def next_of(self, **fields: Any) -> dict[str, Any]:
        found = await self.next()
        assert {name: found.get(name) for name in fields} == fields, found
        return found

    async def watch(self, model: str, subscription: str = "1", **more: Any) -> dict[str, Any]:
        await self.send(type="observeQuery", id=subscription, model=model, **more)
        return await self.next_of(type="snapshot", id=subscription)


@asynccontextmanager
async def browser(user: User | None = None) -> AsyncIterator[Browser]:
    """A browser that has been greeted."""
    found = await sync_to_async(Browser)(user)
    connected, _ = await found.socket.connect(timeout=60)
    assert connected
    await found.next_of(type="ready", maxSubscriptions=100)
    yield found
    await found.socket.disconnect(timeout=60)


@pytest.fixture(autouse=True)
async def no_connection_left() -> AsyncIterator[None]:
    yield
    await sync_to_async(connections.close_all)()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions are asked for anew all the time."""
    monkeypatch.setattr(consumers.DataStoreConsumer, "recheck_seconds", 0.05)


@sync_to_async
def make_user(*permissions: str) -> User:
    user = User.objects.create_user("viewer", password="secret")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


async def test_a_live_query_gets_its_rows_then_what_becomes_of_them() -> None:
    high = await Post.objects.acreate(title="high", rating=9)
    async with browser() as page:
        first = await page.watch("Post", filter={"rating": {"gt": 3}}, sort=["-rating"])
        assert [item["title"] for item in first["items"]] == ["high"]
        assert (first["keyFields"], first["isSynced"]) == (["id"], False)
        new = await Post.objects.acreate(title="new", rating=5, draft_notes="stays here")
        added = await page.next_of(type="changes", id="1", positions=[1], deletes=[])
        assert added["upserts"][0]["title"] == "new"
        assert "draftNotes" not in added["upserts"][0]
        high.rating = 1
        await high.asave()
        await page.next_of(type="changes", upserts=[], deletes=[str(high.pk)])
        key = str(new.pk)
        await new.adelete()
        await page.next_of(type="changes", upserts=[], deletes=[key])


@pytest.mark.skipif(connection.vendor != "sqlite", reason="no other database's JSON holds half of a surrogate pair")
async def test_half_of_a_surrogate_pair_reaches_the_browser_and_the_watch_goes_on() -> None:
    with muted():  # save() would refuse it, as AppSync does; rows of before registration are not asked
        post = await Post.objects.acreate(title="a", tags=["\ud800"], metadata={"\udfff": 1})
    async with browser() as page:
        (item,) = (await page.watch("Post"))["items"]
        assert (item["tags"], json.loads(item["metadata"])) == (["\ud800"], {"\udfff": 1})
        post.tags = ["\udfff"]
        with muted():
            await post.asave()
        assert (await page.next_of(type="changes"))["upserts"][0]["tags"] == ["\udfff"]
        await Post.objects.acreate(title="b")
        assert (await page.next_of(type="changes"))["upserts"][0]["title"] == "b"


async def test_an_observer_gets_every_change() -> None:
    async with browser() as page:
        await page.watch("Post", "ready")  # answered after the observer has joined: joins are in order
        await page.send(type="observe", id="1", model="Post")
        await page.watch("Post", "joined", filter={"rating": {"eq": 1}})
        post = await Post.objects.acreate(title="a", rating=0)
        found = [await page.next() for _ in "12"]
        (change,) = [item for item in found if item["id"] == "1"]
        assert (change["type"], change["opType"], change["model"]) == ("change", "INSERT", "Post")
        assert change["element"]["id"] == str(post.pk)


async def test_many_subscriptions_on_one_connection_and_unsubscribe() -> None:
    async with browser() as page:
        await page.watch("Post", "posts")
        await page.watch("Comment", "comments")
        await page.send(type="unsubscribe", id="posts")
        await page.next_of(type="complete", id="posts")
        await Post.objects.acreate(title="unseen")
        await page.watch("Post", "posts")  # the id is free again, and nothing came in between


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        ({"type": "observe", "id": "1", "model": "Pots"}, "unknown_model", "Did you mean 'Post'"),
        ({"type": "observe", "id": "1", "model": "auth.User"}, "unknown_model", "auth.User"),
        ({"type": "observe", "id": "1", "model": "Supplier"}, "forbidden", "may not watch"),
        ({"type": "observe", "id": "1", "model": "Post", "filter": {"colour": {"eq": 1}}}, "bad_filter", "rating"),
        ({"type": "observe", "id": "1", "model": "Post", "filter": {"rating": {"like": 1}}}, "bad_filter", "like"),
        ({"type": "observe", "id": "1", "model": "Post", "filter": {"rating": {"eq": "x"}}}, "bad_filter", "rating"),
        ({"type": "observe", "id": "1", "model": "Post", "filter": {"draftNotes": {"eq": "x"}}}, "bad_filter", "draft"),
        ({"type": "observe", "id": "1", "model": "Post", "filter": {"rating": {"gt": 10**30}}}, None, ""),
        ({"type": "observeQuery", "id": "1", "model": "Post", "sort": ["colour"]}, "bad_sort", "colour"),
        ({"type": "unsubscribe", "id": "1"}, "unknown_id", "1"),
        ({"type": "dance", "id": "1"}, "unknown_type", "observeQuery"),
        ({"type": "observe", "id": 1, "model": "Post"}, "bad_message", "'id'"),
        ([1, 2], "bad_message", "JSON object"),
    ],
)
async def test_nonsense_is_answered_and_the_connection_lives(message: Any, code: str | None, says: str) -> None:
    async with browser() as page:
        await page.socket.send_to(text_data=json.dumps(message))
        if code is not None:
            found = await page.next_of(type="error", code=code)
            assert says in found["message"]
        await page.watch("Post", "2")


async def test_frames_that_are_no_json_text_are_answered() -> None:
    async with browser() as page:
        await page.socket.send_to(text_data="{")
        await page.next_of(type="error", code="bad_message", id=None)
        await page.socket.send_to(bytes_data=b"\x00\x01")
        await page.next_of(type="error", code="bad_message", id=None)
        await page.watch("Post")


async def test_an_id_in_use_is_refused_and_its_subscription_goes_on() -> None:
    async with browser() as page:
        await page.watch("Post")
        await page.send(type="observe", id="1", model="Post")
        await page.next_of(type="error", code="duplicate_id", id="1")
        await Post.objects.acreate(title="a")
        await page.next_of(type="changes", id="1")


async def test_a_connection_has_a_limit_of_subscriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    async with browser() as page:
        monkeypatch.setattr(consumers.DataStoreConsumer, "max_subscriptions", 2)
        await page.watch("Post", "1")
        await page.watch("Post", "2")
        await page.send(type="observe", id="3", model="Post")
        await page.next_of(type="error", code="too_many", id="3")
        await page.send(type="unsubscribe", id="1")
        await page.next_of(type="complete", id="1")
        await page.watch("Post", "3")


async def test_a_user_without_the_permission_learns_nothing_of_the_model() -> None:
    async with browser(await make_user()) as page:
        await page.send(type="observe", id="1", model="Suplier")  # near the name of a model it may not see
        found = await page.next_of(type="error", code="unknown_model")
        assert "Supplier" not in found["message"]


async def test_a_user_with_the_permission_sees_the_rows_of_observable_by(monkeypatch: pytest.MonkeyPatch) -> None:
    await Supplier.objects.acreate(code="theirs", name="x")
    monkeypatch.setattr(registry.get(Supplier), "observable_by", lambda user: Q(name=user.username), raising=False)
    async with browser(await make_user("view_supplier")) as page:
        assert (await page.watch("Supplier"))["items"] == []
        await Supplier.objects.acreate(code="other", name="y")
        await Supplier.objects.acreate(code="own", name="viewer")
        found = await page.next_of(type="changes", deletes=[])
        assert [item["code"] for item in found["upserts"]] == ["own"]
        # a filter of the browser's own cannot widen it
        assert [item["code"] for item in (await page.watch("Supplier", "2", filter={}))["items"]] == ["own"]
        wide = {"or": [{"name": {"ne": "viewer"}}, {"name": {"eq": "viewer"}}]}
        assert [item["code"] for item in (await page.watch("Supplier", "3", filter=wide))["items"]] == ["own"]


def names_others(user: User) -> Q:
    """A policy over other people's names, as one may be."""
    return Q(name=user.username) | ~Q(code__in=["secret-ann", "secret-bob"])


@pytest.mark.parametrize("kind", ["observe", "observeQuery"])
@pytest.mark.parametrize(
    "wanted",
    [
        {"name": {"eq": "a\x00"}},
        {"name": {"contains": "\ud800"}},
        {"name": {"in": ["\udfff"]}},
        {"name": {"gt": "\x00"}, "code": {"ne": "\ud800"}},
    ],
)
async def test_a_refused_filter_tells_nothing_of_what_the_site_allows(
    monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], kind: str
) -> None:
    monkeypatch.setattr(registry.get(Supplier), "observable_by", names_others, raising=False)
    async with browser(await make_user("view_supplier")) as page:
        await page.send(type=kind, id="1", model="Supplier", filter=wanted)
        found = await page.next_of(type="error", code="bad_filter", id="1")
        assert "'name'" in found["message"]
        assert "secret" not in found["message"]


def compiles_and_is_refused(user: User) -> Q:
    """A policy whose text no database can be sent."""
    return Q(code__in=["secret-ann"]) | Q(name__gt="secret-bob\ud800")


@pytest.mark.parametrize(("wanted", "code"), [({"name": {"eq": "mine"}}, "bad_filter"), ({}, "unavailable")])
async def test_a_predicate_the_database_refuses_is_told_in_the_browsers_own_words(
    monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], code: str
) -> None:
    monkeypatch.setattr(registry.get(Supplier), "observable_by", compiles_and_is_refused, raising=False)
    async with browser(await make_user("view_supplier")) as page:
        await page.send(type="observeQuery", id="1", model="Supplier", filter=wanted)
        if connection.vendor == "postgresql":
            code = "forbidden"  # its driver says so before anything is asked, so the policy is known to be at fault
        found = await page.next_of(type="error", code=code, id="1")
        assert "secret" not in found["message"]
        assert ("mine" in found["message"]) is (code == "bad_filter")
        await page.watch("Post")


async def test_a_policy_that_cannot_be_read_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.get(Supplier), "observable_by", lambda user: Q(secret="bob"), raising=False)
    async with browser(await make_user("view_supplier")) as page:
        await page.send(type="observe", id="1", model="Supplier", filter={"name": {"eq": "mine"}})
        found = await page.next_of(type="error", code="forbidden", id="1")
        assert "secret" not in found["message"]


async def test_integers_no_column_holds_match_no_row() -> None:
    await Post.objects.acreate(title="a", rating=3)
    async with browser() as page:
        for turn, wanted in enumerate([{"in": [10**20]}, {"between": [10**20, 10**21]}, {"eq": 10**20}]):
            assert (await page.watch("Post", f"none {turn}", filter={"rating": wanted}))["items"] == []
        for turn, wanted in enumerate([{"notIn": [10**20]}, {"between": [-(10**20), 10**20]}, {"in": [3, 10**20]}]):
            assert len((await page.watch("Post", f"one {turn}", filter={"rating": wanted}))["items"]) == 1


@sync_to_async
def revoke(user: User, page: Browser) -> None:
    user.user_permissions.clear()


@sync_to_async
def disable(user: User, page: Browser) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


@sync_to_async
def log_out(user: User, page: Browser) -> None:
    page.client.logout()


@sync_to_async
def change_password(user: User, page: Browser) -> None:
    user.set_password("another")
    user.save()


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("lose", [revoke, disable, log_out, change_password])
async def test_who_may_no_longer_watch_is_told_and_sees_no_more(lose: Callable[..., Any]) -> None:
    user = await make_user("view_supplier")
    async with browser(user) as page:
        await page.watch("Supplier")
        await lose(user, page)
        await page.next_of(type="error", code="forbidden", id="1")
        await Supplier.objects.acreate(code="secret", name="x")
        await page.watch("Post")  # public, so the connection lives; nothing of the secret came before


def by_metadata(user: User) -> Q:
    """A policy whose values are alike up to their ends, as lists of people are."""
    return Q(metadata={"readers": ["somebody with a long name"] * 3 + [user.username]})


@pytest.mark.parametrize("kind", ["observe", "observeQuery"])
async def test_users_with_alike_policies_share_nothing(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(registry.get(Post), "observable_by", by_metadata, raising=False)
    users = [await User.objects.acreate(username=name) for name in ("ann", "bob")]
    async with browser(users[0]) as one, browser(users[1]) as other:
        for page in (one, other):
            await page.watch("Post", "joined", filter={"rating": {"eq": 1}})
            await page.send(type=kind, id="1", model="Post", filter={"rating": {"eq": 0}})
            if kind == "observeQuery":
                await page.next_of(type="snapshot", id="1", items=[])
            await page.watch("Post", "ready", filter={"rating": {"eq": 2}})  # answered after the other has joined
        for user in reversed(users):
            readers = by_metadata(user).children[0][1]  # type: ignore[index]  # a plain condition
            await Post.objects.acreate(title=f"of {user.username}", rating=0, metadata=readers)
        for page, title in ((one, "of ann"), (other, "of bob")):
            found = await page.next_of(id="1")
            rows = [found["element"]] if kind == "observe" else found["upserts"]
            assert [row["title"] for row in rows] == [title]


async def test_a_cascade_tells_nothing_of_rows_that_were_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = lambda user: ~Q(blog__name="secret")  # noqa: E731 - a hook
    monkeypatch.setattr(registry.get(Post), "observable_by", policy, raising=False)
    blog = await Blog.objects.acreate(name="secret")
    await Post.objects.acreate(title="hidden", blog=blog)
    shown = await Post.objects.acreate(title="shown")
    async with browser() as page:
        await page.send(type="observe", id="1", model="Post")
        await page.watch("Post", "ready", filter={"title": {"eq": "nothing"}})  # answered after the observer joined
        await blog.adelete()
        await shown.adelete()
        found = await page.next_of(type="change", opType="DELETE")
        assert found["element"]["title"] == "shown"


@pytest.mark.usefixtures("often")
async def test_a_policy_that_changes_at_its_end_gives_a_fresh_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    readers = ["somebody with a long name"] * 3 + ["ann"]
    await Post.objects.acreate(title="a", metadata={"readers": list(readers)})
    policy = lambda user: Q(metadata={"readers": list(readers)})  # noqa: E731 - a hook
    monkeypatch.setattr(registry.get(Post), "observable_by", policy, raising=False)
    async with browser() as page:
        assert len((await page.watch("Post"))["items"]) == 1
        readers[-1] = "bob"
        await page.next_of(type="snapshot", id="1", items=[])


@pytest.mark.usefixtures("often")
async def test_other_rows_allowed_give_a_fresh_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = ["a"]
    for code in "ab":
        await Supplier.objects.acreate(code=code, name=code)
    monkeypatch.setattr(registry.get(Supplier), "observable_by", lambda user: Q(code__in=list(allowed)), raising=False)
    async with browser(await make_user("view_supplier")) as page:
        assert [item["code"] for item in (await page.watch("Supplier"))["items"]] == ["a"]
        allowed[:] = ["b"]
        found = await page.next_of(type="snapshot", id="1")
        assert [item["code"] for item in found["items"]] == ["b"]


async def test_a_permission_given_later_counts_for_the_next_subscription() -> None:
    user = await make_user()
    async with browser(user) as page:
        await page.send(type="observe", id="1", model="Supplier")
        await page.next_of(type="error", code="forbidden")
        permission = await Permission.objects.aget(codename="view_supplier")
        await sync_to_async(user.user_permissions.add)(permission)
        await page.watch("Supplier")


async def test_a_foreign_origin_is_refused() -> None:
    page = Browser(origin="http://evil.example")
    connected, _ = await page.socket.connect(timeout=60)
    assert not connected


async def test_nothing_runs_when_the_last_browser_has_left() -> None:
    async with browser() as one, browser() as other:
        await one.watch("Post")
        await other.watch("Post")
    running = {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("datastore")}
    assert running == set()


async def test_a_large_snapshot_is_made_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    await Post.objects.abulk_create([Post(title=f"{number:04}") for number in range(500)])
    async with browser() as one, browser() as other:
        for page in (one, other):
            await page.send(type="observeQuery", id="1", model="Post", sort=["title"])
        found = [await page.next_of(type="snapshot") for page in (one, other)]
        assert found[0] == found[1]
        assert [item["title"] for item in found[0]["items"]] == [f"{number:04}" for number in range(500)]


@pytest.fixture
async def redis_layer(settings: Any) -> AsyncIterator[Any]:
    """A channel layer on real Redis, and a hub that does not poll."""
    url = os.environ.get("REDIS_URL")
    if not url:
        pytest.skip("REDIS_URL names no Redis")
    backend = "channels_redis.pubsub.RedisPubSubChannelLayer"
    prefix = f"datastore-test-{os.getpid()}"
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend, "CONFIG": {"hosts": [url], "prefix": prefix}}}
    settings.DATASTORE = {**settings.DATASTORE, "POLL_SECONDS": 3600.0}
    channel_layers.backends.clear()
    yield get_channel_layer()
    channel_layers.backends.clear()


async def unannounced() -> None:
    """A change as another process commits it: this process's hub is not woken."""
    [post] = await Post._base_manager.abulk_create([Post(title="from afar")])
    await Change.objects.acreate(model="blog.post", entries=[["INSERT", f'["{post.pk}"]', None]])


@pytest.mark.redis
async def test_an_announcement_of_another_process_reaches_browsers(redis_layer: Any) -> None:
    async with browser() as page:
        await page.watch("Post")
        await unannounced()
        thread = threading.Thread(target=announce_as_another_process)
        thread.start()
        await asyncio.to_thread(thread.join)
        found = await page.next_of(type="changes")
        assert [item["title"] for item in found["upserts"]] == ["from afar"]


def announce_as_another_process() -> None:
    """What `announce_changes` sends, from a thread and an event loop of its own, without waking this process's hub."""
    layer = consumers._shared_layer()
    asyncio.run(consumers._announce(layer))


@pytest.mark.redis
async def test_a_commit_is_announced_over_the_channel_layer(redis_layer: Any) -> None:
    channel = await redis_layer.new_channel()
    await redis_layer.group_add(consumers._GROUP, channel)
    await Post.objects.acreate(title="a")
    async with asyncio.timeout(60):
        assert await redis_layer.receive(channel) == {"type": "changes"}
    await redis_layer.group_discard(consumers._GROUP, channel)


def test_announcing_without_a_channel_layer_costs_nothing() -> None:
    assert get_channel_layer() is None
    consumers.announce_changes()
    assert not hasattr(consumers._local, "runner")
