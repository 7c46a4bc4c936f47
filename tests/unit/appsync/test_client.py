from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from django_datastore.appsync.auth import auth_for
from django_datastore.appsync.client import USER_AGENT, AppSyncClient
from django_datastore.appsync.endpoint import Endpoint
from django_datastore.exceptions import (
    BadModel,
    BadRecord,
    ConditionFailed,
    ConflictUnhandled,
    Offline,
    ServerError,
    SyncError,
    Throttled,
    TransientError,
    Unauthorized,
)
from tests.unit.appsync import servers
from tests.unit.appsync.servers import HttpServer, http_server, sends, sends_json

KEY = "da2-secret"
DOCUMENT = "mutation operation { m0: a m1: b }"
HTML = "<html><body><h1>Down for\nmaintenance</h1></body></html>"

Answer = Callable[[BaseHTTPRequestHandler], None]


def client_of(endpoint: Endpoint, **options: Any) -> AppSyncClient:
    return AppSyncClient(endpoint, auth_for("API_KEY", api_key=KEY), **options)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Lets a server that holds its answer back go on."""
    event = threading.Event()
    yield event
    event.set()


def error_of(answer: Answer, **options: Any) -> tuple[SyncError, HttpServer]:
    with http_server(answer) as server, client_of(server.endpoint, **options) as client:
        with pytest.raises(SyncError) as caught:
            client.execute(DOCUMENT, {"input0": {"title": "Alice Smith"}}, operation="update", model="Post")
        return caught.value, server


def test_request_carries_key_agent_and_the_document_as_it_is() -> None:
    with http_server(sends_json({"data": {"m0": 1}})) as server, client_of(server.endpoint) as client:
        response = client.execute(DOCUMENT, {"input0": {"title": "é"}})

    headers, body = server.requests[0]
    assert response.data == {"m0": 1}
    assert body == {"query": DOCUMENT, "variables": {"input0": {"title": "é"}}}
    assert headers["x-api-key"] == KEY
    assert headers["content-type"] == "application/json"
    assert headers["x-amz-user-agent"] == USER_AGENT


def test_requests_share_one_connection() -> None:
    with http_server(sends_json({"data": {}})) as server, client_of(server.endpoint) as client:
        for _ in range(3):
            client.execute(DOCUMENT)

    assert len(server.connections) == 1


def test_closed_client_opens_again() -> None:
    with http_server(sends_json({"data": {}})) as server, client_of(server.endpoint) as client:
        client.execute(DOCUMENT)
        client.close()
        client.execute(DOCUMENT)

    assert len(server.connections) == 2


def test_child_of_a_fork_opens_a_connection_of_its_own() -> None:
    with http_server(sends_json({"data": {}})) as server, client_of(server.endpoint) as client:
        client.execute(DOCUMENT)
        child = os.fork()
        if child == 0:
            try:
                client.execute(DOCUMENT)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        client.execute(DOCUMENT)

    assert len(server.requests) == 3
    assert len(server.connections) == 2


def test_each_alias_fails_for_itself() -> None:
    theirs = {"id": "1", "_version": 7}
    answer = {
        "data": {"m0": None, "m1": {"id": "2"}, "m2": None},
        "errors": [
            {"path": ["m0"], "errorType": "ConflictUnhandled", "message": "no", "data": theirs},
            {"path": ["m2"], "errorType": "ConditionalCheckFailedException", "message": "no", "data": None},
        ],
    }
    with http_server(sends_json(answer)) as server, client_of(server.endpoint) as client:
        response = client.execute(DOCUMENT, process="mutate")

    conflict, condition = response.error("m0"), response.error("m2")
    assert conflict is not None
    assert condition is not None
    assert response.error("m1") is None
    exception = conflict.to_exception(operation="update", model="Post", local={"id": "1"})
    assert type(exception) is ConflictUnhandled
    assert (exception.process, exception.operation, exception.model) == ("mutate", "update", "Post")
    assert (exception.remote, exception.local) == (theirs, {"id": "1"})
    assert type(condition.to_exception()) is ConditionFailed
    with pytest.raises(ConflictUnhandled):
        response.raise_for_errors()


def test_delta_sync_write_error_is_success() -> None:
    record = {"id": "1", "_version": 2}
    answer = {
        "data": {"m0": None},
        "errors": [{"path": ["m0"], "errorType": "DeltaSyncWriteError", "message": "", "data": record}],
    }
    with http_server(sends_json(answer)) as server, client_of(server.endpoint) as client:
        response = client.execute(DOCUMENT).raise_for_errors()

    assert response.data["m0"] == record
    assert response.error("m0") is None
    assert [item.needs_base_sync for item in response.errors] == [True]


def test_error_in_a_nested_field_is_no_failure_of_its_alias() -> None:
    answer = {
        "data": {"m0": {"id": "1", "blog": None}},
        "errors": [{"path": ["m0", "blog"], "errorType": "Unauthorized", "message": "Not Authorized"}],
    }
    with http_server(sends_json(answer)) as server, client_of(server.endpoint) as client:
        response = client.execute(DOCUMENT).raise_for_errors()

    assert response.error("m0") is None
    assert len(response.errors) == 1


def test_error_that_left_nothing_of_its_alias_is_a_failure() -> None:
    answer = {
        "data": {"m0": None},
        "errors": [{"path": ["m0", "title"], "message": "Cannot return null for non-nullable type: 'String'"}],
    }
    with http_server(sends_json(answer)) as server, client_of(server.endpoint) as client:
        found = client.execute(DOCUMENT).error("m0")

    assert found is not None
    assert type(found.to_exception()) is BadRecord


def test_error_without_a_path_counts_for_every_empty_alias() -> None:
    answer = {"data": {"m0": None, "m1": {"id": "1"}}, "errors": [{"errorType": "Unauthorized", "message": "no"}]}
    with http_server(sends_json(answer)) as server, client_of(server.endpoint) as client:
        response = client.execute(DOCUMENT)

    assert response.error("m0") is not None
    assert response.error("m1") is None


@pytest.mark.parametrize(
    ("answer", "expected", "maybe_applied"),
    [
        # HTML with a friendly status, and with an honest one
        (sends(200, HTML, content_type="text/html"), ServerError, True),
        (sends(502, HTML, content_type="text/html"), ServerError, True),
        (sends(404, HTML, content_type="text/html"), ServerError, False),
        # half JSON in a whole answer, half an answer, none
        (sends(200, '{"data": {"m0": {"title": "Alice'), ServerError, True),
        (servers.stops_half_way, Offline, True),
        (sends(200, ""), ServerError, True),
        # JSON that is not GraphQL
        (sends_json(["Alice"]), ServerError, True),
        (sends_json({"hello": "world"}), ServerError, True),
        (sends_json({"data": None}), ServerError, True),
        # AppSync's own refusals
        (sends_json({"errors": [{"errorType": "UnauthorizedException", "message": "no"}]}, 401), Unauthorized, None),
        (sends_json({"message": "Forbidden"}, 403, x_amzn_errortype="ForbiddenException"), Unauthorized, None),
        (sends_json({"errors": [{"errorType": "ThrottlingException"}]}, 400), Throttled, False),
        (sends_json({"message": "x"}, 400, x_amzn_errortype="ThrottlingException:http://x"), Throttled, False),
        (sends_json({"errors": [{"message": "sorry"}]}, 500), ServerError, True),
        # the document or its variables, before anything was executed
        (
            sends_json({"data": None, "errors": [{"path": None, "message": "Validation error of type Unknown: X"}]}),
            BadModel,
            None,
        ),
        (
            sends_json({"data": None, "errors": [{"message": "Variable 'a' has coerced Null value for NonNull type"}]}),
            BadRecord,
            None,
        ),
        # cut off after it was sent
        (servers.resets, Offline, True),
    ],
)
def test_request_that_fails_as_a_whole_raises(
    answer: Answer, expected: type[SyncError], maybe_applied: bool | None
) -> None:
    error, server = error_of(answer)

    assert type(error) is expected
    assert getattr(error, "maybe_applied", None) is maybe_applied
    assert len(server.requests) == 1, "nothing is ever sent twice"
    assert "Alice" not in str(error)
    assert KEY not in str(error)
    assert server.endpoint.host in str(error)
    assert "update Post" in str(error)


def test_page_that_is_no_answer_is_quoted_in_short() -> None:
    error, _ = error_of(sends(503, HTML, content_type="text/html"))

    assert "HTTP 503" in str(error)
    assert "Down for maintenance" in str(error)
    assert error.__cause__ is not None
    assert "Down" not in str(error.__cause__)


def test_slow_answer_times_out_and_may_have_been_applied(release: threading.Event) -> None:
    def waits(handler: BaseHTTPRequestHandler) -> None:
        release.wait(10)
        handler.close_connection = True

    with http_server(waits) as server:
        try:
            with pytest.raises(ServerError, match="no answer in time") as caught:
                client_of(server.endpoint, timeout_seconds=0.05).execute(DOCUMENT)
        finally:
            release.set()

    assert caught.value.maybe_applied is True


@pytest.mark.parametrize("host", ["127.0.0.1", "does-not-exist.invalid"])
def test_server_that_cannot_be_reached_is_offline_and_nothing_was_applied(host: str) -> None:
    endpoint = Endpoint.parse(f"http://{host}:{servers.closed_port()}/graphql")

    with pytest.raises(Offline) as caught:
        client_of(endpoint).execute(DOCUMENT)

    assert caught.value.maybe_applied is False
    assert isinstance(caught.value, TransientError)
    assert caught.value.__cause__ is not None


def test_value_without_a_json_form_is_a_bad_record_and_is_not_sent() -> None:
    with (
        http_server(sends_json({"data": {}})) as server,
        client_of(server.endpoint) as client,
        pytest.raises(BadRecord, match="NaN"),
    ):
        client.execute(DOCUMENT, {"input0": {"price": float("nan")}})

    assert server.requests == []


def test_logs_show_neither_key_nor_records(caplog: pytest.LogCaptureFixture) -> None:
    answer = {"data": {"m0": {"title": "Bob Jones"}}, "errors": [{"path": ["m0", "x"], "message": "Bob Jones"}]}
    with (
        caplog.at_level(logging.DEBUG),
        http_server(sends_json(answer)) as server,
        client_of(server.endpoint) as client,
    ):
        client.execute(DOCUMENT, {"input0": {"title": "Alice Smith"}})

    assert caplog.text
    assert not [secret for secret in (KEY, "Alice", "Bob") if secret in caplog.text]
