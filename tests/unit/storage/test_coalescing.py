"""What a change does to the last waiting entry: every combination by hand, and against a serial oracle."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.storage.outbox.coalescing import Append, Decision, Drop, Keep, Rewrite, Waiting, coalesce
from django_datastore.types import Operation, WireRecord

CREATE, UPDATE, DELETE = Operation.CREATE, Operation.UPDATE, Operation.DELETE
FIELDS = ("a", "b", "c")

# the waiting entry; the change; what becomes of it
TABLE: list[tuple[Operation, WireRecord, WireRecord, Operation, WireRecord, WireRecord, Decision]] = [
    # a row that was never sent: its create says what it is now
    (CREATE, {"a": 1}, {}, UPDATE, {"a": 2, "b": 3}, {"a": 1}, Rewrite(CREATE, {"a": 2, "b": 3}, {})),
    # null counts, too
    (CREATE, {"a": 1}, {}, UPDATE, {"a": None}, {"a": 1}, Rewrite(CREATE, {"a": None}, {})),
    # AppSync never hears of it
    (CREATE, {"a": 1}, {}, DELETE, {}, {}, Drop()),
    # the row vanished past us and was made anew: nothing of the first one is left
    (CREATE, {"a": 1, "b": 2}, {}, CREATE, {"b": 3}, {}, Rewrite(CREATE, {"b": 3}, {})),
    # the later value, and the earliest base
    (
        UPDATE,
        {"a": 1},
        {"a": 0},
        UPDATE,
        {"a": 2, "b": 3},
        {"a": 1, "b": 9},
        Rewrite(UPDATE, {"a": 2, "b": 3}, {"a": 0, "b": 9}),
    ),
    (UPDATE, {"a": 1}, {"a": 0}, DELETE, {}, {}, Rewrite(DELETE, {}, {})),
    # the record lives in AppSync: every field becomes what the new row has, which has no other values
    (UPDATE, {"a": 1}, {"a": 0}, CREATE, {"b": 3}, {}, Rewrite(UPDATE, {"a": None, "b": 3, "c": None}, {"a": 0})),
    (DELETE, {}, {}, CREATE, {"a": 1}, {}, Rewrite(UPDATE, {"a": 1, "b": None, "c": None}, {})),
    # the row came back past us
    (DELETE, {}, {}, UPDATE, {"a": 1}, {"a": 0}, Rewrite(UPDATE, {"a": 1}, {"a": 0})),
    (DELETE, {}, {}, DELETE, {}, {}, Keep()),
]


@pytest.mark.parametrize(("last", "had", "was", "operation", "changed", "base", "decision"), TABLE)
def test_a_change_is_absorbed(
    last: Operation,
    had: WireRecord,
    was: WireRecord,
    operation: Operation,
    changed: WireRecord,
    base: WireRecord,
    decision: Decision,
) -> None:
    waiting = Waiting(last, had, was, can_absorb=True)
    assert coalesce(waiting, operation, changed, base, sent_fields=FIELDS) == decision


@pytest.mark.parametrize("last", Operation)
@pytest.mark.parametrize("operation", Operation)
def test_every_combination_is_in_the_table(last: Operation, operation: Operation) -> None:
    assert any(row[0] is last and row[3] is operation for row in TABLE)


@pytest.mark.parametrize("last", Operation)
@pytest.mark.parametrize("operation", Operation)
def test_what_may_have_been_executed_absorbs_nothing(last: Operation, operation: Operation) -> None:
    waiting = Waiting(last, {"a": 1}, {}, can_absorb=False)
    assert coalesce(waiting, operation, {"a": 2}, {}, sent_fields=FIELDS) == Append()


# -- against a serial oracle -------------------------------------------------------------------------------------------

values = st.dictionaries(st.sampled_from(FIELDS), st.none() | st.integers(0, 3))
steps = st.lists(st.tuples(st.sampled_from(["save", "delete", "claim", "acknowledge"]), values), max_size=12)


def whole(record: WireRecord) -> WireRecord:
    return {name: record.get(name) for name in FIELDS}


def applied(record: WireRecord | None, operation: Operation, data: WireRecord) -> WireRecord | None:
    """What AppSync makes of a mutation; it refuses a create of what is there, and an update of what is not."""
    assert (record is None) is (operation is CREATE)
    return None if operation is DELETE else {**(record or whole({})), **data}


@given(st.none() | values, steps)
def test_a_lane_ends_as_if_every_change_had_been_sent_in_order(
    start: WireRecord | None, history: list[tuple[str, WireRecord]]
) -> None:
    row = remote = None if start is None else whole(start)
    lane: list[dict[str, Any]] = []
    for step, data in history:
        if step == "claim" and lane:
            lane[0]["claimed"] = True
            continue
        if step == "acknowledge" and lane:
            entry = lane.pop(0)
            remote = applied(remote, entry["operation"], entry["data"])
            continue
        if step == "save":
            operation = CREATE if row is None else UPDATE
            base = {} if row is None else {name: row[name] for name in data}
            row = {**(row or whole({})), **data}
        elif step == "delete" and row is not None:
            operation, data, base, row = DELETE, {}, {}, None
        else:
            continue
        enqueue(lane, operation, data, base)
    for entry in lane:
        remote = applied(remote, entry["operation"], entry["data"])
    assert remote == row


def enqueue(lane: list[dict[str, Any]], operation: Operation, data: WireRecord, base: WireRecord) -> None:
    """As the outbox does, in memory."""
    last = lane[-1] if lane else None
    decision: Decision = Append()
    if last is not None:
        waiting = Waiting(last["operation"], last["data"], last["base"], can_absorb=not last.get("claimed"))
        decision = coalesce(waiting, operation, data, base, sent_fields=FIELDS)
    match decision:
        case Drop():
            lane.pop()
        case Rewrite() as found:
            lane[-1] = {"operation": found.operation, "data": found.data, "base": found.base}
        case Append():
            lane.append({"operation": operation, "data": data, "base": base})


@given(st.lists(values.filter(bool), min_size=1, max_size=6))
def test_the_base_is_what_was_there_before_the_first_of_all_changes(changes: list[WireRecord]) -> None:
    before = row = whole({"a": 9, "b": 9, "c": 9})
    lane: list[dict[str, Any]] = []
    for data in changes:
        enqueue(lane, UPDATE, data, {name: row[name] for name in data})
        row = {**row, **data}
    (entry,) = lane
    assert entry["base"] == {name: before[name] for name in entry["data"]}
