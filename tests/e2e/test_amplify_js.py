"""The unmodified npm client against the local server, and a Django site that syncs with the same server.

    phone (Node) ◀─▶ appsync_local ◀─▶ listener, Celery worker ◀─▶ the site's database ◀─▶ ORM, browser

Every box is a process of its own. The server knows Amplify's SDL file and nothing of the site's models.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from testproject.demo.programs import WEB, WORKER
from tests.e2e.amplify_js.programs import Bell, Peer, Program

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
CLIENT_DIR = Path(__file__).parent / "amplify_js"
EXAMPLE_DIR = ROOT / "tests" / "data" / "amplify_example"
API_KEY = "da2-phone"
MANAGE = [sys.executable, str(ROOT / "manage.py")]
PATIENCE_MS = 60_000


class Stage:
    """Everything that runs for these tests."""

    def __init__(self, directory: Path, node: str) -> None:
        self._directory = directory
        self._node = node
        self._bell = Bell()
        self._running = ExitStack()

    def start(self) -> None:
        """Starts the server, the site's processes and the phone; returns when all are in sync."""
        server = ["appsync_local", "127.0.0.1:0", "--schema", str(EXAMPLE_DIR / "models.graphql"), "--api-key", API_KEY]
        appsync = self.run("appsync", *MANAGE, *server, "--database", str(self._directory / "server.sqlite3"))
        migration = self.run("migrate", *MANAGE, "migrate", "--verbosity", "0")
        self.endpoint = appsync.says(r"AppSync at (\S+) with")[1]
        migration.ends_well()
        listener = self.run("listener", *MANAGE, "datastore_listen")
        self.run("worker", sys.executable, "-m", *shlex.split(WORKER))
        web = self.run("web", sys.executable, "-m", *shlex.split(WEB), "--host", "127.0.0.1", "--port", "0")
        self.site = self.run("site", sys.executable, "-m", "tests.e2e.amplify_js.site", kind=Peer)
        self.phone = self.client("phone")
        self.page_url = web.says(r"running on (http://\S+)")[1]
        self.site.event("snapshot", model="Post")
        listener.says("live")

    def stop(self) -> None:
        """Stops all of it."""
        self._running.close()

    def client(self, name: str) -> Peer:
        """Another npm client with a store of its own; returns when it is in sync."""
        program = [self._node, str(CLIENT_DIR / "client.js")]
        schema = str(EXAMPLE_DIR / "model-introspection.json")
        client = self.run(name, *program, self.endpoint, API_KEY, schema, kind=Peer)
        client.ask("start")
        client.event("ready")
        return client

    def run(self, name: str, *command: str, kind: type[Any] = Program) -> Any:
        """Starts a program; it ends with the stage."""
        log = self._directory / f"{name}.log"
        return self._running.enter_context(kind(name, command, bell=self._bell, log=log, env=self._environment()))

    def until(self, fact: Callable[[], Any], expected: str) -> Any:
        """Waits for a fact that concerns several of them."""
        return self._bell.until(fact, expected)

    def server_record(self, key: str) -> dict[str, Any]:
        """A post as the server has it."""
        fields = "id title rating status tags metadata publishedAt blogPostsId _version _deleted"
        query = f"query ($id: ID!) {{ getPost(id: $id) {{ {fields} }} }}"
        body = {"query": query, "variables": {"id": key}}
        answer = httpx.post(self.endpoint, json=body, headers={"x-api-key": API_KEY}).json()
        assert "errors" not in answer, answer
        return answer["data"]["getPost"]

    def _environment(self) -> dict[str, str]:
        """What the site's settings read: its own SQLite files and queue, whatever this test run uses."""
        elsewhere = ("_URL", "_ENDPOINT", "LINE_CONTROL")
        return {
            **{name: value for name, value in os.environ.items() if not name.endswith(elsewhere)},
            "DJANGO_SETTINGS_MODULE": "testproject.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "DEMO_DIR": str(self._directory),
            "APPSYNC_URL": getattr(self, "endpoint", "http://127.0.0.1:9/graphql"),
            "APPSYNC_API_KEY": API_KEY,
        }


