"""The story of `make demo ARGS=--check`: told over real HTTP and WebSockets, checked from both ends at every step."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from django.conf import settings

from testproject.blog.device import Device, DeviceError
from testproject.demo.clients import Browser
from testproject.demo.processes import DemoError, Processes, wait_until
from testproject.demo.programs import Places

BURST = 30
"""Posts saved around the death of the worker."""


def tell_story(places: Places, running: Processes) -> None:
    """Returns when all of it came true; raises `DemoError` at the first thing that did not."""
    print(flush=True)
    with closing(Browser(places)) as browser:
        story = Story(running, browser, Device(places.appsync_url, settings.DATASTORE["API_KEY"]))
        for step in (
            story.the_page_shows_the_seeds,
            story.a_save_reaches_appsync,
            story.a_foreign_change_reaches_the_page,
            story.both_sides_edit_while_the_line_is_cut,
            story.the_mended_line_lets_both_converge,
            story.a_killed_worker_loses_nothing,
            story.a_delete_reaches_appsync,
        ):
            _run_step(step, running)
    print("\n  The whole story came true.", flush=True)


def _run_step(step: Callable[[], str], running: Processes) -> None:
    """Prints the step's outcome and time."""
    started = time.monotonic()
    name = step.__name__.replace("_", " ").replace("appsync", "AppSync")
    try:
        seen = step()
        running.check_alive()
    except (DemoError, DeviceError) as exc:
        words = "\n".join(process.last_words() for process in running.processes)
        raise DemoError(f"  FAILED: {name}\n  {exc}\n{words}") from exc
    print(f"  ok  {name:<46} {seen:<52} {time.monotonic() - started:6.2f} s", flush=True)


