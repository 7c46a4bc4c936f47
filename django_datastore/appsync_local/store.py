"""The versioned data source: records, tombstones and the delta log in one database. Resolvers call it, nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.db import connections, transaction
from django.db.models import Count, Max, Q, QuerySet

from django_datastore.appsync_local.errors import FieldError
from django_datastore.appsync_local.models import Delta, Record
from django_datastore.appsync_local.tables.index_table import IndexTable, Place
from django_datastore.appsync_local.tables.indexes import Index, Range
from django_datastore.appsync_local.tables.moments import Clock, Moments
from django_datastore.appsync_local.tables.records import (
    MAX_ITEM_BYTES,
    Stored,
    Values,
    item_size,
    key_of,
    key_text,
    stored,
)
from django_datastore.appsync_local.tables.statements import COLUMNS, Statements

__all__ = ["Clock", "Store", "Stored", "Values", "key_of", "key_text"]

_MINUTE_MS = 60_000
_GRACE_MS = 60 * _MINUTE_MS
"""How long the delta log keeps what has outlived its time: a sync that began before goes on through it page by page."""
_CHUNK = 500
"""Keys per look-up; the databases take many more, and plan badly for thousands."""


class Store:
    """All records of one API, on one database alias. Its methods run in the server's worker threads."""

    def __init__(
        self,
        alias: str,
        *,
        clock: Clock,
        base_ttl_minutes: int,
        delta_ttl_minutes: int,
        indexes: Mapping[str, tuple[Index, ...]] | None = None,
    ) -> None:
        self.alias = alias
        self.clock = clock
        self._base_ttl_ms = base_ttl_minutes * _MINUTE_MS
        self._delta_ttl_ms = delta_ttl_minutes * _MINUTE_MS
        self._next_purge = 0
        self._sql = Statements(connections[alias])
        self._moments = Moments(alias, clock, self._sql)
        self.indexes = IndexTable(alias, indexes or {}, self._sql)
        """Where records are found by their indexes."""

    # -- the order of writes -------------------------------------------------------------------------------------------

    def writing(self) -> AbstractContextManager[int]:
        """One transaction for all mutations of a document; the time of everything they write."""
        self._build_indexes()
        return self._moments.writing()

    def start(self) -> int:
        """The `startedAt` of a sync that begins now, before it reads anything."""
        return self._moments.start()

    def _build_indexes(self) -> None:
        if not self.indexes.is_built:
            with self._moments.writing():
                self.indexes.build()
            self.indexes.is_built = True

    # -- writing -------------------------------------------------------------------------------------------------------

    def savepoint(self) -> AbstractContextManager[None]:
        """One mutation among those of a document."""
        return transaction.atomic(using=self.alias)

    def lock(self, model: str, key: str) -> Stored | None:
        """A record, locked until the transaction ends (SQLite locks the whole database at its begin)."""
        rows = self._select(self._sql.lock, model, key)
        if not rows:
            return None
        *columns, expires_at = rows[0]
        found = stored(columns)
        if expires_at is not None and expires_at <= self.clock.now():
            self._remove(Record.objects.using(self.alias).filter(pk=found.position))
            return None
        return found

    def insert(self, model: str, key: str, values: Values, *, now: int) -> Stored:
        """Stores a new record as version 1; `IntegrityError` if the key was taken meanwhile."""
        row = Stored(0, key, _encode(values), 1, now, False)
        columns = (model, key, row.data, row.version, now, False, None)
        if model in self.indexes:
            entries = self.indexes.entries(model, values)
            [(position,)] = self._select(self._sql.insert_returning, *columns)
            self.indexes.move(position, {}, entries)
        else:
            self._execute(self._sql.insert, *columns)
        return self._log(model, row)

    def update(self, model: str, found: Stored, values: Values, *, now: int, deleted: bool = False) -> Stored:
        """Stores the next version of a record; a tombstone comes back to life unless `deleted`."""
        if model in self.indexes:
            after = self.indexes.entries(model, values)
            self.indexes.move(found.position, self.indexes.entries(model, found.values()), after)
        return self._advance(model, found, _encode(values, updated=True), now=now, deleted=deleted)

    def delete(self, model: str, found: Stored, *, now: int) -> Stored:
        """Turns a record into a tombstone, which is a new version of it too."""
        return self._advance(model, found, found.data, now=now, deleted=True)

    def _advance(self, model: str, found: Stored, data: str, *, now: int, deleted: bool) -> Stored:
        changed = max(now, found.last_changed_at)
        row = Stored(found.position, found.key, data, found.version + 1, changed, deleted)
        if deleted and not self._base_ttl_ms:
            self._remove(Record.objects.using(self.alias).filter(pk=row.position))
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

    def restore(self, rows: Sequence[tuple[str, Stored]], *, now: int) -> None:
        """Stores records of models as they were elsewhere; `IntegrityError` for a key that is taken.

        What changed so lately that a delta sync could ask for it goes into the delta log, too.
        """
        base, delta = [], []
        for model, row in rows:
            columns = (model, row.key, row.data, row.version, row.last_changed_at, row.deleted)
            base.append((*columns, row.last_changed_at + self._base_ttl_ms if row.deleted else None))
            if row.last_changed_at + self._delta_ttl_ms > now:
                delta.append((*columns, row.last_changed_at + self._delta_ttl_ms))
        with connections[self.alias].cursor() as cursor:
            cursor.executemany(self._sql.insert, base)
            if delta:
                cursor.executemany(self._sql.log, delta)
        self._index(rows)

    def _index(self, rows: Sequence[tuple[str, Stored]]) -> None:
        for model in {model for model, _ in rows if model in self.indexes}:
            data = {row.key: row.values() for name, row in rows if name == model}
            for key, row in self.get_many(model, list(data), with_data=False).items():
                self.indexes.move(row.position, {}, self.indexes.entries(model, data[key]))

    def make_room(self) -> int:
        """Removes the records whose time is over; returns the last position that is taken."""
        rows = Record.objects.using(self.alias)
        self._remove(self._expired(rows))
        return rows.aggregate(last=Max("id"))["last"] or 0

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
            self._remove(self._expired(Record.objects.using(self.alias)))
            over = self.clock.now() - _GRACE_MS
            Delta.objects.using(self.alias).filter(expires_at__lte=over).delete()

    def _remove(self, rows: QuerySet[Record]) -> None:
        self.indexes.forget(rows)
        rows.delete()

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
            found.update({row[1]: stored(row) for row in rows})
        return found

    def scan(self, model: str, *, after: int, limit: int, with_tombstones: bool = True) -> list[Stored]:
        """A page of a model's records and tombstones, in the order they came; `after` is the last position seen."""
        statement = self._sql.scan if with_tombstones else self._sql.scan_without_tombstones
        return [stored(row) for row in self._select(statement, model, after, self.clock.now(), limit)]

    def changes(self, model: str, *, since: int, after: tuple[int, int], limit: int) -> list[Stored]:
        """A page of the delta log in the order of change; `after` is the time and position of the last row seen."""
        behind = self._sql.place(*max((since, 0), after))
        return [stored(row) for row in self._select(self._sql.changes, model, *behind, limit)]

    def walk(
        self,
        index: Index,
        partition: bytes,
        span: Range,
        *,
        after: Place | None,
        limit: int,
        is_descending: bool = False,
    ) -> list[Stored]:
        """A page of the records and tombstones an index has in a partition, with their sort keys."""
        self._build_indexes()
        now = self.clock.now()
        return self.indexes.walk(index, partition, span, after=after, limit=limit, is_descending=is_descending, now=now)

    def everything(self, models: Iterable[str]) -> Iterator[tuple[str, Stored]]:
        """All records and tombstones of these models as they are at one moment, read a few at a time."""
        if connections[self.alias].vendor == "mysql":
            yield from self._everything_on_mariadb(models)
            return
        rows = self._live(Record.objects.using(self.alias)).filter(model__in=list(models)).order_by("model", "id")
        for model, *columns in rows.values_list("model", *COLUMNS).iterator(chunk_size=_CHUNK):
            yield model, stored(columns)

    def _everything_on_mariadb(self, models: Iterable[str]) -> Iterator[tuple[str, Stored]]:
        """Page by page in one snapshot: its drivers read all rows of a statement into memory."""
        with transaction.atomic(using=self.alias):
            self._execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            for model in sorted(models):
                after = 0
                while page := self.scan(model, after=after, limit=_CHUNK):
                    yield from ((model, row) for row in page)
                    after = page[-1].position

    def strangers(self, models: Sequence[str]) -> dict[str, int]:
        """The other models that have records, with their number."""
        rows = self._live(Record.objects.using(self.alias)).exclude(model__in=models)
        return dict(rows.order_by("model").values_list("model").annotate(Count("id")))

    def keeps_delta_since(self, moment: int) -> bool:
        """Whether the delta log still has everything since `moment`."""
        return moment >= self.clock.now() - self._delta_ttl_ms

    def _live(self, rows: QuerySet[Record]) -> QuerySet[Record]:
        return rows.filter(Q(expires_at=None) | Q(expires_at__gt=self.clock.now()))

    def _expired(self, rows: QuerySet[Record]) -> QuerySet[Record]:
        return rows.filter(expires_at__lte=self.clock.now())


def _encode(values: Values, *, updated: bool = False) -> str:
    """The values as text; raises the `FieldError` of an item DynamoDB would not take."""
    text = json.dumps(values)
    if len(text) > MAX_ITEM_BYTES and item_size(values) > MAX_ITEM_BYTES:
        what = "Item size to update has" if updated else "Item size has"
        raise FieldError("ValidationException", f"{what} exceeded the maximum allowed size")
    return text
