"""Prints the table: `python -m benchmarks`, or `python -m benchmarks saves base_sync --against ../another-checkout`.

It measures on SQLite and on PostgreSQL: the one TEST_DATABASE_URL names, or the test extra's wheel.
"""

from __future__ import annotations

import argparse
import os
import platform
import runpy
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import django

from benchmarks.checkouts import ROOT, Checkout
from benchmarks.table import Table

ALONE = ("queries", "saves", "set_wise", "base_sync", "delta_sync")
"""What one process does, if it has SQLite."""
TOGETHER = ("draining", "subscriptions", "memory", "serving", "serving_delta", "fan_out")


def main(arguments: list[str]) -> int:
    """Measures and prints; returns the exit code."""
    options = _options(arguments)
    started = time.monotonic()
    skipped: list[str] = []
    print(_machine())
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datastore-bench-")))
        checkouts = [Checkout(source, directory / f"code-{at}") for at, source in enumerate([ROOT, *options.against])]
        for name, url in _databases(options, stack, directory, skipped).items():
            table = Table(name, [str(checkout.source) for checkout in checkouts])
            for part in options.parts or (ALONE if options.cpu else ALONE + TOGETHER):
                chosen = ["million"] if options.million and part == "memory" else []
                skipped += table.add([checkout.measured(url, part, *chosen) for checkout in checkouts])
    for reason in dict.fromkeys(skipped):
        print(f"SKIPPED: {reason}.")
    print(f"\n{time.monotonic() - started:.0f} s. Medians of repetitions in turns; a ratio of 2 means twice as long.")
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What DataStore costs, as ratios.")
    parts = f"some of: {', '.join(ALONE + TOGETHER)}; by default all"
    parser.add_argument("parts", nargs="*", metavar="PART", help=parts)
    parser.add_argument("--against", action="append", type=Path, default=[], metavar="DIR", help="another checkout")
    parser.add_argument("--database", choices=("SQLite", "PostgreSQL"), help="only this one")
    parser.add_argument("--million", action="store_true", help="the memory of a base sync of a million records, too")
    parser.add_argument("--cpu", action="store_true", help="processor time instead of time: for a busy machine")
    options = parser.parse_args(arguments)
    possible = ALONE if options.cpu else ALONE + TOGETHER
    if wrong := sorted(set(options.parts) - set(possible)):
        parser.error(f"there is no part {', '.join(wrong)} to measure; choose from {', '.join(possible)}")
    if options.cpu and options.database == "PostgreSQL":
        parser.error("--cpu counts what one process does; PostgreSQL has processes of its own")
    if options.cpu:
        os.environ["BENCH_CLOCK"], options.database = "cpu", "SQLite"
    return options


def _databases(options: argparse.Namespace, stack: ExitStack, directory: Path, skipped: list[str]) -> dict[str, str]:
    """Where to measure: URLs by name. On the way the npm client is installed, as for the tests."""
    found = {"SQLite": f"sqlite:///{directory / 'site.sqlite3'}"}
    servers: dict[str, Any] = runpy.run_path(str(ROOT / ".ci" / "test.py"))
    if "base_sync" in (options.parts or ALONE) and not options.cpu:
        name = "the npm client"
        servers["install_npm_project"](name, servers["NPM_PROJECTS"][name], [])
    if options.database == "SQLite":
        return found
    if url := stack.enter_context(servers["postgresql"](directory, skipped)):
        found["PostgreSQL"] = url
    return {options.database: found[options.database]} if options.database in found else found


def _machine() -> str:
    """What it runs on."""
    cpu = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    versions = f"Python {platform.python_version()}, Django {django.__version__}"
    return f"{os.cpu_count()} x {cpu}, {platform.system()}, {versions}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
