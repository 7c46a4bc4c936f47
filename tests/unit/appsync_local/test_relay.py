"""The relay: what one process commits, the broker of another one publishes, once and in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from django_datastore.appsync_local import databases
from django_datastore.appsync_local.broker import Broker, Event
from django_datastore.appsync_local.models import Publication
from django_datastore.appsync_local.relay import RETENTION_SECONDS, Relay
from django_datastore.appsync_local.workers import Workers
from tests.integration.local_server_tools import fresh_database


class Heard(Broker):
    """A broker that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.closed: list[int] = []
        self.arrived = threading.Event()

    def publish(self, events: Any) -> None:
        self.events += events
        if "poison" in self.topics:
            self.events.pop()
            raise RecursionError
        self.arrived.set()

    def close_all(self, code: int = 1001, chosen: Any = None) -> int:
        self.closed.append(code)
        return 0

    @property
    def topics(self) -> list[str]:
        return [event.topic for event in self.events]


class Process:
    """What a server process has: threads with connections, a broker, and its end of the relay."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.seconds = 1000.0
        self.workers = Workers(alias)
        self.broker = Heard()
        self.relay = Relay(self.workers, self.broker, alias=alias, now=lambda: self.seconds, clock=lambda: self.seconds)

    def commit(self, *topics: str, fails: bool = False) -> None:
        def write() -> None:
            with transaction.atomic(using=self.alias):
                self.relay.add([Event(topic, {"n": 1}, "createPost", {"n": 1, "m": None}) for topic in topics])
                if fails:
                    raise DatabaseError

        self.workers.call(write)
        self.relay.wake()

    def read(self) -> None:
        self.workers.call(self.relay.read)

    def close(self) -> None:
        self.relay.stop()
        self.workers.close()


@pytest.fixture
def alias(tmp_path: Path) -> Iterator[str]:
    with fresh_database() as url:
        found = databases.open_private(url or tmp_path / "events.sqlite3")
        yield found
        databases.close_private(found)


@pytest.fixture
def processes(alias: str) -> Iterator[tuple[Process, Process]]:
    one, other = Process(alias), Process(alias)
    one.workers.call(databases.migrate, alias)
    for process in (one, other):
        process.read()
    yield one, other
    one.close()
    other.close()


def test_all_processes_get_all_events_once_and_in_the_order_of_the_commits(processes: tuple[Process, Process]):
    one, other = processes
    one.commit("a", "b")
    other.commit("c")
    one.commit()
    one.commit("d")
    for _ in range(2):
        one.read()
        other.read()
    assert one.broker.topics == other.broker.topics == ["a", "b", "c", "d"]
    assert other.broker.events[0].payload == {"n": 1}
    assert (other.broker.events[0].mutation, other.broker.events[0].record) == ("createPost", {"n": 1, "m": None})


def test_who_begins_later_gets_what_comes_later(alias: str, processes: tuple[Process, Process]):
    one, _ = processes
    one.commit("before")
    late = Process(alias)
    late.read()
    one.commit("after")
    late.read()
    assert late.broker.topics == ["after"]
    late.close()


def test_what_was_rolled_back_is_no_event(processes: tuple[Process, Process]):
    one, other = processes
    with pytest.raises(DatabaseError):
        one.commit("lost", fails=True)
    one.commit("kept")
    other.read()
    assert other.broker.topics == ["kept"]


def test_event_that_cannot_be_delivered_costs_no_other(processes: tuple[Process, Process]):
    one, other = processes
    for topic in ("a", "poison", "b"):
        one.commit(topic)
    other.read()
    assert other.broker.topics == ["a", "b"]


def test_who_could_not_read_for_long_closes_its_sockets(processes: tuple[Process, Process]):
    one, other = processes
    one.commit("missed")
    other.seconds += RETENTION_SECONDS / 2 + 1
    other.read()
    assert (other.broker.topics, other.broker.closed) == ([], [1012])
    one.commit("next")
    other.read()
    assert (other.broker.topics, other.broker.closed) == (["next"], [1012])


def test_old_rows_go(alias: str, processes: tuple[Process, Process]):
    one, _ = processes
    one.commit("old")
    one.seconds += RETENTION_SECONDS + 1
    one.commit("new")
    assert one.workers.call(Publication.objects.using(alias).count) == 1


def test_thread_brings_events_as_they_are_committed(processes: tuple[Process, Process]):
    one, other = processes
    other.relay.start()
    other.relay.start()
    for topic in ("a", "b"):
        other.broker.arrived.clear()
        one.commit(topic)
        assert other.broker.arrived.wait(20)
    assert other.broker.topics == ["a", "b"]


def test_thread_goes_on_after_its_connection_was_lost(processes: tuple[Process, Process]):
    one, other = processes
    if one.workers.call(lambda: connections[one.alias].vendor) != "postgresql":
        pytest.skip("SQLite has no connection that could be lost.")
    other.relay.start()
    assert other.relay.is_started
    one.workers.call(_end_other_connections, one.alias)
    one.commit("a")
    assert other.broker.arrived.wait(20)
    assert other.broker.topics == ["a"]


def _end_other_connections(alias: str) -> None:
    with connections[alias].cursor() as cursor:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")


def test_relay_that_was_stopped_before_it_started_holds_nobody_up(alias: str):
    process = Process(alias)
    process.close()
    process.relay.start()
