"""`Problem`: what the system checks report about a registered model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a model, or a part of it, cannot be synced. `code` is the system check's id without its prefix."""

    code: str
    message: str
    hint: str
