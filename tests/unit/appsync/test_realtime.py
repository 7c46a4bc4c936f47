from __future__ import annotations

import asyncio
import json
import logging
from base64 import urlsafe_b64decode
from typing import Any

import pytest

from django_datastore.appsync.auth import auth_for
from django_datastore.appsync.endpoint import Endpoint
from django_datastore.appsync.realtime import Message, RealtimeConnection
from django_datastore.exceptions import BadRecord, Offline, ServerError, SyncError, Throttled, Unauthorized
from tests.unit.appsync import servers
from tests.unit.appsync.servers import Peer, realtime_server

KEY = "da2-secret"
DOCUMENT = "subscription operation { onCreatePost { id } }"


def connection_to(endpoint: Endpoint, **options: Any) -> RealtimeConnection:
    return RealtimeConnection(endpoint, auth_for("API_KEY", api_key=KEY), **options)


async def drained(connection: RealtimeConnection) -> tuple[list[Message], SyncError | None]:
    """Every message until the connection ends, and the error it ended with."""
    found: list[Message] = []
    try:
        async with asyncio.timeout(60):
            async for message in connection.messages():
                found.append(message)
    except SyncError as exc:
        return found, exc
    return found, None


async def test_credentials_travel_in_the_sub_protocol_and_in_each_start() -> None:
    async def script(peer: Peer) -> None:
        request = peer.socket.request
        assert request is not None
        graphql, header = request.headers["Sec-WebSocket-Protocol"].split(", ")
        assert graphql == "graphql-ws"
        encoded = header.removeprefix("header-")
        credentials = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        assert credentials == {"host": peer.socket.request.headers["Host"], "x-api-key": KEY}  # type: ignore[union-attr]
        assert request.path == "/graphql/realtime"
        await peer.greet()
        start = await peer.accept()
        assert start["payload"]["extensions"]["authorization"] == credentials
        assert json.loads(start["payload"]["data"]) == {"query": DOCUMENT, "variables": {"filter": {"a": 1}}}
        await peer.until_closed()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        await connection.subscribe(DOCUMENT, {"filter": {"a": 1}})


async def test_subscribe_returns_only_after_start_ack() -> None:
    may_acknowledge = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        start = await peer.receive()
        await peer.send(type="ka")
        await may_acknowledge.wait()
        await peer.send(type="start_ack", id=start["id"])
        await peer.until_closed()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        subscribing = asyncio.create_task(connection.subscribe(DOCUMENT))
        done, _ = await asyncio.wait([subscribing], timeout=0.05)
        assert not done
        may_acknowledge.set()
        await asyncio.wait_for(subscribing, 60)


async def test_many_subscriptions_start_at_once_and_messages_keep_their_order() -> None:
    count = 30

    async def script(peer: Peer) -> None:
        await peer.greet()
        starts = [await peer.receive() for _ in range(count)]  # all are sent before any is acknowledged
        assert len({start["id"] for start in starts}) == count
        for start in reversed(starts):
            await peer.send(type="start_ack", id=start["id"])
        for number, start in enumerate(reversed(starts)):
            await peer.send(type="data", id=start["id"], payload={"data": {"number": number}})
        await peer.socket.close()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        subscriptions = await asyncio.gather(*(connection.subscribe(DOCUMENT) for _ in range(count)))
        found, error = await drained(connection)

    assert [message.data for message in found] == [{"number": number} for number in range(count)]
    assert [message.subscription for message in found] == subscriptions[::-1]
    assert isinstance(error, Offline)


async def test_refused_subscription_raises_and_leaves_the_others_alone() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        first = await peer.accept()
        refused = await peer.receive()
        payload = {"errors": [{"errorType": "Unauthorized", "message": "Not Authorized to access onCreatePost"}]}
        await peer.send(type="error", id=refused["id"], payload=payload)
        await peer.send(type="data", id=first["id"], payload={"data": {"onCreatePost": {"id": "1"}}})
        await peer.socket.close()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        first = await connection.subscribe(DOCUMENT)
        with pytest.raises(Unauthorized) as caught:
            await connection.subscribe(DOCUMENT, operation="create", model="Post")
        found, _ = await drained(connection)

    assert found == [Message(first, {"onCreatePost": {"id": "1"}})]
    assert (caught.value.process, caught.value.operation, caught.value.model) == ("subscribe", "create", "Post")


async def test_subscription_that_is_never_acknowledged_fails_alone_and_is_stopped() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        start = await peer.receive()
        assert await peer.receive() == {"type": "stop", "id": start["id"]}
        await peer.accept()
        await peer.until_closed()

    async with (
        realtime_server(script) as endpoint,
        connection_to(endpoint, start_timeout_seconds=0.05) as connection,
    ):
        with pytest.raises(ServerError, match="did not acknowledge"):
            await connection.subscribe(DOCUMENT)
        await connection.subscribe(DOCUMENT)


