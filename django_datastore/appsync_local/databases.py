"""Databases that are no entry of `DATABASES`: the file or URL of the command line, the file of a test's server."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from django_datastore.exceptions import ConfigurationError

_SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}
_MARIADB_OPTIONS = {
    "charset": "utf8mb4",
    "isolation_level": "read committed",
    "init_command": "SET sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
}
_ENGINES = {"postgres": "postgresql", "postgresql": "postgresql", "mysql": "mysql"}
_DRIVERS = {"postgresql": (("psycopg", "psycopg2"), "postgres"), "mysql": (("MySQLdb",), "mysql")}
"""By engine: the modules of which one must be there, and the extra that brings it."""
_numbers = itertools.count(1)
_private: set[str] = set()


def entry(target: str | Path) -> dict[str, Any]:
    """A SQLite path or a database URL as an entry of `DATABASES`; raises `ConfigurationError`."""
    text = str(target)
    if "://" not in text:
        return _sqlite(text)
    parts = urlsplit(text)
    if parts.scheme == "sqlite":
        return _sqlite(unquote(parts.path.removeprefix("/")))
    if parts.scheme not in _ENGINES:
        known = "a SQLite file, sqlite:///path, postgres://user:password@host:port/name or mysql://… (MariaDB)"
        raise ConfigurationError(f"Cannot use the database {parts.scheme}://…; supported: {known}.")
    engine = _ENGINES[parts.scheme]
    _require_driver(engine, parts.scheme)
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": unquote(parts.path.removeprefix("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "OPTIONS": (_MARIADB_OPTIONS if engine == "mysql" else {}) | dict(parse_qsl(parts.query)),
    }


def _require_driver(engine: str, scheme: str) -> None:
    modules, extra = _DRIVERS[engine]
    if not any(map(find_spec, modules)):
        raise ConfigurationError(
            f"Cannot use the database {scheme}://…: its driver is not installed. "
            f"Install it with: pip install 'django-datastore[{extra}]'."
        )


def _sqlite(path: str) -> dict[str, Any]:
    if path in ("", ":memory:"):
        raise ConfigurationError(
            "The server cannot use a SQLite database in memory: its threads would each see one of their own. "
            "Name a file, e.g. one in a temporary directory."
        )
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": dict(_SQLITE_OPTIONS)}


def open_private(target: str | Path) -> str:
    """Makes a database known to Django under an alias of its own, and returns the alias."""
    alias = f"appsync_local_{next(_numbers)}"
    settings = connections.configure_settings({"default": {}, alias: entry(target)})
    connections.settings[alias] = settings[alias]
    _private.add(alias)
    return alias


def close_private(alias: str) -> None:
    """Forgets an alias of `open_private`. Its connections have to be closed by then."""
    _private.discard(alias)
    connections.settings.pop(alias, None)


def describe(alias: str) -> str:
    """Where a database is, for people; without its password."""
    found = connections.settings[alias]
    if found["ENGINE"].endswith("sqlite3"):
        return f"SQLite file {Path(found['NAME']).absolute()}"
    place = f" on {found['HOST']}" if found["HOST"] else ""
    port = f":{found['PORT']}" if found["PORT"] and place else ""
    # on MariaDB, Django's own name would connect, and this is said of databases that cannot be reached, too
    name = "MariaDB" if connections[alias].vendor == "mysql" else connections[alias].display_name
    return f"{name} database {found['NAME']}{place}{port}"


def is_private(alias: str) -> bool:
    """Whether the alias came from `open_private`."""
    return alias in _private


def migrate(alias: str) -> None:
    """Brings the server's tables up to date.

    The executor, not the `migrate` command: its `post_migrate` receivers would look for other apps' tables here.
    """
    executor = MigrationExecutor(connections[alias])
    executor.migrate(executor.loader.graph.leaf_nodes("appsync_local"))
