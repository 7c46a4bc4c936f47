"""A delta sync into a table of a million rows against one into a thousand: what is known already must cost nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from django.core.management import call_command

from benchmarks.bare_appsync import Address, running_bare_appsync
from benchmarks.bare_sync import write_all
from benchmarks.books import start_over, versions_of
from benchmarks.children import Ask, asked, running_child
from benchmarks.databases import own_database, settle
from benchmarks.models import Book
from benchmarks.records import SHELF, book, book_id
from benchmarks.timing import Row, Turn, clock, in_turns
from django_datastore import registry
from django_datastore.sync import engine

MANY = 1_000_000
FEW = 1_000
CHANGED = 100
ROUNDS = 15


def rows() -> Iterator[Row]:
    """A hundred changes that came while a site was away, in turns into two databases."""
    with ExitStack() as stack:
        appsync = stack.enter_context(running_bare_appsync(books=FEW, changed=CHANGED))
        sites = {name: _site(stack, appsync, count) for name, count in (("ours", MANY), ("raw", FEW))}
        turns: dict[str, Turn] = {name: partial(lambda ask: ask, site) for name, site in sites.items()}
        seconds = {name: found * 1000 for name, found in in_turns(turns, rounds=ROUNDS).items()}
    what = f"delta sync of {CHANGED} changes over {MANY:,} rows; raw: over {FEW:,}"
    yield Row(what, seconds["ours"], seconds["raw"], "ms")


def child(count: str) -> None:
    """A site with that many rows; tells how many seconds a delta sync took."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    start_over(pk=SHELF)
    current, wanted = engine.current(), [registry.get(Book)]
    current.sync(wanted, full=True)
    write_all([book(number, page) for number in range(FEW)] for page in range(1, int(count) // FEW))
    settle()
    changed = [book_id(number, 0) for number in range(CHANGED)]
    before = versions_of(changed)
    for answer in asked():
        started = clock()
        current.sync(wanted)
        seconds = clock() - started
        now = versions_of(changed)
        assert now.isdisjoint(before), "The changes did not arrive."
        before = now
        answer(seconds)


def _site(stack: ExitStack, appsync: Address, count: int) -> Ask:
    database = stack.enter_context(own_database())
    return stack.enter_context(running_child("delta_sync", count, database=database, appsync=appsync))
