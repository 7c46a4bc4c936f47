"""Pages of a model's first sync: what goes in unlooked-up, what is left to a merge, and what is known already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import CaptureQueriesContext

import django_datastore as datastore
from django_datastore import events
from django_datastore.models import Change, Conflict, MutationEvent, RecordMetadata
from django_datastore.sync import merger
from testproject.blog.models import Comment, Post
from tests.odd.models import Depot, Note, Parcel, Slot
from tests.odd.registration import registered
from tests.unit.sync.wires import arrive, holds, key, known, merge, tombstone, wire

pytestmark = pytest.mark.django_db(transaction=True)
Hold = RecordMetadata.Hold
Presence = RecordMetadata.Presence
FEW = range(1, 8)
MANY = range(1, 251)
"""More than one statement's worth."""


@pytest.fixture(autouse=True, scope="module")
def odd_models() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def depot() -> Depot:
    return Depot.objects.create(pk=Parcel._meta.get_field("depot").get_default())


def slot(number: int, **fields: Any) -> dict[str, Any]:
    return wire(number, position=number, label=f"s{number}", **fields)


def parcel(number: int, inside: int | None = None, version: int = 1) -> dict[str, Any]:
    return wire(number, version, label=f"p{number}", insideId=None if inside is None else key(inside))


def parcels() -> dict[str, str | None]:
    return dict(Parcel.objects.values_list("label", "inside__label"))


def state_of(model: type[models.Model]) -> list[dict[str, Any]]:
    """The rows, and what is known of them, without what two syncs may differ in."""
    known_ = RecordMetadata.objects.filter(model=model._meta.label_lower).order_by("record_key")
    return [*model._base_manager.order_by("pk").values(), *known_.values()]  # type: ignore[attr-defined]


def selects(page: list[dict[str, Any]], door: Any = arrive) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        door(Slot, *page)
    return [item["sql"] for item in captured if item["sql"].startswith("SELECT") and "odd_slot" in item["sql"]]


def test_records_that_arrive_are_as_if_they_had_been_merged() -> None:
    arrive(Slot, *map(slot, MANY))
    arrived = state_of(Slot)
    logged = list(Change.objects.values_list("model", "entries"))
    with datastore.muted():
        Slot.objects.all().delete()
    RecordMetadata.objects.all().delete()
    Change.objects.all().delete()
    merge(Slot, *map(slot, MANY))
    merged = state_of(Slot)
    for row in (*arrived, *merged):
        if "record_key" in row:
            del row["id"]
    assert arrived == merged
    assert logged == list(Change.objects.values_list("model", "entries"))
    assert not MutationEvent.objects.exists()


def test_new_records_are_not_looked_up() -> None:
    assert selects([slot(1), slot(2)]) == []
    assert selects([slot(3), slot(4)], merge) != []


def test_tombstones_and_odd_records_leave_the_others_alone() -> None:
    done = arrive(Slot, slot(1), tombstone(2), wire(3, position="none", label="s3"), slot(4), {"id": key(5)})
    assert (done.counts.new, done.counts.deleted) == (2, 0)
    assert set(Slot.objects.values_list("label", flat=True)) == {"s1", "s4"}
    assert (known(Slot, 2).presence, known(Slot, 2).version) == (Presence.DELETED, 2)
    assert holds(Slot) == {"3": Hold.QUARANTINED}
    assert Conflict.objects.count() == 2


def test_records_of_which_one_is_known_are_merged() -> None:
    merge(Slot, slot(2))
    done = arrive(Slot, slot(1), wire(2, 2, position=2, label="newer"), slot(3))
    assert (done.counts.new, done.counts.updated) == (2, 1)
    assert dict(Slot.objects.values_list("position", "label")) == {1: "s1", 2: "newer", 3: "s3"}
    assert {row.version for row in RecordMetadata.objects.all()} == {1, 2}


def test_deleted_record_does_not_come_back_with_a_page_that_is_late() -> None:
    merge(Slot, tombstone(1, 3))
    assert arrive(Slot, slot(1), slot(2)).counts.new == 1
    assert list(Slot.objects.values_list("label", flat=True)) == ["s2"]


