"""The unmodified npm client in a real browser, with its IndexedDB and WebSocket, and the local server over TLS."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from django_datastore.appsync_local.server import LocalServer
from tests.e2e.amplify_js.programs import covers
from tests.integration.local_server_tools import POST, SDL

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.e2e

CLIENT_DIR = Path(__file__).parent / "amplify_js"
PATIENCE_MS = 60_000
SUBSCRIPTIONS = 12
SELECTION = f"{POST} blog {{ id _deleted }}"
PAGE = '<!doctype html><meta charset="utf-8"><title>The client under test</title><script src="bundle.js"></script>'


class Tab:
    """A page with the client, and what it says to the server."""

    def __init__(self, context: Any, page_url: str, server: LocalServer) -> None:
        self._page_url, self._server = page_url, server
        self.problems: list[str] = []
        self._page = context.new_page()
        self._page.set_default_timeout(PATIENCE_MS)
        self._page.on("pageerror", lambda error: self.problems.append(str(error)))

    def open(self) -> None:
        """Loads the page and starts the client; returns when it is in sync and all subscriptions are acknowledged."""
        self._page.goto(self._page_url)
        self.ask("app.start(it)", {"endpoint": self._server.url, "apiKey": self._server.api_key})
        self.waits_for("snapshots.some(({ isSynced }) => isSynced)")
        self.waits_for("frames.filter(({ type }) => type === 'start_ack').length === it", SUBSCRIPTIONS)

    def leave(self) -> None:
        """Goes elsewhere; the browser keeps what the client stored."""
        self._page.goto("about:blank")

    def ask(self, expression: str, it: Any = None) -> Any:
        """What an expression of `it` is in the page."""
        return self._page.evaluate(f"it => {expression}", it)

    def waits_for(self, expression: str, it: Any = None) -> None:
        """Waits until an expression of `it` is true in the page."""
        self._page.wait_for_function(f"it => {expression}", arg=it)

    def shows(self, *titles: str) -> None:
        """Waits until the newest snapshot has these posts and no others."""
        self.waits_for("JSON.stringify(snapshots.at(-1)?.titles) === JSON.stringify(it)", sorted(titles))

    def asked(self, field: str) -> list[dict[str, Any]]:
        """The requests for a root field: query, variables, answer."""
        return [request for request in self.ask("requests") if f" {field}(" in request["query"]]


@pytest.fixture(scope="module")
def page_url(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A site with the bundled client, on an origin of its own."""
    directory = tmp_path_factory.mktemp("page")
    esbuild = CLIENT_DIR / "node_modules" / ".bin" / "esbuild"
    options = ["--bundle", "--log-level=warning", f"--outfile={directory / 'bundle.js'}"]
    subprocess.run([str(esbuild), str(CLIENT_DIR / "browser.js"), *options], check=True)
    (directory / "index.html").write_text(PAGE)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory))) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_address[1]}/index.html"
        site.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(SDL, tls=True) as server:
        yield server


@pytest.fixture
def tab(page_url: str, server: LocalServer, chromium_path: str) -> Iterator[Tab]:
    """A page that is in sync."""
    arguments = ["--no-sandbox", "--ignore-certificate-errors"]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=chromium_path, args=arguments)
        tab = Tab(chromium.new_context(), page_url, server)
        tab.open()
        yield tab
        assert tab.problems == []
        chromium.close()


def write(server: LocalServer, field: str, **values: Any) -> dict[str, Any]:
    """The record after a mutation by somebody else."""
    kind = field[0].upper() + field[1:]
    document = f"mutation ($input: {kind}Input!) {{ {field}(input: $input) {{ {SELECTION} }} }}"
    answer = server.execute(document, {"input": values})
    assert "errors" not in answer, answer
    found: dict[str, Any] = answer["data"][field]
    return found


def test_page_creates_a_record(tab: Tab, server: LocalServer) -> None:
    key = tab.ask("app.create(it)", {"title": "From the page", "tags": ["a"], "status": "DRAFT"})
    tab.shows("From the page")
    tab.waits_for("requests.some(({ query }) => query.includes(' createPost('))")
    written = {"id": key, "title": "From the page", "tags": ["a"], "status": "DRAFT"}
    assert covers(server.record("Post", key), {**written, "_version": 1})
    (create,) = tab.asked("createPost")
    assert create["variables"]["input"] == written
    tab.waits_for("app.get(it).then(post => post._version === 1)", key)


def test_page_hears_of_foreign_mutations(tab: Tab, server: LocalServer) -> None:
    (url,) = tab.ask("socketUrls")
    assert url == server.realtime_url
    assert url.startswith("wss://")
    asked = tab.ask("requests.length")
    key = write(server, "createPost", title="Foreign")["id"]
    tab.shows("Foreign")
    write(server, "updatePost", id=key, title="Edited", _version=1)
    tab.shows("Edited")
    write(server, "deletePost", id=key, _version=2)
    tab.shows()
    assert tab.ask("requests.length") == asked


def test_page_asks_for_the_delta_after_a_reload(tab: Tab, server: LocalServer) -> None:
    same, edited, deleted = (write(server, "createPost", title=title)["id"] for title in ("Same", "Before", "Gone"))
    tab.leave()
    tab.open()
    tab.shows("Same", "Before", "Gone")
    last_sync = tab.asked("syncPosts")[0]["answer"]["data"]["syncPosts"]["startedAt"]
    tab.leave()
    write(server, "updatePost", id=edited, title="After", _version=1)
    write(server, "deletePost", id=deleted, _version=1)
    new = write(server, "createPost", title="New")["id"]

    tab.open()
    tab.shows("Same", "After", "New")
    (delta,) = tab.asked("syncPosts")
    assert delta["variables"]["lastSync"] == last_sync
    items = delta["answer"]["data"]["syncPosts"]["items"]
    found = {post["id"]: (post["_version"], post["_deleted"]) for post in items}
    assert found == {edited: (2, None), deleted: (2, True), new: (1, None)}
    first = tab.ask("snapshots[0]")
    assert first == {"isSynced": False, "titles": ["Before", "Gone", "Same"]}  # out of IndexedDB, before the sync
    assert tab.ask("app.get(it)", same)["_version"] == 1
