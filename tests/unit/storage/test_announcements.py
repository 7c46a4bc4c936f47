"""The announcer: many commits, few announcements, and none is lost when the process ends."""

from __future__ import annotations

import subprocess
import sys
import threading

from django_datastore.storage.announcements import Announcer

ENDS_AT_ONCE = """
import sys, time
from django_datastore.storage.announcements import Announcer

def listener():
    time.sleep(0.2)
    print("told", flush=True)

announcer = Announcer()
announcer.listen(listener)
announcer.announce()
if "busy" in sys.argv:
    while announcer._due.is_set():
        pass
"""


def test_a_process_that_ends_at_once_still_announces() -> None:
    assert _run() == "told\n"


def test_a_process_that_ends_while_announcing_finishes_it() -> None:
    assert _run("busy") == "told\n"


def test_announcements_in_between_are_one() -> None:
    told, go, calls = threading.Event(), threading.Event(), []

    def listener() -> None:
        calls.append(1)
        told.set()
        go.wait(10)

    announcer = Announcer(pause_seconds=0)
    announcer.listen(listener)
    announcer.announce()
    assert told.wait(10)
    told.clear()
    for _ in range(100):
        announcer.announce()
    go.set()
    assert told.wait(10)
    assert len(calls) == 2


def test_a_listener_that_fails_stops_nobody() -> None:
    told = threading.Event()

    def fail() -> None:
        raise ConnectionError("no broker")

    announcer = Announcer(pause_seconds=0)
    announcer.listen(fail)
    announcer.listen(told.set)
    announcer.announce()
    assert told.wait(10)


def _run(*arguments: str) -> str:
    command = [sys.executable, "-c", ENDS_AT_ONCE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
