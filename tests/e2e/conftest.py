"""Real processes and a real browser for the end-to-end tests."""

from __future__ import annotations

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