@pytest.fixture(scope="module")
def stage(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    running = Stage(tmp_path_factory.mktemp("amplify_js"), node)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def phone(stage: Stage) -> Iterator[Peer]:
    """The client; what it gets it must be able to use."""
    yield stage.phone
    assert stage.phone.complaints() == []


@pytest.fixture
def site(stage: Stage) -> Peer:
    return stage.site


@pytest.fixture
def page(stage: Stage, chromium_path: str) -> Iterator[Any]:
    """The site's page in a browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(stage.page_url)
        yield page
        browser.close()


def go_offline(client: Peer) -> None:
    """Takes the network away."""
    past = len(client.events)
    client.ask("network", isOnline=False)
    client.event("networkStatus", active=False, since=past)


def go_online(client: Peer) -> None:
    """Gives it back; returns when the client has caught up."""
    past = len(client.events)
    client.ask("network", isOnline=True)
    client.event("ready", since=past)


def test_orm_save_arrives_in_the_clients_observe(phone: Peer, site: Peer) -> None:
    post = site.create(
        "Post",
        title="Saved with the ORM",
        rating=4,
        status="PUBLISHED",
        tags=["django", "sync"],
        metadata={"words": [1, {"deep": None}]},
        published_at="2024-05-01T10:00:00Z",
        draft_notes="not for others",
    )
    element = phone.event("observed", model="Post", opType="INSERT", element={"id": post["id"]})["element"]
    assert element.pop("createdAt")
    assert element.pop("updatedAt")
    assert element.pop("_lastChangedAt")
    assert element == {
        "id": post["id"],
        "title": "Saved with the ORM",
        "rating": 4,
        "status": "PUBLISHED",
        "tags": ["django", "sync"],
        "metadata": {"words": [1, {"deep": None}]},
        "publishedAt": "2024-05-01T10:00:00.000Z",
        "blog": None,
        "blogPostsId": None,
        "_version": 1,
        "_deleted": None,
    }


def test_client_save_arrives_in_djangos_database(phone: Peer, site: Peer) -> None:
    post = phone.create(
        "Post",
        title="Saved in the client",
        rating=5,
        status="DRAFT",
        tags=["js"],
        metadata='{"words": [1, {"deep": null}]}',
        publishedAt="2024-05-01T12:00:00.000+02:00",
    )
    row = site.has("Post", post["id"])
    assert datetime.fromisoformat(row.pop("published_at")) == datetime.fromisoformat("2024-05-01T10:00:00Z")
    assert row == {
        "id": post["id"],
        "title": "Saved in the client",
        "rating": 5,
        "status": "DRAFT",
        "tags": ["js"],
        "metadata": {"words": [1, {"deep": None}]},
        "blog_id": None,
        "draft_notes": "",
    }


def test_client_writes_are_seen_in_a_browser(phone: Peer, site: Peer, page: Any) -> None:
    from playwright.sync_api import expect

    def row(title: str) -> Any:
        return page.locator("#posts > li:not(.leaving)").filter(has_text=title)

    def shows(title: str, count: int = 1) -> None:
        expect(row(title)).to_have_count(count, timeout=PATIENCE_MS)

    site.create("Post", title="There before")
    shows("There before")  # the live query runs: what follows are changes
    key = phone.create("Post", title="Pushed to the browser")["id"]
    shows("Pushed to the browser")
    phone.has("Post", key, _version=1)
    phone.update("Post", key, title="Edited under its eyes")
    shows("Edited under its eyes")
    shows("Pushed to the browser", 0)
    phone.has("Post", key, _version=2)
    phone.delete("Post", key)
    shows("Edited under its eyes", 0)
    shows("There before")


def test_updates_and_delete_go_from_django_to_the_client(phone: Peer, site: Peer) -> None:
    key = site.create("Post", title="First words", rating=1)["id"]
    phone.has("Post", key, title="First words", _version=1)
    site.update("Post", key, title="Second words", rating=None)
    phone.has("Post", key, title="Second words", rating=None, _version=2)
    site.delete("Post", key)
    phone.event("observed", model="Post", opType="DELETE", element={"id": key})
    assert phone.get("Post", key) is None


def test_updates_and_delete_go_from_the_client_to_django(phone: Peer, site: Peer) -> None:
    key = phone.create("Post", title="First words", rating=1)["id"]
    phone.has("Post", key, _version=1)
    phone.update("Post", key, title="Second words", rating=None)
    site.has("Post", key, title="Second words", rating=None)
    phone.has("Post", key, _version=2)
    phone.delete("Post", key)
    site.lacks("Post", key)


def test_each_side_edits_what_the_other_created(stage: Stage, phone: Peer, site: Peer) -> None:
    from_site = site.create("Post", title="By the site")["id"]
    phone.has("Post", from_site, _version=1)
    from_phone = phone.create("Post", title="By the phone")["id"]
    site.has("Post", from_phone)
    phone.has("Post", from_phone, _version=1)

    phone.update("Post", from_site, title="By the site, mended on the phone")
    site.update("Post", from_phone, title="By the phone, mended on the site")
    site.has("Post", from_site, title="By the site, mended on the phone")
    phone.has("Post", from_phone, title="By the phone, mended on the site", _version=2)

    phone.delete("Post", from_phone)
    site.delete("Post", from_site)
    site.lacks("Post", from_phone)
    phone.lacks("Post", from_site)
    assert stage.server_record(from_phone)["_deleted"]
    assert stage.server_record(from_site)["_deleted"]


def test_parents_are_shared(phone: Peer, site: Peer) -> None:
    site_blog = site.create("Blog", name="Begun in Django")["id"]
    phone.has("Blog", site_blog)
    phone_post = phone.create("Post", title="A post from the phone", blog=site_blog)["id"]
    site.has("Post", phone_post, blog_id=site_blog)

    phone_blog = phone.create("Blog", name="Begun on the phone")["id"]
    site.has("Blog", phone_blog)
    site_post = site.create("Post", title="A post from Django", blog_id=phone_blog)["id"]
    phone.has("Post", site_post, blog={"id": phone_blog, "name": "Begun on the phone"})
    assert phone.ask("children", model="Blog", key=phone_blog, relation="posts") == [site_post]

    comment = phone.create("Comment", content="First!", post=site_post)["id"]
    site.has("Comment", comment, post_id=site_post)

    phone.has("Post", phone_post, _version=1)
    phone.update("Post", phone_post, blog=phone_blog)
    site.has("Post", phone_post, blog_id=phone_blog)


def test_client_that_starts_later_gets_what_is_there(stage: Stage, phone: Peer, site: Peer) -> None:
    blog = site.create("Blog", name="An old blog")["id"]
    posts = sorted(site.create("Post", title=f"Old post {number}", blog_id=blog)["id"] for number in range(5))
    gone = site.create("Post", title="Deleted long ago")["id"]
    for key in (*posts, gone):
        phone.has("Post", key)
    site.delete("Post", gone)
    phone.lacks("Post", gone)

    tablet = stage.client("tablet")
    assert tablet.get("Blog", blog)["name"] == "An old blog"
    assert tablet.ask("children", model="Blog", key=blog, relation="posts") == posts
    assert tablet.get("Post", posts[0])["blog"]["id"] == blog
    assert tablet.get("Post", gone) is None


def test_both_sides_converge_after_editing_one_field_at_once(stage: Stage, phone: Peer, site: Peer) -> None:
    key = site.create("Post", title="Before")["id"]
    phone.has("Post", key, _version=1)
    phone.update("Post", key, title="What the phone says")
    site.update("Post", key, title="What the site says")
    stage.until(lambda: stage.server_record(key)["_version"] == 3, "the server has both edits")
    title = stage.server_record(key)["title"]

    assert title in {"What the phone says", "What the site says"}
    site.has("Post", key, title=title)
    # The client drops a change that overtakes the answer to its own edit; its next sync brings it.
    go_offline(phone)
    go_online(phone)
    phone.has("Post", key, title=title, _version=3)


def test_both_sides_converge_after_the_client_was_offline(stage: Stage, phone: Peer, site: Peer) -> None:
    key = site.create("Post", title="Before the tunnel")["id"]
    gone = site.create("Post", title="Will be deleted")["id"]
    tablet = stage.client("tablet in the tunnel")
    for post in (key, gone):
        phone.has("Post", post, _version=1)
        tablet.has("Post", post, _version=1)

    go_offline(tablet)
    tablet.update("Post", key, rating=5)
    new = tablet.create("Post", title="Written in the tunnel")["id"]
    site.update("Post", key, status="PUBLISHED")
    site.delete("Post", gone)
    phone.has("Post", key, status="PUBLISHED", rating=None, _version=2)
    phone.lacks("Post", gone)
    assert tablet.get("Post", key)["status"] is None
    assert site.get("Post", new) is None

    go_online(tablet)
    site.has("Post", new, title="Written in the tunnel")
    tablet.lacks("Post", gone)
    both = {"title": "Before the tunnel", "rating": 5, "status": "PUBLISHED"}
    site.has("Post", key, **both)
    for client in (phone, tablet):
        client.has("Post", key, **both, _version=3)
        client.has("Post", new, title="Written in the tunnel", _version=1)
