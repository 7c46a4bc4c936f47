"""The versioned data source: records, tombstones and the delta log in one database. Resolvers call it, nobody else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q, QuerySet

from django_datastore.appsync_local.models import Delta, Record

Values: TypeAlias = dict[str, Any]
"""A record as JSON values by field name."""

_MINUTE_MS = 60_000
_CHUNK = 500
"""Keys per look-up; SQLite and PostgreSQL both take many more, and plan badly for thousands."""
_COLUMNS = ("id", "key", "data", "version", "last_changed_at", "deleted")


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of the base or the delta table."""

    position: int
    key: str
    data: str
    version: int
    last_changed_at: int
    deleted: bool

    def values(self) -> Values:
        """The field values without metadata."""
        found: Values = json.loads(self.data)
        return found

    def record(self) -> Values:
        """The field values with their metadata, as clients see them."""
        return self.values() | self.metadata()

    def metadata(self) -> Values:
        """`_version`, `_lastChangedAt` and `_deleted`, which is null while the record lives."""
        return {
            "_version": self.version,
            "_lastChangedAt": self.last_changed_at,
            "_deleted": self.deleted or None,
        }


def key_of(names: Iterable[str], values: Mapping[str, Any]) -> str:
    """A record's key as canonical JSON text; raises `KeyError` if a part is missing."""
    return key_text([values[name] for name in names])


def key_text(values: Sequence[Any]) -> str:
    """The values of a primary key as canonical JSON text."""
    return json.dumps(list(values), separators=(",", ":"))


def _stored(row: Sequence[Any]) -> Stored:
    """A row of `_COLUMNS`; SQLite has numbers for booleans."""
    position, key, data, version, last_changed_at, deleted = row
    return Stored(position, key, data, version, last_changed_at, bool(deleted))


