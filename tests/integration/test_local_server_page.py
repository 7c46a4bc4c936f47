"""GET /graphql: a page for people, plain text for programs, and calls in the query string as AppSync takes them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from django_datastore.appsync_local.about import realtime_url
from tests.integration.local_server_tools import Client, local_server

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_server() as server:
        yield Client(server)


def test_browser_gets_a_page_that_needs_nothing_else(client: Client):
    page = httpx.get(client.url, headers=BROWSER)
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert f"<code>{client.url}</code>" in page.text
    assert f"<code>{client.url.replace('http', 'ws')}/realtime</code>" in page.text
    assert not re.search(r"<(script|link|img|iframe)|\ssrc=", page.text)
    for wanted in ("Amplify.configure", "syncPosts", "createBlog", "onDeletePost"):
        assert wanted in page.text


def test_examples_of_the_page_run(client: Client):
    page = httpx.get(client.url, headers=BROWSER)
    documents = [html.unescape(text) for text in re.findall(r"<dd><pre>(.*?)</pre>", page.text, re.DOTALL)]
    runnable = [text for text in documents if not text.startswith("subscription")]
    assert len(runnable) >= 6
    for text in runnable:
        for error in client.post(text).get("errors", ()):
            # valid, though the record may have moved on by then
            assert error["errorType"] in ("ConditionalCheckFailedException", "ConflictUnhandled"), (text, error)


def test_programs_get_plain_text(client: Client):
    page = httpx.get(client.url)
    assert page.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "AppSync-compatible" in page.text
    assert f"POST {client.url}" in page.text
    assert "Post: getPost, listPosts, syncPosts, createPost" in page.text


@pytest.mark.parametrize("headers", [{}, BROWSER])
def test_page_never_shows_the_key(client: Client, headers: dict[str, str]):
    key = client.http.headers["x-api-key"]
    assert key not in httpx.get(client.url, headers=headers | {"x-api-key": key}).text


def test_api_without_introspection_does_not_tell_its_models():
    with local_server(INTROSPECTION=False) as server:
        for headers in ({}, BROWSER):
            page = httpx.get(server.url, headers=headers).text
            assert server.url in page
            assert "Post" not in page


def test_head_says_as_much_and_sends_nothing(client: Client):
    answer = httpx.head(client.url, headers=BROWSER)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("host", ['"><script>alert(1)</script>', "[", "x'); alert('1", "a b"])
def test_host_of_the_visitor_is_escaped(client: Client, host: str):
    for accept in (BROWSER, {}):
        page = httpx.get(client.url, headers={**accept, "Host": host})
        assert page.status_code in (200, 400)
        assert "<script>" not in page.text or accept is not BROWSER


def test_call_in_the_query_string_needs_the_key(client: Client):
    answer = httpx.get(f"{client.url}?query={quote('{ __typename }')}", headers=BROWSER)
    assert answer.status_code == 401
    assert answer.headers["x-amzn-ErrorType"] == "UnauthorizedException"


def test_call_in_the_query_string_runs_as_a_post_does(client: Client):
    text = "query q($id: ID!) { getPost(id: $id) { id } } query other { __typename }"
    asked = {"query": text, "variables": json.dumps({"id": "1"}), "operationName": "q"}
    assert client.http.get(client.url, params=asked).json() == {"data": {"getPost": None}}
    refused = client.http.get(client.url, params={"query": text, "variables": "{"})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["errorType"] == "MalformedHttpRequestException"
    assert client.http.get(client.url, params={"query": ""}).status_code == 400


@pytest.mark.parametrize(
    ("endpoint", "realtime"),
    [
        ("http://localhost:8001/graphql", "ws://localhost:8001/graphql/realtime"),
        ("https://[::1]:1/graphql/", "wss://[::1]:1/graphql/realtime"),
    ],
)
def test_realtime_url(endpoint: str, realtime: str):
    assert realtime_url(endpoint) == realtime
