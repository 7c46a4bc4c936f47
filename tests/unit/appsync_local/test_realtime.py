"""The socket protocol, spoken without a socket."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.auth.api_keys import ApiKeys
from django_datastore.appsync_local.auth.identity import Identity
from django_datastore.appsync_local.errors import DocumentError
from django_datastore.appsync_local.graphql.limits import ConnectionLimits
from django_datastore.appsync_local.realtime import (
    DATA_TAIL,
    LIFETIME_OVER,
    MAX_FRAME_BYTES,
    NOT_INITIALISED,
    TOO_BIG,
    UNAUTHENTICATED,
    Close,
    Protocol,
    credentials,
    data_head,
)

KEY = {"host": "example.com", "x-api-key": "secret"}


class Conversation:
    """A protocol with the two things it needs, and what was said."""

    def __init__(self, presented: dict[str, str] = KEY) -> None:
        self.started: dict[str, str] = {}
        self.refusal: Exception | None = None
        self.now = 1000.0
        self.protocol = Protocol(
            presented,
            authenticate=ApiKeys(["secret"]).authenticate,
            start=self.start,
            stop=self.started.__delitem__,
            limits=ConnectionLimits(
                subscriptions=3, init_timeout_seconds=5, lifetime_seconds=100, keep_alive_seconds=20, timeout_ms=1000
            ),
            clock=lambda: self.now,
        )

    def start(self, subscription_id: str, text: str, identity: Identity) -> None:
        if self.refusal:
            raise self.refusal
        self.started[subscription_id] = text

    def say(self, message: Any) -> list[Any]:
        text = message if isinstance(message, str | None) else json.dumps(message)
        return _decoded(self.protocol.receive(text))

    def wait(self, seconds: float) -> list[Any]:
        """What comes while that much time passes, each with its second."""
        end = self.now + seconds
        found: list[Any] = []
        while self.protocol.deadline <= end:
            self.now = self.protocol.deadline
            found += [(self.now - 1000, message) for message in _decoded(self.protocol.tick())]
        self.now = end
        return found

    def connected(self) -> Conversation:
        self.say({"type": "connection_init"})
        return self


def _decoded(messages: list[Any]) -> list[Any]:
    return [json.loads(item) if isinstance(item, str) else item for item in messages]


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
    assert close == UNAUTHENTICATED


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
    assert answers[0]["payload"]["errors"][0]["errorCode"] == 400
    # the words by which Amplify's client knows that it has to filter by itself
    assert "UnknownArgument: Unknown field argument filter" in answers[0]["payload"]["errors"][0]["message"]


def test_keep_alives_come_until_the_lifetime_is_over():
    conversation = Conversation().connected()
    found = conversation.wait(1000)
    assert found == [*[(second, {"type": "ka"}) for second in (20, 40, 60, 80)], (100, LIFETIME_OVER)]
    assert conversation.say(start()) == []  # it is closed


def test_connection_that_never_says_connection_init_is_closed():
    conversation = Conversation()
    conversation.say(start())
    conversation.say("nonsense")
    assert conversation.wait(1000) == [(5, NOT_INITIALISED)]


def test_nothing_is_due_before_the_deadline():
    conversation = Conversation().connected()
    conversation.now += 19.9
    assert conversation.protocol.tick() == []


def test_subscriptions_beyond_the_limit_are_refused_until_one_stops():
    conversation = Conversation().connected()
    for number in range(3):
        conversation.say(start(str(number)))
    # as seen at the service: `errors` is no list here
    refusal = {"errorType": "MaxSubscriptionsReachedError", "message": "Max number of 3 subscriptions reached"}
    assert conversation.say(start("3")) == [{"id": "3", "payload": {"errors": refusal}, "type": "error"}]
    conversation.say({"type": "stop", "id": "1"})
    assert conversation.say(start("3")) == [{"type": "start_ack", "id": "3"}]
    assert sorted(conversation.started) == ["0", "2", "3"]


def test_refused_start_does_not_count():
    conversation = Conversation().connected()
    conversation.refusal = DocumentError.of("no")
    for number in range(10):
        conversation.say(start(str(number)))
    conversation.refusal = None
    assert conversation.say(start("10")) == [{"type": "start_ack", "id": "10"}]


def test_flood_is_refused_until_time_has_passed():
    conversation = Conversation().connected()
    refusal = {"payload": {"errors": {"errorType": "LimitExceededError", "message": "Rate limit exceeded"}}}
    answers = [conversation.say({"type": "stop", "id": "x"})[0] for _ in range(2000)]
    refused = [answer for answer in answers if answer == {**refusal, "type": "error"}]
    assert len(refused) == 2000 - 999
    conversation.now += 1
    assert conversation.say(start()) == [{"type": "start_ack", "id": "1"}]


def test_frame_that_is_too_big_closes():
    conversation = Conversation().connected()
    assert conversation.say(" " * (MAX_FRAME_BYTES + 1)) == [TOO_BIG]
    assert conversation.say(start()) == []


def test_modes_are_mixed_on_one_connection():
    conversation = Conversation().connected()
    assert conversation.say(start("a", authorization={"Authorization": "nobody's"}))[0]["type"] == "error"
    assert conversation.say(start("b")) == [{"type": "start_ack", "id": "b"}]


NONSENSE = ["", "{", "[]", "null", "1", '"start"', "[" * 100_000, None, {"type": "dance"}, {}, {"type": ["start"]}]


@pytest.mark.parametrize("message", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_gets_an_error_and_the_connection_lives(message: Any):
    conversation = Conversation().connected()
    assert error_types(conversation.say(message)) == ["UnsupportedOperation"]
    assert conversation.say(start()) == [{"type": "start_ack", "id": "1"}]


@pytest.mark.parametrize(
    "message",
    [
        start(None),
        start(1),
        start(""),
        start("x" * 129),
        start(data=None),
        start(data={}),
        {"type": "start", "id": "1"},
    ],
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
    assert json.loads(data_head('a"b') + b'{"data":{}}' + DATA_TAIL) == {
        "id": 'a"b',
        "type": "data",
        "payload": {"data": {}},
    }
