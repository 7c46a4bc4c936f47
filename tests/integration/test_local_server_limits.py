"""Documents made to cost much: refused, or answered up to a limit, and never at more than their own length's price."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from django_datastore.appsync_local.server import LocalServer
from tests.integration.local_server_tools import SDL, Client, local_server

INTROSPECTION_OFF = "Validation error of type FieldUndefined: Field '__schema' in type 'Query' is undefined"


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with local_server() as found:
        yield found


@pytest.fixture(scope="module")
def client(server: LocalServer) -> Client:
    return Client(server)


def nested(opening: str, times: int, inside: str, closing: str) -> str:
    return opening * times + inside + closing * times


def of_post(selection: str) -> str:
    return "{ getPost(id: 1) { " + selection + " } }"


def repeated(piece: str, times: int) -> str:
    """`piece` that often, each with another number."""
    return " ".join(piece.replace("#", str(number)) for number in range(times))


def fragments(times: int, body: str) -> str:
    """A chain of fragments that each spread the next one twice."""
    links = [f"fragment F{number} on Post {{ {body % (number + 1, number + 1)} }}" for number in range(times)]
    return " ".join([*links, f"fragment F{times} on Post {{ id }}"])


HARMLESS = {
    "one field thousands of times": of_post(repeated("id", 7_000)),
    "one relation thousands of times": of_post(repeated("blog { id }", 3_000)),
    "a relation with thousands of names below": of_post(repeated("blog { a#: id }", 2_000)),
    "a fragment spread 2^30 times": of_post("...F0") + fragments(30, "...F%d ...F%d"),
}
_TWICE = "a: blog { posts { items { ...F%d } } } b: blog { posts { items { ...F%d } } }"
_DEEP_TYPES = nested("fields { type { ", 12, "name", " } }")
REFUSED = {
    "a fragment that unfolds 2^12 times": (of_post("...F0") + fragments(12, _TWICE), "selects more than"),
    "a big fragment for hundreds of aliases": (
        of_post(repeated("a#: blog { ...F }", 500)) + "fragment F on Blog { " + repeated("id", 5_000) + " }",
        "selects more than",
    ),
    "a fragment in itself": (
        of_post("...A") + "fragment A on Post { blog { posts { items { ...A } } } }",
        "Validation error",
    ),
    # graphql-core 3.3 has a rule of its own for the first of these
    "types of fields of types": ("{ __schema { types { " + _DEEP_TYPES + " } } }", "ntrospection"),
    "the schema hundreds of times": (
        "{ " + repeated("a#: __schema { types { fields { name } } }", 300) + " }",
        "good faith",
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_repeats_itself_is_answered(client: Client, name: str):
    assert client.post(HARMLESS[name]) == {"data": {"getPost": None}}


@pytest.mark.parametrize("name", REFUSED)
def test_what_multiplies_is_refused(client: Client, name: str):
    text, words = REFUSED[name]
    answer = client.post(text)
    assert answer["data"] is None
    assert words in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    "text",
    [
        of_post(repeated("id", 20_000)),
        of_post(nested("blog { posts { items { ", 1_500, "id", " } } }")),
        "{ listPosts(filter: {and: " + nested("[", 3_000, "", "]") + "}) { items { id } } }",
    ],
)
def test_too_long_or_too_deep_is_no_document(client: Client, text: str):
    answer = client.http.post(client.url, json={"query": text})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["errorType"] == "MalformedHttpRequestException"


def test_a_filter_as_deep_as_the_stack_is_refused(client: Client):
    wanted: dict[str, Any] = {"rating": {"gt": 1}}
    for _ in range(450):
        wanted = {"and": [wanted]}
    answer = client.post("query Q($f: ModelPostFilterInput) { listPosts(filter: $f) { items { id } } }", f=wanted)
    assert answer["data"] is None or answer["data"]["listPosts"] is not None
    assert "Traceback" not in json.dumps(answer)


@pytest.mark.parametrize(
    "text",
    [
        "{ getPost(id: 1) { x: id x: title } }",
        "{ getBlog(id: 1) { posts(limit: 1) { nextToken } posts(limit: 2) { nextToken } } }",
        "{ getPost(id: 1) { x: id ...F } } fragment F on Post { x: title }",
        "{ getPost(id: 1) { blog { x: id } ...F } } fragment F on Post { blog { x: name } }",
    ],
)
def test_fields_that_conflict_are_refused(client: Client, text: str):
    assert client.error(text)["message"].startswith("Validation error of type FieldsConflict")


def test_fields_that_ask_for_the_same_are_merged(client: Client):
    client.write("createBlog", "id", id="merged", name="B")
    twice = "x: posts(limit: $n) { nextToken } x: posts(limit: $n) { items { id } }"
    answer = client.data('query Q($n: Int) { getBlog(id: "merged") { ' + twice + " } }", n=3)
    assert answer == {"x": {"nextToken": None, "items": []}}


def test_resolvers_beyond_the_limit_are_refused_and_the_others_answer():
    with local_server(SDL, RESOLVER_COUNT_LIMIT=3) as server:
        for number in range(4):
            server.execute(f'mutation {{ createBlog(input: {{id: "b{number}", name: "B"}}) {{ id }} }}')
            server.execute(
                f'mutation {{ createPost(input: {{id: "p{number}", title: "P", blogPostsId: "b{number}"}}) {{ id }} }}'
            )
        answer = Client(server).post("{ listPosts { items { blog { id } } } }")
    assert (
        answer["data"]["listPosts"]["items"] == [{"blog": {"id": "b0"}}, {"blog": {"id": "b1"}}] + [{"blog": None}] * 2
    )
    assert [(error["path"], error["errorType"]) for error in answer["errors"]] == [
        (["listPosts", "items", number, "blog"], "ResolverExecutionLimitReached") for number in (2, 3)
    ]


def test_depth_is_limited_where_the_setting_says_so():
    with local_server(SDL, QUERY_DEPTH_LIMIT=3) as server:
        client = Client(server)
        assert client.data("{ listPosts { items { id } } }") == {"items": []}
        error = client.error("{ listPosts { items { blog { id } } } }")
    assert error["errorType"] == "QueryDepthLimitReached"


def test_introspection_can_be_switched_off():
    with local_server(SDL, INTROSPECTION=False) as server:
        client = Client(server)
        answer = client.post("{ __schema { queryType { name } } }")
        assert answer["errors"][0]["message"].startswith(INTROSPECTION_OFF)
        assert client.data("{ __typename }") == "Query"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1" * 5_000])
def test_numbers_that_are_no_json_are_refused(client: Client, number: str):
    query = '"query Q($l: Int) { listPosts(limit: $l) { nextToken } }"'
    body = '{"query": ' + query + ', "variables": {"l": ' + number + "}}"
    answer = client.http.post(client.url, content=body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["errorType"] == "MalformedHttpRequestException"


def test_number_beyond_a_double_is_no_float():
    with local_server("type Thing @model { id: ID! weight: Float }") as server:
        client = Client(server)
        refused = client.write("createThing", "id", weight=10**400)
        assert refused["data"] is None
        assert "Variable 'weight' has an invalid value" in refused["errors"][0]["message"]
