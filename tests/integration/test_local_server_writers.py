"""Several server processes on one database: versions in order, nothing lost, nothing overlooked, nothing half done."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from django_datastore.appsync_local.server import LocalServerProcess
from tests.integration.local_server_tools import SDL, fresh_database, query

ROOT = Path(__file__).parents[2]
PROCESSES = 2
WRITES = 25


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    with fresh_database() as found:
        yield found or str(tmp_path / "appsync.sqlite3")


@pytest.fixture
def start(database: str, tmp_path: Path) -> Iterator[Callable[[], LocalServerProcess]]:
    """Starts another process on the database."""
    models = tmp_path / "models.graphql"
    models.write_text(SDL)
    environment = {
        "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
    }
    with ExitStack() as stack:

        def start_one() -> LocalServerProcess:
            arguments = ("127.0.0.1:0", "--schema", str(models), "--database", database, "--api-key", "k")
            return stack.enter_context(LocalServerProcess(*arguments, env=environment))

        yield start_one


class Line:
    """One connection to a process."""

    def __init__(self, process: LocalServerProcess) -> None:
        self._http = httpx.Client(headers={"x-api-key": process.api_key}, timeout=60)
        self._url = process.url

    def post(self, query: str, **variables: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._http.post(self._url, json={"query": query, "variables": variables}).json()
        return found

    def data(self, query: str, **variables: Any) -> Any:
        answer = self.post(query, **variables)
        assert "errors" not in answer, answer["errors"]
        (value,) = answer["data"].values()
        return value


def in_parallel(*works: Callable[[], object]) -> None:
    failures: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


CREATE = 'mutation($id: ID!) { createPost(input: {id: $id, title: "x", tags: [], blogPostsId: "b"}) { id } }'
APPEND = """mutation($id: ID!, $tag: String) { updatePost(input: {id: $id, tags: [$tag], _version: 0}) {
  _version _lastChangedAt } }"""
SYNC = """query($since: AWSTimestamp, $token: String) {
  syncPosts(lastSync: $since, nextToken: $token, limit: 7) {
    items { id title tags _version _lastChangedAt } nextToken startedAt } }"""


CREATE_AND_UPDATE = (
    'createPost(input: {id: "%s", title: "x", blogPostsId: "b"}) { id }',
    'updatePost(input: {id: "%s", title: "y", _version: 1}) { id }',
)


def mutation(field: str | tuple[str, ...], ids: Iterable[str]) -> str:
    """One document with these fields for each id."""
    fields = (field,) if isinstance(field, str) else field
    parts = [text % key for key in ids for text in fields]
    return f"mutation {{ {' '.join(f'm{number}: {part}' for number, part in enumerate(parts))} }}"


def test_every_write_is_a_version_of_its_own_and_none_is_lost(start: Callable[[], LocalServerProcess]):
    lines = [Line(start()) for _ in range(PROCESSES)]
    lines[0].data(CREATE, id="p")
    seen: list[tuple[int, int]] = []

    def write(number: int) -> None:
        for turn in range(WRITES):
            found = lines[number].data(APPEND, id="p", tag=f"{number}.{turn}")
            seen.append((found["_version"], found["_lastChangedAt"]))

    in_parallel(*(lambda number=number: write(number) for number in range(PROCESSES)))
    assert sorted(version for version, _ in seen) == list(range(2, PROCESSES * WRITES + 2))
    times = [moment for _, moment in sorted(seen)]
    assert times == sorted(times)  # `_lastChangedAt` never goes back
    tags = lines[1].data('{ getPost(id: "p") { tags } }')["tags"]
    assert sorted(tags) == sorted(f"{number}.{turn}" for number in range(PROCESSES) for turn in range(WRITES))


def test_documents_that_lock_records_crosswise_all_succeed(start: Callable[[], LocalServerProcess]):
    """On PostgreSQL two such documents would be a deadlock if writes did not take turns."""
    lines = [Line(start()) for _ in range(PROCESSES)]
    for key in ("a", "b"):
        lines[0].data(CREATE, id=key)

    def write(line: Line, *ids: str) -> None:
        document = mutation('updatePost(input: {id: "%s", tags: ["x"]}) { id }', ids)
        for _ in range(WRITES):
            assert "errors" not in line.post(document)

    in_parallel(lambda: write(lines[0], "a", "b"), lambda: write(lines[1], "b", "a"))
    assert lines[0].data('{ getPost(id: "a") { _version } }') == {"_version": 2 * WRITES + 1}


def test_started_at_overlooks_no_write_of_another_process(start: Callable[[], LocalServerProcess]):
    """A client of one process syncs on and on by `startedAt` while two write: in the end it has seen every change."""
    lines = [Line(start()) for _ in range(PROCESSES)]
    written: set[tuple[str, int]] = set()
    is_done = threading.Event()

    def write(number: int) -> None:
        for turn in range(WRITES):
            names = [f"{number}.{turn}.{part}" for part in range(4)]
            document = mutation('createPost(input: {id: "%s", title: "x"}) { id }', names)
            assert "errors" not in lines[number].post(document)
            written.update((key, 1) for key in names)

    def write_all() -> None:
        try:
            in_parallel(*(lambda number=number: write(number) for number in range(PROCESSES)))
        finally:
            is_done.set()

    reader = Line(start())
    first = reader.data(SYNC, since=None)
    seen = {(item["id"], item["_version"]) for item in first["items"]}
    assert first["nextToken"] is None
    last_sync = first["startedAt"]

    def read() -> None:
        nonlocal last_sync
        is_last = False
        while not is_last:
            is_last = is_done.is_set()
            page = reader.data(SYNC, since=last_sync)
            started_at = page["startedAt"]
            seen.update((item["id"], item["_version"]) for item in page["items"])
            while page["nextToken"]:
                page = reader.data(SYNC, since=last_sync, token=page["nextToken"])
                assert page["startedAt"] == started_at
                seen.update((item["id"], item["_version"]) for item in page["items"])
            last_sync = started_at

    in_parallel(write_all, read)
    assert written <= seen


def test_of_creates_of_one_key_in_two_processes_one_wins_and_nobody_sees_the_database(
    start: Callable[[], LocalServerProcess],
):
    lines = [Line(start()) for _ in range(PROCESSES)]
    answers: list[dict[str, Any]] = []

    def create(line: Line) -> None:
        answers.extend(line.post(CREATE, id=f"p{turn}") for turn in range(WRITES))

    in_parallel(*(lambda line=line: create(line) for line in lines))
    errors = [answer["errors"][0] for answer in answers if "errors" in answer]
    assert len(errors) == WRITES
    assert {error["errorType"] for error in errors} == {"ConditionalCheckFailedException"}
    assert all(error["data"]["_version"] == 1 for error in errors)


def test_killed_process_leaves_whole_documents_and_a_log_that_agrees(
    start: Callable[[], LocalServerProcess], database: str
):
    """SIGKILL while documents of 20 creates and updates are under way, again and again."""
    size = 20
    for attempt in range(3):
        process = start()
        line, begun = Line(process), threading.Event()

        def write(attempt: int = attempt, line: Line = line, begun: threading.Event = begun) -> None:
            turn = 0
            while True:
                names = [f"{attempt}.{turn}.{part}" for part in range(size)]
                document = mutation(CREATE_AND_UPDATE, names)
                try:
                    line.post(document)
                except (httpx.HTTPError, json.JSONDecodeError):
                    return
                turn += 1
                if turn == 2:
                    begun.set()

        writer = threading.Thread(target=write)
        writer.start()
        assert begun.wait(30)
        process.stop(signal.SIGKILL)
        writer.join()

    documents: dict[str, list[int]] = {}
    base = query(
        database, """SELECT "key", version, last_changed_at, id FROM appsync_local_record WHERE model = 'Post'"""
    )
    for key, version, *_ in base:
        documents.setdefault(json.loads(key)[0].rpartition(".")[0], []).append(version)
    assert len(documents) >= 6
    assert all(versions == [2] * size for versions in documents.values())  # whole documents only
    delta = query(database, """SELECT "key", version, last_changed_at FROM appsync_local_delta WHERE model = 'Post'""")
    newest = {key: (version, changed) for key, version, changed in sorted(delta, key=lambda row: row[1])}
    assert newest == {key: (version, changed) for key, version, changed, _ in base}
    assert len(delta) == 2 * len(base)
    entries = query(database, "SELECT record_id FROM appsync_local_indexentry")
    assert sorted(entries) == sorted((position,) for *_, position in base)
    update = 'mutation { updatePost(input: {id: "0.0.0", title: "z", _version: 2}) { _version } }'
    assert Line(start()).data(update) == {"_version": 3}  # the next process goes on from there
