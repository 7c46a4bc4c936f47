"""What becomes of a remote record: every rule with a row of its own, and no database."""

from __future__ import annotations

import pytest

from django_datastore import registry
from django_datastore.models import MutationEvent, RecordMetadata
from django_datastore.storage.records.metadata import Known
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.sync.classifying import (
    Apply,
    HoldBack,
    Refuse,
    Source,
    TakeVersion,
    decide,
    is_of_another_api,
    on_top,
)
from django_datastore.types import Operation
from testproject.blog.models import Post
from tests.unit.sync.wires import key, wire

Presence = RecordMetadata.Presence
PAGE, EVENT, ANSWER = Source.PAGE, Source.EVENT, Source.ANSWER


def record(version: int, at: int | None = None, *, deleted: bool = False, **fields: object) -> RemoteRecord:
    stamps = {"_lastChangedAt": 1000 + version if at is None else at, "_deleted": deleted}
    return RemoteRecord.parse(registry.get(Post), {**wire(1, version, title="T", **fields), **stamps})


def here(version: int | None, at: int = 1001, **facts: object) -> Known:
    return Known(id=1, version=version, last_changed_at=at, **facts)  # type: ignore[arg-type]


def gone(version: int | None) -> Known:
    return here(version, presence=str(Presence.EVICTED))


def edit(operation: Operation = Operation.UPDATE, **facts: object) -> MutationEvent:
    defaults = {"operation": operation, "data": {"title": "mine"}, "base": {"title": "T"}}
    return MutationEvent(**{**defaults, **facts})


@pytest.mark.parametrize(
    ("found", "source", "known", "expected"),
    [
        (record(1), EVENT, None, Apply),  # never heard of
        (record(1), PAGE, here(None), Apply),  # held until now
        (record(2), EVENT, here(1), Apply),  # newer
        (record(1), PAGE, here(1), None),  # the same
        (record(1), ANSWER, here(2), None),  # older: never backwards
        (record(2), PAGE, here(3, 1003, presence="DELETED"), None),  # nor out of the grave
        (record(4), PAGE, here(3, presence="DELETED"), Apply),  # unless it was brought back
        (record(1, 9000), PAGE, here(3), Apply),  # made anew after its tombstone: lower and younger
        (record(1, 9000), EVENT, here(3), None),  # which no event is believed
        (record(1), EVENT, here(1, incomplete=True), Apply),  # the same, and whole this time
        (record(3), PAGE, gone(3), Apply),  # left the expression, and is back
        (record(2, 1000), PAGE, gone(3), None),
        (record(1), PAGE, gone(None), Apply),  # swept: any version of a page or an answer
        (record(1), ANSWER, gone(None), Apply),
        (record(9), EVENT, gone(None), None),  # and none of an event
        (record(2), PAGE, here(1, wire_key=["DC8A5995-97D3-4B6C-B046-2250874335AD"]), Refuse),  # another's key
    ],
)
def test_record_without_unsent_edits(
    found: RemoteRecord, source: Source, known: Known | None, expected: type[object] | None
) -> None:
    decision = decide(registry.get(Post), found, source, known)
    assert decision is None if expected is None else isinstance(decision, expected)


@pytest.mark.parametrize(
    ("found", "lane", "expected"),
    [
        (record(2, rating=9), [edit()], Apply),  # another field
        (record(2), [edit(base={"title": "old"})], HoldBack),  # the same field
        (record(2), [edit(base={"title": "old"}, data={"title": "T"})], Apply),  # both made the same of it
        (record(2), [edit(state=MutationEvent.State.IN_FLIGHT)], HoldBack),  # AppSync decides
        (record(2), [edit(outcome_unknown=True)], HoldBack),
        (record(2), [edit(Operation.CREATE)], HoldBack),
        (record(2), [edit(Operation.DELETE)], HoldBack),
        (record(2, deleted=True), [edit()], HoldBack),
    ],
)
def test_record_with_unsent_edits(found: RemoteRecord, lane: list[MutationEvent], expected: type[object]) -> None:
    decision = decide(registry.get(Post), found, PAGE, here(1), lane)
    assert isinstance(decision, expected)


def test_fields_of_unsent_edits_stay() -> None:
    decision = decide(registry.get(Post), record(2), PAGE, here(1), [edit()])
    assert isinstance(decision, Apply)
    assert decision.without == {"title"}


def test_newer_state_that_is_held_is_taken_when_the_edit_was_answered() -> None:
    held = here(1, remote=wire(1, 5, title="held"), hold="LOCAL_EDITS")
    decision = decide(registry.get(Post), record(4), ANSWER, held)
    assert isinstance(decision, Apply)
    assert decision.record.wire["title"] == "held"


def test_edit_goes_on_top_of_a_deleted_record_by_its_version_alone() -> None:
    assert isinstance(on_top(record(2, deleted=True), ANSWER, [edit()]), TakeVersion)
    assert isinstance(on_top(record(2), ANSWER, [edit(Operation.DELETE)]), TakeVersion)
    assert isinstance(on_top(record(2), ANSWER, [edit()]), Apply)


@pytest.mark.parametrize(
    ("found", "known", "expected"),
    [
        (record(1, 500), here(3, 900), True),
        (record(1, 500), here(3, 1100), False),  # it may have changed just now, and the page be a moment old
        (record(1, 950), here(3, 900), False),  # made anew
        (record(3, 900), here(3, 900), False),
        (record(1, 500), here(None), False),
        (record(1, 500), None, False),
    ],
)
def test_record_that_is_older_than_what_is_known_for_long_is_another_apis(
    found: RemoteRecord, known: Known | None, expected: bool
) -> None:
    assert is_of_another_api(found, known, before=1000) is expected


def test_key_is_read_in_this_sites_spelling_and_kept_in_appsyncs() -> None:
    capitals = {**wire(1, title="T"), "id": key(1).upper().replace("0000-", "AB00-", 1)}
    found = RemoteRecord.parse(registry.get(Post), capitals)
    assert found.key == f'["{capitals["id"].lower()}"]'
    assert found.wire_key == [capitals["id"]]
