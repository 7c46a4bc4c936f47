"""Real processes and a real browser for the end-to-end tests."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
JS_CLIENT_DIR = Path(__file__).parent / "amplify_js"
TRANSFORMER_DIR = Path(__file__).parent / "transformer"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture
def demo_url(tmp_path: Path) -> Iterator[str]:
    """The address of a demo that `python -m testproject.demo` started on free ports; stopped as Ctrl-C does."""
    environment = {**os.environ, "DEMO_DIR": str(tmp_path / "var")}
    command = [sys.executable, "-m", "testproject.demo", "--any-port"]
    demo = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert demo.stdout is not None
    printed = []
    try:
        for line in demo.stdout:
            printed.append(line)
            if found := re.search(r"Open\s+(http://\S+)", line):
                yield found[1]
                break
        else:
            pytest.fail("The demo did not start:\n" + "".join(printed))
    finally:
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=30)
    assert demo.returncode == 0, rest


@pytest.fixture
def chromium_path() -> str:
    """The system's Chromium; without one the test is skipped, aloud."""
    found = next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"There is no Chromium on PATH (looked for {', '.join(CHROMIUM_NAMES)}).")
    return found


@pytest.fixture(scope="session")
def node() -> str:
    """Node with the client installed from its lock file; without them the tests are skipped, aloud."""
    return _node_with(JS_CLIENT_DIR, "The npm client")


@pytest.fixture(scope="session")
def transformer_node() -> str:
    """Node with Amplify's transformer installed from its lock file; without them the tests are skipped, aloud."""
    return _node_with(TRANSFORMER_DIR, "Amplify's transformer")


def _node_with(directory: Path, name: str) -> str:
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip(f"{name} needs node 20 or later and npm on PATH.")
    lock, stamp = directory / "package-lock.json", directory / "node_modules" / ".installed"
    with lock.open() as guarded:
        fcntl.flock(guarded, fcntl.LOCK_EX)  # test runs side by side install once
        if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
            install = subprocess.run([npm, "ci"], cwd=directory, capture_output=True, text=True)
            if install.returncode != 0:
                errors = [line for line in install.stderr.splitlines() if "error" in line]
                pytest.skip(f"npm ci cannot install {name}: {' | '.join(errors[:4])}")
            stamp.touch()
    return found
