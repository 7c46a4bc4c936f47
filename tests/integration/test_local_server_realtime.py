"""Subscriptions over real sockets."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from django_datastore.appsync_local.server import LocalServer
from tests.integration.local_server_tools import Client, local_server, speaking, unique

ON_CREATE = "subscription operation { onCreatePost { id title rating _version } }"
FILTERED = """subscription operation($filter: ModelSubscriptionPostFilterInput) {
    onCreatePost(filter: $filter) { id title } }"""
FULL = "id title rating _version _lastChangedAt _deleted"


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with local_server(KEEP_ALIVE_SECONDS=0.2) as found:
        yield found


@pytest.fixture
def client(server: LocalServer) -> Client:
    return Client(server)


async def written(client: Client, field: str, selection: str = FULL, **values: Any) -> dict[str, Any]:
    return await asyncio.to_thread(lambda: client.written(field, selection, **values))


@pytest.mark.parametrize("path", ["/graphql", "/graphql/realtime"])
async def test_event_follows_a_mutation_on_both_paths(server: LocalServer, client: Client, path: str):
    async with speaking(server, path=path) as speaker:
        assert await speaker.start("1", ON_CREATE) == {"id": "1", "type": "start_ack"}
        post = await written(client, "createPost", title="Hello")
        assert await speaker.event() == {
            "data": {"onCreatePost": {"id": post["id"], "title": "Hello", "rating": None, "_version": 1}}
        }


async def test_each_kind_of_mutation_has_its_subscription(server: LocalServer, client: Client):
    async with speaking(server) as speaker:
        for kind in ("Create", "Update", "Delete"):
            await speaker.start(kind, f"subscription {{ on{kind}Post {{ title _version _deleted }} }}")
        post = await written(client, "createPost", title="One")
        await written(client, "updatePost", id=post["id"], title="Two", _version=1)
        await written(client, "deletePost", id=post["id"], _version=2)
        assert [(await speaker.event())["data"] for _ in range(3)] == [
            {"onCreatePost": {"title": "One", "_version": 1, "_deleted": None}},
            {"onUpdatePost": {"title": "Two", "_version": 2, "_deleted": None}},
            {"onDeletePost": {"title": "Two", "_version": 3, "_deleted": True}},
        ]


async def test_subscriber_gets_what_the_mutation_selected_and_null_elsewhere(server: LocalServer, client: Client):
    async with speaking(server) as speaker:
        await speaker.start("1", "subscription { onCreatePost { id rating title: tags } }")
        post = await written(client, "createPost", "id key: title", title="One", rating=5)
        assert (await speaker.event())["data"] == {"onCreatePost": {"id": post["id"], "rating": None, "title": None}}


async def test_missing_required_field_makes_the_event_null_with_an_error(server: LocalServer, client: Client):
    async with speaking(server) as speaker:
        await speaker.start("1", "subscription { onCreatePost { id title } }")
        await written(client, "createPost", "id", title="One")
        event = await speaker.event()
        assert event["data"] == {"onCreatePost": None}
        message = "Cannot return null for non-nullable type: 'String' within parent 'Post' (/onCreatePost/title)"
        assert event["errors"][0]["message"] == message


async def test_relation_comes_from_the_mutations_selection(server: LocalServer, client: Client):
    blog = await written(client, "createBlog", "id", name="B")
    async with speaking(server) as speaker:
        await speaker.start("1", "subscription { onCreatePost { title blog { id _deleted } } }")
        values = {"title": "x", "blogPostsId": blog["id"]}
        await written(client, "createPost", "title alias: blog { key: id _deleted }", **values)
        await written(client, "createPost", "title", **values)
        relation = {"id": blog["id"], "_deleted": None}
        assert (await speaker.event())["data"]["onCreatePost"] == {"title": "x", "blog": relation}
        assert (await speaker.event())["data"]["onCreatePost"] == {"title": "x", "blog": None}


async def test_filter_lets_through_what_matches(server: LocalServer, client: Client):
    wanted = unique()
    async with speaking(server) as speaker:
        await speaker.start(
            "1", FILTERED, {"filter": {"and": [{"title": {"beginsWith": wanted}}, {"rating": {"in": [1]}}]}}
        )
        await written(client, "createPost", title="other", rating=1)
        await written(client, "createPost", title=f"{wanted} no", rating=2)
        await written(client, "createPost", title=f"{wanted} yes", rating=1)
        assert (await speaker.event())["data"]["onCreatePost"]["title"] == f"{wanted} yes"


async def test_refused_filter_speaks_the_words_amplifys_client_listens_for(server: LocalServer):
    async with speaking(server) as speaker:
        answer = await speaker.start("1", FILTERED, {"filter": {"not": {"title": {"eq": "x"}}}})
        assert answer["type"] == "error"
        assert "The variables input contains a field name 'not'" in answer["payload"]["errors"][0]["message"]
        assert (await speaker.start("1", FILTERED))["type"] == "start_ack"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"rating": {"in": [1, 2, 3, 4, 5, 6]}}, "subscription exceeds maximum value limit 5 for operator `in`."),
        ({"rating": {"gt": 1, "lt": 5}}, "filter uses same fieldName multiple time"),
        ({"or": [{"rating": {"eq": n}} for n in range(11)]}, "Filters combination exceed maximum limit"),
    ],
)
async def test_filter_beyond_appsyncs_limits_is_refused(server: LocalServer, found: dict[str, Any], message: str):
    async with speaking(server) as speaker:
        answer = await speaker.start("1", FILTERED, {"filter": found})
        assert message in answer["payload"]["errors"][0]["message"]
        assert answer["payload"]["errors"][0]["errorCode"] == 400


async def test_filter_sees_only_what_the_mutation_selected(server: LocalServer, client: Client):
    async with speaking(server) as speaker:
        await speaker.start("1", FILTERED, {"filter": {"rating": {"eq": 5}}})
        await written(client, "createPost", "id title", title="not seen", rating=5)
        await written(client, "createPost", "id title rating", title="seen", rating=5)
        assert (await speaker.event())["data"]["onCreatePost"]["title"] == "seen"


async def test_refused_mutation_is_no_event(server: LocalServer, client: Client):
    async with speaking(server) as speaker:
        post = await written(client, "createPost", title="before")
        await speaker.start("1", ON_CREATE)
        await asyncio.to_thread(client.refused, "createPost", id=post["id"], title="again")
        await written(client, "createPost", title="after")
        assert (await speaker.event())["data"]["onCreatePost"]["title"] == "after"


async def test_aliased_mutations_are_events_in_their_order(server: LocalServer, client: Client):
    async with speaking(server) as speaker:
        await speaker.start("1", "subscription { onCreatePost { title } }")
        fields = " ".join(f'm{n}: createPost(input: {{title: "{n}"}}) {{ title }}' for n in range(25))
        await asyncio.to_thread(client.post, f"mutation {{ {fields} }}")
        titles = [(await speaker.event())["data"]["onCreatePost"]["title"] for _ in range(25)]
        assert titles == [str(number) for number in range(25)]


async def test_concurrent_edits_arrive_in_the_order_of_their_versions(server: LocalServer, client: Client):
    post = await written(client, "createPost", title="x")
    async with speaking(server) as speaker:
        await speaker.start("1", "subscription { onUpdatePost { _version } }")
        edits = [written(client, "updatePost", id=post["id"], title=str(n), _version=1) for n in range(20)]
        await asyncio.gather(*edits)
        versions = [(await speaker.event())["data"]["onUpdatePost"]["_version"] for _ in range(20)]
        assert versions == list(range(2, 22))


async def test_stopped_subscription_gets_nothing_more(server: LocalServer, client: Client):
    async with speaking(server) as speaker:
        await speaker.start("1", "subscription { onCreatePost { id } }")
        await speaker.start("2", "subscription { onCreatePost { title } }")
        await speaker.send("stop", id="1")
        assert await speaker.receive() == {"id": "1", "type": "complete"}
        await written(client, "createPost", title="x")
        assert (await speaker.receive())["id"] == "2"


async def test_many_sockets_get_the_same_event(server: LocalServer, client: Client):
    async def watch(ready: asyncio.Event) -> Any:
        async with speaking(server) as speaker:
            await speaker.start("1", ON_CREATE)
            ready.set()
            return await speaker.event()

    gates = [asyncio.Event() for _ in range(20)]
    watchers = [asyncio.create_task(watch(gate)) for gate in gates]
    await asyncio.gather(*(gate.wait() for gate in gates))
    post = await written(client, "createPost", title="x")
    events = await asyncio.gather(*watchers)
    assert {event["data"]["onCreatePost"]["id"] for event in events} == {post["id"]}


async def test_keep_alive_comes_at_once_and_again(server: LocalServer):
    async with speaking(server, init=False) as speaker:
        await speaker.send("connection_init")
        kinds = [json.loads(await speaker.socket.recv())["type"] for _ in range(4)]
        assert kinds == ["connection_ack", "ka", "ka", "ka"]


def headers(server: LocalServer, way: str, key: str) -> dict[str, Any]:
    text = base64.b64encode(json.dumps({"host": "localhost", "x-api-key": key}).encode()).decode()
    url = server.realtime_url
    match way:
        case "query":
            return {"uri": f"{url}?header={text}&payload=e30=", "subprotocols": ["graphql-ws"]}
        case "subprotocol":
            urlsafe = text.replace("+", "-").replace("/", "_").rstrip("=")
            return {"uri": url, "subprotocols": ["graphql-ws", f"header-{urlsafe}"]}
    return {"uri": url, "subprotocols": ["graphql-ws"], "additional_headers": {"x-api-key": key}}


@pytest.mark.parametrize("way", ["query", "subprotocol", "headers"])
async def test_credentials_come_three_ways(server: LocalServer, way: str):
    async with connect(**headers(server, way, server.api_key)) as socket:
        assert socket.subprotocol == "graphql-ws"
        await socket.send('{"type": "connection_init"}')
        acknowledgement = {"type": "connection_ack", "payload": {"connectionTimeoutMs": 300_000}}
        assert json.loads(await socket.recv()) == acknowledgement


@pytest.mark.parametrize("way", ["query", "subprotocol", "headers"])
async def test_wrong_key_is_told_and_closed(server: LocalServer, way: str):
    async with connect(**headers(server, way, "wrong")) as socket:
        await socket.send('{"type": "connection_init"}')
        message = json.loads(await socket.recv())
        assert message["type"] == "connection_error"
        assert message["payload"]["errors"][0]["errorType"] == "UnauthorizedException"
        assert message["payload"]["errors"][0]["errorCode"] == 401
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_wrong_key_of_a_start_is_its_own_error(server: LocalServer):
    async with speaking(server) as speaker:
        answer = await speaker.start("1", ON_CREATE, key="wrong")
        assert (answer["type"], answer["id"]) == ("error", "1")
        assert answer["payload"]["errors"][0]["errorType"] == "UnauthorizedException"
        assert (await speaker.start("1", ON_CREATE))["type"] == "start_ack"


async def test_nonsense_is_answered_and_the_connection_lives(server: LocalServer):
    async with speaking(server) as speaker:
        for nonsense in ("nonsense", b"\x00\x01", "[1]"):
            await speaker.socket.send(nonsense)
            assert (await speaker.receive())["type"] == "error"
        assert (await speaker.start("1", ON_CREATE))["type"] == "start_ack"


@pytest.mark.parametrize(
    ("limit", "init", "code"),
    [
        ({"CONNECTION_INIT_TIMEOUT_SECONDS": 0.1}, False, 4408),
        ({"CONNECTION_LIFETIME_SECONDS": 0.3}, True, 1001),
    ],
)
async def test_socket_is_closed_when_its_time_is_over(limit: dict[str, float], init: bool, code: int):
    with local_server(**limit) as server:
        async with speaking(server, init=init) as speaker:
            with pytest.raises(ConnectionClosed):
                await speaker.receive()
            assert speaker.socket.close_code == code


async def test_frame_that_is_too_big_closes_its_socket_and_no_other(server: LocalServer):
    async with speaking(server) as other, speaking(server) as speaker:
        await speaker.socket.send("x" * 300_000)
        with pytest.raises(ConnectionClosed):
            await speaker.receive()
        assert speaker.socket.close_code == 1009
        assert (await other.start("1", ON_CREATE))["type"] == "start_ack"


async def test_invalid_utf_8_closes_its_socket_and_no_other(server: LocalServer):
    async with speaking(server) as other, speaking(server) as speaker:
        speaker.socket.protocol.send_text(b"\xff\xfe")
        speaker.socket.transport.write(b"".join(speaker.socket.protocol.data_to_send()))
        with pytest.raises(ConnectionClosed):
            await speaker.receive()
        assert speaker.socket.close_code == 1007
        assert (await other.start("1", ON_CREATE))["type"] == "start_ack"


async def test_flood_of_starts_is_refused_and_others_are_served(server: LocalServer, client: Client):
    async with speaking(server) as flooding, speaking(server) as other:
        await other.start("1", ON_CREATE)
        for number in range(1500):
            await flooding.send("start", id=str(number), payload={"data": "{}"})
        kinds = {(await flooding.receive())["type"] for _ in range(1500)}
        assert kinds == {"error"}
        post = await written(client, "createPost", title="x")
        assert (await other.event())["data"]["onCreatePost"]["id"] == post["id"]


async def test_cut_socket_leaves_nothing_behind(client: Client):
    with local_server() as server:
        async with speaking(server) as speaker:
            await speaker.start("1", ON_CREATE)
            assert server.service.broker.watching("onCreatePost") == 1
            server_stops = asyncio.to_thread(server.stop)
            broker = server.service.broker
            await server_stops
            with pytest.raises(ConnectionClosed):
                await speaker.receive()
        assert broker.watching("onCreatePost") == 0


async def test_broker_cuts_and_closes_sockets(server: LocalServer):
    async with speaking(server) as cut:
        assert server.service.broker.cut() == 1
        with pytest.raises(ConnectionClosed):
            await cut.receive()
        assert cut.socket.close_code == 1006  # no close frame: the line is lost
    async with speaking(server) as closed:
        assert server.service.broker.close_all(1012) == 1
        with pytest.raises(ConnectionClosed):
            await closed.receive()
        assert closed.socket.close_code == 1012
