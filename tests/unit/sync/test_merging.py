"""Merges into rows that are hard to write: odd orders, unique values, circles, what hangs on a deleted row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import models
from django.db.models.signals import post_delete, post_save

from django_datastore import events, registry
from django_datastore.models import Change, Conflict, ModelMetadata, MutationEvent, RecordMetadata
from django_datastore.sync import merger
from django_datastore.sync.classifying import Source
from testproject.blog.models import Blog, Comment, Post
from tests.odd.models import (
    Badge,
    Echo,
    Guard,
    Limited,
    Pair,
    Player,
    Price,
    Rectangle,
    Remark,
    Shout,
    Slot,
    Team,
)
from tests.odd.registration import registered
from tests.shop.models import Article, Supplier
from tests.unit.sync.wires import holds, key, known, merge, tombstone, wire

pytestmark = pytest.mark.django_db(transaction=True)
Hold = RecordMetadata.Hold
Presence = RecordMetadata.Presence


@pytest.fixture(autouse=True, scope="module")
def odd_models() -> Iterator[None]:
    with registered():
        yield


def slots() -> dict[str, int]:
    return dict(Slot.objects.values_list("label", "position"))


# -- unique values -------------------------------------------------------------------------------------------------


def test_two_rows_swap_a_unique_value() -> None:
    merge(Slot, wire(1, position=1, label="a"), wire(2, position=2, label="b"))
    Slot.objects.filter(label="a").update(seen_here="yes")
    merge(Slot, wire(1, 2, position=2, label="a"), wire(2, 2, position=1, label="b"))
    assert slots() == {"a": 2, "b": 1}
    assert Slot.objects.get(label="a").seen_here == "yes"
    assert not Conflict.objects.exists()
    assert not MutationEvent.objects.exists()


def test_three_rows_pass_a_unique_value_round_in_two_pages() -> None:
    merge(Slot, *(wire(number, position=number, label=str(number)) for number in (1, 2, 3)))
    merge(Slot, wire(1, 2, position=2, label="1"))
    merge(Slot, wire(2, 2, position=3, label="2"), wire(3, 2, position=1, label="3"))
    assert slots() == {"1": 2, "2": 3, "3": 1}
    assert not holds(Slot)
    assert not Conflict.objects.exists(), "what was in the way for a moment needs nobody's eye"


def test_value_that_a_deleted_row_gave_up_is_taken_by_a_new_one_of_the_same_page() -> None:
    merge(Slot, wire(1, position=1, label="old"))
    merge(Slot, wire(2, position=1, label="new"), tombstone(1))
    assert slots() == {"new": 1}


def test_value_that_a_later_page_frees_is_taken_then() -> None:
    merge(Slot, wire(1, position=1, label="old"))
    merge(Slot, wire(2, position=1, label="new"))
    assert holds(Slot) == {"2": Hold.QUARANTINED}
    merge(Slot, wire(1, 2, position=9, label="old"))
    assert slots() == {"old": 9, "new": 1}


def test_swap_goes_through_null_where_the_columns_take_one() -> None:
    merge(Pair, wire(1, left="x", right="1"), wire(2, left="x", right="2"))
    merge(Pair, wire(1, 2, left="x", right="2"), wire(2, 2, left="x", right="1"))
    assert {str(pk): right for pk, right in Pair.objects.values_list("pk", "right")} == {key(1): "2", key(2): "1"}


def test_rows_without_a_free_value_are_taken_out_and_put_back() -> None:
    merge(Slot, wire(1, position=1, label="a"), wire(2, position=2, label="b"))
    merge(Badge, wire(1, slotId=key(1)), wire(2, slotId=key(2)))
    merge(Badge, wire(1, 2, slotId=key(2)), wire(2, 2, slotId=key(1)))
    assert {str(pk): str(slot) for pk, slot in Badge.objects.values_list("pk", "slot_id")} == {
        key(1): key(2),
        key(2): key(1),
    }


def test_value_of_a_row_that_is_only_here_keeps_a_record_out_and_is_told_once() -> None:
    Slot.objects.create(position=1, label="mine")
    for _ in range(3):
        merge(Slot, wire(1, position=1, label="theirs"), wire(2, position=2, label="other"))
        merger.retry_holds()
    assert slots() == {"mine": 1, "other": 2}
    conflict = Conflict.objects.get()
    assert (conflict.kind, conflict.remote["label"]) == (Conflict.Kind.QUARANTINED, "theirs")  # type: ignore[index]
    Slot.objects.get(label="mine").delete()
    MutationEvent.objects.all().delete()
    merger.retry_holds()
    assert slots() == {"theirs": 1, "other": 2}
    assert not Conflict.objects.exists()


def test_refused_edit_keeps_the_version_that_is_applied() -> None:
    merge(Slot, wire(1, position=1, label="a"), wire(2, position=2, label="b"))
    merge(Slot, wire(1, 2, position=2, label="a"))
    assert (known(Slot, 1).version, known(Slot, 1).hold) == (1, Hold.QUARANTINED)
    assert slots() == {"a": 1, "b": 2}


# -- what a model's columns ask for --------------------------------------------------------------------------------


def test_generated_and_database_default_columns_are_left_to_the_database() -> None:
    merge(Rectangle, wire(1, width=2, height=3), wire(2, width=4, height=5))
    merge(Rectangle, wire(1, 2, width=10, height=3))
    assert sorted(Rectangle.objects.values_list("area", "state")) == [(20, "new"), (30, "new")]


def test_edit_is_an_update_and_not_half_an_insert() -> None:
    limited = Limited.objects.create(status="PUBLISHED", approved_by="me")
    MutationEvent.objects.all().delete()
    record = {**wire(1, status="ARCHIVED"), "id": str(limited.pk)}
    merge(Limited, record)
    limited.refresh_from_db()
    assert (limited.status, limited.approved_by) == ("ARCHIVED", "me")


@pytest.mark.parametrize("amount", [12345678.9, 2**70, "many", float("nan")])
def test_number_the_column_could_not_give_back_is_held(amount: Any) -> None:
    merge(Price, wire(1, name="a", amount=1.5), wire(2, name="b", amount=amount), wire(3, name="c", amount=2))
    assert sorted(Price.objects.values_list("name", flat=True)) == ["a", "c"]
    assert holds(Price) == {"2": Hold.QUARANTINED}


def test_what_a_persons_field_raises_is_that_records_with_its_traceback() -> None:
    merge(Shout, wire(1, text="HEY"), wire(2, text="whisper"), wire(3, text="HO"))
    assert sorted(Shout.objects.values_list("text", flat=True)) == ["HEY", "HO"]
    conflict = Conflict.objects.get()
    assert "whisper" in conflict.reason
    assert holds(Shout) == {"2": Hold.QUARANTINED}


@pytest.mark.parametrize("text", ["half \ud83d", "nul \x00"])
def test_text_the_database_does_not_take_is_held_in_a_form_it_does(text: str) -> None:
    merge(Comment, wire(1, content="before"), wire(2, content=text), wire(3, content="after"))
    assert {"before", "after"} <= set(Comment.objects.values_list("content", flat=True))
    if holds(Comment):
        assert known(Comment, 2).remote["content"] == text  # type: ignore[index]
        assert Conflict.objects.get().remote["content"] == text  # type: ignore[index]
    else:  # SQLite stores a NUL
        assert Comment.objects.filter(content=text).exists()


@pytest.mark.parametrize(
    "item",
    [
        [],  # a list
        "text",
        {"content": "no key", "_version": 1},
        {"id": key(2), "content": "no version"},
        {"id": key(2), "content": "x", "_version": 2**70},
        {"id": key(2), "content": "x", "_version": True},
        {"id": key(2), "content": "x", "_version": 1, "_lastChangedAt": "yesterday"},
        {"id": "x" * 3000, "content": "x", "_version": 1},
        {"id": "\ud83d", "content": "x", "_version": 1},
        {"id": {"a": 1}, "content": "x", "_version": 1},
    ],
)
def test_item_that_is_no_record_is_told_once_and_the_others_arrive(item: Any) -> None:
    for _ in range(2):
        merge(Comment, wire(1, content="before"), item, wire(3, content="after"))
    assert sorted(Comment.objects.values_list("content", flat=True)) == ["after", "before"]
    assert Conflict.objects.get().kind == Conflict.Kind.QUARANTINED


# -- parents and children ------------------------------------------------------------------------------------------


def test_child_and_parent_of_one_page_wait_for_the_grandparent() -> None:
    merge(
        Article,
        wire(3, name="child", partOfId=key(2), inStock=True, labels=[]),
        wire(2, name="parent", partOfId=key(1), inStock=True, labels=[]),
    )
    assert holds(Article) == {"2": Hold.MISSING_PARENT, "3": Hold.MISSING_PARENT}
    merge(Article, wire(1, name="grandparent", inStock=True, labels=[]))
    assert set(Article.objects.values_list("name", flat=True)) == {"child", "parent", "grandparent"}


def test_a_long_chain_of_records_gets_in_with_its_first() -> None:
    length = 500
    for number in range(length, 1, -1):
        merge(Article, wire(number, name="A", inStock=True, partOfId=key(number - 1)))
    assert not Article.objects.exists()
    merge(Article, wire(1, name="A", inStock=True))
    assert Article.objects.count() == length
    assert holds(Article) == {}


def test_circle_over_two_models_is_stored_together() -> None:
    merge(Team, wire(1, name="T", captainId=key(2)))
    merge(Player, wire(2, name="P", teamId=key(1)), wire(3, name="Q", teamId=key(1)))
    merger.retry_holds()
    team = Team.objects.get()
    assert team.captain is not None
    assert (team.captain.name, Player.objects.count()) == ("P", 2)
    assert not RecordMetadata.objects.exclude(hold="").exists()


def test_circle_that_lacks_somebody_waits_whole() -> None:
    merge(Team, wire(1, name="T", captainId=key(2)))
    merge(Player, wire(3, name="Q", teamId=key(1)))
    merger.retry_holds()
    assert not Team.objects.exists()
    assert holds(Team) == {"1": Hold.MISSING_PARENT}


def test_circle_of_two_records_in_two_messages() -> None:
    merge(Article, wire(1, name="A", partOfId=key(2), inStock=True, labels=[]), source=Source.EVENT)
    merge(Article, wire(2, name="B", partOfId=key(1), inStock=True, labels=[]), source=Source.EVENT)
    merger.retry_holds()
    assert sorted(Article.objects.values_list("name", flat=True)) == ["A", "B"]


def test_parent_goes_when_its_last_child_goes_by_a_discarded_edit() -> None:
    merge(Post, wire(1, title="p"))
    merge(Comment, wire(2, content="c", postCommentsId=key(1)))
    Comment.objects.update(content="mine")
    merge(Comment, tombstone(2, content="c", postCommentsId=key(1)))
    merge(Post, tombstone(1, title="p"))
    assert holds(Post) == {"1": Hold.CHILDREN}
    assert merger.discard(MutationEvent.objects.get())
    assert not Comment.objects.exists()
    assert not Post.objects.exists()


def test_tree_whose_deletions_come_parents_first_in_one_page_goes() -> None:
    rows = [wire(number, name=str(number), inStock=True, labels=[]) for number in (1, 2, 3)]
    rows[1]["partOfId"], rows[2]["partOfId"] = key(1), key(2)
    merge(Article, *rows)
    merge(Article, *({**row, "_version": 2, "_deleted": True} for row in rows))
    assert not Article.objects.exists()


def test_child_that_moves_away_in_the_page_that_deletes_its_parent_stays() -> None:
    merge(
        Article,
        wire(1, name="old", inStock=True, labels=[]),
        wire(2, name="new", inStock=True, labels=[]),
        wire(3, name="child", partOfId=key(1), inStock=True, labels=[]),
    )
    merge(
        Article,
        tombstone(1, name="old", inStock=True, labels=[]),
        wire(3, 2, name="child", partOfId=key(2), inStock=True, labels=[]),
    )
    assert set(Article.objects.values_list("name", flat=True)) == {"new", "child"}


# -- what hangs on a deleted row -----------------------------------------------------------------------------------


def test_unregistered_row_that_protects_holds_the_deletion_with_its_reason() -> None:
    merge(Slot, wire(1, position=1, label="a"), wire(2, position=2, label="b"))
    Guard.objects.create(slot_id=key(1))
    merge(Slot, tombstone(1), tombstone(2))
    assert slots() == {"a": 1}
    assert "Guard" in known(Slot, 1).reason
    Guard.objects.all().delete()
    merger.retry_holds()
    assert not Slot.objects.exists()


def test_unregistered_rows_go_with_their_row_and_their_signals() -> None:
    merge(Slot, wire(1, position=1, label="a"))
    Echo.objects.create(remark=Remark.objects.create(slot_id=key(1)))
    heard: list[type[models.Model]] = []

    def hear(sender: Any, **_: Any) -> None:
        heard.append(sender)

    post_delete.connect(hear)
    try:
        merge(Slot, tombstone(1))
    finally:
        post_delete.disconnect(hear)
    assert not Remark.objects.exists()
    assert not Echo.objects.exists()
    assert not Slot.objects.exists()
    assert set(heard) == {Remark, Echo}, "Django's signals stay silent for the merged record itself"


def test_what_a_receiver_writes_while_a_deletion_is_merged_is_a_persons_write() -> None:
    merge(Slot, wire(1, position=1, label="a"))
    Remark.objects.create(slot_id=key(1))

    def note(**_: Any) -> None:
        Post.objects.create(title="a remark went")

    post_delete.connect(note, sender=Remark)
    try:
        merge(Slot, tombstone(1))
    finally:
        post_delete.disconnect(note, sender=Remark)
    assert MutationEvent.objects.get().data["title"] == "a remark went"


def test_receiver_that_raises_holds_the_deletion_and_the_page_goes_on() -> None:
    merge(Slot, wire(1, position=1, label="a"), wire(2, position=2, label="b"))
    Remark.objects.create(slot_id=key(1))

    def refuse(**_: Any) -> None:
        raise RuntimeError("not this one")

    post_delete.connect(refuse, sender=Remark)
    try:
        merge(Slot, tombstone(1), wire(2, 2, position=2, label="B"))
    finally:
        post_delete.disconnect(refuse, sender=Remark)
    assert slots() == {"a": 1, "B": 2}
    assert Remark.objects.exists()
    assert "not this one" in known(Slot, 1).reason


def begin_run(model: type[models.Model], number: int) -> None:
    ModelMetadata.objects.update_or_create(model=model._meta.label_lower, defaults={"run": number})


def test_sweep_of_a_run_that_is_no_longer_the_last_takes_nothing() -> None:
    begin_run(Blog, 1)
    merge(Blog, wire(1, name="seen by the first"))
    begin_run(Blog, 2)
    merge(Blog, wire(2, name="seen by the second"))
    assert merger.sweep(registry.get(Blog), run=1) == 0
    assert Blog.objects.count() == 2
    assert merger.sweep(registry.get(Blog), run=2) == 1
    assert Blog.objects.get().name == "seen by the second"


def test_sweep_takes_no_child_with_an_unsent_edit_along() -> None:
    merge(Blog, wire(1, name="gone"))
    merge(Post, wire(2, title="theirs", blogPostsId=key(1)))
    Post.objects.update(title="mine")
    begin_run(Blog, 2)
    merger.sweep(registry.get(Blog), run=2)
    assert Blog.objects.exists()
    assert Post.objects.get().title == "mine"
    assert holds(Blog) == {"1": Hold.CHILDREN}


def test_set_null_children_are_detached_unsent_and_watchers_hear_of_them() -> None:
    merge(Supplier, {"code": "S", "name": "Sup", "_version": 1, "_lastChangedAt": 1})
    merge(Article, wire(1, name="A", supplierId="S", inStock=True, labels=[]))
    last = Change.objects.latest("id").pk
    merge(Supplier, {"code": "S", "name": "Sup", "_version": 2, "_lastChangedAt": 2, "_deleted": True})
    assert Article.objects.get().supplier_id is None
    assert not MutationEvent.objects.exists()
    heard = {(row.model, row.entries[0][0]) for row in Change.objects.filter(pk__gt=last)}
    assert heard == {("shop.supplier", "DELETE"), ("shop.article", "UPDATE")}


# -- spelling ------------------------------------------------------------------------------------------------------


def test_key_is_kept_as_appsync_spells_it() -> None:
    merge(Post, {**wire(1, title="T"), "id": "DC8A5995-97D3-4B6C-B046-2250874335AD"})
    assert RecordMetadata.objects.get().wire_key == ["DC8A5995-97D3-4B6C-B046-2250874335AD"]


def test_second_record_whose_key_is_the_same_here_is_told_and_changes_nothing() -> None:
    merge(Post, {**wire(1, title="first"), "id": "DC8A5995-97D3-4B6C-B046-2250874335AD"})
    merge(Post, {**wire(1, 7, title="second"), "id": "dc8a5995-97d3-4b6c-b046-2250874335ad"})
    assert Post.objects.get().title == "first"
    assert Conflict.objects.get().remote["title"] == "second"  # type: ignore[index]


# -- who hears of it -----------------------------------------------------------------------------------------------


def test_code_hears_of_merges_by_a_signal_of_ours_only() -> None:
    heard: list[tuple[str, Any]] = []

    def hear(changes: list[tuple[str, Any]], **_: Any) -> None:
        heard.extend((str(op_type), str(pk)) for op_type, pk in changes)

    def fail(**_: Any) -> None:
        raise AssertionError("Django's signals are for people's writes")

    events.record_merged.connect(hear, sender=Post)
    post_save.connect(fail, sender=Post)
    try:
        merge(Post, wire(1, title="a"))
        merge(Post, wire(1, 2, title="b"), wire(2, title="c"))
        merge(Post, wire(1, 3, title="b"), tombstone(2))
    finally:
        events.record_merged.disconnect(hear, sender=Post)
        post_save.disconnect(fail, sender=Post)
    assert heard == [("INSERT", key(1)), ("UPDATE", key(1)), ("INSERT", key(2)), ("DELETE", key(2))]
