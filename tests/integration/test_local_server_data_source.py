"""The limits and times of the versioned data source: page and item sizes, tombstones, odd values of `lastSync`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_datastore.appsync_local.auth.access import FULL_ACCESS
from django_datastore.appsync_local.errors import FieldError
from django_datastore.appsync_local.server import LocalServer
from tests.integration.local_server_tools import Client, local_server, unique

NOW = 1_700_000_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with local_server() as found:
        yield found


@pytest.fixture
def client(server: LocalServer) -> Client:
    return Client(server)


def test_page_ends_at_one_megabyte_and_goes_on():
    with local_server() as server:
        client = Client(server)
        for number in range(12):
            client.written("createPost", "id", id=f"p{number:02}", title="x" * 200_000)
        pages = client.pages("syncPosts", "id title", limit=1000)
        assert [len(page["items"]) for page in pages] == [5, 5, 2]
        assert [item["id"] for page in pages for item in page["items"]] == [f"p{number:02}" for number in range(12)]
        delta = client.pages("syncPosts", "id title", lastSync=pages[0]["startedAt"] - 600_000)
        assert [len(page["items"]) for page in delta] == [5, 5, 2]


def test_page_size_in_bytes_is_a_setting():
    with local_server(PAGE_BYTES=0) as server:
        client = Client(server)
        for _ in range(6):
            client.written("createPost", "id", title="x" * 200_000)
        assert len(client.pages("syncPosts", "id")) == 1


def test_item_beyond_400_kb_is_refused(client: Client):
    error = client.refused("createPost", title="x" * 410_000)
    assert (error["errorType"], error["message"]) == (
        "ValidationException",
        "Item size has exceeded the maximum allowed size",
    )
    post = client.written("createPost", "id", title="é" * 150_000)  # 300 KB, though 900 KB as JSON
    error = client.refused("updatePost", id=post["id"], tags=["y" * 200_000], _version=1)
    assert error["message"] == "Item size to update has exceeded the maximum allowed size"
    assert client.written("updatePost", "_version", id=post["id"], rating=1, _version=1) == {"_version": 2}


def test_base_sync_without_tombstones_still_has_them_in_deltas():
    with local_server(BASE_SYNC_TOMBSTONES=False) as server:
        client = Client(server)
        started_at = client.sync()["startedAt"]
        kept, gone = (client.written("createPost", title="x")["id"] for _ in range(2))
        client.written("deletePost", id=gone, _version=1)
        assert [item["id"] for item in client.sync()["items"]] == [kept]
        assert [item["_deleted"] for item in client.sync(lastSync=started_at)["items"]] == [None, None, True]


def test_tombstone_that_may_not_live_is_gone_at_once_but_in_the_delta_log():
    with local_server(BASE_TABLE_TTL=0) as server:
        client = Client(server)
        started_at = client.sync()["startedAt"]
        post = client.written("createPost", title="x", blogPostsId="b")
        gone = client.written("deletePost", id=post["id"], _version=1)
        assert (gone["_deleted"], gone["_version"]) == (True, 2)
        assert client.sync()["items"] == []
        assert client.sync(lastSync=started_at)["items"][-1]["_deleted"] is True
        assert client.written("createPost", id=post["id"], title="again")["_version"] == 1


@pytest.mark.parametrize("last_sync", [None, 0, -1, 1, NOW - 31 * 60_000])
def test_last_sync_that_tells_nothing_is_a_base_sync(last_sync: int | None):
    with local_server(now=lambda: NOW) as server:
        client = Client(server)
        post = client.written("createPost", title="x")
        client.written("updatePost", id=post["id"], title="y", _version=1)
        assert [item["_version"] for item in client.sync(lastSync=last_sync)["items"]] == [2]


def test_last_sync_in_the_future_has_nothing_to_tell():
    with local_server(now=lambda: NOW) as server:
        client = Client(server)
        client.written("createPost", title="x")
        assert client.sync(lastSync=NOW + 60_000)["items"] == []


@pytest.mark.parametrize("name", ["_lastChangedAt", "_deleted", "_ttl"])
def test_sync_metadata_is_not_the_clients_to_write_even_where_an_input_has_it(server: LocalServer, name: str):
    resolvers = server.service.executable.resolvers
    operation = server.service.executable.api.mutations["createPost"]
    arguments: dict[str, Any] = {"input": {"id": unique(), "title": "x", name: 1}}

    def write() -> None:
        with resolvers.store.writing() as now:
            resolvers.mutate(operation, arguments, FULL_ACCESS, now=now)

    with pytest.raises(FieldError) as caught:
        server.service.workers.call(write)
    assert caught.value.error_type == "BadRequest"
    assert name in caught.value.message


def test_has_one_by_the_keys_of_the_other_model():
    sdl = """
      type Team @model { id: ID! mascot: Mascot @hasOne(references: "teamId") }
      type Mascot @model { id: ID! name: String teamId: ID team: Team @belongsTo(references: "teamId") }
    """
    with local_server(sdl) as server:
        client = Client(server)
        team, other = (client.written("createTeam", "id")["id"] for _ in range(2))
        client.written("createMascot", "id", name="Bear", teamId=team)
        query = "query($id: ID!) { getTeam(id: $id) { mascot { name team { id } } } }"
        assert client.data(query, id=team) == {"mascot": {"name": "Bear", "team": {"id": team}}}
        assert client.data(query, id=other) == {"mascot": None}
