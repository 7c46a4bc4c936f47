"""The demo's story in a real browser: two windows on the page, the line cut and mended between them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Browser, Page, expect = playwright.Browser, playwright.Page, playwright.expect

pytestmark = pytest.mark.e2e
SCREENSHOT = Path(__file__).resolve().parents[2] / "docs" / "images" / "demo.png"
PATIENCE_MS = 60_000


@pytest.fixture
def browser(chromium_path: str) -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Window:
    """One browser window on the demo's page, in a session of its own."""

    def __init__(self, browser: Browser, url: str) -> None:
        context = browser.new_context(viewport={"width": 1360, "height": 900}, device_scale_factor=1.5)
        context.set_default_timeout(PATIENCE_MS)
        self.page: Page = context.new_page()
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        self.page.goto(url)

    def row(self, panel: str, text: str):
        """The row of `posts`, `outbox` or `records` with that text."""
        return self.page.locator(f"#{panel} > li:not(.leaving)").filter(has_text=text)

    def shows(self, panel: str, text: str, *, badge: str | None = None, stars: int | None = None) -> None:
        row = self.row(panel, text)
        expect(row).to_have_count(1, timeout=PATIENCE_MS)
        if badge is not None:
            expect(row.locator(".badge")).to_have_text(badge, timeout=PATIENCE_MS)
        if stars is not None:
            expect(row.locator(".stars .on")).to_have_count(stars, timeout=PATIENCE_MS)

    def lacks(self, panel: str, text: str) -> None:
        expect(self.row(panel, text)).to_have_count(0, timeout=PATIENCE_MS)

    def write(self, field: str, title: str) -> None:
        self.page.get_by_label(field).fill(title)
        self.page.get_by_label(field).press("Enter")

    def rate(self, panel: str, text: str, rating: int) -> None:
        self.row(panel, text).get_by_role("button", name=f"Rate {rating} of 5").click()

    def rename(self, panel: str, text: str, title: str) -> None:
        row = self.row(panel, text)
        row.get_by_role("button", name="Edit").click()
        field = self.page.locator(f"#{panel} .text input")
        field.fill(title)
        field.press("Enter")

    def throw_switch(self) -> None:
        self.page.get_by_role("switch").click()

    def line_is(self, state: str) -> None:
        expect(self.page.locator("body")).to_have_attribute("data-line", state, timeout=PATIENCE_MS)


def test_two_windows_see_the_story_to_its_end(demo_url: str, browser: Browser, tmp_path: Path) -> None:
    here, there = Window(browser, demo_url), Window(browser, demo_url)
    for window in (here, there):
        expect(window.page.locator("#live")).to_have_text("live", timeout=PATIENCE_MS)
        window.shows("posts", "Working from the train", badge="synced")

    # A save on the site reaches the other window and AppSync.
    here.write("Title of a new post", "Written in window one")
    there.shows("posts", "Written in window one", badge="synced")
    here.shows("records", "Written in window one", badge="v1")

    # What another device writes arrives in both windows.
    there.write("Title of a new record", "Sent from a phone")
    for window in (here, there):
        window.shows("posts", "Sent from a phone")

    # The line is cut; both sides go on: other records, and two fields of the same one.
    here.throw_switch()
    for window in (here, there):
        window.line_is("cut")
    here.write("Title of a new post", "Written in the tunnel")
    here.rename("posts", "Two people edit one title", "Two people edit one post")
    here.rate("records", "Two people edit one title", 5)
    here.rate("records", "Sent from a phone", 4)
    for window in (here, there):
        window.shows("outbox", "Written in the tunnel")
        window.shows("outbox", "Two people edit one post")
        window.shows("posts", "Written in the tunnel", badge="unsent")
        window.shows("records", "Two people edit one title", badge="v2", stars=5)
        expect(window.page.locator("#offline")).to_be_visible(timeout=PATIENCE_MS)
    here.lacks("records", "Written in the tunnel")
    here.page.mouse.move(2, 2)
    here.page.evaluate("document.activeElement.blur()")
    here.page.screenshot(path=tmp_path / "demo.png", animations="disabled")

    # Mended, both sides hold everything.
    there.throw_switch()
    for window in (here, there):
        window.line_is("up")
        window.shows("records", "Written in the tunnel", badge="v1")
        window.shows("records", "Two people edit one post", badge="v3", stars=5)
        window.shows("posts", "Two people edit one post", badge="synced", stars=5)
        window.shows("posts", "Sent from a phone", badge="synced", stars=4)
        expect(window.page.locator("#outbox > li")).to_have_count(0, timeout=PATIENCE_MS)

    # A delete leaves a tombstone.
    here.row("posts", "Written in window one").get_by_role("button", name="Delete").click()
    there.lacks("posts", "Written in window one")
    there.shows("records", "Written in window one", badge="deleted · v2")
    assert here.problems == there.problems == []

    if os.environ.get("SCREENSHOT"):
        SCREENSHOT.parent.mkdir(parents=True, exist_ok=True)
        SCREENSHOT.write_bytes((tmp_path / "demo.png").read_bytes())
