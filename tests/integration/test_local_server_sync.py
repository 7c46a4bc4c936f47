"""Queries over HTTP: sync pages, base and delta, filters, relations, lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_datastore.appsync_local.models import Delta
from django_datastore.appsync_local.server import LocalServer
from tests.integration.local_server_tools import Client, local_server

MINUTE = 60_000


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now

    def pass_minutes(self, minutes: float) -> None:
        self.now += int(minutes * MINUTE)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def server(time: Time) -> Iterator[LocalServer]:
    with local_server(now=time) as found:
        yield found


@pytest.fixture
def client(server: LocalServer) -> Client:
    return Client(server)


def create(client: Client, count: int, **values: Any) -> None:
    fields = " ".join(f"m{n}: createPost(input: $i{n}) {{ id }}" for n in range(count))
    heads = ", ".join(f"$i{n}: CreatePostInput!" for n in range(count))
    inputs = {f"i{n}": {"id": f"p{n:04}", "title": f"Post {n}", "rating": n, **values} for n in range(count)}
    assert "errors" not in client.post(f"mutation({heads}) {{ {fields} }}", **inputs)


def ids(pages: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for page in pages for item in page["items"]]


def test_empty_base_sync_ends_with_an_explicit_null(client: Client):
    page = client.sync()
    assert (page["items"], page["nextToken"]) == ([], None)
    assert isinstance(page["startedAt"], int)


def test_pages_cover_everything_once_with_one_started_at(client: Client, time: Time):
    create(client, 25)
    pages = []
    page = client.sync(limit=10)
    while True:
        pages.append(page)
        time.pass_minutes(1)
        if page["nextToken"] is None:
            break
        page = client.sync(limit=10, nextToken=page["nextToken"])
    assert [len(page["items"]) for page in pages] == [10, 10, 5]
    assert ids(pages) == [f"p{n:04}" for n in range(25)]
    assert len({page["startedAt"] for page in pages}) == 1


@pytest.mark.parametrize(("limit", "expected"), [(None, 100), (1, 1), (1000, 120), (5000, 120)])
def test_limit_is_100_unless_told_and_at_most_1000(client: Client, limit: int | None, expected: int):
    create(client, 120)
    assert len(client.sync(limit=limit)["items"]) == expected


@pytest.mark.parametrize("limit", [0, -1])
def test_impossible_limit_is_an_error(client: Client, limit: int):
    answer = client.post("query($limit: Int) { syncPosts(limit: $limit) { nextToken } }", limit=limit)
    assert answer["data"] == {"syncPosts": None}
    assert answer["errors"][0]["path"] == ["syncPosts"]


def test_filter_is_applied_after_the_read_so_pages_come_out_short(client: Client):
    create(client, 20)
    pages = client.pages(limit=10, filter={"rating": {"ge": 15}})
    assert [len(page["items"]) for page in pages] == [0, 5]


def test_record_created_while_paging_is_not_lost(client: Client):
    create(client, 10)
    first = client.sync(limit=5)
    client.written("createPost", id="late", title="late")
    client.written("updatePost", id="p0000", title="edited", _version=1)
    rest = client.pages(limit=5, nextToken=first["nextToken"])
    delta = client.sync(lastSync=first["startedAt"])
    assert "late" in ids(rest)
    assert set(ids([delta])) == {"late", "p0000"}


def test_base_sync_returns_tombstones_while_they_live(client: Client, time: Time):
    create(client, 1)
    client.written("deletePost", id="p0000", _version=1)
    assert client.sync()["items"][0]["_deleted"] is True
    time.pass_minutes(43_199)
    assert len(client.sync()["items"]) == 1
    time.pass_minutes(2)
    assert client.sync()["items"] == []
    assert client.data('{ getPost(id: "p0000") { id } }') is None
    assert client.written("createPost", id="p0000", title="again")["_version"] == 1


def test_delta_sync_returns_what_changed_since(client: Client, time: Time):
    create(client, 5)
    started_at = client.sync()["startedAt"]
    time.pass_minutes(1)
    assert client.sync(lastSync=started_at)["items"] == []
    client.written("updatePost", id="p0001", title="edited", _version=1)
    client.written("deletePost", id="p0002", _version=1)
    items = client.sync(lastSync=started_at)["items"]
    assert [(item["id"], item["_version"], item["_deleted"]) for item in items] == [
        ("p0001", 2, None),
        ("p0002", 2, True),
    ]


def test_delta_sync_returns_each_change_in_order(client: Client):
    started_at = client.sync()["startedAt"]
    create(client, 1)
    client.written("updatePost", id="p0000", title="Two", _version=1)
    client.written("updatePost", id="p0000", title="Three", _version=2)
    pages = client.pages(lastSync=started_at, limit=1)
    assert [page["items"][0]["title"] for page in pages] == ["Post 0", "Two", "Three"]
    assert len({page["startedAt"] for page in pages}) == 1


def test_last_sync_beyond_the_delta_log_is_a_base_sync(client: Client, time: Time):
    create(client, 3)
    started_at = client.sync()["startedAt"]
    time.pass_minutes(29)
    assert client.sync(lastSync=started_at)["items"] == []
    time.pass_minutes(2)
    assert len(client.sync(lastSync=started_at)["items"]) == 3


def test_delta_paging_goes_on_even_if_the_log_grows_old_meanwhile(client: Client, time: Time):
    started_at = client.sync()["startedAt"]
    create(client, 3)
    time.pass_minutes(29)
    page = client.sync(lastSync=started_at, limit=2)
    assert len(client.pages(limit=2, lastSync=started_at, nextToken=page["nextToken"])[0]["items"]) == 1


def test_delta_paging_loses_nothing_when_the_log_is_cleared_meanwhile(client: Client, time: Time):
    started_at = client.sync()["startedAt"]
    create(client, 3)
    time.pass_minutes(29)
    page = client.sync(lastSync=started_at, limit=2)
    time.pass_minutes(5)
    client.written("createPost", title="clears what is old")
    rest = client.sync(limit=1, lastSync=started_at, nextToken=page["nextToken"])
    assert ids([page, rest]) == ["p0000", "p0001", "p0002"]


def test_the_delta_log_does_not_grow_for_ever(server: LocalServer, client: Client, time: Time):
    create(client, 3)
    time.pass_minutes(91)
    client.written("createPost", title="clears what is old")
    assert server.service.workers.call(Delta.objects.using(server.service.alias).count) == 1


def test_a_document_shares_one_moment_and_nothing_is_overlooked(client: Client):
    """The clock stands still: every write and sync happens in the same millisecond, and still nothing is lost."""
    last_sync = client.sync()["startedAt"]
    for number in range(5):
        client.written("createPost", id=f"n{number}", title="x")
        page = client.sync(lastSync=last_sync)
        assert ids([page]) == [f"n{number}"]
        last_sync = page["startedAt"]


@pytest.mark.parametrize("token", ["nonsense", "", "bnVsbA==", "W10=", "WyJiYXNlIiwxLDIsMywiNCJd", "é"])
def test_foreign_token_is_an_error(client: Client, token: str):
    answer = client.post("query($t: String) { syncPosts(nextToken: $t) { nextToken } }", t=token)
    if token:
        assert answer["errors"][0]["message"] == "Invalid pagination token given."
    else:
        assert answer["data"]["syncPosts"] == {"nextToken": None}


def test_belongs_to_is_loaded_for_the_whole_page(client: Client):
    client.written("createBlog", "id", id="b1", name="One")
    client.written("createBlog", "id", id="b2", name="Two")
    client.written("deleteBlog", "id", id="b2", _version=1)
    for number, blog in enumerate(["b1", "b2", None, "nowhere"]):
        client.written("createPost", id=f"p{number}", title="x", blogPostsId=blog)
    light = client.sync(selection="id blogPostsId blog { id _deleted }")["items"]
    assert [item["blog"] for item in light] == [
        {"id": "b1", "_deleted": None},
        {"id": "b2", "_deleted": True},
        None,
        None,
    ]
    full = client.sync(selection="blog { name _version }")["items"]
    assert [item["blog"] for item in full][:2] == [{"name": "One", "_version": 1}, {"name": "Two", "_version": 2}]


def test_has_many_is_a_connection(client: Client):
    client.written("createBlog", "id", id="b1", name="One")
    create(client, 5, blogPostsId="b1")
    client.written("createPost", id="other", title="b1", tags=["b1"])  # mentions the id, belongs to nobody
    query = """query($token: String) { getBlog(id: "b1") { posts(limit: 3, nextToken: $token, sortDirection: DESC) {
        items { id blog { name } } nextToken } } }"""
    first = client.data(query)["posts"]
    second = client.data(query, token=first["nextToken"])["posts"]
    assert ids([first, second]) == ["p0004", "p0003", "p0002", "p0001", "p0000"]
    assert first["items"][0]["blog"] == {"name": "One"}
    assert second["nextToken"] is None


def test_list_of_a_composite_key_takes_a_key_condition(client: Client):
    for region in ("EU", "US", "UK"):
        client.written("createProduct", "sku", sku="s1", region=region)
    client.written("createProduct", "sku", sku="s10", region="EU")

    def regions(arguments: str) -> list[str]:
        return [
            item["region"] for item in client.data(f"{{ listProducts({arguments}) {{ items {{ region }} }} }}")["items"]
        ]

    assert regions('sku: "s1"') == ["EU", "UK", "US"]
    assert regions('sku: "s1", sortDirection: DESC') == ["US", "UK", "EU"]
    assert regions('sku: "s1", region: {beginsWith: "U"}') == ["UK", "US"]
    assert regions('sku: "s1", region: {between: ["EU", "UK"]}, filter: {region: {ne: "EU"}}') == ["UK"]
    assert len(regions("limit: 10")) == 4


def test_list_pages_and_filters(client: Client):
    create(client, 12)
    page = client.data("{ listPosts(limit: 10, filter: {rating: {lt: 2}}) { items { id } nextToken } }")
    assert (ids([page]), page["nextToken"] is not None) == (["p0000", "p0001"], True)


def test_records_survive_a_restart_on_the_same_port(server: LocalServer, client: Client):
    create(client, 3)
    url = server.url
    server.stop()
    server.start()
    assert server.url == url
    assert len(Client(server).sync()["items"]) == 3
    assert [item["id"] for item in server.records("Post")] == ["p0000", "p0001", "p0002"]
    assert (server.record("Post", "p0001") or {})["title"] == "Post 1"
