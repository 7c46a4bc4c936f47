"""Every fault of `LocalAppSync` and `LocalAppSyncProcess`: it does what it says, to whom it says, and then no more."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from django_datastore.appsync_local.injection.faults import Subject
from django_datastore.testing import LocalAppSync, LocalAppSyncProcess
from django_datastore.testing.appsync import AppSyncForTests
from tests.integration.local_server_tools import speaking

SDL = "type Post @model { id: ID! title: String! rating: Int }  type Blog @model { id: ID! name: String }"
CREATE = "mutation ($input: CreatePostInput!) { createPost(input: $input) { id title rating _version } }"
IMPATIENT = httpx.Timeout(30, read=1)
"""For answers that do not come."""
ON_CREATE = "subscription { onCreatePost { id title } }"


@pytest.fixture(params=[LocalAppSync, LocalAppSyncProcess], scope="module")
def shared(request: pytest.FixtureRequest) -> Iterator[AppSyncForTests]:
    with request.param(SDL, KEEP_ALIVE_SECONDS=0.02) as server:
        yield server


@pytest.fixture
def appsync(shared: AppSyncForTests) -> Iterator[AppSyncForTests]:
    """A server that has been used before: ids must be new."""
    shared.forget()
    yield shared
    shared.faults.clear()


@pytest.fixture
def http(appsync: AppSyncForTests) -> Iterator[httpx.Client]:
    with httpx.Client(headers={"x-api-key": appsync.api_key}, timeout=30, base_url=appsync.url) as client:
        yield client


def create(http: httpx.Client, key: str, **values: Any) -> httpx.Response:
    variables = {"input": {"id": key, "title": "T", **values}}
    return http.post("", json={"query": CREATE, "variables": variables})


def unique() -> str:
    return os.urandom(8).hex()


def rating_is_odd(subject: Subject) -> bool:
    return bool(subject.values.get("rating", 0) % 2)


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "status", "error_type", "is_applied"),
    [
        ("unauthorized", {}, 401, "UnauthorizedException", False),
        ("token_expired", {}, 401, "UnauthorizedException", False),
        ("throttled", {}, 429, "TooManyRequestsException", False),
        ("server_error", {}, 500, "InternalFailureException", False),
        ("server_error", {"status": 503, "applied": True}, 503, "ServiceUnavailableException", True),
    ],
)
def test_request_is_refused_in_appsyncs_words(
    appsync: AppSyncForTests,
    http: httpx.Client,
    name: str,
    options: dict[str, Any],
    status: int,
    error_type: str,
    is_applied: bool,
):
    key = unique()
    with getattr(appsync.faults, name)("createPost", **options) as fault:
        answer = create(http, key)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (status, error_type)
    assert answer.json()["errors"][0]["errorType"] == error_type
    assert (appsync.record("Post", key) is not None) is is_applied
    (request,) = appsync.requests("createPost")
    assert (request.outcome, request.status, request.faults) == ("refused", status, (fault.number,))
    assert create(http, unique()).json()["data"]["createPost"]  # it is over


@pytest.mark.parametrize(("status", "applied"), [(200, False), (502, True)])
def test_page_for_people_comes_instead(appsync: AppSyncForTests, http: httpx.Client, status: int, applied: bool):
    key = unique()
    with appsync.faults.html(status=status, applied=applied):
        answer = create(http, key)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html")
    assert "<html>" in answer.text
    assert (appsync.record("Post", key) is not None) is applied


def test_any_answer_can_be_given(appsync: AppSyncForTests, http: httpx.Client):
    with appsync.faults.answers(status=418, body='{"short": "and stout"}', times=1):
        assert create(http, unique()).text == '{"short": "and stout"}'
        assert create(http, unique()).status_code == 200


# -- lost lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "is_applied"), [("request_lost", False), ("reply_lost", True), ("reply_cut", True)])
def test_connection_is_cut(appsync: AppSyncForTests, http: httpx.Client, name: str, is_applied: bool):
    key = unique()
    with getattr(appsync.faults, name)("createPost") as fault, pytest.raises(httpx.RemoteProtocolError):
        create(http, key)
    assert fault.hits == 1
    assert (appsync.record("Post", key) is not None) is is_applied
    assert len(appsync.applied("createPost", key=key)) == is_applied
    assert [item.outcome for item in appsync.requests()] == ["lost"]


def test_reply_is_shortened_and_looks_whole(appsync: AppSyncForTests, http: httpx.Client):
    key = unique()
    with appsync.faults.reply_shortened():
        answer = create(http, key)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert appsync.record("Post", key) is not None


def test_reply_drips(appsync: AppSyncForTests, http: httpx.Client):
    with (
        appsync.faults.reply_slow(chunk_bytes=20, pause_seconds=0.001),
        http.stream("POST", "", json={"query": "{ listPosts { items { id title } } }"}) as answer,
    ):
        chunks = list(answer.iter_raw(20))
    assert json.loads(b"".join(chunks))["data"]["listPosts"]


def test_reply_that_is_slow_runs_into_the_clients_timeout(appsync: AppSyncForTests, http: httpx.Client):
    key = unique()
    with appsync.faults.latency(reply_seconds=2) as fault, pytest.raises(httpx.ReadTimeout):
        http.post("", json={"query": CREATE, "variables": {"input": {"id": key, "title": "T"}}}, timeout=IMPATIENT)
    fault.wait()
    appsync.settle()
    assert appsync.record("Post", key) is not None


# -- held --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "is_applied"), [("request", False), ("reply", True)])
def test_request_waits_until_it_is_released(appsync: AppSyncForTests, http: httpx.Client, at: str, is_applied: bool):
    key, answers = unique(), []
    thread = threading.Thread(target=lambda: answers.append(create(http, key)))
    with appsync.faults.hold("createPost", at=at, key=key) as held:
        thread.start()
        held.wait()
        assert (appsync.record("Post", key) is not None) is is_applied
        appsync.execute(CREATE, {"input": {"id": unique(), "title": "the test's own hands are free"}})
        assert answers == []
        held.release()
        thread.join()
    assert answers[0].json()["data"]["createPost"]["id"] == key


def test_server_settles_when_given_up_requests_are_done(appsync: AppSyncForTests, http: httpx.Client):
    key = unique()
    with appsync.faults.hold("createPost") as held:
        with pytest.raises(httpx.ReadTimeout):
            http.post("", json={"query": CREATE, "variables": {"input": {"id": key, "title": "T"}}}, timeout=IMPATIENT)
        held.wait()
        with pytest.raises(TimeoutError, match="still under way"):
            appsync.settle(0.01)
    appsync.settle()
    assert appsync.record("Post", key) is not None


def test_held_request_is_lost_when_the_server_stops(appsync: AppSyncForTests, http: httpx.Client):
    key, outcomes = unique(), []

    def send() -> None:
        try:
            create(http, key)
        except httpx.TransportError as exc:
            outcomes.append(type(exc))

    thread = threading.Thread(target=send)
    with appsync.faults.hold("createPost") as held:
        thread.start()
        held.wait()
        appsync.stop()
        thread.join()
    appsync.start()
    assert len(outcomes) == 1
    assert appsync.record("Post", key) is None


def test_waiting_for_what_does_not_happen_ends(appsync: AppSyncForTests):
    with appsync.faults.throttled("createBlog") as fault, pytest.raises(TimeoutError, match="happened 0 times"):
        fault.wait(0.01)
    assert fault in appsync.faults.unused()


# -- whom it hits ------------------------------------------------------------------------------------------------------


BATCH = " ".join(f"m{n}: createPost(input: $i{n}) {{ id title }}" for n in range(25))
BATCH_QUERY = f"mutation ({', '.join(f'$i{n}: CreatePostInput!' for n in range(25))}) {{ {BATCH} }}"


def batch(http: httpx.Client, keys: list[str]) -> httpx.Response:
    variables = {f"i{n}": {"id": key, "title": "T", "rating": n} for n, key in enumerate(keys)}
    return http.post("", json={"query": BATCH_QUERY, "variables": variables})


def test_field_error_hits_one_alias_of_many(appsync: AppSyncForTests, http: httpx.Client):
    keys = [unique() for _ in range(25)]
    with appsync.faults.internal_failure("createPost", key=keys[7]) as fault:
        answer = batch(http, keys).json()
    assert [name for name, value in answer["data"].items() if value is None] == ["m7"]
    assert [(error["path"], error["errorType"]) for error in answer["errors"]] == [(["m7"], "InternalFailure")]
    assert fault.hits == 1
    assert [item.key[0] for item in appsync.applied()] == keys[:7] + keys[8:]


def test_line_fault_for_one_alias_hits_the_whole_request(appsync: AppSyncForTests, http: httpx.Client):
    keys = [unique() for _ in range(25)]
    with appsync.faults.reply_lost("createPost", key=keys[24]) as fault:
        with pytest.raises(httpx.RemoteProtocolError):
            batch(http, keys)
        assert create(http, unique()).status_code == 200  # is about another record
    assert fault.hits == 1
    assert len(appsync.applied()) == 26


@pytest.mark.parametrize(
    "condition",
    [{"kind": "create"}, {"model": "Post"}, {"matching": {"rating": {"ge": 3}}}, {"when": rating_is_odd}],
)
def test_fault_hits_those_it_is_about(appsync: AppSyncForTests, http: httpx.Client, condition: dict[str, Any]):
    with appsync.faults.throttled(**condition) as fault:
        assert create(http, unique(), rating=3).status_code == 429
        if condition not in ({"kind": "create"}, {"model": "Post"}):
            assert create(http, unique(), rating=2).status_code == 200
        assert http.post("", json={"query": "{ listBlogs { items { id } } }"}).status_code == 200
    assert fault.hits == 1


def test_fault_happens_after_two_and_three_times(appsync: AppSyncForTests, http: httpx.Client):
    with appsync.faults.server_error("createPost", after=2, times=3) as fault:
        statuses = [create(http, unique()).status_code for _ in range(7)]
    assert statuses == [200, 200, 500, 500, 500, 200, 200]
    assert fault.hits == 3


def test_faults_add_up(appsync: AppSyncForTests, http: httpx.Client):
    key = unique()
    with appsync.faults.latency(reply_seconds=0.01) as slow, appsync.faults.server_error(status=502) as broken:
        assert create(http, key).status_code == 502
    assert (slow.hits, broken.hits) == (1, 1)
    assert appsync.record("Post", key) is None


# -- root fields -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error_type", "is_applied", "has_record"),
    [
        ("conflict_unhandled", "ConflictUnhandled", False, True),
        ("condition_failed", "ConditionalCheckFailedException", False, True),
        ("max_conflicts", "MaxConflicts", False, False),
        ("internal_failure", "InternalFailure", False, False),
        ("not_authorized", "Unauthorized", False, False),
        ("delta_sync_write_error", "DeltaSyncWriteError", True, True),
    ],
)
def test_field_gets_an_error(
    appsync: AppSyncForTests, http: httpx.Client, name: str, error_type: str, is_applied: bool, has_record: bool
):
    key = unique()
    create(http, key)
    update = "mutation ($input: UpdatePostInput!) { updatePost(input: $input) { id } }"
    with getattr(appsync.faults, name)("updatePost"):
        variables = {"input": {"id": key, "title": "new", "_version": 1}}
        answer = http.post("", json={"query": update, "variables": variables}).json()
    (error,) = answer["errors"]
    record = appsync.record("Post", key)
    assert record is not None
    assert (answer["data"], error["path"], error["errorType"]) == ({"updatePost": None}, ["updatePost"], error_type)
    assert error["data"] == ({"rating": None, **record} if has_record else None)
    assert record["_version"] == 1 + is_applied
    assert len(appsync.applied("updatePost")) == is_applied


@pytest.mark.parametrize("applied", [False, True])
def test_field_is_null_without_an_error(appsync: AppSyncForTests, http: httpx.Client, applied: bool):
    key = unique()
    with appsync.faults.null("createPost", applied=applied):
        assert create(http, key).json() == {"data": {"createPost": None}}
    assert (appsync.record("Post", key) is not None) is applied


def test_any_error_can_be_given_to_a_query(appsync: AppSyncForTests, http: httpx.Client):
    with appsync.faults.field_error("listPosts", error_type="Custom", message="why not"):
        answer = http.post("", json={"query": "{ listPosts { items { id } } listBlogs { items { id } } }"}).json()
    assert answer["data"] == {"listPosts": None, "listBlogs": {"items": []}}
    assert [(error["errorType"], error["message"]) for error in answer["errors"]] == [("Custom", "why not")]


def test_page_over_1_mb_is_refused_until_it_is_small_enough(appsync: AppSyncForTests, http: httpx.Client):
    def sync(limit: int) -> dict[str, Any]:
        found: dict[str, Any] = http.post(
            "", json={"query": f"{{ syncPosts(limit: {limit}) {{ items {{ id }} }} }}"}
        ).json()
        return found

    with appsync.faults.page_too_large("syncPosts", beyond=100) as fault:
        refused = sync(101)
        assert "errors" not in sync(100)
    assert (refused["data"], refused["errors"][0]["message"]) == ({"syncPosts": None}, "Transformation too large")
    assert refused["errors"][0]["errorType"] == "MappingTemplate"
    assert fault.hits == 1


# -- events ------------------------------------------------------------------------------------------------------------


def announce(appsync: AppSyncForTests, key: str, **values: Any) -> None:
    """Another device creates a post."""
    appsync.execute(CREATE, {"input": {"id": key, "title": "T", **values}})


async def test_event_is_dropped_and_the_next_is_not(appsync: AppSyncForTests):
    one, other = unique(), unique()
    async with speaking(appsync) as speaker:
        await speaker.start("s", ON_CREATE)
        with appsync.faults.drop_event("onCreatePost", times=1) as fault:
            announce(appsync, one)
            announce(appsync, other)
        assert (await speaker.event())["data"]["onCreatePost"]["id"] == other
    assert fault.hits == 1


async def test_event_comes_twice(appsync: AppSyncForTests):
    key, last = unique(), unique()
    async with speaking(appsync) as speaker:
        await speaker.start("s", ON_CREATE)
        with appsync.faults.duplicate_event("createPost", key=key):
            announce(appsync, key)
            announce(appsync, last)
        assert [(await speaker.event())["data"]["onCreatePost"]["id"] for _ in range(3)] == [key, key, last]


async def test_events_come_in_reverse(appsync: AppSyncForTests):
    keys = [unique() for _ in range(4)]
    async with speaking(appsync) as speaker:
        await speaker.start("s", ON_CREATE)
        with appsync.faults.reorder_events("onCreatePost", count=3, times=3):
            for key in keys:
                announce(appsync, key)
        found = [(await speaker.event())["data"]["onCreatePost"]["id"] for _ in range(4)]
    assert found == [*keys[2::-1], keys[3]]


async def test_events_that_are_too_few_to_reorder_come_in_the_end(appsync: AppSyncForTests):
    key = unique()
    async with speaking(appsync) as speaker:
        await speaker.start("s", ON_CREATE)
        with appsync.faults.reorder_events("onCreatePost", count=3):
            announce(appsync, key)
        assert (await speaker.event())["data"]["onCreatePost"]["id"] == key


async def test_event_waits_until_it_is_released(appsync: AppSyncForTests):
    one, other = unique(), unique()
    async with speaking(appsync) as speaker:
        await speaker.start("s", ON_CREATE)
        held = appsync.faults.hold_event(matching={"rating": {"eq": 5}})
        announce(appsync, one, rating=5)
        held.wait()
        announce(appsync, other)
        assert (await speaker.event())["data"]["onCreatePost"]["id"] == other
        held.release()
        assert (await speaker.event())["data"]["onCreatePost"]["id"] == one


async def test_socket_is_cut_in_place_of_an_event(appsync: AppSyncForTests):
    async with speaking(appsync) as speaker, speaking(appsync) as other:
        await speaker.start("s", ON_CREATE)
        await other.start("s", "subscription { onCreateBlog { id } }")
        with appsync.faults.cut_socket("onCreatePost"):
            announce(appsync, unique())
            with pytest.raises(ConnectionClosed) as caught:
                await speaker.receive()
        assert caught.value.rcvd is None  # no close frame came
        appsync.execute(f'mutation {{ createBlog(input: {{id: "{unique()}"}}) {{ id }} }}')
        assert "onCreateBlog" in (await other.event())["data"]


async def test_socket_is_closed_in_place_of_an_event(appsync: AppSyncForTests):
    async with speaking(appsync) as speaker:
        await speaker.start("s", ON_CREATE)
        with appsync.faults.close_socket("onCreatePost", code=1012):
            announce(appsync, unique())
            with pytest.raises(ConnectionClosed) as caught:
                await speaker.receive()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012


# -- sockets -----------------------------------------------------------------------------------------------------------


async def test_all_sockets_are_cut_and_closed_at_once(appsync: AppSyncForTests):
    async with speaking(appsync) as one, speaking(appsync) as other:
        await one.start("s", ON_CREATE)
        assert appsync.watching("onCreatePost") == 1
        assert appsync.cut_sockets() == 2
        for speaker in (one, other):
            with pytest.raises(ConnectionClosed) as caught:
                await speaker.receive()
            assert caught.value.rcvd is None
    async with speaking(appsync) as speaker:
        assert appsync.close_sockets(1001) == 1
        with pytest.raises(ConnectionClosed) as caught:
            await speaker.receive()
        assert caught.value.rcvd is not None


async def test_socket_cannot_be_opened(appsync: AppSyncForTests):
    with appsync.faults.refuse_socket(status=503, times=1) as fault:
        with pytest.raises(InvalidStatus) as caught:
            async with speaking(appsync):
                pass
        async with speaking(appsync) as speaker:
            assert (await speaker.start("s", ON_CREATE))["type"] == "start_ack"
    assert caught.value.response.status_code == 503
    assert fault.hits == 1


async def test_connection_is_refused_as_with_an_old_token(appsync: AppSyncForTests):
    with appsync.faults.refuse_connection(times=1) as fault:
        async with speaking(appsync, init=False) as speaker:
            await speaker.send("connection_init")
            answer = await speaker.receive()
            with pytest.raises(ConnectionClosed) as caught:
                await speaker.receive()
        async with speaking(appsync):
            pass  # acknowledged
    assert answer["type"] == "connection_error"
    assert answer["payload"]["errors"][0]["message"] == "Token has expired."
    assert caught.value.rcvd is not None
    assert fault.hits == 1


async def test_connection_is_never_acknowledged(appsync: AppSyncForTests):
    with appsync.faults.ignore_connection(times=1) as fault:
        async with speaking(appsync, init=False) as speaker:
            await speaker.send("connection_init")
            await speaker.send("stop", id="unknown")  # ignored, because nothing is acknowledged
            await speaker.send("connection_init")
            assert (await speaker.receive())["type"] == "connection_ack"
    assert fault.hits == 1


async def test_start_is_refused_and_others_are_not(appsync: AppSyncForTests):
    async with speaking(appsync) as speaker:
        with appsync.faults.refuse_start("onCreatePost", message="Token has expired.") as fault:
            answer = await speaker.start("s", ON_CREATE)
            assert (await speaker.start("b", "subscription { onCreateBlog { id } }"))["type"] == "start_ack"
        assert (answer["type"], answer["id"]) == ("error", "s")
        assert answer["payload"]["errors"] == [{"errorType": "UnauthorizedException", "message": "Token has expired."}]
        assert (await speaker.start("s", ON_CREATE))["type"] == "start_ack"
    assert fault.hits == 1


async def test_start_is_never_acknowledged(appsync: AppSyncForTests):
    async with speaking(appsync) as speaker:
        with appsync.faults.ignore_start("onCreatePost") as fault:
            payload = {"data": json.dumps({"query": ON_CREATE}), "extensions": {"authorization": {"x-api-key": "?"}}}
            await speaker.send("start", id="s", payload=payload)
            assert (await speaker.start("b", "subscription { onCreateBlog { id } }"))["id"] == "b"
    assert fault.hits == 1
    assert appsync.watching("onCreatePost") == 0


async def test_keep_alives_stop(appsync: AppSyncForTests):
    async with speaking(appsync) as speaker:
        await speaker.start("s", ON_CREATE)
        with appsync.faults.stop_keep_alives() as fault:
            fault.wait(hits=3)  # the server would have sent them
            key = unique()
            announce(appsync, key)
            while (message := json.loads(await speaker.socket.recv()))["type"] == "ka":
                pass  # sent before
            assert message["type"] == "data"
        assert json.loads(await speaker.socket.recv()) == {"type": "ka"}


async def test_sockets_go_by_the_clock(appsync: AppSyncForTests):
    with type(appsync)(SDL) as server:  # a keep-alive a minute, and 24 hours in all
        async with speaking(server) as speaker:
            await speaker.start("s", ON_CREATE)
            server.clock.advance(minutes=1)
            assert json.loads(await speaker.socket.recv()) == {"type": "ka"}
            server.clock.advance(hours=24)
            with pytest.raises(ConnectionClosed):
                await speaker.receive()


def test_clear_switches_all_off(appsync: AppSyncForTests, http: httpx.Client):
    appsync.faults.throttled()
    appsync.faults.null()
    appsync.faults.clear()
    assert create(http, unique()).json()["data"]["createPost"]
