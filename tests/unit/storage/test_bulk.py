"""Many rows at once: more than a statement takes, with columns that all of them share."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from django_datastore.models import RecordMetadata
from django_datastore.storage import bulk

pytestmark = pytest.mark.django_db
KEY, VERSION = RecordMetadata._meta.get_field("record_key"), RecordMetadata._meta.get_field("version")
SAME = {
    RecordMetadata._meta.get_field(name): value
    for name, value in {
        "model": "a.b",
        "presence": "HERE",
        "incomplete": False,
        "hold": "",
        "reason": "",
        "waits_for": "",
        "wire_key": None,
        "remote": None,
    }.items()
}


def add(*versions: int) -> None:
    bulk.insert(RecordMetadata, (KEY, VERSION), [(f"k{one}", one) for one in versions], "default", same=SAME)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 1234])
def test_all_rows_are_added_with_what_they_share(count: int) -> None:
    add(*range(count))
    rows = RecordMetadata.objects.filter(model="a.b", incomplete=False, hold="", wire_key=None)
    assert dict(rows.values_list("record_key", "version")) == {f"k{one}": one for one in range(count)}


@pytest.mark.parametrize("count", [1, 99, 150])
def test_rows_that_share_nothing_are_added(count: int) -> None:
    rows = [(f"k{one}", one, *SAME.values()) for one in range(count)]
    bulk.insert(RecordMetadata, (KEY, VERSION, *SAME), rows, "default")
    assert set(RecordMetadata.objects.values_list("version", flat=True)) == set(range(count))


@pytest.mark.parametrize("twice", [3, 120, 149])
def test_row_that_is_refused_is_told(twice: int) -> None:
    add(twice)
    with pytest.raises(IntegrityError), transaction.atomic():
        add(*range(150))
    assert RecordMetadata.objects.count() == 1
