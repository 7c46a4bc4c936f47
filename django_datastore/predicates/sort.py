"""Sort orders: `["-rating", "title"]` for the ORM and in memory, with the same outcome.

Null comes first going up and last going down, on every database. Fields are named as in Django or as on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import total_ordering
from typing import Any

from django.db import models
from django.db.models import F
from django.db.models.expressions import OrderBy

from django_datastore.exceptions import InvalidPredicate
from django_datastore.predicates.columns import Column, Columns


@dataclass(frozen=True)
class Sort:
    """A checked sort order."""

    terms: tuple[tuple[Column, bool], ...] = ()
    """The fields in order of weight, each with whether it goes down."""

    def __bool__(self) -> bool:
        return bool(self.terms)

    @property
    def names(self) -> tuple[str, ...]:
        """The order in its canonical spelling, with wire names."""
        return tuple(("-" if descending else "") + item.wire_name for item, descending in self.terms)

    @property
    def order_by(self) -> tuple[OrderBy, ...]:
        """The terms for `QuerySet.order_by`."""
        return tuple(
            F(item.attname).desc(nulls_last=True) if descending else F(item.attname).asc(nulls_first=True)
            for item, descending in self.terms
        )

    def key(self, instance: models.Model) -> tuple[Any, ...]:
        """The key of an instance for `sorted` and `bisect`."""
        return tuple(
            (_Descending if descending else _Ascending)(getattr(instance, item.attname))
            for item, descending in self.terms
        )


def parse(sort: Sequence[str] | None, sync: Columns) -> Sort:
    """Checks a sort order; `InvalidPredicate` naming what is wrong with it."""
    if isinstance(sort, str) or not isinstance(sort or [], list | tuple):
        raise InvalidPredicate(f"A sort order is a list of field names such as ['-rating', 'title'], not {sort!r}.")
    return Sort(tuple(_term(name, sync) for name in sort or []))


def _term(name: object, sync: Columns) -> tuple[Column, bool]:
    if not isinstance(name, str) or not name.lstrip("-"):
        raise InvalidPredicate(f"A sort order names fields such as '-rating', not {name!r}.")
    binding = sync.binding(name.removeprefix("-"))
    if binding.schema.is_list or binding.schema.type == "AWSJSON":
        raise InvalidPredicate(f"Cannot sort {sync.name!r} by {binding.wire_name!r}: lists and JSON have no order.")
    return binding, name.startswith("-")


@total_ordering
class _Ascending:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Ascending) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash(self.value)

    def __lt__(self, other: _Ascending) -> bool:
        return _less(self.value, other.value)


class _Descending(_Ascending):
    __slots__ = ()

    def __lt__(self, other: _Ascending) -> bool:
        return _less(other.value, self.value)


def _less(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is None and other is not None
    return bool(one < other)
