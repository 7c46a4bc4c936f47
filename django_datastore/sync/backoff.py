"""How long to wait before trying again: DataStore's back-off (`2^n * 100 ms` plus jitter, at most 5 minutes)."""

from __future__ import annotations

import random
from datetime import timedelta

_BASE_MS = 100
_CAP_MS = 300_000


def delay(attempt: int, *, rng: random.Random | None = None, cap_ms: int = _CAP_MS) -> timedelta:
    """The pause after try number `attempt` (the first is 1)."""
    jitter = (rng or random).uniform(0, _BASE_MS)
    exponent = min(max(attempt, 1), 20)
    return timedelta(milliseconds=min(2**exponent * _BASE_MS + jitter, cap_ms))
