"""The conflict handler LAMBDA: what it is told, what it can answer, and what happens around it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from django_datastore.appsync_local.auth.identity import ANYONE, Identity
from django_datastore.appsync_local.conflict_lambda import identity_of
from django_datastore.appsync_local.server import LocalServer
from django_datastore.exceptions import ConfigurationError
from django_datastore.schema.auth_modes import AMAZON_COGNITO_USER_POOLS, AWS_IAM, AWS_LAMBDA
from tests.integration.local_server_tools import SDL, Client, local_server, unique


class Handler:
    """A handler whose answer a test sets."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], Any] = lambda event: {"action": "REJECT"}
        self.events: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any]) -> Any:
        self.events.append(event)
        return self.answer(event)

    def answers(self, **answer: Any) -> None:
        self.answer = lambda event: answer


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Handler, Client, LocalServer]]:
    handler = Handler()
    with local_server(conflict="LAMBDA", CONFLICT_HANDLER=handler, CONFLICT_HANDLER_TIMEOUT_SECONDS=5) as server:
        yield handler, Client(server), server


@pytest.fixture
def handler(shared: tuple[Handler, Client, LocalServer]) -> Handler:
    found = shared[0]
    found.events.clear()
    found.answers(action="REJECT")
    return found


@pytest.fixture
def client(shared: tuple[Handler, Client, LocalServer]) -> Client:
    return shared[1]


@pytest.fixture
def post(client: Client) -> dict[str, Any]:
    """A record at version 2."""
    created = client.written("createPost", title="One", tags=["a"])
    return client.written("updatePost", id=created["id"], title="Two", _version=1)


def test_handler_is_asked_only_about_conflicts(handler: Handler, client: Client, post: dict[str, Any]):
    client.written("updatePost", id=post["id"], title="Three", _version=2)
    assert handler.events == []


def test_event_has_both_items_the_arguments_and_the_resolver(handler: Handler, client: Client, post: dict[str, Any]):
    client.refused("updatePost", id=post["id"], rating=5, _version=1)
    (event,) = handler.events
    assert list(event) == ["newItem", "existingItem", "arguments", "resolver", "identity"]
    assert (event["newItem"]["title"], event["newItem"]["rating"]) == ("Two", 5)
    assert (event["existingItem"]["_version"], event["existingItem"].get("rating")) == (2, None)
    assert event["arguments"] == {"input": {"id": post["id"], "rating": 5, "_version": 1}}
    assert event["resolver"] == {
        "tableName": "PostTable",
        "awsRegion": "us-east-1",
        "parentType": "Mutation",
        "field": "updatePost",
        "outputType": "Post",
    }
    assert event["identity"] is None  # an API key is nobody


def test_resolve_replaces_the_item_but_not_its_key_and_metadata(handler: Handler, client: Client, post: dict[str, Any]):
    handler.answers(action="RESOLVE", item={"id": "other", "title": "Three", "_version": 70, "_deleted": True})
    found = client.written("updatePost", id=post["id"], title="Stale", _version=1)
    assert (found["id"], found["title"], found["_version"], found["_deleted"]) == (post["id"], "Three", 3, None)
    assert found["tags"] is None  # replaced, not merged
    assert found["createdAt"] == post["createdAt"]


def test_reject_is_a_conflict_with_the_stored_record(handler: Handler, client: Client, post: dict[str, Any]):
    error = client.refused("updatePost", id=post["id"], title="Stale", _version=1)
    assert (error["errorType"], error["message"]) == ("ConflictUnhandled", "Conflict resolver rejects mutation.")
    assert (error["data"]["title"], error["data"]["_version"]) == ("Two", 2)


def test_remove_deletes(handler: Handler, client: Client, post: dict[str, Any]):
    handler.answers(action="REMOVE")
    found = client.written("deletePost", id=post["id"], _version=1)
    assert (found["_deleted"], found["_version"]) == (True, 3)


def test_reject_keeps_a_record_from_being_deleted(handler: Handler, client: Client, post: dict[str, Any]):
    assert client.refused("deletePost", id=post["id"], _version=1)["errorType"] == "ConflictUnhandled"


BROKEN: list[tuple[str, Any]] = [
    ("updatePost", None),
    ("updatePost", "RESOLVE"),
    ("updatePost", {}),
    ("updatePost", {"action": "resolve", "item": {}}),
    ("updatePost", {"action": "RESOLVE"}),
    ("updatePost", {"action": "RESOLVE", "item": ["title"]}),
    ("updatePost", {"action": "RESOLVE", "item": {"publishedAt": datetime(2026, 1, 1, tzinfo=UTC)}}),
    ("updatePost", {"action": "RESOLVE", "item": {"rating": float("nan")}}),
    ("updatePost", {"action": "REMOVE"}),  # only a delete can be resolved so
    ("deletePost", {"action": "RESOLVE", "item": {"title": "x"}}),
]


