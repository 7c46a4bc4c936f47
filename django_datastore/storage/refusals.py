"""Whose fault a failed write is: the record's (it is quarantined), or the database's at this moment (all is repeated).

A deadlock, a lock not got, a full disk or a task's time limit say nothing about the record that met them.
"""

from __future__ import annotations

import traceback
from typing import Any

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError
from django.db.utils import NotSupportedError

_RECORDS_SQLSTATES = ("21", "22", "23", "44", "54", "P0")
"""Classes of PostgreSQL's error codes that a row's values, or a trigger's rules about them, cause."""
_RECORDS_MYSQL_CODES = frozenset({1048, 1062, 1153, 1264, 1265, 1292, 1366, 1406, 1451, 1452, 1644, 3819, 4025})
"""MariaDB's: null, duplicate, too large, out of range, unknown characters, foreign key, a trigger's SIGNAL, CHECK."""
_PASSING_MYSQL_CODES = frozenset(
    {
        *(1020, 1205, 1213, 1412, 1614),  # changed meanwhile, a lock not got, a deadlock
        *(1317, 1969, 3024),  # the statement was stopped, or took too long
        *(1040, 1041, 1203, 1226),  # too many connections, or too much asked for just now
        *(0, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 4031),  # the connection was lost, or closed
    }
)
"""MariaDB's errors that begin again; its driver has more for connections, all from 2000 on."""
_MYSQL_CONNECTIONS = range(2000, 3000)
_RECORDS_SQLITE_WORDS = ("user-defined function raised", "string or blob too big")
_LASTING_SQLSTATES = ("25006", "53100", "42")
_LASTING_WORDS = ("readonly database", "disk is full", "no such table", "no such column", "read only", "read-only")
_PASSING_SQLITE_WORDS = ("locked", "busy", "interrupted", "unable to open")
_TIME_LIMIT = "SoftTimeLimitExceeded"
"""Celery's; named here, since only the doors may import Celery."""
_TRACEBACK_LENGTH = 8_000
_REASON_LENGTH = 2_000


def is_records(exc: Exception) -> bool:
    """Whether the record that was being written is to blame: its data, or a person's code that takes no such data."""
    if isinstance(exc, MemoryError) or any(cls.__name__ == _TIME_LIMIT for cls in type(exc).__mro__):
        return False
    if isinstance(exc, InterfaceError):
        return _is_unbindable(exc)
    if not isinstance(exc, DatabaseError):
        return True
    if (state := _sqlstate(exc)) is not None:
        return state.startswith(_RECORDS_SQLSTATES)
    if (code := _mysql_code(exc)) is not None:
        return code in _RECORDS_MYSQL_CODES or isinstance(exc, DataError)
    if isinstance(exc, OperationalError):
        return any(words in str(exc) for words in _RECORDS_SQLITE_WORDS)
    return isinstance(exc, IntegrityError | DataError | NotSupportedError)


def raise_trouble(exc: Exception) -> None:
    """Raises what says nothing about the record: `exc`, or what it was raised from."""
    for found in (exc, exc.__cause__):
        if isinstance(found, Exception) and not is_records(found):
            raise found


def may_pass(exc: Exception) -> bool:
    """Whether the same writes may succeed at once if they are begun again: a deadlock, a lock, a lost connection."""
    if not isinstance(exc, OperationalError | InterfaceError) or is_records(exc):
        return False
    if type(exc.__cause__).__module__ == "sqlite3":
        return any(words in str(exc) for words in _PASSING_SQLITE_WORDS)
    if (code := _mysql_code(exc)) is not None:
        return code in _PASSING_MYSQL_CODES or code in _MYSQL_CONNECTIONS
    state = _sqlstate(exc) or ""
    return not state.startswith(_LASTING_SQLSTATES) and not any(words in str(exc) for words in _LASTING_WORDS)


def storable(text: object, length: int = _REASON_LENGTH) -> str:
    """Words of others in a form that every database stores: short, NUL and half an emoji escaped."""
    clean = str(text).replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    return clean if len(clean) <= length else f"{clean[: length - 1]}…"


def trace_of(exc: BaseException) -> str:
    """Where it failed, for the admin; its end, if it is long."""
    text = "".join(traceback.format_exception(exc))
    return storable(text[-_TRACEBACK_LENGTH:], _TRACEBACK_LENGTH + 100)


def _is_unbindable(exc: InterfaceError) -> bool:
    """SQLite says so of a value of an unknown type."""
    return "Error binding parameter" in str(exc)


def _sqlstate(exc: BaseException) -> str | None:
    cause = exc.__cause__
    found = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return found if isinstance(found, str) else None


def _mysql_code(exc: BaseException) -> int | None:
    module = type(exc.__cause__).__module__ if exc.__cause__ is not None else ""
    arguments: tuple[Any, ...] = exc.args
    return arguments[0] if "sqlite" not in module and arguments and isinstance(arguments[0], int) else None
