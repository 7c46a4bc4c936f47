"""What is known of records, read by their keys."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection

from django_datastore.models import RecordMetadata
from django_datastore.storage import bulk
from django_datastore.storage.records import metadata

KEYS = [f'["{number:05}"]' for number in range(20_000)]
ON_POSTGRESQL = pytest.mark.skipif(connection.vendor != "postgresql", reason="How PostgreSQL plans.")
_META = RecordMetadata._meta


@pytest.fixture
def known(db: None) -> None:
    same = {"model": "a.b", "presence": "HERE", "incomplete": False, "hold": "", "reason": "", "waits_for": ""}
    fields = (_META.get_field("record_key"), _META.get_field("version"))
    shared = {_META.get_field(name): value for name, value in same.items()}
    bulk.insert(RecordMetadata, fields, [(key, at) for at, key in enumerate(KEYS)], "default", same=shared)


@pytest.mark.usefixtures("known")
def test_only_the_records_that_are_asked_for_are_read() -> None:
    found = metadata.read("a.b", [*KEYS[5:1500:3], "nobody"], "default")
    assert {key: state.version for key, state in found.items()} == {KEYS[at]: at for at in range(5, 1500, 3)}
    assert metadata.read("a.c", KEYS[:5], "default") == {}


@ON_POSTGRESQL
@pytest.mark.usefixtures("known")
def test_records_are_looked_up_by_their_keys_before_there_are_statistics() -> None:
    asked: list[tuple[str, Any]] = []

    def listen(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        asked.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(listen):
        metadata.read("a.b", KEYS[::40], "default")
    ((sql, parameters),) = asked
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters)
        plan = json.dumps(cursor.fetchone())
    assert "record_key" in plan.partition("Index Cond")[2].partition('"Filter"')[0].partition(",")[0]
