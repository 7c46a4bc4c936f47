"""The code that is measured: this checkout's, or another's beside it. The benchmarks are always this one's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.timing import Row, Skipped

ROOT = Path(__file__).resolve().parent.parent


class Checkout:
    """A directory with a `django_datastore` in it. `directory` is for the files that measuring it leaves behind."""

    def __init__(self, source: Path, directory: Path) -> None:
        self.source = source.resolve()
        self._directory = directory
        directory.mkdir()
        package = self.source / "django_datastore"
        if not package.is_dir():
            raise SystemExit(f"Cannot measure {source}: there is no django_datastore in it. Name a checkout.")
        (directory / package.name).symlink_to(package)

    def measured(self, url: str, part: str, *options: str) -> Iterator[Row | Skipped]:
        """The rows of one part on one database, from a process of its own."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self._directory), str(ROOT)]),
            "BENCH_DIR": str(self._directory),
            "BENCH_DATABASE_URL": url,
            "DEMO_DIR": str(self._directory),
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        }
        command = [sys.executable, "-m", "benchmarks.measure", part, *options]
        # Python and Celery both put the working directory before all others.
        with subprocess.Popen(
            command, cwd=self._directory, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout or ():
                found = json.loads(line)
                yield Skipped(**found) if "skipped" in found else Row(**found)
        if process.returncode:
            how = f"{part} on {url.partition(':')[0]} with {self.source}"
            raise SystemExit(f"The measuring of {how} failed with exit code {process.returncode}.")
