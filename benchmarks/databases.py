"""Databases of the kind that is being measured: a file, or one of PostgreSQL's."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management.color import no_style
from django.db import connection, models


@contextmanager
def own_database() -> Iterator[str]:
    """A fresh and empty one; yields its URL."""
    if connection.vendor == "sqlite":
        with tempfile.TemporaryDirectory(prefix="datastore-bench-") as directory:
            yield f"sqlite:///{Path(directory) / 'fresh.sqlite3'}"
        return
    name = f"bench_{uuid.uuid4().hex[:12]}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield url_of(name)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def url_of(name: str = "") -> str:
    """The URL of the database that is being measured, or of its neighbour of that name."""
    site = connection.settings_dict
    name = name or site["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    host, port, options = site["HOST"], f":{site['PORT']}" if site["PORT"] else "", ""
    if "/" in host:  # the directory of a socket
        host, port, options = "", "", f"?host={host}"
    return f"postgres://{site['USER']}:{site['PASSWORD']}@{host}{port}/{name}{options}"


def empty(*tables: type[models.Model]) -> None:
    """Empties tables, and what hangs on them, past the ORM: nobody hears of it, and nothing is left to be vacuumed."""
    names = [table._meta.db_table for table in tables]
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), names, allow_cascade=True))


def settle() -> None:
    """Lets the database tidy up now what it would tidy up while it is measured."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CHECKPOINT")
