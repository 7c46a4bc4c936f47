"""`@aws-amplify/datastore` as npm has it, in Node, with the store that the end-to-end tests give it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.timing import MEASURES_CPU, Skipped

PROGRAM = Path(__file__).with_suffix(".js")
PROJECT = Path(__file__).resolve().parent.parent / "tests" / "e2e" / "amplify_js"
"""The npm project that the end-to-end tests install."""


class NpmClient:
    """A client that syncs when it is told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def sync(self) -> tuple[float, int]:
        """A base sync into an empty store: the seconds its sync queries took, and how many books came."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("sync\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "The npm client ended."}')
        assert "error" not in answer, answer["error"]
        return float(answer["seconds"]), answer["count"]


@contextmanager
def running_npm_client(url: str, api_key: str) -> Iterator[NpmClient | Skipped]:
    """The client, or why there is none."""
    if MEASURES_CPU:
        yield Skipped("Amplify's npm client: only seconds that pass can be compared with it")
        return
    node = shutil.which("node")
    if node is None or not (PROJECT / "node_modules" / "@aws-amplify" / "datastore").exists():
        yield Skipped("Amplify's npm client: it needs node and npm on PATH, and `npm ci` in tests/e2e/amplify_js")
        return
    command = [node, str(PROGRAM), str(PROJECT), url, api_key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield NpmClient(process)
        finally:
            process.terminate()
