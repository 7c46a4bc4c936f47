"""The HTTP door: credentials, malformed requests, validation, CORS, introspection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from graphql import build_client_schema, get_introspection_query

from django_datastore.appsync_local import asgi
from django_datastore.appsync_local.server import LocalServer
from tests.integration.local_server_tools import Client, local_server, unique

SYNC_FILTERED = "query($filter: ModelPostFilterInput) { syncPosts(filter: $filter) { nextToken } }"


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with local_server() as found:
        yield found


@pytest.fixture(scope="module")
def client(server: LocalServer) -> Client:
    return Client(server)


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}, {"authorization": "da2-local"}])
def test_wrong_key_is_a_401_with_appsyncs_header(client: Client, headers: dict[str, str]):
    answer = httpx.post(client.url, json={"query": "{ getPost(id: 1) { id } }"}, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["x-amzn-ErrorType"] == "UnauthorizedException"
    assert answer.json()["errors"][0]["errorType"] == "UnauthorizedException"


MALFORMED: list[tuple[bytes, str]] = [
    (b"", "Request body is empty."),
    (b" ", "not valid JSON"),
    (b"{", "not valid JSON"),
    (b"\xff\xfe", "not valid JSON"),
    (b"[" * 100_000, "not valid JSON"),
    (b"[]", "JSON array"),
    (b'[{"query": "{ __typename }"}]', "JSON array"),
    (b"1", "No GraphQL query found"),
    (b"{}", "No GraphQL query found"),
    (b'{"query": 1}', "No GraphQL query found"),
    (b'{"query": "{ __typename }", "variables": []}', ""),  # empty: as good as none
    (b'{"query": "{ __typename }", "variables": [1]}', "'variables' must be an object"),
    (b'{"query": "{ __typename }", "operationName": 1}', "'operationName' a string"),
    (b'{"query": "{"}', "Unable to parse GraphQL query"),
    (b'{"query": ""}', "Unable to parse GraphQL query"),
    (json.dumps({"query": "{a" * 20_000}).encode(), "nested too deeply"),
]


@pytest.mark.parametrize(("body", "message"), MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_request_is_a_400(client: Client, body: bytes, message: str):
    answer = client.http.post(client.url, content=body)
    if not message:
        assert answer.status_code == 200
        return
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["errorType"] == "MalformedHttpRequestException"
    assert message in answer.json()["errors"][0]["message"]


INVALID: list[tuple[str, str]] = [
    ("{ nope }", "Validation error of type FieldUndefined: Field 'nope' in type 'Query' is undefined @ 'nope'"),
    (
        '{ getPost(id: "1") { blog { nope } } }',
        "Validation error of type FieldUndefined: Field 'nope' in type 'Blog' is undefined @ 'getPost/blog/nope'",
    ),
    (
        '{ getPost(id: "1", x: 1) { id } }',
        "Validation error of type UnknownArgument: Unknown field argument x @ 'getPost'",
    ),
    ("{ getPost { id } }", "Validation error of type MissingFieldArgument: Missing field argument id @ 'getPost'"),
    ('{ getPost(id: "1") }', "Validation error of type SubSelectionRequired: "),
    ('{ getPost(id: "1") { id { x } } }', "Validation error of type SubSelectionNotAllowed: "),
    ("query($id: String!) { getPost(id: $id) { id } }", "Validation error of type VariableTypeMismatch: "),
    ("query($x: Nope) { getPost(id: $x) { id } }", "Validation error of type UnknownType: Unknown type Nope"),
    ("{ getPost(id: $id) { id } }", "Validation error of type UndefinedVariable: Undefined variable id"),
    ("{ ...nope }", "Validation error of type UndefinedFragment: Undefined fragment nope"),
    ("mutation { createPost(input: {title: 1}) { id } }", "Validation error of type WrongType: "),
    ('mutation { createPost(input: {title: "x", status: NOPE}) { id } }', "Validation error of type WrongType: "),
    (
        'mutation { createPost(input: {title: "x", publishedAt: "soon"}) { id } }',
        "Validation error of type WrongType: ",
    ),
    ("query a { __typename } query b { __typename }", "Must provide operation name"),
    ("subscription { onCreatePost { id } }", "Subscriptions need a WebSocket"),
]


@pytest.mark.parametrize(("query", "message"), INVALID)
def test_invalid_document_is_refused_in_appsyncs_words(client: Client, query: str, message: str):
    answer = client.post(query)
    assert answer["data"] is None
    assert answer["errors"][0]["path"] is None
    assert answer["errors"][0]["message"].startswith(message)


COERCED: list[tuple[dict[str, Any], str]] = [
    ({}, "Variable 'input' has coerced Null value for NonNull type 'String!'"),
    ({"title": None}, "Variable 'input' has coerced Null value for NonNull type 'String!'"),
    (
        {"title": "x", "nope": 1},
        "The variables input contains a field name 'nope' that is not defined for input object type 'CreatePostInput' ",
    ),
    ({"title": 1}, "Variable 'title' has an invalid value."),
    ({"title": "x", "rating": "1"}, "Variable 'rating' has an invalid value."),
    ({"title": "x", "rating": 2**40}, "Variable 'rating' has an invalid value."),
    (
        {"title": "x", "status": "NOPE"},
        "Variable 'status' has an invalid value. Invalid input for Enum 'PostStatus'. No value found for name 'NOPE'",
    ),
    ({"title": "x", "metadata": {"a": 1}}, "Variable 'metadata' has an invalid value."),
    ({"title": "x", "publishedAt": "2024-01-31"}, "Variable 'publishedAt' has an invalid value."),
    ({"title": "x", "createdAt": "2024-01-31T00:00:00Z"}, "The variables input contains a field name 'createdAt'"),
    ({"title": "x", "_deleted": True}, "The variables input contains a field name '_deleted'"),
]


@pytest.mark.parametrize(("values", "message"), COERCED)
def test_variable_of_the_wrong_type_is_refused_in_appsyncs_words(client: Client, values: dict[str, Any], message: str):
    answer = client.write("createPost", **values)
    assert answer["data"] is None
    assert answer["errors"][0]["message"].startswith(message)


def test_missing_variable_is_null(client: Client):
    answer = client.post("query($id: ID!) { getPost(id: $id) { id } }")
    assert answer["errors"][0]["message"] == "Variable 'id' has coerced Null value for NonNull type 'ID!'"


def test_default_values_literals_and_single_items_for_lists(client: Client):
    found = unique()
    query = """mutation($title: String = "from default") {
      createPost(input: {id: "%s", title: $title, tags: "one", rating: 3, status: DRAFT}) { title tags rating status }
    }"""
    assert client.data(query % found) == {"title": "from default", "tags": ["one"], "rating": 3, "status": "DRAFT"}


def test_skip_and_include_depend_on_variables(client: Client):
    post = client.written("createPost", title="x", rating=1)
    query = """query($id: ID!, $a: Boolean!) { getPost(id: $id) { title @skip(if: $a) rating @include(if: $a) } }"""
    assert client.data(query, id=post["id"], a=True) == {"rating": 1}
    assert client.data(query, id=post["id"], a=False) == {"title": "x"}


def test_operation_name_chooses(client: Client):
    body = {"query": "query a { a: __typename } query b { b: __typename }", "operationName": "b"}
    assert client.http.post(client.url, json=body).json() == {"data": {"b": "Query"}}


def test_fragments_and_repeated_fields_merge_in_document_order(client: Client):
    post = client.written("createPost", title="x", rating=1)
    answer = client.data(
        """query($id: ID!) { getPost(id: $id) { rating ...a other: title ... on Post { rating kind: __typename } } }
        fragment a on Post { title rating }""",
        id=post["id"],
    )
    assert list(answer.items()) == [("rating", 1), ("title", "x"), ("other", "x"), ("kind", "Post")]


def test_introspection_describes_the_api(client: Client):
    schema = build_client_schema(client.post(get_introspection_query())["data"])
    assert schema.query_type is not None
    assert "syncPosts" in schema.query_type.fields


def test_deep_documents_and_filters_are_refused(client: Client):
    deep = "blog { posts { items { " * 150 + "id" + " } } }" * 150
    answer = client.http.post(client.url, json={"query": f'{{ getPost(id: "1") {{ {deep} }} }}'})
    assert "nested too deeply" in answer.text
    found: dict[str, Any] = {"rating": {"eq": 1}}
    for _ in range(400):
        found = {"and": [found]}
    assert "nested too deeply" in str(client.post(SYNC_FILTERED, filter=found))
    assert client.data("{ syncPosts { nextToken } }") == {"nextToken": None}


def test_oversize_body_is_refused(client: Client):
    answer = client.http.post(client.url, content=b"x" * 1_000_001)
    assert answer.status_code == 413


def test_browser_may_call_from_anywhere(client: Client):
    wanted = "authorization,content-type,x-amz-date,x-amz-user-agent,x-api-key"
    preflight = {"Origin": "http://example.com", "Access-Control-Request-Headers": wanted}
    answer = httpx.options(client.url, headers=preflight)
    assert answer.status_code == 200
    allowed = answer.headers["Access-Control-Allow-Headers"].replace(" ", "").split(",")
    assert set(wanted.split(",")) <= set(allowed)
    assert httpx.post(client.url, headers={"x-api-key": "wrong"}).headers["Access-Control-Allow-Origin"] == "*"


def test_preflight_lets_own_headers_and_private_networks_pass(client: Client):
    def preflight(**headers: str) -> httpx.Headers:
        named = {f"Access-Control-Request-{name.replace('_', '-')}": value for name, value in headers.items()}
        return httpx.options(client.url, headers={"Origin": "https://example.com", **named}).headers

    asked = preflight(Method="POST", Headers="X-Tenant, x-api-key", Private_Network="true")
    assert "x-tenant" in asked["Access-Control-Allow-Headers"]
    assert asked["Access-Control-Allow-Private-Network"] == "true"
    assert "Access-Control-Allow-Private-Network" not in preflight(Method="POST")
    assert "\t" not in preflight(Headers="a\tb: c" * 3_000)["Access-Control-Allow-Headers"]


def test_get_says_what_this_is(client: Client):
    answer = httpx.get(client.url)
    assert answer.status_code == 200
    assert "AppSync-compatible" in answer.text
    assert "da2-local" not in answer.text


@pytest.mark.parametrize(("method", "path", "status"), [("PUT", "", 405), ("POST", "/nope", 404), ("GET", "/../", 404)])
def test_anything_else_is_refused(client: Client, method: str, path: str, status: int):
    assert client.http.request(method, client.url + path).status_code == status


# -- requests that do not arrive ---------------------------------------------------------------------------------------


async def _exchange(server: LocalServer, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What the server sends when these messages come from the client, and then no more."""
    incoming, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        if not incoming:
            await asyncio.Event().wait()
        return incoming.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"x-api-key", server.api_key.encode())]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "headers": headers, "scheme": "http"}
    await asgi.application(server.service)(scope, receive, send)
    return sent


def test_request_that_was_cut_is_not_executed(server: LocalServer):
    key = unique()
    body = json.dumps({"query": f'mutation {{ createPost(input: {{ id: "{key}", title: "T" }}) {{ id }} }}'}).encode()
    cut = {"type": "http.request", "body": body, "more_body": True}, {"type": "http.disconnect"}
    assert asyncio.run(_exchange(server, *cut)) == []
    assert Client(server).data(f'{{ getPost(id: "{key}") {{ id }} }}') is None


def test_request_that_never_ends_is_given_up(server: LocalServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.01)
    start, end = asyncio.run(_exchange(server, {"type": "http.request", "body": b"{", "more_body": True}))
    assert (start["status"], json.loads(end["body"])["errors"][0]["errorType"]) == (408, "RequestTimeoutException")
