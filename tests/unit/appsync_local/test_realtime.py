"""The socket protocol, spoken without a socket."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.auth import ApiKeys
from django_datastore.appsync_local.errors import DocumentError
from django_datastore.appsync_local.realtime import Close, Protocol, credentials, data_message

KEY = {"host": "example.com", "x-api-key": "secret"}


class Conversation:
    """A protocol with the two things it needs, and what was said."""

    def __init__(self, presented: dict[str, str] = KEY) -> None:
        self.started: dict[str, str] = {}
        self.refusal: Exception | None = None
        self.protocol = Protocol(
            presented,
            authorize=ApiKeys(["secret"]).authorize,
            start=self.start,
            stop=self.started.__delitem__,
            connection_timeout_ms=1000,
        )

    def start(self, subscription_id: str, text: str) -> None:
        if self.refusal:
            raise self.refusal
        self.started[subscription_id] = text

    def say(self, message: Any) -> list[Any]:
        text = message if isinstance(message, str | None) else json.dumps(message)
        return [json.loads(item) if isinstance(item, str) else item for item in self.protocol.receive(text)]

    def connected(self) -> Conversation:
        self.say({"type": "connection_init"})
        return self


def start(subscription_id: Any = "1", data: Any = "{}", authorization: Any = KEY) -> dict[str, Any]:
    payload = {"data": data, "extensions": {"authorization": authorization}}
    return {"id": subscription_id, "type": "start", "payload": payload}


def error_types(messages: list[Any]) -> list[str]:
    return [error["errorType"] for message in messages for error in message["payload"]["errors"]]


def test_init_is_acknowledged_with_the_timeout_and_a_keep_alive_at_once():
    assert Conversation().say({"type": "connection_init"}) == [
        {"type": "connection_ack", "payload": {"connectionTimeoutMs": 1000}},
        {"type": "ka"},
    ]


def test_wrong_key_is_a_connection_error_and_a_close():
    answer, close = Conversation({"x-api-key": "wrong"}).say({"type": "connection_init"})
    assert answer["type"] == "connection_error"
    assert answer["payload"]["errors"][0]["errorType"] == "UnauthorizedException"
    assert answer["payload"]["errors"][0]["errorCode"] == 401
    assert close == Close(4401)


def test_nothing_counts_before_the_acknowledgement():
    conversation = Conversation()
    assert conversation.say(start()) == []
    assert conversation.started == {}


def test_start_is_acknowledged_once_it_is_live():
    conversation = Conversation().connected()
    assert conversation.say(start("a", "the request")) == [{"type": "start_ack", "id": "a"}]
    assert conversation.started == {"a": "the request"}


def test_duplicate_id_is_refused_and_the_first_lives():
    conversation = Conversation().connected()
    conversation.say(start("a", "first"))
    answers = conversation.say(start("a", "second"))
    assert (answers[0]["id"], error_types(answers)) == ("a", ["DuplicatedOperationError"])
    assert conversation.started == {"a": "first"}


def test_stopped_id_can_be_used_again():
    conversation = Conversation().connected()
    conversation.say(start("a"))
    assert conversation.say({"type": "stop", "id": "a"}) == [{"type": "complete", "id": "a"}]
    assert conversation.started == {}
    assert conversation.say(start("a")) == [{"type": "start_ack", "id": "a"}]


@pytest.mark.parametrize("found", ["x", None, 1])
def test_stop_of_something_unknown_is_an_error(found: Any):
    assert error_types(Conversation().connected().say({"type": "stop", "id": found})) == ["UnknownOperationError"]


@pytest.mark.parametrize("authorization", [None, {}, {"x-api-key": "wrong"}, "secret", {"x-api-key": 1}])
def test_each_start_is_authorized_by_itself(authorization: Any):
    conversation = Conversation().connected()
    answers = conversation.say(start("a", authorization=authorization))
    assert (answers[0]["type"], answers[0]["id"]) == ("error", "a")
    assert error_types(answers) == ["UnauthorizedException"]
    assert conversation.say(start("a")) == [{"type": "start_ack", "id": "a"}]  # the connection and the id are fine


def test_refused_document_is_an_error_of_its_subscription():
    conversation = Conversation().connected()
    conversation.refusal = DocumentError.of("Validation error of type UnknownArgument: Unknown field argument filter")
    answers = conversation.say(start("a"))
    assert answers[0]["id"] == "a"
    # the words by which Amplify's client knows that it has to filter by itself
    assert "UnknownArgument: Unknown field argument filter" in answers[0]["payload"]["errors"][0]["message"]


NONSENSE = ["", "{", "[]", "null", "1", '"start"', "[" * 100_000, None, {"type": "dance"}, {}, {"type": ["start"]}]


@pytest.mark.parametrize("message", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_gets_an_error_and_the_connection_lives(message: Any):
    conversation = Conversation().connected()
    assert error_types(conversation.say(message)) == ["UnsupportedOperation"]
    assert conversation.say(start()) == [{"type": "start_ack", "id": "1"}]


@pytest.mark.parametrize(
    "message", [start(None), start(1), start(""), start(data=None), start(data={}), {"type": "start", "id": "1"}]
)
def test_start_of_the_wrong_shape_is_an_error(message: dict[str, Any]):
    assert error_types(Conversation().connected().say(message)) == ["BadRequestException"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
frames = st.fixed_dictionaries(
    {"type": st.sampled_from(["connection_init", "start", "stop", "ka", "data"]) | json_values},
    optional={
        "id": json_values,
        "payload": json_values | st.fixed_dictionaries({"data": json_values, "extensions": json_values}),
    },
)


@given(st.lists(frames | json_values, max_size=6))
def test_whatever_comes_is_answered_without_an_exception(messages: list[Any]):
    conversation = Conversation()
    for message in messages:
        for answer in conversation.say(json.dumps(message)):
            assert isinstance(answer, Close) or "type" in answer


def encoded(header: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")


def test_credentials_come_three_ways():
    assert credentials(["graphql-ws", f"header-{encoded(KEY)}"], "", {}) == KEY
    assert credentials(["graphql-ws"], f"header={encoded(KEY)}&payload=e30=", {}) == KEY
    assert credentials(["graphql-ws", "header-"], "", {"x-api-key": "secret"}) == {"x-api-key": "secret"}


def test_data_message_carries_the_shared_payload():
    assert json.loads(data_message('a"b', '{"data":{}}')) == {"id": 'a"b', "type": "data", "payload": {"data": {}}}
