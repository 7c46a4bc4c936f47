"""How much memory a process has needed when its base sync is done. Nothing else happens in that process."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bare_appsync import running_bare_appsync
from benchmarks.books import start_over
from benchmarks.children import asked, running_child
from benchmarks.databases import url_of
from benchmarks.models import Book
from benchmarks.records import SHELF
from benchmarks.timing import Row
from django_datastore import registry
from django_datastore.sync import engine

RECORDS = 50_000
MILLION = 1_000_000


def rows(*, million: bool = False) -> Iterator[Row]:
    """A base sync of 50,000 records, and one of a million if that is wanted: it takes minutes."""
    before, peak = _measured(RECORDS)
    what = "peak memory, base sync of {:,} records"
    yield Row(f"{what.format(RECORDS)}; raw: before it", peak, before, "MB")
    if million:
        yield Row(f"{what.format(MILLION)}; raw: of {RECORDS:,}", _measured(MILLION)[1], peak, "MB")


def child() -> None:
    """A site that is started; tells how much memory it had needed before a base sync, and after it."""
    current = engine.current()
    for answer in asked():
        before = _peak_megabytes()
        current.sync([registry.get(Book)], full=True)
        answer([before, _peak_megabytes()])


def _measured(count: int) -> tuple[float, float]:
    start_over(pk=SHELF)
    with (
        running_bare_appsync(books=count) as appsync,
        running_child("memory", database=url_of(), appsync=appsync) as ask,
    ):
        before, peak = ask()
    assert Book.objects.count() == count
    return before, peak


def _peak_megabytes() -> float:
    """The most that was ever in memory. Linux's `ru_maxrss` counts what the parent process had when it forked."""
    status = Path("/proc/self/status")
    if status.exists():
        found = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(found.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