class Clock:
    """Time in epoch milliseconds, told so that a sync's `startedAt` never overlooks a write that is under way.

    A write gets a time that is no earlier than any `startedAt` given out before it; a `startedAt` is later than every
    finished write, and no later than the one that is running. So `lastSync <= changed` finds all, and nothing twice.
    """

    def __init__(self, now: Callable[[], int] | None = None) -> None:
        self.now = now or (lambda: time.time_ns() // 1_000_000)
        self._lock = threading.Lock()
        self._last_write = 0
        self._last_start = 0
        self._running: list[int] = []

    @contextmanager
    def write(self) -> Iterator[int]:
        """The time of everything a document writes; lasts until it is committed."""
        with self._lock:
            moment = max(self.now(), self._last_start, self._last_write)
            self._running.append(moment)
        try:
            yield moment
        finally:
            with self._lock:
                self._last_write = max(self._last_write, moment)
                self._running.remove(moment)

    def start(self) -> int:
        """The `startedAt` of a sync that begins now."""
        with self._lock:
            moment = min(self._running) if self._running else max(self.now(), self._last_write + 1)
            self._last_start = max(self._last_start, moment)
            return moment


class Statements:
    """The statements of every mutation as SQL text: the ORM takes ten times longer to build them than they run."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        quote = connection.ops.quote_name
        record, delta = quote(Record._meta.db_table), quote(Delta._meta.db_table)
        read = [quote(name) for name in _COLUMNS]
        written = ", ".join(quote(name) for name in ("model", *_COLUMNS[1:], "expires_at"))
        values = ", ".join(["%s"] * len(written.split(", ")))
        for_update = " FOR UPDATE" if connection.features.has_select_for_update else ""
        where_key = f"WHERE {quote('model')} = %s AND {quote('key')}"
        self.lock = f"SELECT {', '.join(read)}, {quote('expires_at')} FROM {record} {where_key} = %s{for_update}"
        self.insert = f"INSERT INTO {record} ({written}) VALUES ({values})"
        self.log = f"INSERT INTO {delta} ({written}) VALUES ({values})"
        changed = ("data", "version", "last_changed_at", "deleted", "expires_at")
        assignments = ", ".join(f"{quote(name)} = %s" for name in changed)
        self.update = f"UPDATE {record} SET {assignments} WHERE {quote('id')} = %s"
        without_data = [name if name != quote("data") else "'{}'" for name in read]
        live = f"({quote('expires_at')} IS NULL OR {quote('expires_at')} > %s)"
        self._get = f"SELECT {', '.join(read)} FROM {record} {where_key} IN (%%s) AND {live}"
        self._get_without_data = f"SELECT {', '.join(without_data)} FROM {record} {where_key} IN (%%s) AND {live}"

    def get_many(self, count: int, *, with_data: bool) -> str:
        """The look-up of that many keys."""
        marks = ", ".join(["%s"] * count)
        return (self._get if with_data else self._get_without_data).replace("%%s", marks)


class Store:
    """All records of one API, on one database alias. Its methods run in the server's worker threads."""

    def __init__(self, alias: str, *, clock: Clock, base_ttl_minutes: int, delta_ttl_minutes: int) -> None:
        self.alias = alias
        self.clock = clock
        self._base_ttl_ms = base_ttl_minutes * _MINUTE_MS
        self._delta_ttl_ms = delta_ttl_minutes * _MINUTE_MS
        self._next_purge = 0
        self._sql = Statements(connections[alias])

    # -- writing -------------------------------------------------------------------------------------------------------

    def transaction(self) -> AbstractContextManager[None]:
        """All mutations of a document, in one commit."""
        return transaction.atomic(using=self.alias)

    def savepoint(self) -> AbstractContextManager[None]:
        """One mutation among them."""
        return transaction.atomic(using=self.alias)

    def lock(self, model: str, key: str) -> Stored | None:
        """A record, locked until the transaction ends (SQLite locks the whole database at its begin)."""
        rows = self._select(self._sql.lock, model, key)
        if not rows:
            return None
        *columns, expires_at = rows[0]
        found = _stored(columns)
        if expires_at is not None and expires_at <= self.clock.now():
            Record.objects.using(self.alias).filter(pk=found.position).delete()
            return None
        return found

    def insert(self, model: str, key: str, values: Values, *, now: int) -> Stored:
        """Stores a new record as version 1; `IntegrityError` if the key was taken meanwhile."""
        row = Stored(0, key, json.dumps(values), 1, now, False)
        self._execute(self._sql.insert, model, key, row.data, row.version, now, False, None)
        return self._log(model, row)

    def update(self, model: str, found: Stored, values: Values, *, now: int, deleted: bool = False) -> Stored:
        """Stores the next version of a record; a tombstone comes back to life unless `deleted`."""
        return self._advance(model, found, json.dumps(values), now=now, deleted=deleted)

    def delete(self, model: str, found: Stored, *, now: int) -> Stored:
        """Turns a record into a tombstone, which is a new version of it too."""
        return self._advance(model, found, found.data, now=now, deleted=True)

    def _advance(self, model: str, found: Stored, data: str, *, now: int, deleted: bool) -> Stored:
        changed = max(now, found.last_changed_at)
        row = Stored(found.position, found.key, data, found.version + 1, changed, deleted)
        if deleted and not self._base_ttl_ms:
            Record.objects.using(self.alias).filter(pk=row.position).delete()
        else:
            expires_at = changed + self._base_ttl_ms if deleted else None
            self._execute(self._sql.update, data, row.version, changed, deleted, expires_at, row.position)
        return self._log(model, row)

    def _log(self, model: str, row: Stored) -> Stored:
        expires_at = row.last_changed_at + self._delta_ttl_ms
        self._execute(
            self._sql.log, model, row.key, row.data, row.version, row.last_changed_at, row.deleted, expires_at
        )
        return row

    def _execute(self, statement: str, *values: str | int | None) -> None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(statement, values)

    def _select(self, statement: str, *values: str | int | None) -> list[tuple[Any, ...]]:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(statement, values)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def purge(self, *, now: int) -> None:
        """Removes what has outlived its time; at most once a minute, because reading skips it anyway."""
        if now >= self._next_purge:
            self._next_purge = now + _MINUTE_MS
            for table in (Record, Delta):
                self._expired(table.objects.using(self.alias)).delete()

    # -- reading -------------------------------------------------------------------------------------------------------

    def get(self, model: str, key: str) -> Stored | None:
        """A record or its tombstone."""
        return self.get_many(model, [key]).get(key)

    def get_many(self, model: str, keys: Sequence[str], *, with_data: bool = True) -> dict[str, Stored]:
        """Records and tombstones by key; keys without one are left out. Without data it is an index look-up."""
        found = {}
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            statement = self._sql.get_many(len(chunk), with_data=with_data)
            rows = self._select(statement, model, *chunk, self.clock.now())
            found.update({row[1]: _stored(row) for row in rows})
        return found

    def scan(self, model: str, *, after: int, limit: int) -> list[Stored]:
        """A page of a model's records and tombstones, in the order they came; `after` is the last position seen."""
        rows = self._live(Record.objects.using(self.alias)).filter(model=model, id__gt=after).order_by("id")
        return self._read(rows[:limit])

    def changes(self, model: str, *, since: int, after: tuple[int, int], limit: int) -> list[Stored]:
        """A page of the delta log in the order of change; `after` is the time and position of the last row seen."""
        changed, position = after
        later = Q(last_changed_at__gt=changed) | Q(last_changed_at=changed, id__gt=position)
        rows = Delta.objects.using(self.alias).filter(model=model, last_changed_at__gte=max(since, changed))
        return self._read(rows.filter(later).order_by("last_changed_at", "id")[:limit])

    def partition(self, model: str, key_prefix: str) -> list[Stored]:
        """All records whose key begins with these values."""
        return self._read(self._live(Record.objects.using(self.alias)).filter(model=model, key__startswith=key_prefix))

    def containing(self, model: str, texts: Iterable[str]) -> Iterator[Stored]:
        """The records whose data contain all these texts: a superset for the caller to look through."""
        rows = self._live(Record.objects.using(self.alias)).filter(model=model).order_by("id")
        for text in texts:
            rows = rows.filter(data__contains=text)
        for row in rows.values_list(*_COLUMNS).iterator():
            yield _stored(row)

    def keeps_delta_since(self, moment: int) -> bool:
        """Whether the delta log still has everything since `moment`."""
        return moment >= self.clock.now() - self._delta_ttl_ms

    def _live(self, rows: QuerySet[Record]) -> QuerySet[Record]:
        return rows.filter(Q(expires_at=None) | Q(expires_at__gt=self.clock.now()))

    def _expired(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(expires_at__lte=self.clock.now())

    @staticmethod
    def _read(rows: QuerySet[Any]) -> list[Stored]:
        return [_stored(row) for row in rows.values_list(*_COLUMNS)]