@pytest.mark.parametrize(("field", "answer"), BROKEN)
def test_malformed_answer_is_a_conflict_error(
    handler: Handler, client: Client, post: dict[str, Any], field: str, answer: Any
):
    handler.answer = lambda event: answer
    error = client.refused(field, id=post["id"], _version=1)
    assert (error["errorType"], error["data"]["_version"]) == ("ConflictError", 2)


def test_handler_that_raises_is_a_conflict_error(handler: Handler, client: Client, post: dict[str, Any]):
    def fail(event: dict[str, Any]) -> Any:
        raise LookupError("secret")

    handler.answer = fail
    error = client.refused("updatePost", id=post["id"], title="x", _version=1)
    assert error["errorType"] == "ConflictError"
    assert "secret" not in error["message"]


def test_handler_that_does_not_answer_is_a_conflict_error_and_holds_nobody_up():
    asked, released = threading.Event(), threading.Event()

    def wait(event: dict[str, Any]) -> Any:
        asked.set()
        released.wait(20)

    with local_server(conflict="lambda", CONFLICT_HANDLER=wait, CONFLICT_HANDLER_TIMEOUT_SECONDS=0.5) as server:
        client = Client(server)
        post = client.written("createPost", title="One")
        errors: list[dict[str, Any]] = []
        stale = threading.Thread(
            target=lambda: errors.append(client.refused("updatePost", id=post["id"], title="x", _version=0))
        )
        stale.start()
        assert asked.wait(20)
        assert Client(server).written("createPost", title="Meanwhile")["_version"] == 1
        stale.join()
        released.set()
        assert errors[0]["errorType"] == "ConflictError"


def test_no_transaction_is_open_while_the_handler_runs(
    handler: Handler, client: Client, post: dict[str, Any], shared: tuple[Handler, Client, LocalServer]
):
    """Another client's write goes through meanwhile, and the handler is asked again about what it left."""
    other = Client(shared[2])

    def interfere(event: dict[str, Any]) -> Any:
        version = event["existingItem"]["_version"]
        if version < 4:
            other.written("updatePost", id=post["id"], title=f"By other {version}", _version=version)
        return {"action": "RESOLVE", "item": {"title": event["existingItem"]["title"] + ", resolved"}}

    handler.answer = interfere
    found = client.written("updatePost", id=post["id"], title="Stale", _version=1)
    assert (found["title"], found["_version"]) == ("By other 3, resolved", 5)
    assert [event["existingItem"]["_version"] for event in handler.events] == [2, 3, 4]


def test_it_gives_up_when_others_are_faster_every_time(
    handler: Handler, client: Client, post: dict[str, Any], shared: tuple[Handler, Client, LocalServer]
):
    other = Client(shared[2])

    def interfere(event: dict[str, Any]) -> Any:
        other.written("updatePost", id=post["id"], title="x", _version=event["existingItem"]["_version"])
        return {"action": "RESOLVE", "item": {"title": "never"}}

    handler.answer = interfere
    error = client.refused("updatePost", id=post["id"], title="Stale", _version=1)
    assert (error["errorType"], len(handler.events)) == ("MaxConflicts", 10)
    assert error["data"]["title"] == "x"


def test_document_is_stored_as_a_whole_and_its_other_fields_once(
    handler: Handler, client: Client, post: dict[str, Any]
):
    handler.answer = lambda event: {"action": "RESOLVE", "item": {"title": event["newItem"]["title"] + "!"}}
    new, stale = unique(), "_version: 1"
    answer = client.post(
        f"""mutation {{
          a: createPost(input: {{ id: "{new}", title: "New" }}) {{ title _version }}
          b: updatePost(input: {{ id: "{post["id"]}", title: "B", {stale} }}) {{ title _version }}
          c: updatePost(input: {{ id: "{post["id"]}", title: "C", {stale} }}) {{ title _version }}
          d: updatePost(input: {{ id: "{new}", title: "D", _version: 1 }}) {{ title _version }}
        }}"""
    )
    assert answer == {
        "data": {
            "a": {"title": "New", "_version": 1},
            "b": {"title": "B!", "_version": 3},
            "c": {"title": "C!", "_version": 4},
            "d": {"title": "D", "_version": 2},
        }
    }
    assert [event["newItem"]["title"] for event in handler.events] == ["B", "C"]