async def test_error_of_a_live_subscription_ends_that_one_only() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        first, second = await peer.accept(), await peer.accept()
        payload = {"errors": [{"errorType": "UnauthorizedException", "message": "Token expired"}]}
        await peer.send(type="error", id=first["id"], payload=payload)
        await peer.send(type="data", id=first["id"], payload={"data": {"late": True}})
        await peer.send(type="data", id=second["id"], payload={"data": {"number": 2}})
        await peer.socket.close()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        first = await connection.subscribe(DOCUMENT)
        second = await connection.subscribe(DOCUMENT)
        (ended, data), _ = await drained(connection)

    assert (ended.subscription, type(ended.error), ended.is_end) == (first, Unauthorized, True)
    assert data == Message(second, {"number": 2})


async def test_error_without_an_id_is_reported_and_ends_nothing() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        start = await peer.accept()
        await peer.send(type="error", payload={"errors": [{"errorType": "LimitExceededError", "message": "slow down"}]})
        await peer.send(type="data", id=start["id"], payload={"data": {"number": 1}})
        await peer.socket.close()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        subscription = await connection.subscribe(DOCUMENT)
        (reported, data), _ = await drained(connection)

    assert (reported.subscription, type(reported.error), reported.is_end) == (None, Throttled, False)
    assert data == Message(subscription, {"number": 1})


async def test_message_with_errors_is_an_error_in_its_place() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        start = await peer.accept()
        error = {"message": "Cannot return null for non-nullable type: 'String' within parent 'Post'"}
        await peer.send(type="data", id=start["id"], payload={"data": {"onCreatePost": None}, "errors": [error]})
        await peer.socket.close()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        subscription = await connection.subscribe(DOCUMENT)
        (message,), _ = await drained(connection)

    assert (message.subscription, message.data, message.is_end) == (subscription, None, False)
    assert type(message.error) is BadRecord


async def test_subscription_the_server_completes_is_reported_as_ended() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        start = await peer.accept()
        await peer.send(type="complete", id=start["id"])
        await peer.socket.close()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        subscription = await connection.subscribe(DOCUMENT)
        (message,), _ = await drained(connection)

    assert (message.subscription, message.is_end, type(message.error)) == (subscription, True, ServerError)


async def test_unsubscribe_stops_the_messages_of_that_subscription() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        first, second = await peer.accept(), await peer.accept()
        assert await peer.receive() == {"type": "stop", "id": first["id"]}
        await peer.send(type="data", id=first["id"], payload={"data": {"number": 1}})
        await peer.send(type="complete", id=first["id"])
        await peer.send(type="data", id=second["id"], payload={"data": {"number": 2}})
        await peer.socket.close()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        first = await connection.subscribe(DOCUMENT)
        second = await connection.subscribe(DOCUMENT)
        await connection.unsubscribe(first)
        found, _ = await drained(connection)

    assert found == [Message(second, {"number": 2})]


