"""How many statements a save sends, which no busy machine can blur. BEGIN, COMMIT and savepoints are not counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks.books import empty_shelf, forget_waiting, values
from benchmarks.models import AnyBook, Book, PlainBook
from benchmarks.timing import Row

_TRANSACTION = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


def rows() -> Iterator[Row]:
    """Each kind of write."""
    shelf = empty_shelf()
    writes: dict[str, Callable[[AnyBook], object]] = {
        "queries of save(), create": lambda book: book.save(),
        "queries of save(), update": _edit,
        "queries of save(), update of what waits already": _edit,
        "queries of save(), nothing changed": lambda book: book.save(),
        "queries of delete()": lambda book: book.delete(),
    }
    books: list[AnyBook] = [model(**values(0, shelf)) for model in (Book, PlainBook)]
    for what, write in writes.items():
        if not what.endswith("already"):
            forget_waiting()
        ours, raw = (_count(partial(write, book)) for book in books)
        yield Row(what, ours, raw, "")


def _edit(book: AnyBook) -> None:
    book.title += "!"
    book.save()


def _count(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return sum(1 for query in captured if not query["sql"].startswith(_TRANSACTION))
