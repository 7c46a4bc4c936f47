"""Indexes of the engine's own tables: made on every database, partial where it can."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.db import connection

from django_datastore.models import RecordMetadata

pytestmark = pytest.mark.django_db

PARTIAL = {"datastore_metadata_hold": ["hold", "model"], "datastore_metadata_waits_for": ["waits_for"]}


@pytest.mark.parametrize("name", PARTIAL)
def test_partial_index_is_made(name: str) -> None:
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, RecordMetadata._meta.db_table)[name]
    assert (found["columns"], found["index"], found["unique"]) == (PARTIAL[name], True, False)


@pytest.mark.parametrize("name", PARTIAL)
def test_partial_index_leaves_rows_out_where_the_database_can(name: str) -> None:
    (index,) = [item for item in RecordMetadata._meta.indexes if item.name == name]
    statement = str(index.create_sql(RecordMetadata, connection.schema_editor()))
    assert (" WHERE " in statement) is connection.features.supports_partial_indexes


def test_partial_index_is_the_same_after_a_migration() -> None:
    for index in RecordMetadata._meta.indexes:
        assert index.clone() == index


def test_tables_cause_no_warning() -> None:
    ours = [apps.get_app_config("django_datastore"), apps.get_app_config("appsync_local")]
    assert run_checks(app_configs=ours, databases=["default"]) == []
