"""One row at a time, as most code writes: a registered model against the same model unregistered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

from django.db import transaction

from benchmarks.books import empty_shelf, existing, forget_waiting, values
from benchmarks.models import AnyBook, Book, PlainBook, Shelf
from benchmarks.timing import Row, in_turns

Work: TypeAlias = Callable[[], None]
Prepare: TypeAlias = Callable[[type[AnyBook]], Work]

SAVES = 100
ROUNDS = 15


def rows() -> Iterator[Row]:
    """Creates, updates of records AppSync has, updates of what waits in the outbox already, deletes."""
    shelf = empty_shelf()
    yield _row("create()", partial(_creating, shelf=shelf))
    yield _row("create(), 100 in one transaction", lambda model: _in_transaction(_creating(model, shelf)))
    books = {model: existing(model, SAVES, shelf) for model in (Book, PlainBook)}
    yield _row("save() of a change", lambda model: _updating(books[model]))
    changed = partial(_updating, forgetting=False)
    yield _row("save() of a change to what waits already", lambda model: changed(books[model]))
    yield _row("save(), nothing changed", lambda model: _updating(books[model], changing=False))
    yield _row("delete()", partial(_deleting, shelf=shelf))


def _row(what: str, prepare: Prepare) -> Row:
    seconds = in_turns({"ours": lambda: prepare(Book), "raw": lambda: prepare(PlainBook)}, rounds=ROUNDS)
    return Row(what, seconds["ours"] / SAVES * 1000, seconds["raw"] / SAVES * 1000, "ms")


def _creating(model: type[AnyBook], shelf: Shelf) -> Work:
    forget_waiting()
    wanted = [values(number, shelf) for number in range(SAVES)]

    def create() -> None:
        for item in wanted:
            model._default_manager.create(**item)

    return create


def _in_transaction(work: Work) -> Work:
    def run() -> None:
        with transaction.atomic():
            work()

    return run


def _updating(books: list[AnyBook], *, forgetting: bool = True, changing: bool = True) -> Work:
    if forgetting:
        forget_waiting()
    for book in books if changing else ():
        book.title, book.rating = f"{book.title[:50]}!", (book.rating or 0) + 1
    return lambda: _each(books, "save")


def _deleting(model: type[AnyBook], shelf: Shelf) -> Work:
    forget_waiting()
    books = existing(model, SAVES, shelf)
    return lambda: _each(books, "delete")


def _each(books: list[Any], method: str) -> None:
    for book in books:
        getattr(book, method)()
