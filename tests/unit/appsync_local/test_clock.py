"""The clock that keeps `lastSync` from overlooking a write."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.store import Clock


def test_start_is_after_every_finished_write_and_not_after_a_running_one():
    clock = Clock(lambda: 1000)
    with clock.write() as first:
        assert clock.start() <= first
    assert clock.start() > first


def test_write_is_not_before_a_start():
    clock = Clock(lambda: 1000)
    with clock.write():
        pass
    started_at = clock.start()
    with clock.write() as moment:
        assert moment >= started_at


@given(st.lists(st.sampled_from(["write", "start", "tick", "back"]), max_size=30))
def test_a_sync_finds_exactly_the_writes_that_finished_after_the_last_one(steps: list[str]):
    """A client that asks `lastSync <= changed` sees each write once, even if the system's clock jumps back."""
    now = [1000]
    clock = Clock(lambda: now[0])
    writes: list[int] = []
    last_sync, seen = 0, 0
    for step in steps:
        match step:
            case "tick":
                now[0] += 1
            case "back":
                now[0] -= 1
            case "write":
                with clock.write() as moment:
                    writes.append(moment)
            case "start":
                started_at = clock.start()
                found = [moment for moment in writes if moment >= last_sync]
                assert found == writes[seen:]
                last_sync, seen = started_at, len(writes)
