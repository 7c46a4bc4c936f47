"""Whose fault a failed write is, and what is done about it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError, connection

from django_datastore.models import Conflict, RecordMetadata
from django_datastore.storage.refusals import is_records, may_pass, storable
from tests.odd.models import Shout, Shouting
from tests.odd.registration import registered
from tests.unit.sync.wires import merge, wire


class SoftTimeLimitExceeded(Exception):
    """By Celery's name."""


class Refusal(Exception):
    """What PostgreSQL's driver raises."""

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


def from_postgresql(kind: type[Exception], sqlstate: str) -> Exception:
    found = kind("refused")
    found.__cause__ = Refusal(sqlstate)
    return found


@pytest.mark.parametrize(
    ("error", "is_its_own", "passes"),
    [
        (ValueError("no number"), True, False),
        (RuntimeError("a person's code"), True, False),
        (RecursionError("too deep"), True, False),
        (IntegrityError("UNIQUE constraint failed"), True, False),
        (DataError("out of range"), True, False),
        (MemoryError(), False, False),
        (SoftTimeLimitExceeded(), False, False),
        (OperationalError("database is locked"), False, True),
        (OperationalError("attempt to write a readonly database"), False, False),
        (OperationalError("database or disk is full"), False, False),
        (OperationalError("no such table: blog_post"), False, False),
        (ProgrammingError("no such column"), False, False),
        (from_postgresql(OperationalError, "40P01"), False, True),  # deadlock
        (from_postgresql(OperationalError, "40001"), False, True),  # serialization failure
        (from_postgresql(OperationalError, "55P03"), False, True),  # lock time-out
        (from_postgresql(OperationalError, "57014"), False, True),  # statement time-out
        (from_postgresql(OperationalError, "53100"), False, False),  # disk full
        (from_postgresql(OperationalError, "25006"), False, False),  # read-only
        (from_postgresql(OperationalError, "54000"), True, False),  # the row is too large for an index
        (from_postgresql(ProgrammingError, "P0001"), True, False),  # a trigger refuses it
        (from_postgresql(IntegrityError, "23514"), True, False),  # CHECK
        (OperationalError(1213, "Deadlock found"), False, True),  # MariaDB
        (OperationalError(1205, "Lock wait timeout exceeded"), False, True),
        (OperationalError(2006, "Server has gone away"), False, True),
        (OperationalError(2013, "Lost connection to server during query"), False, True),
        (InterfaceError(0, ""), False, True),  # the connection is closed
        (OperationalError(1927, "Connection was killed"), False, True),
        (OperationalError(1054, "Unknown column 'name' in 'INSERT INTO'"), False, False),
        (OperationalError(1142, "INSERT command denied"), False, False),
        (OperationalError(1290, "The server is running with --read-only"), False, False),
        (OperationalError(1644, "a trigger refuses it"), True, False),
        (OperationalError(1292, "Incorrect uuid value"), True, False),
    ],
    ids=repr,
)
def test_who_is_to_blame(error: Exception, is_its_own: bool, passes: bool) -> None:
    assert (is_records(error), may_pass(error)) == (is_its_own, passes)


def test_words_of_others_are_kept_short_and_storable() -> None:
    assert storable("nul \x00, half \ud83d") == "nul \\x00, half \\ud83d"
    assert len(storable("x" * 9000)) == 2000


@pytest.fixture
def shouting() -> Iterator[list[Exception]]:
    with registered():
        yield Shouting.failures
    Shouting.failures.clear()


@pytest.mark.django_db(transaction=True)
def test_merge_is_begun_again_after_a_deadlock_and_nothing_is_quarantined(shouting: list[Exception]) -> None:
    shouting += [OperationalError("database is locked"), OperationalError("database is locked")]
    merge(Shout, wire(1, text="HEY"), wire(2, text="HO"))
    assert sorted(Shout.objects.values_list("text", flat=True)) == ["HEY", "HO"]
    assert not Conflict.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "error", [OperationalError("database or disk is full"), MemoryError(), SoftTimeLimitExceeded()], ids=repr
)
def test_merge_that_cannot_be_carried_out_leaves_nothing_behind(shouting: list[Exception], error: Exception) -> None:
    shouting.append(error)
    with pytest.raises(type(error)):
        merge(Shout, wire(1, text="HEY"), wire(2, text="HO"))
    assert not connection.in_atomic_block
    assert not RecordMetadata.objects.exists()
    assert not Shout.objects.exists()
    assert not Conflict.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_a_persons_field_raises_is_quarantined_with_its_traceback(shouting: list[Exception]) -> None:
    shouting.append(RuntimeError("not now"))
    merge(Shout, wire(1, text="HEY"))
    assert "get_db_prep_save" in Conflict.objects.get().traceback
    merge(Shout, wire(1, text="HEY"))
    assert Shout.objects.get().text == "HEY"
    assert not Conflict.objects.exists()
