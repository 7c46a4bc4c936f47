"""What pyproject.toml, the README and the other files of the project promise is there."""

from __future__ import annotations

import re
import runpy
import subprocess
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
INDEXES = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))]
"""Where packages come from is the business of whoever installs them."""


def test_every_extra_brings_something() -> None:
    assert [name for name, brings in EXTRAS.items() if not brings] == []


def test_readme_names_the_extras_people_need_and_no_other() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", text[text.index("Extras: ") :].split("\n\n")[0]))
    assert named == set(EXTRAS) - {"demo", "dev"}


def test_extra_redis_brings_what_celery_needs_for_redis() -> None:
    (celery,) = (each for each in EXTRAS["redis"] if each.startswith("celery"))
    assert celery.startswith("celery[redis]")
    assert any("redis" in each for each in requires("celery") or () if "extra == " in each)


def test_every_dependency_has_a_minimum() -> None:
    lowest = runpy.run_path(str(ROOT / ".ci" / "lowest.py"))
    minimums = lowest["minimums"](PROJECT)
    assert {"django", "uvicorn", "h11", "cryptography", "pyjwt"} <= minimums.keys()
    with pytest.raises(ValueError, match=r"'celery' in pyproject\.toml has no minimum"):
        lowest["minimums"]({**PROJECT, "dependencies": ["celery"]})


def test_no_file_names_a_package_index() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout
    if not listed:
        pytest.skip("this is no checkout")
    files = [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]
    assert len(files) > 100
    found = [str(path.relative_to(ROOT)) for path in files for host in INDEXES if host.encode() in path.read_bytes()]
    assert found == []
