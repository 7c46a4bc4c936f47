"""The clock tests move."""

from __future__ import annotations

from datetime import timedelta

from django_datastore.appsync_local.clock import MovableClock


class Real:
    """Stands for this machine's time."""

    now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


def test_it_runs_like_the_real_one_from_where_it_was_moved():
    real = Real()
    clock = MovableClock(real)
    assert clock.now() == 1_000
    clock.advance(timedelta(minutes=31))
    assert clock.now() == 1_861_000
    real.now_ms += 5
    assert clock.now() == 1_861_005
    clock.set(7)
    real.now_ms += 1
    assert clock.now() == 8


def test_it_stands_still_while_stopped_and_goes_on_from_there():
    real = Real()
    clock = MovableClock(real)
    clock.stop()
    real.now_ms += 500
    assert clock.now() == 1_000
    clock.advance(timedelta(milliseconds=10))
    assert clock.now() == 1_010
    clock.run()
    clock.run()
    real.now_ms += 1
    assert clock.now() == 1_011


def test_elapsed_leaps_on_and_never_back():
    clock = MovableClock(Real())
    before = clock.elapsed()
    clock.advance(timedelta(hours=1))
    assert before + 3600 <= clock.elapsed() < before + 3660
    clock.advance(timedelta(hours=-1))
    clock.stop()
    assert before + 3600 <= clock.elapsed() < before + 3660


def test_reset_shows_the_real_time():
    real = Real()
    clock = MovableClock(real)
    clock.advance(timedelta(days=-1))
    clock.stop()
    clock.reset()
    real.now_ms += 1
    assert clock.now() == 1_001
