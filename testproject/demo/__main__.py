"""Runs the demo (`make demo`), or drives its story and ends with 0 or 1 (`make demo ARGS=--check`)."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from testproject.demo import site
from testproject.demo.processes import DemoError, Processes
from testproject.demo.programs import Places, processes

BASE_DIR = Path(__file__).resolve().parents[2]
STOPPED = threading.Event()


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="make demo ARGS=…", description=__doc__)
    parser.add_argument("--check", action="store_true", help="drive the whole story on a fresh site, then exit")
    parser.add_argument("--any-port", action="store_true", help="listen on free ports instead of 8000 and up")
    arguments = parser.parse_args()
    check = arguments.check
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        if not check:
            directory = Path(os.environ.get("DEMO_DIR", BASE_DIR / "var")).resolve()
            return run(Places.choose(directory, any_port=arguments.any_port))
        with tempfile.TemporaryDirectory(prefix="datastore-demo-") as temporary:
            return run(Places.choose(Path(temporary).resolve(), any_port=True), check=True)
    except KeyboardInterrupt:
        return 0 if not check else 1


def run(places: Places, *, check: bool = False) -> int:
    """Starts everything, then waits for Ctrl-C or drives the story; always stops everything."""
    os.environ.update(places.environment())
    started = time.monotonic()
    running = processes(places)
    try:
        site.prepare()
        _print_line("database", f"migrated, in {places.directory}", started)
        for process in running.start():
            _print_line(process.name, process.describe(), started)
        if check:
            from testproject.demo.story import tell_story

            tell_story(places, running)
        else:
            _welcome(places)
            _watch(running)
        return 0
    except DemoError as exc:
        print(f"\n{exc}", file=sys.stderr)
        return 1
    finally:
        running.stop()
        print("\nEverything is stopped." if not check else "  Everything is stopped.")


def _print_line(name: str, text: str, started: float) -> None:
    print(f"  {name:<10} {text:<58} {time.monotonic() - started:5.1f} s", flush=True)


def _welcome(places: Places) -> None:
    name, password = site.LOGIN
    print(f"\n  Open    {places.site_url}    (twice: two windows are more fun)")
    print(f"  Admin   {places.site_url}admin/    {name} / {password}")
    print(f"  Logs    {places.directory / 'log'}\n  Stop with Ctrl-C.", flush=True)


def _watch(running: Processes) -> None:
    """Returns on a signal; raises `DemoError` when a process ends by itself."""
    while not STOPPED.wait(0.3):
        running.check_alive()


def _stop(number: int, frame: object) -> None:
    """The first signal ends what is being done; `finally` stops the processes; further signals change nothing."""
    if not STOPPED.is_set():
        STOPPED.set()
        raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
