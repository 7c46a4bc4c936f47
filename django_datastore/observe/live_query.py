"""What is watched, evaluated against the database: a live query's rows, and the changes an observer gets.

Synchronous; the hub calls it from its thread. States are replaced, never changed, so that the hub's loop can read them.
"""

from __future__ import annotations

import copy
from bisect import bisect_left, insort
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from operator import itemgetter
from typing import Any, TypeAlias

from django.core.exceptions import EmptyResultSet, FieldError, ValidationError
from django.db import DataError, connections, models
from django.db.models import Q, QuerySet

from django_datastore import registry
from django_datastore.exceptions import InvalidPredicate
from django_datastore.introspection import FieldBinding, SyncedModel
from django_datastore.observe import identity, narrowing, protocol
from django_datastore.observe.changes import Batch, Entry
from django_datastore.predicates import evaluate, lookups
from django_datastore.predicates.sort import Sort
from django_datastore.types import OpType, WireRecord

_CHUNK = 500
_REFUSALS = (FieldError, ValueError, TypeError, ValidationError, ArithmeticError, DataError)
"""What Django and databases raise for a predicate they cannot read."""

Place: TypeAlias = tuple[tuple[Any, ...], int]
"""Where a row stands: its sort key, then its turn of arrival."""


@dataclass(frozen=True)
class Item:
    """One row of a live query."""

    element: models.Model
    place: Place
    record: WireRecord


@dataclass(frozen=True, eq=False)
class State:
    """The rows of a live query at one moment."""

    sync: SyncedModel
    items: dict[str, Item]
    order: list[tuple[Place, str]]
    """Places with record keys, in order."""
    arrivals: int
    is_synced: bool
    cursor: int

    @cached_property
    def body(self) -> str:
        """The snapshot for browsers, made once for all of them."""
        return protocol.snapshot_body(
            [self.items[key].record for _, key in self.order],
            key_fields=self.sync.schema.primary_key,
            is_synced=self.is_synced,
            cursor=self.cursor,
        )

    def elements(self) -> list[Any]:
        """The rows in order, as instances of the caller's own."""
        return [fresh(self.items[key].element) for _, key in self.order]


@dataclass(frozen=True, eq=False)
class Diff:
    """How a state became the next one."""

    upserts: tuple[tuple[int, WireRecord], ...]
    deletes: tuple[str, ...]
    is_synced: bool
    cursor: int

    @cached_property
    def body(self) -> str:
        """The changes for browsers, made once for all of them."""
        return protocol.changes_body(self.upserts, self.deletes, is_synced=self.is_synced, cursor=self.cursor)


@dataclass(frozen=True, eq=False)
class ObservedChange:
    """One committed change: DataStore's `{opType, element, model}`.

    The element of an insert or update is the row as it is now; that of a delete has the synced fields it had.
    """

    op_type: OpType
    element: Any
    model: type[models.Model]

    @cached_property
    def body(self) -> str:
        """The change for browsers, made once for all of them."""
        sync, known = registry.get(self.model), self.element.__dict__
        record = {item.wire_name: item.shown(known[item.attname]) for item in sync.bindings if item.attname in known}
        return protocol.change_body(str(self.op_type), sync.name, record)

    def own(self) -> ObservedChange:
        """The same with an element nobody else holds."""
        return replace(self, element=fresh(self.element))


def fresh(element: models.Model) -> models.Model:
    """Another instance of the same row, whatever anybody did to values of the first."""
    names = [item.attname for item in element._meta.concrete_fields if item.attname in element.__dict__]
    values = [copy.deepcopy(element.__dict__[name]) for name in names]
    return type(element).from_db(element._state.db, names, values)


class Selection:
    """The rows of a model that match a predicate."""

    def __init__(self, sync: SyncedModel, q: Q | None, using: str) -> None:
        self.sync = sync
        self.q = lookups.detached(q or Q())
        self.using = using
        related = lookups.related_models(sync.model, self.q)
        self.depends_on = frozenset(model._meta.label_lower for model in related)
        """Labels of other models whose rows decide which of ours match."""
        self.is_volatile = lookups.has_expressions(self.q) or not all(map(registry.is_registered, related))
        """What decides is not all in the change log; the rows must be read anew now and then."""

    def identity(self) -> tuple[Hashable, ...]:
        """What makes two selections the same: their SQL with its values. Raises `InvalidPredicate`."""
        try:
            sql, parameters = self._queryset().query.get_compiler(self.using).as_sql()
            return (self.sync.label, *identity.of_statement(sql, parameters, connections[self.using]))
        except EmptyResultSet:
            return (self.sync.label, "")
        except _REFUSALS as exc:
            raise InvalidPredicate(f"Cannot filter {self.sync.name!r} by {self.q}: {exc}") from exc

    def rows(self, keys: Collection[str] | None = None, sort: Sort | None = None) -> dict[str, models.Model]:
        """The rows that match by record key, all or those among `keys`."""
        try:
            return {self.sync.key_of(row): row for row in self._rows(keys, sort)}
        except _REFUSALS as exc:
            raise InvalidPredicate(f"Cannot filter {self.sync.name!r} by {self.q}: {exc}") from exc

    def predicate(self) -> Q | None:
        """What rows must meet to be ours, the default manager included; None where only the database can tell."""
        shown = narrowing.of(self.sync.model._default_manager.using(self.using).all())
        return None if shown is None else shown & self.q

    def _queryset(self) -> QuerySet[Any]:
        return self.sync.model._default_manager.using(self.using).filter(self.q)

    def _rows(self, keys: Collection[str] | None, sort: Sort | None) -> Iterator[models.Model]:
        found = self._queryset()
        if keys is None:
            if sort:
                found = found.order_by(*sort.order_by)
            yield from found if found.ordered else found.order_by("pk")
            return
        pks = [self.sync.pk_of(key) for key in keys]
        for start in range(0, len(pks), _CHUNK):
            yield from found.order_by().filter(pk__in=pks[start : start + _CHUNK])

    def related(self, foreign_key: models.ForeignKey[Any, Any], key: Any) -> models.Model | None:
        """The row a foreign key points to, whatever its managers show: the database joins them all."""
        target: type[models.Model] = foreign_key.related_model
        return models.QuerySet(target, using=self.using).filter(**{foreign_key.target_field.name: key}).first()


