"""`Codec`: how one kind of value crosses as one scalar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Codec:
    """How one kind of value crosses as one scalar. Both ways raise `ValueError` for what does not fit."""

    encode: Convert
    """The wire value of what a column gives back; None for Django's blank where AppSync takes no empty text."""
    decode: Convert
    """The Python value of a wire value that is not null."""
    is_rounded: bool = False
    """The scalar has no exact decimals, the column has: what comes in is rounded to the column's digits."""


def text_of(wire: Any) -> str:
    """A wire value that must be text."""
    if not isinstance(wire, str):
        raise ValueError(f"it is a {json_name(wire)}, not a text")
    return wire


def json_name(wire: Any) -> str:
    names = {bool: "boolean", int: "number", float: "number", list: "list", dict: "object", type(None): "null"}
    return names.get(type(wire), type(wire).__name__)
