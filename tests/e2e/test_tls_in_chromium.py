"""Chromium and the server's own certificate: its page, and calls and sockets of a page that comes from elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from django_datastore.appsync_local.server import LocalServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Browser = playwright.Browser

pytestmark = pytest.mark.e2e

SDL = "type Note @model { text: String }"
FETCH = """async ([url, key]) => {
  const headers = { 'x-api-key': key, 'content-type': 'application/json', 'x-tenant': 'own' };
  const answer = await fetch(url, { method: 'POST', headers, body: '{"query": "{ __typename }"}' });
  return [await answer.json(), answer.headers.get('x-amzn-RequestId') !== null];
}"""
SOCKET = """(url) => new Promise((resolve) => {
  const socket = new WebSocket(url, ['graphql-ws']);
  socket.onopen = () => resolve(socket.protocol);
  socket.onerror = () => resolve('failed');
})"""


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(SDL, tls=True) as found:
        yield found


@pytest.fixture
def browser(server: LocalServer, chromium_path: str) -> Iterator[Browser]:
    """Chromium that was told of the certificate as the command prints it."""
    assert server.certificate is not None
    trust = f"--ignore-certificate-errors-spki-list={server.certificate.spki_hash}"
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium_path, args=["--no-sandbox", trust])
        yield found
        found.close()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """A page of another origin."""
    (tmp_path / "index.html").write_text('<!doctype html><link rel="icon" href="data:,"><title>app</title>')

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://localhost:{http.server_port}/index.html"
        http.shutdown()


def test_page_of_another_origin_calls_and_opens_sockets(server: LocalServer, browser: Browser, elsewhere: str):
    page = browser.new_page()
    page.goto(elsewhere)
    assert page.evaluate(FETCH, [server.url, server.api_key]) == [{"data": {"__typename": "Query"}}, True]
    assert page.evaluate(SOCKET, server.realtime_url) == "graphql-ws"


def test_servers_own_page_shows_and_complains_of_nothing(server: LocalServer, browser: Browser):
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server.url)
    page.click("summary:has-text('Note')")
    assert page.is_visible("text=onDeleteNote >> nth=0")
    assert [it for it in complaints if "favicon" not in it and "404" not in it] == []