class LiveQuery:
    """A query that is kept up to date by re-reading the rows that changed."""

    def __init__(self, selection: Selection, sort: Sort) -> None:
        self.selection = selection
        self.sync = selection.sync
        self.sort = sort

    def identity(self) -> tuple[Hashable, ...]:
        """What makes two live queries the same."""
        return ("query", *self.selection.identity(), self.sort.names)

    def load(self, *, is_synced: bool, cursor: int) -> State:
        """All rows, as they are now."""
        empty = State(self.sync, {}, [], 0, is_synced, cursor)
        return self._next(empty, self.selection.rows(sort=self.sort), frozenset(), is_synced, cursor)[0]

    def advance(
        self, state: State, batch: Batch, *, is_synced: bool, cursor: int, refresh: bool = False
    ) -> tuple[State, Diff | None]:
        """The state after a batch of changes, and the difference if there is one."""
        if refresh or not self.selection.depends_on.isdisjoint(batch.entries):
            rows = self.selection.rows(sort=self.sort)
            return self._next(state, rows, state.items.keys() - rows.keys(), is_synced, cursor)
        keys = dict.fromkeys(entry.key for entry in batch.entries.get(self.sync.label, ()))
        rows = self.selection.rows(keys) if keys else {}
        gone = {key for key in keys if key in state.items and key not in rows}
        in_order = {key: rows[key] for key in keys if key in rows}
        return self._next(state, in_order, gone, is_synced, cursor)

    def _next(
        self, state: State, rows: dict[str, models.Model], gone: Collection[str], is_synced: bool, cursor: int
    ) -> tuple[State, Diff | None]:
        arrivals = state.arrivals
        changed: dict[str, Item] = {}
        for key, element in rows.items():
            record, known = self.sync.to_wire(element), state.items.get(key)
            if known is not None and known.record == record:
                continue
            turn = arrivals if known is None else known.place[1]
            arrivals += known is None
            changed[key] = Item(element, (self.sort.key(element), turn), record)
        if not changed and not gone and is_synced == state.is_synced:
            return state, None
        items = {key: item for key, item in state.items.items() if key not in gone} | changed
        order = [pair for pair in state.order if pair[1] not in gone and pair[1] not in changed]
        _put(order, changed)
        upserts = [(bisect_left(order, (item.place, key)), item.record) for key, item in changed.items()]
        upserts.sort(key=itemgetter(0))
        after = State(self.sync, items, order, arrivals, is_synced, cursor)
        return after, Diff(tuple(upserts), tuple(gone), is_synced, cursor)


def _put(order: list[tuple[Place, str]], changed: dict[str, Item]) -> None:
    """Insert what changed; many at once are sorted in, which costs less than inserting each."""
    pairs = [(item.place, key) for key, item in changed.items()]
    if len(pairs) > 16:
        order.extend(pairs)
        order.sort()
        return
    for pair in pairs:
        insort(order, pair)


class Observation:
    """The changes of a model, for observers with the same predicate."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.sync = selection.sync

    def identity(self) -> tuple[Hashable, ...]:
        """What makes two observations the same."""
        return ("observe", *self.selection.identity())

    def changes(self, batch: Batch) -> list[ObservedChange]:
        """What of a batch the observers get, in order."""
        entries = batch.entries.get(self.sync.label, [])
        written = dict.fromkeys(entry.key for entry in entries if entry.op_type is not OpType.DELETE)
        rows = self.selection.rows(written) if written else {}
        is_any_gone = any(entry.op_type is OpType.DELETE for entry in entries)
        predicate = self.selection.predicate() if is_any_gone else None
        found = [(entry.op_type, self._row(entry, rows, predicate)) for entry in entries]
        return [ObservedChange(op_type, row, self.sync.model) for op_type, row in found if row is not None]

    def _row(self, entry: Entry, rows: Mapping[str, models.Model], predicate: Q | None) -> models.Model | None:
        """The row of a change, if the observers may see it. What cannot be told counts as no: it may be a secret."""
        if entry.op_type is not OpType.DELETE:
            return rows.get(entry.key)
        row = self._deleted(entry.snapshot or self.sync.key_input(entry.key))
        if predicate is None:
            return None
        selection = self.selection
        return row if evaluate.matches(predicate, row, related=selection.related, using=selection.using) else None

    def _deleted(self, record: WireRecord) -> models.Model:
        """The deleted row from its snapshot; what the snapshot does not tell stays unknown."""
        values = {item.attname: value for item in self.sync.bindings for value in _told(item, record)}
        return self.sync.model.from_db(self.selection.using, list(values), list(values.values()))


def _told(item: FieldBinding, record: Mapping[str, Any]) -> list[Any]:
    """The value of a field in a snapshot, or none. Null stands for the blank text of a field that takes no null."""
    if item.wire_name not in record:
        return []
    wire = record[item.wire_name]
    if wire is None and not item.field.null:
        return [""] if item.field.empty_strings_allowed else []
    try:
        return [item.to_python(wire)]
    except ValueError:  # written before the model changed
        return []
