"""An authorizer of one's own: what it is asked, what its answers mean, and what happens when it breaks."""

from __future__ import annotations

import json
import threading
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest

from django_datastore.appsync_local.auth.identity import Presented
from django_datastore.appsync_local.auth.lambda_authorizer import MAX_CONTEXT_BYTES, LambdaAuthorizer
from django_datastore.appsync_local.errors import RequestError
from django_datastore.exceptions import ConfigurationError

CIRCULAR: dict[str, Any] = {}
CIRCULAR["a"] = CIRCULAR
REQUEST = Presented(
    {"authorization": "secret", "x-own": "1"},
    body=json.dumps({"query": "{ a }", "variables": {"b": 1}, "operationName": "c"}).encode(),
)


class Authorizer:
    """Answers what it is told to, and counts."""

    def __init__(self, **answer: Any) -> None:
        self.answer: Any = answer
        self.events: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any]) -> Any:
        self.events.append(event)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def made(authorizer: Any, *, ms: list[int] | None = None, **options: Any) -> LambdaAuthorizer:
    clock = ms or [0]
    return LambdaAuthorizer(authorizer, now=lambda: clock[0], **options)


def is_let_in(subject: LambdaAuthorizer, token: str = "secret") -> bool:
    try:
        subject.authenticate(token, REQUEST)
    except RequestError as exc:
        found = (exc.status, exc.error_type, exc.message)
        return found != (401, "UnauthorizedException", "You are not authorized to make this call.")
    return True


def test_it_is_asked_in_lambdas_words():
    authorizer = Authorizer(isAuthorized=True)
    assert is_let_in(made(authorizer))
    (event,) = authorizer.events
    context = event["requestContext"]
    assert event["authorizationToken"] == "secret"
    assert event["requestHeaders"] == {"x-own": "1"}
    assert (context["queryString"], context["operationName"], context["variables"]) == ("{ a }", "c", {"b": 1})
    assert {"apiId", "accountId", "requestId"} <= set(context)


def test_its_context_and_denied_fields_are_kept():
    arn = "arn:aws:appsync:us-east-1:123456789012:apis/abc/types/Post/fields/secret"
    authorizer = Authorizer(isAuthorized=True, resolverContext={"who": "x"}, deniedFields=["Query.listPosts", arn, "?"])
    identity = made(authorizer).authenticate("secret", REQUEST)
    assert identity.claims == {"who": "x"}
    assert {("Query", "listPosts"), ("Post", "secret")} <= identity.denied_fields


def test_its_context_is_json_for_whoever_gets_it_next():
    authorizer = Authorizer(isAuthorized=True, resolverContext=MappingProxyType({"id": UUID(int=7), "n": 1}))
    assert made(authorizer).authenticate("secret", REQUEST).claims == {"id": str(UUID(int=7)), "n": 1}


@pytest.mark.parametrize(
    "answer",
    [
        {"isAuthorized": False},
        {},
        {"isAuthorized": "yes"},
        {"isAuthorized": 1},
        None,
        [],
        {"isAuthorized": True, "resolverContext": "text"},
        {"isAuthorized": True, "resolverContext": {"a": "x" * MAX_CONTEXT_BYTES}},
        {"isAuthorized": True, "resolverContext": {("a", "b"): 1}},
        {"isAuthorized": True, "resolverContext": CIRCULAR},
        {"isAuthorized": True, "deniedFields": "Post.secret"},  # character by character it would deny nothing
        {"isAuthorized": True, "deniedFields": 5},
        RuntimeError("broken"),
    ],
)
def test_only_a_clear_yes_lets_in(answer: Any):
    authorizer = Authorizer()
    authorizer.answer = answer
    assert not is_let_in(made(authorizer))


@pytest.mark.parametrize("token", ["", "x" * 2049, "other"])
def test_tokens_that_cannot_be_good_are_not_asked_about(token: str):
    authorizer = Authorizer(isAuthorized=True)
    assert not is_let_in(made(authorizer, pattern="secret|x+"), token)
    assert authorizer.events == []


@pytest.mark.parametrize(
    ("ttl_seconds", "override", "calls"),
    [(0, None, 2), (60, None, 1), (0, 60, 1), (60, 0, 2)],
)
@pytest.mark.parametrize("is_authorized", [True, False])
def test_answers_are_kept_as_long_as_they_say(ttl_seconds: int, override: Any, calls: int, is_authorized: bool):
    authorizer = Authorizer(isAuthorized=is_authorized, ttlOverride=override)
    clock = [0]
    subject = made(authorizer, ms=clock, ttl_seconds=ttl_seconds)
    assert [is_let_in(subject), is_let_in(subject)] == [is_authorized] * 2
    assert len(authorizer.events) == calls
    clock[0] = 60_000
    is_let_in(subject)
    assert len(authorizer.events) == calls + 1


def test_it_may_not_take_for_ever():
    released = threading.Event()

    def stuck(event: dict[str, Any]) -> Any:
        released.wait(30)
        return {"isAuthorized": True}

    try:
        assert not is_let_in(made(stuck, timeout_seconds=0.01))
    finally:
        released.set()


@pytest.mark.parametrize("authorizer", ["", "nowhere.at_all", "json", 5])
def test_what_cannot_be_called_is_a_mistake(authorizer: Any):
    with pytest.raises(ConfigurationError, match="LAMBDA_AUTHORIZER"):
        made(authorizer)


def test_it_may_be_named_by_its_path():
    assert not is_let_in(made("json.dumps"))