class Clock:
    """Lets the running loop's time leap."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._real_time = self._loop.time
        self._ahead = 0.0
        self._loop.time = lambda: self._real_time() + self._ahead  # type: ignore[method-assign]

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


async def test_silent_server_is_offline_after_the_time_it_named() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet(connectionTimeoutMs=60_000)
        await peer.accept()
        await peer.until_closed()

    clock = Clock()
    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        assert connection.connection_timeout_seconds == 60
        await connection.subscribe(DOCUMENT)
        clock.advance(61)
        _, error = await drained(connection)

    assert isinstance(error, Offline)
    assert isinstance(error.__cause__, TimeoutError)


@pytest.mark.parametrize("sign_of_life", [{"type": "ka"}, {"type": "weather"}])
async def test_sign_of_life_keeps_a_quiet_connection(sign_of_life: dict[str, Any]) -> None:
    clock = Clock()

    async def script(peer: Peer) -> None:
        await peer.greet(connectionTimeoutMs=60_000)
        start = await peer.accept()
        await peer.has_been_read()
        for _ in range(3):
            clock.advance(40)
            await peer.send(**sign_of_life)
            await peer.has_been_read()
        await peer.send(type="data", id=start["id"], payload={"data": {"number": 1}})
        await peer.socket.close()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        await connection.subscribe(DOCUMENT)
        messages = connection.messages()
        assert (await anext(messages)).data == {"number": 1}
        with pytest.raises(Offline, match="was closed"):
            await anext(messages)


async def test_acknowledgement_without_a_payload_means_five_minutes() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(type="ka")
        await peer.send(type="connection_ack")
        await peer.until_closed()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        assert connection.connection_timeout_seconds == 300


async def test_full_queue_holds_the_server_back_and_loses_nothing() -> None:
    count = 3_000
    filler = "x" * 10_000  # more in all than sockets buffer
    has_sent_all = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        start = await peer.accept()
        for number in range(count):
            await peer.send(type="data", id=start["id"], payload={"data": {"number": number, "filler": filler}})
        has_sent_all.set()
        await peer.socket.close()

    async with realtime_server(script) as endpoint, connection_to(endpoint, queue_size=2) as connection:
        await connection.subscribe(DOCUMENT)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(has_sent_all.wait(), 0.3)
        found, _ = await drained(connection)

    assert [message.data["number"] for message in found if message.data] == list(range(count))


async def test_lost_connection_fails_the_subscriptions_that_are_starting() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.receive()
        peer.socket.transport.abort()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        with pytest.raises(Offline):
            await connection.subscribe(DOCUMENT)
        with pytest.raises(Offline):  # and those that come later
            await connection.subscribe(DOCUMENT)


async def test_close_ends_the_messages_without_an_error() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.accept()
        await peer.until_closed()

    async with realtime_server(script) as endpoint:
        connection = connection_to(endpoint)
        async with connection:
            await connection.subscribe(DOCUMENT)
            reading = asyncio.create_task(drained(connection))
        assert await reading == ([], None)


async def test_frames_nobody_knows_are_passed_over() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        start = await peer.accept()
        await peer.send(type="weather", payload="fine")
        await peer.send(type="data", id="no number", payload={"data": {}})
        await peer.send(type="data", id=start["id"], payload="no payload")
        await peer.send(type="data", id=start["id"], payload={"data": {"number": 1}})
        await peer.socket.close()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        await connection.subscribe(DOCUMENT)
        found, _ = await drained(connection)

    assert [message.data for message in found] == [{"number": 1}]


@pytest.mark.parametrize("frame", ["{half a fra", "[]", b"\x00binary"])
def test_what_is_no_frame_ends_the_connection(frame: str | bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.socket.send(frame)
        await peer.until_closed()

    async def run() -> SyncError | None:
        async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
            return (await drained(connection))[1]

    assert isinstance(asyncio.run(run()), (Offline, ServerError))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"errorType": "UnauthorizedException", "errorCode": 401}, Unauthorized),
        ({"errorType": "Surprise", "errorCode": 403}, Unauthorized),
        ({"errorType": "LimitExceededError", "errorCode": 429}, Throttled),
        ({"errorType": "InternalFailure", "errorCode": 500}, ServerError),
        ({"errorType": "BadRequestException", "errorCode": 400}, SyncError),
    ],
)
async def test_refused_connection_raises(error: dict[str, Any], expected: type[SyncError]) -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(type="connection_error", payload={"errors": [error]})
        await peer.until_closed()

    async with realtime_server(script) as endpoint:
        with pytest.raises(SyncError) as caught:
            await connection_to(endpoint).connect()

    assert type(caught.value) is expected
    assert KEY not in str(caught.value)


async def test_connection_error_later_ends_the_connection_with_its_class() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.send(type="connection_error", payload={"errors": [{"errorType": "UnauthorizedException"}]})
        await peer.until_closed()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        _, error = await drained(connection)

    assert isinstance(error, Unauthorized)


async def test_server_that_never_acknowledges_is_offline() -> None:
    async def script(peer: Peer) -> None:
        await peer.until_closed()

    async with realtime_server(script) as endpoint:
        with pytest.raises(Offline, match="not ready in time"):
            await connection_to(endpoint, connect_timeout_seconds=0.2).connect()


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, Unauthorized), (403, Unauthorized), (404, ServerError), (503, ServerError), (200, ServerError)],
)
async def test_web_server_in_place_of_a_socket(status: int, expected: type[SyncError]) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} So\r\ncontent-length: 4\r\n\r\npage".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(script, "127.0.0.1", 0) as server:
        endpoint = Endpoint.parse(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/graphql")
        with pytest.raises(SyncError) as caught:
            await connection_to(endpoint).connect()

    assert type(caught.value) is expected


async def test_nobody_listening_is_offline() -> None:
    endpoint = Endpoint.parse(f"http://127.0.0.1:{servers.closed_port()}/graphql")

    with pytest.raises(Offline) as caught:
        await connection_to(endpoint).connect()

    assert endpoint.host in str(caught.value)
    assert caught.value.__cause__ is not None


async def test_connection_cannot_be_used_twice() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.until_closed()

    async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
        with pytest.raises(RuntimeError, match="Make a new one"):
            await connection.connect()


async def test_logs_show_neither_key_nor_records(caplog: pytest.LogCaptureFixture) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        start = await peer.accept()
        await peer.send(type="data", id=start["id"], payload={"data": {"title": "Alice Smith"}})
        await peer.socket.close()

    logging.getLogger("websockets.server").setLevel(logging.INFO)  # the test's own side
    with caplog.at_level(logging.DEBUG):
        async with realtime_server(script) as endpoint, connection_to(endpoint) as connection:
            await connection.subscribe(DOCUMENT)
            await drained(connection)

    assert not [secret for secret in (KEY, "header-", "Alice") if secret in caplog.text]
