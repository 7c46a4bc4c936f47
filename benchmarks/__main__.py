"""Prints the table: python -m benchmarks [queries] [saves] [draining] [base_sync] [delta_sync] [serving] [fan_out]

It measures on SQLite and on PostgreSQL: the one TEST_DATABASE_URL names, or the test extra's wheel.
"""

from __future__ import annotations

import json
import os
import platform
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import django

from benchmarks.timing import Row

ROOT = Path(__file__).resolve().parent.parent
LINE = "{:62} {:>12} {:>12} {:>8}"


def main(parts: list[str]) -> int:
    """Measures and prints; returns the exit code."""
    started = time.monotonic()
    skipped: list[str] = []
    postgresql = runpy.run_path(str(ROOT / ".ci" / "test.py"))["postgresql"]
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datastore-bench-")))
        databases = {"SQLite": f"sqlite:///{directory / 'site.sqlite3'}"}
        if url := stack.enter_context(postgresql(directory, skipped)):
            databases["PostgreSQL"] = url
        print(_machine())
        for name, url in databases.items():
            print(f"\n{LINE.format(name, 'ours', 'raw', 'ratio')}")
            for row in _measured(url, directory, parts):
                print(
                    LINE.format(row.what, _value(row.ours, row), _value(row.raw, row), f"{row.ratio:.2f}"), flush=True
                )
    for reason in skipped:
        print(f"SKIPPED: {reason}.")
    print(f"\n{time.monotonic() - started:.0f} s. Medians of repetitions in turns; a ratio of 2 means twice as long.")
    return 0


def _measured(url: str, directory: Path, parts: list[str]) -> Iterator[Row]:
    """The rows of one database, from a process of its own."""
    environment = {
        **os.environ,
        "BENCH_DIR": str(directory),
        "BENCH_DATABASE_URL": url,
        "DEMO_DIR": str(directory),
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
    }
    command = [sys.executable, "-m", "benchmarks.measure", *parts]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            yield Row(**json.loads(line))
    if process.returncode:
        raise SystemExit(f"The measuring on {url.partition(':')[0]} failed.")


def _value(value: float, row: Row) -> str:
    return f"{value:.0f}" if not row.unit else f"{value:.2f} {row.unit}"


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
