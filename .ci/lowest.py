"""Writes a pip constraints file with the lowest version of everything pyproject.toml asks for.

`make matrix` tests with them, so that the minimums are true: python .ci/lowest.py constraints.txt
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?(?:>=(?P<minimum>[\w.]+))?")
NOT_TESTED = ("dev",)
"""The extras that no test needs."""


def minimums(project: dict[str, object]) -> dict[str, str]:
    """The lowest version by name. Raises `ValueError` for a requirement that has none."""
    found: dict[str, str] = {}
    for requirement in _requirements(project):
        parts = REQUIREMENT.match(requirement)
        if parts is None or parts["minimum"] is None:
            raise ValueError(f"{requirement!r} in pyproject.toml has no minimum. Write name>=version.")
        found[parts["name"].lower()] = parts["minimum"]
    return found


def _requirements(project: dict[str, object]) -> Iterator[str]:
    extras = project["optional-dependencies"]
    lists: list[Iterable[str]] = [project["dependencies"]]  # type: ignore[list-item]  # as TOML has it
    lists += [listed for name, listed in extras.items() if name not in NOT_TESTED]  # type: ignore[attr-defined]
    for requirement in (each for listed in lists for each in listed):
        if not requirement.startswith(str(project["name"])):
            yield requirement


def main(path: str) -> None:
    """Writes the file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    Path(path).write_text("".join(f"{name}=={version}\n" for name, version in sorted(minimums(project).items())))


if __name__ == "__main__":
    main(sys.argv[1])
