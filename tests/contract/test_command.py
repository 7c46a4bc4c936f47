"""The contract suite as its users run it: by name, without Django, against a server that is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from django_datastore.appsync_local.server import LocalServerProcess
from django_datastore.testing.contract.api import Target
from tests.integration.local_server_tools import fresh_database

ROOT = Path(__file__).parents[2]
SCHEMA = str(files("django_datastore.testing.contract") / "schema.graphql")


def run(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """pytest in an empty directory, where no settings are to be found."""
    foreign = ("DJANGO_", "PYTEST_", "APPSYNC_", "DATASTORE_")
    rest = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    command = [sys.executable, "-m", "pytest", "--pyargs", "django_datastore.testing.contract", "-q", "--tb=short"]
    plugins = ["-p", "no:cacheprovider", "-p", "no:django", "-p", "no:asyncio"]
    return subprocess.run(
        [*command, *plugins, *arguments],
        cwd=directory,
        env={**rest, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_suite_runs_by_its_name_against_a_server_process(tmp_path: Path):
    settings = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
    with fresh_database() as url:
        database = url or str(tmp_path / "appsync.sqlite3")
        arguments = ("--schema", SCHEMA, "--database", database, "--conflict", "automerge")
        with LocalServerProcess("127.0.0.1:0", *arguments, env=settings) as server:
            found = run(
                tmp_path,
                "-k",
                "test_create or test_automerge_keeps or test_socket_transport",
                APPSYNC_CONTRACT_ENDPOINT=server.url,
                APPSYNC_CONTRACT_API_KEY=server.api_key,
            )
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"AppSync contract, AUTOMERGE: {server.url}" in found.stdout
    assert "APPSYNC_CONTRACT_OPTIMISTIC_ENDPOINT and APPSYNC_CONTRACT_OPTIMISTIC_API_KEY name no API" in found.stdout


def test_suite_without_an_api_says_what_it_needs(tmp_path: Path):
    found = run(tmp_path, "-k", "test_create")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "APPSYNC_CONTRACT_ENDPOINT and APPSYNC_CONTRACT_API_KEY name no API" in found.stdout
    assert " passed" not in found.stdout


def test_suite_fails_where_the_key_is_wrong(tmp_path: Path, automerge_target: Target):
    found = run(
        tmp_path,
        "-k",
        "test_create_is",
        APPSYNC_CONTRACT_ENDPOINT=automerge_target.endpoint,
        APPSYNC_CONTRACT_API_KEY="x",
    )
    assert found.returncode == 1
    assert "1 failed" in found.stdout