def test_unsent_edits_are_kept() -> None:
    mine = Slot.objects.create(pk=key(1), position=9, label="mine")
    mine.label = "edited"
    mine.save()
    arrive(Slot, slot(1), slot(2))
    assert dict(Slot.objects.values_list("position", "label")) == {9: "edited", 2: "s2"}
    assert MutationEvent.objects.count() == 1


def test_row_that_only_this_site_has_keeps_one_record_out() -> None:
    Slot.objects.create(position=2, label="mine")
    done = arrive(Slot, *map(slot, FEW))
    assert done.counts.new == len(FEW) - 1
    assert holds(Slot) == {"2": Hold.QUARANTINED}


def test_keys_that_are_spelled_otherwise_are_remembered() -> None:
    number = "00000000-0000-4000-8000-00000000000A"
    arrive(Slot, {**slot(1), "id": number}, slot(2))
    spelled = dict(RecordMetadata.objects.values_list("record_key", "wire_key"))
    assert spelled == {f'["{number.lower()}"]': [number], f'["{key(2)}"]': None}


@pytest.mark.usefixtures("depot")
def test_record_arrives_beside_its_parent_in_whatever_order() -> None:
    arrive(Parcel, parcel(2, inside=1), parcel(1), parcel(3, inside=2))
    assert parcels() == {"p1": None, "p2": "p1", "p3": "p2"}


@pytest.mark.usefixtures("depot")
def test_orphans_wait_and_what_waits_for_them_too() -> None:
    done = arrive(Parcel, parcel(1), parcel(3, inside=2), parcel(4, inside=3), parcel(5, inside=1))
    assert done.has_orphans
    assert parcels() == {"p1": None, "p5": "p1"}
    assert holds(Parcel) == {"3": Hold.MISSING_PARENT, "4": Hold.MISSING_PARENT}
    assert arrive(Parcel, parcel(2)).counts.new == 1
    assert parcels() == {"p1": None, "p2": None, "p3": "p2", "p4": "p3", "p5": "p1"}
    assert not holds(Parcel)


@pytest.mark.usefixtures("depot")
def test_child_of_a_record_that_is_merged_comes_with_it() -> None:
    odd = {**parcel(1), "id": key(1)}
    del odd["insideId"]
    arrive(Parcel, parcel(2, inside=1), odd)
    assert parcels() == {"p1": None, "p2": "p1"}


def test_what_waited_for_a_record_of_another_model_is_released() -> None:
    merge(Comment, wire(1, content="c", postCommentsId=key(7)))
    assert holds(Comment) == {"1": Hold.MISSING_PARENT}
    arrive(Post, wire(7, title="t", rating=None, status=None, metadata=None, blogPostsId=None))
    assert Comment.objects.get().post_id == Post.objects.get().pk


def test_default_that_points_to_nothing_holds_records_and_breaks_no_sync() -> None:
    arrive(Parcel, parcel(1), parcel(2))
    assert holds(Parcel) == {"1": Hold.QUARANTINED, "2": Hold.QUARANTINED}
    Depot.objects.create(pk=Parcel._meta.get_field("depot").get_default())
    merger.retry_holds(everything=True)
    assert parcels() == {"p1": None, "p2": None}


@pytest.mark.usefixtures("depot")
def test_default_that_fails_leaves_its_record_to_a_merge() -> None:
    Note.failures.append(TypeError("not now"))
    arrive(Parcel, parcel(1), parcel(2))
    assert not Note.failures
    assert parcels() == {"p1": None, "p2": None}


def test_code_hears_of_records_that_arrive() -> None:
    heard: list[Any] = []

    def listen(changes: Any, **_: Any) -> None:
        heard.extend((op_type, str(pk)) for op_type, pk in changes)

    events.record_merged.connect(listen, sender=Slot)
    try:
        arrive(Slot, slot(1), slot(2))
    finally:
        events.record_merged.disconnect(listen, sender=Slot)
    assert heard == [("INSERT", key(1)), ("INSERT", key(2))]
