"""The order of writes that keeps `lastSync` from overlooking one, over processes whose clocks disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from django.db import connections
from hypothesis import given, settings
from hypothesis import strategies as st

from django_datastore.appsync_local import databases
from django_datastore.appsync_local.models import Moment
from django_datastore.appsync_local.tables.moments import Clock, Moments
from django_datastore.appsync_local.tables.statements import Statements
from django_datastore.appsync_local.workers import Workers
from tests.integration.local_server_tools import fresh_database


class Process:
    """What a process of its own would be: a connection to the shared database, a clock that agrees with nobody's."""

    def __init__(self, target: str, now: Callable[[], int]) -> None:
        self.alias = databases.open_private(target)
        self.workers = Workers(self.alias)
        self.workers.call(databases.migrate, self.alias)
        self.moments = Moments(self.alias, Clock(now), Statements(connections[self.alias]))

    def write(self, meanwhile: Callable[[], object] = lambda: None) -> int:
        def work() -> int:
            with self.moments.writing() as moment:
                meanwhile()
                return moment

        return self.workers.call(work)

    def write_in_vain(self) -> None:
        def fail() -> None:
            raise LookupError

        with pytest.raises(LookupError):
            self.write(fail)

    def start(self) -> int:
        return self.workers.call(self.moments.start)

    def forget(self) -> None:
        self.workers.call(lambda: Moment.objects.using(self.alias).delete())

    def close(self) -> None:
        self.workers.close()
        databases.close_private(self.alias)


@contextmanager
def sharing(*clocks: Callable[[], int]) -> Iterator[list[Process]]:
    with TemporaryDirectory() as directory, fresh_database() as url:
        found = [Process(url or str(Path(directory) / "appsync.sqlite3"), clock) for clock in clocks]
        try:
            yield found
        finally:
            for process in found:
                process.close()


@pytest.fixture(scope="module")
def now() -> list[int]:
    """The time by the clock of each process."""
    return [1000, 5000]


@pytest.fixture(scope="module")
def two(now: list[int]) -> Iterator[list[Process]]:
    with sharing(lambda: now[0], lambda: now[1]) as found:
        yield found


def test_start_is_after_every_finished_write_and_not_after_a_running_one(two: list[Process]):
    one, other = two
    seen: list[int] = []
    moment = one.write(lambda: seen.append(other.start()))
    assert seen[0] <= moment
    assert other.start() > moment


def test_start_does_not_wait_for_a_running_write_however_old_the_last_one_is(two: list[Process], now: list[int]):
    one, other = two
    before = one.start()
    now[1] += 3_600_000
    seen: list[int] = []
    moment = one.write(lambda: seen.append(other.start()))
    assert before <= seen[0] <= moment
    assert other.start() == now[1]


def test_start_is_now_where_nothing_was_written_for_long(two: list[Process], now: list[int]):
    now[0] = now[1] = now[1] + 3_600_000
    assert two[0].start() == now[0]
    assert two[1].write() >= now[0]


def test_write_is_not_before_a_start_of_another_process(two: list[Process], now: list[int]):
    now[1] += 3_600_000
    started_at = two[1].start()
    assert two[0].write() >= started_at


def test_first_start_of_an_empty_database_is_now(two: list[Process], now: list[int]):
    two[0].forget()  # as a flush does
    assert two[1].start() == now[1]
    two[0].forget()
    assert two[0].write() == now[0]


STEPS = st.tuples(st.sampled_from(["write", "write in vain", "start", "tick", "leap", "back"]), st.integers(0, 1))


@settings(max_examples=40)
@given(steps=st.lists(STEPS, max_size=25))
def test_a_sync_finds_exactly_the_writes_that_finished_after_the_last_one(
    two: list[Process], now: list[int], steps: list[tuple[str, int]]
):
    """A client that asks `lastSync <= changed` sees each write once, whoever wrote it and whatever the clocks say."""
    writes: list[int] = []
    last_sync, seen = two[0].start(), 0
    for step, number in steps:
        match step:
            case "tick":
                now[number] += 1
            case "leap":
                now[number] += 3000
            case "back":
                now[number] -= 2000
            case "write":
                writes.append(two[number].write())
            case "write in vain":
                two[number].write_in_vain()
            case "start":
                started_at = two[number].start()
                assert [moment for moment in writes if moment >= last_sync] == writes[seen:]
                last_sync, seen = started_at, len(writes)
    assert writes == sorted(writes)
