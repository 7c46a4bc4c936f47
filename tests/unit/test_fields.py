"""Columns of the engine's own tables: the same on every database."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, models, transaction

from django_datastore.fields import JSONText, KeyText
from django_datastore.models import KEY_LENGTH, KEY_LENGTH_MYSQL, RecordMetadata, Setting

pytestmark = pytest.mark.django_db

ALIKE = ["a", "A", "\u00e1", "a\u0301", "a ", "\uff41", "ss", "\u00df"]
"""Pairs of them are equal to some database's default collation."""
LONGEST = KEY_LENGTH_MYSQL if connection.vendor == "mysql" else KEY_LENGTH


def test_keys_that_look_alike_are_told_apart() -> None:
    Setting.objects.bulk_create([Setting(key=key, value=number) for number, key in enumerate(ALIKE)])
    found = {key: Setting.objects.get(key=key).value for key in ALIKE}
    assert found == {key: number for number, key in enumerate(ALIKE)}


def test_keys_are_ordered_by_their_bytes() -> None:
    Setting.objects.bulk_create([Setting(key=key) for key in ALIKE])
    assert list(Setting.objects.order_by("key").values_list("key", flat=True)) == sorted(ALIKE)


@pytest.mark.parametrize("character", ["k", "😀"], ids=["ASCII", "four bytes"])
def test_key_as_long_as_the_database_takes_is_found(character: str) -> None:
    if connection.vendor == "postgresql" and character != "k":
        pytest.skip("PostgreSQL counts bytes: 2,704 in an index")
    for last in ("1", "2"):
        RecordMetadata.objects.create(model="shop.item", record_key=character * (LONGEST - 1) + last)
    assert RecordMetadata.objects.get(record_key=character * (LONGEST - 1) + "1").record_key.endswith("1")


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no limit")
def test_key_longer_than_the_column_is_refused_not_cut() -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        RecordMetadata.objects.create(model="shop.item", record_key="k" * (LONGEST + 1))
    assert not RecordMetadata.objects.exists()


@pytest.mark.parametrize("value", [None, {"a": None}, [1, 1.5, True], "text", 2**70, "\0", "\ud83d", "😀", {}, ""])
def test_json_comes_back_as_it_was(value: object) -> None:
    Setting.objects.create(key="k", value=value)
    assert Setting.objects.get(key="k").value == value


def test_null_and_empty_json_are_two() -> None:
    Setting.objects.create(key="null", value=None)
    assert list(Setting.objects.filter(value__isnull=True).values_list("key", flat=True)) == ["null"]


@pytest.mark.parametrize("item", [KeyText(max_length=9, mysql_length=5), JSONText(null=True)])
def test_column_survives_a_migration(item: models.Field[object, object]) -> None:
    _, path, args, kwargs = item.deconstruct()
    again = type(item)(*args, **kwargs)
    assert path == f"django_datastore.fields.{type(item).__name__}"
    assert again.db_parameters(connection) == item.db_parameters(connection)
