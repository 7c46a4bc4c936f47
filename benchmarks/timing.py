"""Measuring in turns, so that a busy moment of the machine hits both sides, and what a row of the table holds."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

Turn: TypeAlias = Callable[[], Callable[[], Any]]
"""Prepares one repetition, unmeasured, and returns the work to measure. Work that has a clock of its own returns the
seconds it took, a float."""

MEASURES_CPU = os.environ.get("BENCH_CLOCK") == "cpu"
"""Seconds are those of this process's own work: on a busy machine it tells more than the time that passed."""
clock = time.process_time if MEASURES_CPU else time.perf_counter

_FEWEST_ROUNDS = 3
_ENOUGH_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    ours: float
    raw: float
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """How many times as much we take; of rates, how many times as long."""
        return self.raw / self.ours if self.unit == "/s" else self.ours / self.raw


@dataclass(frozen=True, slots=True)
class Skipped:
    """What could not be measured, and why."""

    skipped: str


def in_turns(turns: Mapping[str, Turn], *, rounds: int) -> dict[str, float]:
    """The median seconds of each turn. One unmeasured round comes first; each round begins with another turn.

    What takes long is repeated less often than `rounds` says, and not less than three times.
    """
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    deadline = time.monotonic() + _ENOUGH_SECONDS
    for number in range(rounds + 1):
        if number > _FEWEST_ROUNDS and time.monotonic() > deadline:
            break
        for name in _rotated(list(turns), number):
            measured = _seconds(turns[name]())
            if number:
                seconds[name].append(measured)
    return {name: median(found) for name, found in seconds.items()}


def _seconds(work: Callable[[], Any]) -> float:
    gc.collect()
    started = clock()
    measured = work()
    return measured if isinstance(measured, float) else clock() - started


def _rotated(names: list[str], by: int) -> Iterator[str]:
    start = by % len(names)
    yield from names[start:] + names[:start]