class Story:
    """The steps, in order; each says in a few words what was seen."""

    def __init__(self, running: Processes, browser: Browser, device: Device) -> None:
        self.running = running
        self.browser = browser
        self.device = device
        self.mine = self.theirs = self.both = ""
        """Keys of the posts that are edited here, there and on both sides."""

    def the_page_shows_the_seeds(self) -> str:
        """The live query answers, the outbox drains, and AppSync holds what the site was seeded with."""
        self._until(lambda: len(self.browser.posts) >= 3 or self.browser.posts, "the page shows the seeded posts")
        self._until_outbox_is_empty()
        self._until(lambda: self.browser.is_synced or "isSynced is false", "the live query is in sync")
        self._until_same("AppSync holds the seeded posts")
        return f"{len(self.browser.posts)} posts, live"

    def a_save_reaches_appsync(self) -> str:
        """The form saves; the device finds the post in AppSync at version 1."""
        self.mine = self.browser.save("Saved on the site", rating=3)
        self._until_device_sees(self.mine, title="Saved on the site", rating=3, _version=1)
        self._until_page_shows(self.mine, title="Saved on the site")
        self._until_outbox_is_empty()
        return "version 1 in AppSync, on the page, outbox empty"

    def a_foreign_change_reaches_the_page(self) -> str:
        """What the device creates and changes shows up in the live query."""
        self.theirs = self.device.create(title="Written elsewhere", rating=1, status="PUBLISHED")["id"]
        self._until_page_shows(self.theirs, title="Written elsewhere", rating=1)
        self.device.update(self.theirs, 1, rating=5)
        self._until_page_shows(self.theirs, rating=5)
        return "a create and an update arrived"

    def both_sides_edit_while_the_line_is_cut(self) -> str:
        """With the line cut both sides go on: different records, and different fields of the same record."""
        self.both = self.browser.save("Edited by two", rating=1)
        self._until_device_sees(self.both, _version=1)
        self._until_outbox_is_empty()
        if (state := self.browser.cut_line(True)) != "cut":
            raise DemoError(f"Expected the line to be cut, it is {state!r}.")
        self.browser.edit(self.mine, title="Edited on the site")
        self.browser.edit(self.both, title="Title from the site")
        self.device.update(self.both, 1, rating=4)
        self.device.update(self.theirs, 2, title="Edited elsewhere")
        self._until_page_shows(self.both, title="Title from the site")
        self._until(lambda: self._outbox_keys() == {self.mine, self.both} or self.browser.outbox(), "two edits wait")
        self._until(lambda: self.browser.is_offline() or "it does not say so", "the site notices that AppSync is away")
        self._expect(self._device_sees(self.mine, title="Saved on the site"), "AppSync does not have the site's edit")
        self._expect(self._page_shows(self.theirs, title="Written elsewhere"), "the site lacks the device's edit")
        return "2 edits wait in the outbox, the page goes on"

    def the_mended_line_lets_both_converge(self) -> str:
        """After mending, both sides hold all four edits."""
        if (state := self.browser.cut_line(False)) != "up":
            raise DemoError(f"Expected the line to be up, it is {state!r}.")
        self._until_device_sees(self.mine, title="Edited on the site")
        self._until_device_sees(self.both, title="Title from the site", rating=4)
        self._until_page_shows(self.theirs, title="Edited elsewhere", rating=5)
        self._until_page_shows(self.both, title="Title from the site", rating=4)
        self._until_outbox_is_empty()
        self._until_same("both sides hold the same")
        return "all 4 edits on both sides, same record merged"

    def a_killed_worker_loses_nothing(self) -> str:
        """SIGKILL in the middle of a burst: what was not sent waits, and goes out once a worker is back."""
        titles = [f"Burst {number:02}" for number in range(BURST)]
        for title in titles[: BURST // 2]:
            self.browser.save(title)
        self.running["worker"].kill()
        for title in titles[BURST // 2 :]:
            self.browser.save(title)
        waiting = len(self.browser.outbox())
        self._expect(waiting >= BURST // 2 or waiting, "what is saved without a worker waits in the outbox")
        self.running.restart("worker")
        self.running["worker"].wait_until_it_answers()
        self._until_outbox_is_empty()
        held = sorted(record["title"] for record in self.device.records() if record["title"].startswith("Burst"))
        self._expect(held == titles or held, f"AppSync holds each of the {BURST} posts once")
        self._until_same("both sides hold the same")
        return f"{waiting} waited, all {BURST} in AppSync once"

    def a_delete_reaches_appsync(self) -> str:
        """Deleting on the page leaves a tombstone in AppSync; a tombstone of the device's takes the row here."""
        self.browser.request("DELETE", f"/posts/{self.mine}/")
        self._until_device_sees(self.mine, _deleted=True)
        record = self.device.record(self.theirs) or {}
        self.device.delete(self.theirs, record["_version"])
        self._until(lambda: self.theirs not in self.browser.posts or "still there", "the page drops the device's post")
        self._until_same("both sides hold the same")
        return "a tombstone each way"

    # -- What is seen -----------------------------------------------------------------------------------------------

    def _until(self, fact: Callable[[], object], expected: str) -> None:
        def checked() -> object:
            if self.browser.problem:
                raise DemoError(f"The browser's socket has a problem: {self.browser.problem}")
            return fact()

        wait_until(checked, expected, timeout_seconds=30)

    @staticmethod
    def _expect(seen: object, expected: str) -> None:
        if seen is not True:
            raise DemoError(f"Expected: {expected}. Seen: {seen!r}")

    def _until_outbox_is_empty(self) -> None:
        self._until(lambda: not (entries := self.browser.outbox()) or entries, "the outbox is empty")

    def _until_device_sees(self, key: str, **values: Any) -> None:
        self._until(lambda: self._device_sees(key, **values), f"AppSync holds {values} in {key}")

    def _until_page_shows(self, key: str, **values: Any) -> None:
        self._until(lambda: self._page_shows(key, **values), f"the page shows {values} of {key}")

    def _device_sees(self, key: str, **values: Any) -> object:
        return _matches(self.device.record(key), values)

    def _page_shows(self, key: str, **values: Any) -> object:
        return _matches(self.browser.posts.get(key), values)

    def _outbox_keys(self) -> set[str]:
        return {entry["key"] for entry in self.browser.outbox()}

    def _until_same(self, expected: str) -> None:
        """The page shows exactly the records that are alive in AppSync."""

        def same() -> object:
            there = {record["id"]: record for record in self.device.records() if not record["_deleted"]}
            here = self.browser.posts
            if there.keys() != here.keys():
                return {"only in AppSync": there.keys() - here.keys(), "only here": here.keys() - there.keys()}
            return all(_matches(there[key], _content(here[key])) is True for key in here) or {
                key: (_content(here[key]), there[key])
                for key in here
                if _matches(there[key], _content(here[key])) is not True
            }

        self._until(same, expected)


def _content(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item.get(name) for name in ("title", "rating", "status")}


def _matches(record: dict[str, Any] | None, values: dict[str, Any]) -> object:
    """True if the record holds the values, else the record."""
    return record is not None and (all(record.get(name) == value for name, value in values.items()) or record)
