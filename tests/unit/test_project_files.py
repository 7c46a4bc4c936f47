"""What pyproject.toml, the README and the other files of the project promise is there."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
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


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `make test` runs, where no MariaDB is named."""
    for name in ("TEST_MARIADB_URL", "TEST_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return runpy.run_path(str(ROOT / ".ci" / "test.py"))


def test_files_that_a_run_chooses_or_leaves_out_are_there(runs: dict[str, Any]) -> None:
    named = {*runs["ON_MARIADB"], *runs["NOT_ON_MARIADB"], *runs["WITHOUT_DATABASE"]}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_run_on_mariadb_is_skipped_aloud_where_none_is_named(runs: dict[str, Any]) -> None:
    skipped: list[str] = []
    assert runs["mariadb"](skipped) is None
    assert "TEST_MARIADB_URL" in skipped[0]


@pytest.mark.parametrize("name", ["TEST_MARIADB_URL", "TEST_DATABASE_URL"])
def test_mariadb_is_the_one_that_is_named_and_needs_its_driver(
    name: str, runs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "mysql://root@127.0.0.1/site")
    monkeypatch.setitem(sys.modules, "MySQLdb", sys)  # a module, whichever
    assert runs["mariadb"]([]) == "mysql://root@127.0.0.1/site"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"pip install 'django-datastore\[mysql\]'"):
        runs["mariadb"]([])
