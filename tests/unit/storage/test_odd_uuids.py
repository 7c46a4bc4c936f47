"""UUIDs that no version of the standard makes: MariaDB's own type keeps none of them, the other databases all."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from django_datastore import registry
from django_datastore.models import Conflict, RecordMetadata
from django_datastore.storage.records.wire_rows import wire_rows
from django_datastore.sync import merger
from django_datastore.sync.classifying import Source
from testproject.blog.models import Blog, Post
from tests.unit.sync.wires import key, merge, tombstone, wire

pytestmark = pytest.mark.django_db(transaction=True)

ODD = "af1f9afa-dadb-80fd-393f-c108d6960457"
VERSION_8 = "0a1b2c3d-0000-8000-8000-00000000000f"


def is_choosy() -> bool:
    return connection.vendor == "mysql" and connection.features.has_native_uuid_field


def columns_keep(value: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT CAST(%s AS UUID)", [value])
        return cursor.fetchone() != (None,)


def post(number: int, **fields: Any) -> dict[str, Any]:
    return wire(number, **{"title": "T", "tags": None, "rating": None, "blogPostsId": None, **fields})


def held() -> dict[str, str]:
    return dict(RecordMetadata.objects.exclude(hold="").values_list("record_key", "reason"))


@pytest.mark.parametrize("seventh", ["00", "7f", "80", "8f", "c1", "ff"])
def test_what_is_refused_is_what_mariadb_refuses(seventh: str) -> None:
    if not is_choosy():
        pytest.skip("other databases keep every UUID")
    synced = registry.get(Blog)
    for ninth in ("00", "01", "39", "7f", "80", "81", "bf", "ff"):
        found = merger.read(synced, [wire(1, name="A") | {"id": f"0a1b2c3d-0000-{seventh}00-{ninth}00-00000000000f"}])
        ((key, record),) = found.records.items()
        try:
            wire_rows(synced, "default").row(key, record.wire)
        except ValueError:
            assert not columns_keep(key[2:-2]), key
        else:
            assert columns_keep(key[2:-2]), key


@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize("odd", [ODD, ODD.upper(), VERSION_8])
def test_record_of_such_a_key_stops_no_other(source: Source, odd: str) -> None:
    merge(Blog, wire(1, name="A"), wire(2, name="B") | {"id": odd}, wire(3, name="C"), source=source)
    names = set(Blog.objects.values_list("name", flat=True))
    if is_choosy():
        assert names == {"A", "C"}
        assert "MariaDB's type for UUIDs" in Conflict.objects.get().reason
    else:
        assert (names, Conflict.objects.count()) == ({"A", "B", "C"}, 0)


def test_first_page_with_such_a_key_is_merged_at_once() -> None:
    synced = registry.get(Blog)
    found = merger.read(synced, [wire(1, name="A"), wire(2, name="B") | {"id": ODD}])
    merger.merge_read(synced, merger.prepare(synced, found), is_first=True)
    assert Blog.objects.count() == (1 if is_choosy() else 2)
    assert list(held()) == ([f'["{ODD}"]'] if is_choosy() else [])


def test_foreign_key_to_such_a_key_stops_no_other() -> None:
    merge(Blog, wire(1, name="A"))
    merge(Post, post(2, blogPostsId=key(1)), post(3, blogPostsId=ODD), post(4))
    assert set(Post.objects.values_list("pk", flat=True)) == {registry.get(Post).pk_of(f'["{key(n)}"]') for n in (2, 4)}
    assert list(held()) == [f'["{key(3)}"]']


def test_such_a_key_goes_as_it_came() -> None:
    merge(Blog, wire(1, name="A") | {"id": ODD})
    merge(Blog, tombstone(1, name="A") | {"id": ODD})
    assert not Blog.objects.exists()
    assert not Conflict.objects.exists()
    assert not held()
