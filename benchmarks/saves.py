"""`save()` of a registered model against the same model unregistered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

from django.db import transaction

from benchmarks.models import AnyBook, Book, PlainBook, Shelf
from benchmarks.timing import Row, in_turns
from django_datastore import registry
from django_datastore.models import Change, MutationEvent, RecordMetadata

Work: TypeAlias = Callable[[], None]

SAVES = 100
ROUNDS = 9


def rows() -> Iterator[Row]:
    """Create, update of a record AppSync has, and update of one that waits in the outbox already."""
    shelf = known_shelf()
    yield _row("save(), create", lambda model: _creating(model, shelf))
    yield _row("save(), create, 100 in one transaction", lambda model: _in_transaction(_creating(model, shelf)))
    books = {model: _existing(model, shelf) for model in (Book, PlainBook)}
    yield _row("save(), update", lambda model: _updating(books[model], fresh=True))
    yield _row("save(), update of what waits already", lambda model: _updating(books[model], fresh=False))
    yield _row("save(), nothing changed", lambda model: _updating(books[model], fresh=True, changing=False))


def known_shelf(**fields: Any) -> Shelf:
    """A parent that AppSync has acknowledged."""
    shelf = Shelf.objects.create(name="A", **fields)
    sync = registry.get(Shelf)
    RecordMetadata.objects.update_or_create(model=sync.label, record_key=sync.key_of(shelf), defaults={"version": 1})
    forget_waiting()
    return shelf


def forget_waiting() -> None:
    """Empty the outbox and the change log."""
    MutationEvent.objects.all().delete()
    Change.objects.all().delete()


def values(number: int, shelf: Shelf) -> dict[str, Any]:
    """The columns of a book."""
    published_at = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "title": f"Book {number}",
        "rating": number,
        "tags": ["a", "b"],
        "published_at": published_at,
        "shelf": shelf,
    }


def _row(what: str, prepare: Callable[[type[AnyBook]], Work]) -> Row:
    seconds = in_turns({"ours": lambda: prepare(Book), "raw": lambda: prepare(PlainBook)}, rounds=ROUNDS)
    return Row(what, seconds["ours"] / SAVES * 1000, seconds["raw"] / SAVES * 1000, "ms")


def _creating(model: type[AnyBook], shelf: Shelf) -> Work:
    forget_waiting()
    books = [model(**values(number, shelf)) for number in range(SAVES)]
    return lambda: _save(books)


def _in_transaction(work: Work) -> Work:
    def run() -> None:
        with transaction.atomic():
            work()

    return run


def _existing(model: type[AnyBook], shelf: Shelf) -> list[AnyBook]:
    books: list[AnyBook] = [model(**values(number, shelf)) for number in range(SAVES)]
    _save(books)
    if model is Book:
        sync = registry.get(Book)
        known = [RecordMetadata(model=sync.label, record_key=sync.key_of(book), version=1) for book in books]
        RecordMetadata.objects.bulk_create(known)
    return books


def _updating(books: list[AnyBook], *, fresh: bool, changing: bool = True) -> Work:
    if fresh:
        forget_waiting()
    for book in books if changing else ():
        book.title, book.rating = f"{book.title[:50]}!", (book.rating or 0) + 1
    return lambda: _save(books)


def _save(books: list[Any]) -> None:
    for book in books:
        book.save()
