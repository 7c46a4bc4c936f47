"""A process of its own for what must not share one: `python -m benchmarks.children PART ARGUMENTS` runs its `child()`.

a part ── stdin: a line ──▶ child(): does one repetition
       ◀─ stdout: JSON ────
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeAlias

import django

from benchmarks.bare_appsync import Address

Ask: TypeAlias = Callable[[], Any]
"""Has the child do one repetition; returns what it says."""


@contextmanager
def running_child(part: str, *arguments: object, database: str, appsync: Address) -> Iterator[Ask]:
    """The process, with a database and a server to sync with."""
    command = [sys.executable, "-m", "benchmarks.children", part, *map(str, arguments)]
    with subprocess.Popen(
        command, env=environment(database, appsync), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def ask() -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, f"The child of {part} ended."
            return json.loads(line)

        try:
            yield ask
        finally:
            process.terminate()


def environment(database: str, appsync: Address) -> dict[str, str]:
    """What a process finds that works on this database and with this server."""
    return {**os.environ, "BENCH_DATABASE_URL": database, "BENCH_ENDPOINT": appsync.url}


def asked() -> Iterator[Callable[[object], None]]:
    """In the child: how to answer, for each repetition it is asked for."""
    for _ in sys.stdin:
        yield lambda answer: print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    django.setup()
    import_module(f"benchmarks.{sys.argv[1]}").child(*sys.argv[2:])