def test_handler_differs_by_model():
    conflict = {"Post": "OPTIMISTIC_CONCURRENCY", "*": "automerge"}
    with local_server(conflict=conflict) as server:
        client = Client(server)
        post, blog = client.written("createPost", title="x"), client.written("createBlog", "id", name="x")
        assert client.refused("updatePost", id=post["id"], title="y")["errorType"] == "ConflictUnhandled"
        assert client.written("updateBlog", "name", id=blog["id"], name="y") == {"name": "x"}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"conflict": "lambda"}, r"\['CONFLICT_HANDLER'\] is missing"),
    ({"conflict": "lambda", "CONFLICT_HANDLER": "nowhere.to.be.found"}, "cannot be imported"),
    ({"conflict": "lambda", "CONFLICT_HANDLER": 7}, "no callable"),
    ({"conflict": {"Pots": "automerge"}}, "names 'Pots', which is no model"),
    ({"conflict": {"Post": "merge"}}, "'merge'; supported"),
    ({"SET_FIELDS": ["Post.title"]}, "names 'Post.title', which is no list"),
    ({"SET_FIELDS": "Post.tags"}, "write a list"),
    ({"CONFLICT_HANDLER_TIMEOUT_SECONDS": 0}, "more than 0"),
]


@pytest.mark.parametrize(("settings", "problem"), REFUSED)
def test_setting_that_cannot_work_is_refused(settings: dict[str, Any], problem: str):
    with pytest.raises(ConfigurationError, match=problem), LocalServer(SDL, **settings):
        pass


def test_identity_is_told_as_appsync_tells_it():
    assert identity_of(ANYONE) is None
    assert identity_of(Identity(AWS_IAM, "key", {"userArn": "arn"})) == {"username": "key", "userArn": "arn"}
    assert identity_of(Identity(AWS_LAMBDA, None, {"tenant": "a"})) == {"resolverContext": {"tenant": "a"}}
    claims = {"sub": "s", "iss": "i", "cognito:groups": ["Admin"]}
    found = identity_of(Identity(AMAZON_COGNITO_USER_POOLS, "ann", claims))
    assert found == {"sub": "s", "issuer": "i", "username": "ann", "groups": ["Admin"], "claims": claims}


def test_text_of_no_format_reaches_no_client(handler: Handler, client: Client, post: dict[str, Any]):
    # Amplify's client ends over a date that is none
    handler.answer = lambda event: {
        "action": "RESOLVE",
        "item": {**event["existingItem"], "publishedAt": str(datetime(2024, 1, 31, tzinfo=UTC))},
    }
    answer = client.write("updatePost", id=post["id"], rating=5, _version=1)
    assert answer["data"]["updatePost"]["publishedAt"] is None
    assert answer["data"]["updatePost"]["_version"] == 3
    (error,) = answer["errors"]
    assert error["path"] == ["updatePost", "publishedAt"]
    assert error["message"] == (
        "Can't serialize value (/updatePost/publishedAt) : "
        "Unable to serialize `2024-01-31 00:00:00+00:00` as a valid AWSDateTime."
    )


JSON_SDL = """
type Note @model { id: ID! meta: AWSJSON text: AWSJSON many: [AWSJSON] part: Part }
type Part { meta: AWSJSON parts: [Part] }
"""


def test_handler_sees_what_json_says_and_may_answer_either():
    handler = Handler()
    with local_server(JSON_SDL, conflict="LAMBDA", CONFLICT_HANDLER=handler) as server:
        client = Client(server)
        part = {"meta": '"text"', "parts": [{"meta": "[1]"}, {"meta": None}]}
        note = client.written(
            "createNote", "id _version", meta="[1, 2]", text='"5"', many=["{}", None, '"[3]"'], part=part
        )
        handler.answer = lambda event: {
            "action": "RESOLVE",
            "item": event["existingItem"] | {"meta": event["newItem"]["meta"], "many": [{"a": None}, '{"b": 1}', "c"]},
        }
        client.written("updateNote", "id _version", id=note["id"], meta='{"d":{"e":[]}}', _version=7)
        stored = client.data(f'{{ getNote(id: "{note["id"]}") {{ meta text many part {{ meta parts {{ meta }} }} }} }}')
    (event,) = handler.events
    assert event["existingItem"]["meta"] == [1, 2]
    assert event["existingItem"]["many"] == [{}, None, "[3]"]
    assert event["existingItem"]["part"] == {"meta": "text", "parts": [{"meta": [1]}, {"meta": None}]}
    assert event["newItem"]["meta"] == event["arguments"]["input"]["meta"] == {"d": {"e": []}}
    assert stored["text"] == '"5"'  # what the handler passes on stays the text it was
    assert (stored["meta"], stored["many"]) == ('{"d":{"e":[]}}', ['{"a":null}', '{"b": 1}', '"c"'])
    assert stored["part"] == part
