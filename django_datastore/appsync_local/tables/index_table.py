"""The table of index entries: kept up to date in the transaction that writes the record, walked by queries."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, TypeAlias

from django.db import connections
from django.db.models import QuerySet

from django_datastore.appsync_local.errors import FieldError
from django_datastore.appsync_local.models import BuiltIndex, IndexEntry, Record
from django_datastore.appsync_local.tables import indexes
from django_datastore.appsync_local.tables.indexes import Entry, Index, Range
from django_datastore.appsync_local.tables.records import Stored, Values, stored
from django_datastore.appsync_local.tables.statements import Statements

logger = logging.getLogger(__name__)

Place: TypeAlias = tuple[bytes, int]
"""Sort key and position of a record in an index."""

_CHUNK = 500


class IndexTable:
    """The entries of all records. Models without indexes are not `in` it, and cost nothing."""

    def __init__(self, alias: str, by_model: Mapping[str, tuple[Index, ...]], statements: Statements) -> None:
        self._alias = alias
        self._by_model = by_model
        self._has_any = any(by_model.values())
        self._sql = statements
        self.is_built = not by_model
        """Whether every index has the records of before, and no index is left of an older data model."""

    def __contains__(self, model: str) -> bool:
        return bool(self._by_model.get(model))

    def get(self, model: str, fields: tuple[str, ...]) -> Index:
        """The index on these fields; which the data model must have."""
        return next(index for index in self._by_model[model] if index.fields == fields)

    def entries(self, model: str, values: Values) -> dict[str, Entry]:
        """Where the model's indexes have a record with these values; raises `FieldError`."""
        return indexes.entries(self._by_model[model], values)

    def move(self, position: int, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> None:
        """Puts a record where indexes have to have it now."""
        if before == after:
            return
        gone = [(position, name) for name, entry in before.items() if after.get(name) != entry]
        new = [(*entry, position) for name, entry in after.items() if before.get(name) != entry]
        with connections[self._alias].cursor() as cursor:
            for parameters in gone:
                cursor.execute(self._sql.reindex, parameters)
            for entry in new:
                cursor.execute(self._sql.index, entry)

    def forget(self, rows: QuerySet[Record]) -> None:
        """Takes records out that are about to be removed."""
        if self._has_any:
            IndexEntry.objects.using(self._alias).filter(record_id__in=rows.values("pk")).delete()

    def walk(
        self,
        index: Index,
        partition: bytes,
        span: Range,
        *,
        after: Place | None,
        limit: int,
        is_descending: bool,
        now: int,
    ) -> list[Stored]:
        """A page of the records and tombstones in a partition, with their sort keys."""
        if span.is_empty:
            return []
        upper = "" if span.upper is None else "<=" if span.includes_upper else "<"
        statement = self._sql.query(
            has_lower=bool(span.lower), upper=upper, is_after=after is not None, is_descending=is_descending
        )
        bounds = [bound for bound in (span.lower or None, span.upper) if bound is not None]
        with connections[self._alias].cursor() as cursor:
            behind = self._sql.place(*after) if after else ()
            cursor.execute(statement, [index.name, partition, *bounds, *behind, now, limit])
            return [stored(row) for row in cursor.fetchall()]

    # -- building ------------------------------------------------------------------------------------------------------

    def build(self) -> None:
        """Builds the indexes that are new in the data model and drops those that are gone; runs within a write.

        All processes on a database are taken to serve the same data model.
        """
        wanted = {index.name: index for found in self._by_model.values() for index in found}
        built = BuiltIndex.objects.using(self._alias)
        names = set(built.values_list("name", flat=True))
        gone = [name for name in names - wanted.keys() if name.partition("(")[0] in self._by_model]
        IndexEntry.objects.using(self._alias).filter(index__in=[*gone, *(wanted.keys() - names)]).delete()
        built.filter(name__in=gone).delete()
        for name in sorted(wanted.keys() - names):
            self._fill(wanted[name])
            built.create(name=name)

    def _fill(self, index: Index) -> None:
        rows = Record.objects.using(self._alias).filter(model=index.model).order_by("id").values_list("id", "data")
        after = 0
        while chunk := list(rows.filter(id__gt=after)[:_CHUNK]):
            after = chunk[-1][0]
            found = [(*entry, position) for position, data in chunk if (entry := _entry(index, data)) is not None]
            with connections[self._alias].cursor() as cursor:
                cursor.executemany(self._sql.index, found)


def _entry(index: Index, data: str) -> Entry | None:
    """Where an index has a stored record; nowhere if its key is too large for one."""
    values: dict[str, Any] = json.loads(data)
    try:
        return index.entry(values)
    except FieldError as exc:
        logger.warning("%s leaves a record out: %s", index.name, exc, extra={"action": "record_not_indexed"})
        return None
