"""`LocalAppSync` and `LocalAppSyncProcess`: the same interface, in a thread and in a process."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from django_datastore.appsync_local.auth.identity import Identity
from django_datastore.exceptions import ConfigurationError, LoadError
from django_datastore.testing import LocalAppSync, LocalAppSyncProcess
from django_datastore.testing.appsync import AppSyncForTests
from django_datastore.testing.issuer import Issuer
from tests.integration.local_server_tools import fresh_database

SDL = """
type Post @model { id: ID! title: String! rating: Int }
type Stop @model { line: ID! @primaryKey(sortKeyFields: ["number"]) number: Int! name: String }
"""
CREATE = "mutation ($input: CreatePostInput!) { createPost(input: $input) { id title _version } }"
SYNC = "query ($lastSync: AWSTimestamp) { syncPosts(lastSync: $lastSync) { items { id _deleted } startedAt } }"
FORMS = [LocalAppSync, LocalAppSyncProcess]


@pytest.fixture(params=FORMS, scope="module")
def shared(request: pytest.FixtureRequest) -> Iterator[AppSyncForTests]:
    with fresh_database() as database, request.param(SDL, database=database) as server:
        yield server


@pytest.fixture
def appsync(shared: AppSyncForTests) -> Iterator[AppSyncForTests]:
    """A server that has been used before: ids must be new."""
    yield shared
    shared.faults.clear()
    shared.clock.reset()
    shared.forget()


def post(server: AppSyncForTests, query: str, **variables: Any) -> Any:
    with httpx.Client(headers={"x-api-key": server.api_key}, timeout=30) as client:
        return client.post(server.url, json={"query": query, "variables": variables}).json()


def unique() -> str:
    return os.urandom(8).hex()


def test_records_are_loaded_as_they_were_elsewhere(appsync: AppSyncForTests):
    one, other = unique(), unique()
    moment = appsync.clock.now_ms() - 5_000
    loaded = appsync.load(
        "Post",
        [
            {"id": one, "title": "old", "_version": 7, "_lastChangedAt": moment, "_deleted": True},
            {"id": other, "title": "new"},
        ],
    )
    assert loaded == 2
    record, new = appsync.record("Post", one), appsync.record("Post", other)
    assert record is not None
    assert new is not None
    assert (record["_version"], record["_lastChangedAt"], record["_deleted"]) == (7, moment, True)
    assert (new["_version"], new["_deleted"]) == (1, None)
    assert appsync.applied() == []  # nobody applied anything


def test_records_are_loaded_from_a_file(appsync: AppSyncForTests, tmp_path: Path):
    key = unique()
    (tmp_path / "posts.jsonl").write_text(json.dumps({"id": key, "title": "T", "_version": 3}) + "\n")
    assert appsync.load("Post", tmp_path / "posts.jsonl") == 1
    assert appsync.record("Post", key)["_version"] == 3  # type: ignore[index]


def test_bad_record_is_refused_and_none_is_stored(appsync: AppSyncForTests):
    key = unique()
    with pytest.raises(LoadError, match="titel"):
        appsync.load("Post", [{"id": key, "title": "T"}, {"id": unique(), "titel": "T"}])
    assert appsync.record("Post", key) is None


def test_composite_keys_are_given_in_parts(appsync: AppSyncForTests):
    line = unique()
    appsync.load("Stop", [{"line": line, "number": 7, "name": "N"}])
    appsync.execute(
        f'mutation {{ updateStop(input: {{line: "{line}", number: 7, name: "M", _version: 1}}) {{ line }} }}'
    )
    assert [item.key for item in appsync.applied("updateStop", key=(line, "7"))] == [(line, "7")]
    assert [item["number"] for item in appsync.records("Stop") if item["line"] == line] == [7]


def test_execute_says_who_asks(appsync: AppSyncForTests):
    key = unique()
    found = appsync.execute(CREATE, {"input": {"id": key, "title": "T"}}, Identity("API_KEY"))
    assert found == {"data": {"createPost": {"id": key, "title": "T", "_version": 1}}}


def test_what_was_applied_and_requested_is_counted(appsync: AppSyncForTests):
    one, other = unique(), unique()
    post(appsync, CREATE, input={"id": one, "title": "T"})
    post(appsync, CREATE, input={"id": one, "title": "twice"})  # refused
    post(appsync, "nonsense {")
    appsync.execute(CREATE, {"input": {"id": other, "title": "T"}})
    appsync.execute(f'mutation {{ deletePost(input: {{id: "{other}", _version: 1}}) {{ id }} }}')
    assert [item.key for item in appsync.applied("createPost")] == [(one,), (other,)]
    assert [(item.action, item.version) for item in appsync.applied(model="Post", key=other)] == [
        ("create", 1),
        ("delete", 2),
    ]
    assert appsync.applied(model="Stop") == []
    assert [(item.operations, item.outcome, item.status) for item in appsync.requests()] == [
        (("createPost",), "ok", 200),
        (("createPost",), "errors", 200),
        ((), "refused", 400),
    ]
    assert len(appsync.requests("createPost", outcome="ok")) == 1
    appsync.forget()
    assert (appsync.applied(), appsync.requests()) == ([], [])


def test_mutation_that_is_refused_in_a_document_is_not_applied(appsync: AppSyncForTests):
    key = unique()
    both = "a: createPost(input: $a) { id } b: updatePost(input: $b) { id }"
    query = f"mutation ($a: CreatePostInput!, $b: UpdatePostInput!) {{ {both} }}"
    post(appsync, query, a={"id": key, "title": "T"}, b={"id": unique(), "_version": 1})
    assert [item.operation for item in appsync.applied()] == ["createPost"]


def test_clock_moves_versions_deltas_and_tombstones(appsync: AppSyncForTests):
    key = unique()
    moment = datetime.datetime(2050, 1, 1, tzinfo=datetime.UTC)
    appsync.clock.stop()
    appsync.clock.set(moment)
    assert appsync.clock.now() == moment
    appsync.load("Post", [{"id": key, "title": "T", "_lastChangedAt": appsync.clock.now_ms()}])
    before = appsync.clock.now_ms()
    appsync.execute(f'mutation {{ deletePost(input: {{id: "{key}", _version: 1}}) {{ id }} }}')
    assert appsync.record("Post", key)["_lastChangedAt"] == before  # type: ignore[index]

    def found() -> dict[str, Any]:
        items = post(appsync, SYNC, lastSync=before)["data"]["syncPosts"]["items"]
        return {item["id"]: item["_deleted"] for item in items}

    assert found()[key] is True  # from the delta log
    appsync.clock.advance(minutes=31)
    page = post(appsync, SYNC, lastSync=before)["data"]["syncPosts"]
    assert page["startedAt"] >= before + 31 * 60_000
    assert len(page["items"]) == len(appsync.records("Post"))  # the log is too old: a base sync
    appsync.clock.advance(days=31)
    assert appsync.record("Post", key) is None  # the tombstone is gone


@pytest.mark.parametrize("form", FORMS)
def test_keys_and_tokens_expire_by_the_clock(form: type[AppSyncForTests]):
    pool = Issuer()
    trusted = {"issuer": pool.issuer, "jwks": pool.jwks(), "client_ids": list(pool.client_ids)}
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=7)
    modes = {"ADDITIONAL_AUTH_MODES": ["AMAZON_COGNITO_USER_POOLS"], "USER_POOL": trusted}
    sdl = "type Post @model @auth(rules: [{allow: public}, {allow: private}]) { id: ID! }"
    with form(sdl, api_key={"key": "da2-week", "expires": expires}, **modes) as server:

        def status(headers: dict[str, str]) -> int:
            return httpx.post(server.url, json={"query": "{ listPosts { items { id } } }"}, headers=headers).status_code

        key, token = {"x-api-key": server.api_key}, {"authorization": pool.token("alice")}
        assert (status(key), status(token)) == (200, 200)
        server.clock.advance(hours=2)
        assert (status(key), status(token)) == (200, 401)
        server.clock.advance(days=7)
        assert (status(key), status(token)) == (401, 401)
        server.clock.reset()
        assert (status(key), status(token)) == (200, 200)


def test_server_comes_back_where_it_was(appsync: AppSyncForTests):
    key, url = unique(), appsync.url
    post(appsync, CREATE, input={"id": key, "title": "T"})
    appsync.stop()
    with pytest.raises(httpx.ConnectError):
        post(appsync, "{ __typename }")
    appsync.start()
    assert appsync.url == url
    assert appsync.record("Post", key) is not None
    assert len(appsync.applied("createPost")) == 1


def test_nobody_connects_while_connections_are_refused(appsync: AppSyncForTests):
    with httpx.Client(headers={"x-api-key": appsync.api_key}) as client:
        client.post(appsync.url, json={"query": "{ __typename }"})  # an open connection
        for _ in range(2):
            with appsync.refusing_connections():
                with pytest.raises(httpx.ConnectError):
                    post(appsync, "{ __typename }")
                with pytest.raises(httpx.TransportError):
                    client.post(appsync.url, json={"query": "{ __typename }"})
            assert client.post(appsync.url, json={"query": "{ __typename }"}).status_code == 200


def test_server_stops_while_it_refuses(appsync: AppSyncForTests):
    with appsync.refusing_connections():
        appsync.stop()
        appsync.start()
    assert "data" in post(appsync, "{ __typename }")


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        (lambda faults: faults.throttled("createPots"), "createPost"),
        (lambda faults: faults.throttled(model="post"), "Post"),
        (lambda faults: faults.throttled(kind="writing"), "mutation"),
        (lambda faults: faults.null("onCreatePost"), "refuse_start"),
    ],
)
def test_fault_that_could_never_happen_is_refused(appsync: AppSyncForTests, switch: Any, message: str):
    with pytest.raises(ConfigurationError, match=message):
        switch(appsync.faults)


@pytest.mark.parametrize("form", FORMS)
def test_server_that_does_not_run_says_so(form: type[AppSyncForTests]):
    server = form(SDL)
    with pytest.raises(RuntimeError, match=r"Call start\(\) first"):
        server.records("Post")
    with pytest.raises(RuntimeError, match=r"Call start\(\) first"):
        server.url  # noqa: B018
    server.close()
    server.close()


def test_killed_process_has_lost_nothing_it_answered():
    with LocalAppSyncProcess(SDL) as server:
        url = server.url
        post(server, CREATE, input={"id": "p1", "title": "T"})
        server.kill()
        with pytest.raises(RuntimeError, match="is gone"):
            server.records("Post")
        with pytest.raises(httpx.ConnectError):
            post(server, "{ __typename }")
        server.start()
        assert (server.url, len(server.records("Post"))) == (url, 1)


def test_process_ends_with_its_test():
    server = LocalAppSyncProcess(SDL)
    server.start()
    child = server._child
    assert child is not None
    server.close()
    assert child.process.returncode == 0


def test_process_says_what_it_cannot_be_sent():
    with LocalAppSyncProcess(SDL) as server, pytest.raises(TypeError, match="top level of a module"):
        server.faults.throttled(when=lambda subject: True)


def test_process_that_cannot_start_says_why():
    with pytest.raises(ConfigurationError, match="in memory"):
        LocalAppSyncProcess(SDL, database=":memory:").start()
