"""Measuring in turns, so that a busy moment of the machine hits both sides, and what a row of the table holds."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

Turn: TypeAlias = Callable[[], Callable[[], Any]]
"""Prepares one repetition, unmeasured, and returns the work to measure."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    ours: float
    raw: float
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """How many times as much we take."""
        return self.ours / self.raw


def in_turns(turns: Mapping[str, Turn], *, rounds: int) -> dict[str, float]:
    """The median seconds of each turn. One unmeasured round comes first; each round begins with another turn."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name in _rotated(list(turns), number):
            measured = _seconds(turns[name]())
            if number:
                seconds[name].append(measured)
    return {name: median(found) for name, found in seconds.items()}


def _seconds(work: Callable[[], Any]) -> float:
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _rotated(names: list[str], by: int) -> Iterator[str]:
    start = by % len(names)
    yield from names[start:] + names[:start]
