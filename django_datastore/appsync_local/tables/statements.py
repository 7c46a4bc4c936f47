"""The data source's statements as SQL text: the ORM takes ten times longer to build them than they run."""

from __future__ import annotations

from typing import TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from django_datastore.appsync_local.models import Delta, IndexEntry, Moment, Record

COLUMNS = ("id", "key", "data", "version", "last_changed_at", "deleted")
"""What is read of a row of the base or the delta table."""
_ENTRY_COLUMNS = ("index", "partition", "sort", "record_id")
_Part = TypeVar("_Part", int, bytes)


class Statements:
    """SQL for SQLite, PostgreSQL and MariaDB, made once for an alias."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        quote = connection.ops.quote_name
        self._quote = quote
        self._is_sqlite = connection.vendor == "sqlite"
        self._is_mariadb = connection.vendor == "mysql"
        self._record, self._delta = quote(Record._meta.db_table), quote(Delta._meta.db_table)
        self._entry, self._moment = quote(IndexEntry._meta.db_table), quote(Moment._meta.db_table)
        self._read = [quote(name) for name in COLUMNS]
        self._live = f"({quote('expires_at')} IS NULL OR {quote('expires_at')} > %s)"
        self._moments()
        self._writes()
        self._reads()

    def _moments(self) -> None:
        """`begin` is the time of a write: it waits for the write before, is no earlier than that one, keeps promises.

        `promise` promises that no later write is earlier; it returns no row while a write is under way (SQLite refuses
        the lock). Both are one statement: MariaDB has no `UPDATE … RETURNING`, but `INSERT … RETURNING`.
        """
        table = self._moment
        insert = f"INSERT INTO {table} (id, last_write, promised) VALUES (1, %s, %s)"
        self.moment = f"SELECT last_write, promised FROM {table} WHERE id = 1"
        free = f"{self.moment} FOR UPDATE SKIP LOCKED"
        if self._is_mariadb:
            later = "GREATEST(VALUES(last_write), last_write, promised)"
            self.begin = f"{insert} ON DUPLICATE KEY UPDATE last_write = {later} RETURNING last_write"
            self.first = f"{insert} ON DUPLICATE KEY UPDATE id = id RETURNING last_write, promised"
            self.promise = (
                f"INSERT INTO {table} (id, last_write, promised) "
                f"SELECT 1, last_write, GREATEST(promised, %s) FROM ({free}) free "
                "ON DUPLICATE KEY UPDATE promised = VALUES(promised) RETURNING last_write, promised"
            )
            return
        greatest = "MAX" if self._is_sqlite else "GREATEST"
        later = f"{greatest}(excluded.last_write, {table}.last_write, {table}.promised)"
        self.begin = f"{insert} ON CONFLICT (id) DO UPDATE SET last_write = {later} RETURNING last_write"
        self.first = f"{insert} ON CONFLICT (id) DO NOTHING RETURNING last_write, promised"
        which = "1" if self._is_sqlite else f"(SELECT id FROM {table} WHERE id = 1 FOR UPDATE SKIP LOCKED)"
        promised = f"SET promised = {greatest}(promised, %s) WHERE id = {which}"
        self.promise = f"UPDATE {table} {promised} RETURNING last_write, promised"

    def _writes(self) -> None:
        quote = self._quote
        names = ("model", *COLUMNS[1:], "expires_at")
        written = ", ".join(map(quote, names))
        for_update = "" if self._is_sqlite else " FOR UPDATE"
        where_key = f"WHERE {quote('model')} = %s AND {quote('key')} = %s"
        self.lock = f"SELECT {', '.join(self._read)}, {quote('expires_at')} FROM {self._record} {where_key}{for_update}"
        self.insert = f"INSERT INTO {self._record} ({written}) VALUES ({_marks(len(names))})"
        self.insert_returning = f"{self.insert} RETURNING {quote('id')}"
        self.log = f"INSERT INTO {self._delta} ({written}) VALUES ({_marks(len(names))})"
        changed = ("data", "version", "last_changed_at", "deleted", "expires_at")
        assignments = ", ".join(f"{quote(name)} = %s" for name in changed)
        self.update = f"UPDATE {self._record} SET {assignments} WHERE {quote('id')} = %s"
        entry = ", ".join(map(quote, _ENTRY_COLUMNS))
        self.index = f"INSERT INTO {self._entry} ({entry}) VALUES (%s, {self._bytes}, {self._bytes}, %s)"
        self.reindex = f"DELETE FROM {self._entry} WHERE {quote('record_id')} = %s AND {quote('index')} = %s"

    def _reads(self) -> None:
        quote, read = self._quote, ", ".join(self._read)
        model, id_, changed = quote("model"), quote("id"), quote("last_changed_at")
        where_key = f"WHERE {model} = %s AND {quote('key')} IN (%%s) AND {self._live}"
        without_data = ", ".join(name if name != quote("data") else "'{}'" for name in self._read)
        self._get = f"SELECT {read} FROM {self._record} {where_key}"
        self._get_without_data = f"SELECT {without_data} FROM {self._record} {where_key}"
        rows = f"SELECT {read} FROM {self._record} WHERE {model} = %s AND {id_} > %s AND {self._live}"
        self.scan = f"{rows} ORDER BY {id_} LIMIT %s"
        self.scan_without_tombstones = f"{rows} AND NOT {quote('deleted')} ORDER BY {id_} LIMIT %s"
        since = self._beyond(changed, ">", id_, "%s")
        self.changes = (
            f"SELECT {read} FROM {self._delta} WHERE {model} = %s AND {since} ORDER BY {changed}, {id_} LIMIT %s"
        )

    def place(self, first: _Part, second: int) -> tuple[_Part | int, ...]:
        """The parameters that say behind which row a page begins."""
        return (first, first, second) if self._is_mariadb else (first, second)

    def _beyond(self, first: str, operator: str, second: str, mark: str) -> str:
        """Behind a place in the order of two columns. MariaDB finds no index for the plain way to say it."""
        if self._is_mariadb:
            return f"({first} {operator}= {mark} AND ({first} {operator} {mark} OR {second} {operator} %s))"
        return f"({first}, {second}) {operator} ({mark}, %s)"

    @property
    def _bytes(self) -> str:
        """A mark for bytes, which MariaDB would take for text."""
        return "_binary %s" if self._is_mariadb else "%s"

    def get_many(self, count: int, *, with_data: bool) -> str:
        """The look-up of that many keys."""
        return (self._get if with_data else self._get_without_data).replace("%%s", _marks(count))

    def query(self, *, has_lower: bool, upper: str, is_after: bool, is_descending: bool) -> str:
        """A walk along an index within a partition; `upper` is the operator of the upper bound, or empty."""
        columns = ", ".join(f"r.{name}" for name in self._read)
        sort, record_id = f"e.{self._quote('sort')}", f"e.{self._quote('record_id')}"
        parts = [f"e.{self._quote('index')} = %s", f"e.{self._quote('partition')} = {self._bytes}"]
        if has_lower:
            parts.append(f"{sort} >= {self._bytes}")
        if upper:
            parts.append(f"{sort} {upper} {self._bytes}")
        if is_after:
            parts.append(self._beyond(sort, "<" if is_descending else ">", record_id, self._bytes))
        parts.append(f"(r.{self._quote('expires_at')} IS NULL OR r.{self._quote('expires_at')} > %s)")
        way = "DESC" if is_descending else "ASC"
        joined = f"{self._entry} e JOIN {self._record} r ON r.{self._quote('id')} = {record_id}"
        order = f"{sort} {way}, {record_id} {way}"
        return f"SELECT {columns}, {sort} FROM {joined} WHERE {' AND '.join(parts)} ORDER BY {order} LIMIT %s"


def _marks(count: int) -> str:
    return ", ".join(["%s"] * count)
