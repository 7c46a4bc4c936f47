"""Thousands of rows with one call. For an `update()` the goal is the time of a plain `bulk_create` of as many rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.books import empty_shelf, existing, values
from benchmarks.databases import settle
from benchmarks.models import AnyBook, Book, PlainBook
from benchmarks.timing import Row, Turn, in_turns

COUNT = 3_000
ROUNDS = 7
_numbers = itertools.count(1)


def rows() -> Iterator[Row]:
    """`bulk_create`, `update()` and `delete()` of records AppSync has."""
    turns: dict[str, Turn] = {
        f"{what} {name}": partial(prepare, model)
        for what, prepare in (("bulk_create", _creating), ("update", _updating), ("delete", _deleting))
        for name, model in (("ours", Book), ("raw", PlainBook))
    }
    seconds = {name: found * 1000 for name, found in in_turns(turns, rounds=ROUNDS).items()}
    yield Row(f"bulk_create() of {COUNT:,}", seconds["bulk_create ours"], seconds["bulk_create raw"], "ms")
    what = f"update() of {COUNT:,} rows"
    yield Row(f"{what}; raw: bulk_create()", seconds["update ours"], seconds["bulk_create raw"], "ms")
    yield Row(f"{what}; raw: update()", seconds["update ours"], seconds["update raw"], "ms")
    yield Row(f"delete() of {COUNT:,} rows", seconds["delete ours"], seconds["delete raw"], "ms")


def _creating(model: type[AnyBook]) -> Callable[[], object]:
    shelf = empty_shelf()
    settle()
    books = [model(**values(number, shelf)) for number in range(COUNT)]
    return lambda: model._default_manager.bulk_create(books)


def _updating(model: type[AnyBook]) -> Callable[[], object]:
    existing(model, COUNT, empty_shelf())
    settle()
    return partial(model._default_manager.update, rating=-next(_numbers))


def _deleting(model: type[AnyBook]) -> Callable[[], object]:
    existing(model, COUNT, empty_shelf())
    settle()
    return lambda: model._default_manager.all().delete()
