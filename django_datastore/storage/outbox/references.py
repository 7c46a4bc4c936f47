"""Which creates an entry waits for: those of the records its foreign keys point to, while they are in the outbox.

An entry carries the list, as pairs of label and record key; whoever claims asks what of it is left to be created.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func

from django_datastore.fields import to_json
from django_datastore.models import MutationEvent
from django_datastore.storage.captured import CapturedModel
from django_datastore.storage.compiled import once
from django_datastore.types import Operation, WireRecord

Lane: TypeAlias = tuple[str, str]
"""Label and record key of a record."""
Mutation: TypeAlias = tuple[Operation, str, WireRecord]
"""Operation, record key and data of an entry."""


def pointed_to(captured: CapturedModel, operation: Operation, key: str, changed: WireRecord) -> list[Lane]:
    """The records that a mutation with these values points to, but for the record itself.

    A key that is a foreign key points somewhere from its create on.
    """
    values = changed
    if operation == Operation.CREATE and captured.has_pointing_key:
        values = {**changed, **captured.synced.key_input(key)}
    lanes = [
        (column.parent.label, column.parent.key_text([values[column.wire_name]]))
        for column in captured.foreign_keys
        if column.parent is not None and values.get(column.wire_name) is not None
    ]
    return [lane for lane in lanes if lane != (captured.label, key)]


def are_changed(captured: CapturedModel, changed: WireRecord) -> bool:
    """Whether these values point to another record than before, or to none."""
    return any(column.wire_name in changed for column in captured.foreign_keys)


def waited_for(captured: CapturedModel, mutations: Sequence[Mutation], using: str) -> list[list[Lane]]:
    """For each of the mutations, which enter the outbox in this order, the records whose creates come first.

    A create does not wait for one that waits, directly or not, for itself: its pointer is taken as it is.
    """
    found = [pointed_to(captured, *mutation) for mutation in mutations]
    if not captured.is_circular:
        return found
    above = _creates_above((lane for lanes in found for lane in lanes), using)
    heads = {lane for lanes in above.values() for lane in lanes}
    kept: list[list[Lane]] = []
    for (operation, key, _), lanes in zip(mutations, found, strict=True):
        lane = (captured.label, key)
        if operation == Operation.CREATE:
            if lane in heads:
                lanes = [parent for parent in lanes if not _leads_to(above, parent, lane)]
            above[lane] = set(lanes)
            heads.update(lanes)
        kept.append(lanes)
    return kept


def would_circle(captured: CapturedModel, key: str, lanes: Sequence[Lane], using: str) -> bool:
    """Whether the create of one of these records waits, directly or not, for the create of this one."""
    if not lanes or not captured.is_circular:
        return False
    above = _creates_above(lanes, using)
    return any(_leads_to(above, parent, (captured.label, key)) for parent in lanes)


class WaitsForCreate(Func):
    """Whether a create is in the outbox that an entry waits for. A condition on `MutationEvent`."""

    def __init__(self) -> None:
        super().__init__(F("waits_for"), output_field=models.BooleanField())

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        """`EXISTS (SELECT ...)`, led by the entry's list."""
        (column,) = self.get_source_expressions()
        listed, parameters = compiler.compile(column)
        pair = _Pairs.of(connection)
        return (
            f"EXISTS (SELECT 1 FROM {pair.listed(listed)} CROSS JOIN {_outbox(connection)} waited "
            f"WHERE waited.model = {pair.label} AND waited.record_key = {pair.key} "
            f"AND waited.operation = '{Operation.CREATE}')"
        ), list(parameters)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """How a database reads a JSON list of pairs as a table named `pair`."""

    table: str
    label: str
    key: str

    @classmethod
    def of(cls, connection: BaseDatabaseWrapper) -> _Pairs:
        match connection.vendor:
            case "postgresql":
                # The limit changes nothing but the guess, which else is a hundred for each entry and a dear plan.
                elements = "SELECT value FROM json_array_elements({0}::json) LIMIT json_array_length({0}::json)"
                return cls(f"LATERAL ({elements}) pair", "pair.value->>0", "pair.value->>1")
            case "mysql":
                columns = ", ".join(
                    f"{name} {_column_type(name, connection)} PATH '$[{position}]'"
                    for position, name in enumerate(("model", "record_key"))
                )
                return cls(f"JSON_TABLE({{}}, '$[*]' COLUMNS ({columns})) pair", "pair.model", "pair.record_key")
            case _:
                return cls("json_each({}) pair", "json_extract(pair.value, '$[0]')", "json_extract(pair.value, '$[1]')")

    def listed(self, source: str) -> str:
        """The pairs of a column or a parameter, for FROM."""
        return self.table.format(source)


def _creates_above(lanes: Iterable[Lane], using: str) -> dict[Lane, set[Lane]]:
    """The creates of these records, of those they wait for, and so on, each with what it waits for."""
    listed = to_json(list(dict.fromkeys(lanes)))
    if listed == "[]":
        return {}
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(once(connection, _creates_above, _climb), [listed])
        return {
            (label, key): {(waited, its_key) for waited, its_key in json.loads(waits_for)}
            for label, key, waits_for in cursor.fetchall()
        }


def _climb(connection: BaseDatabaseWrapper) -> str:
    pair, outbox = _Pairs.of(connection), _outbox(connection)
    one = f"SELECT {pair.label}, {pair.key} FROM"
    create = (
        f"above JOIN {outbox} waiting ON waiting.model = above.label AND waiting.record_key = above.record "
        f"AND waiting.operation = '{Operation.CREATE}'"
    )
    return (
        "WITH RECURSIVE given (lanes) AS (SELECT %s), "
        f"above (label, record) AS ({one} given CROSS JOIN {pair.listed('given.lanes')} "
        f"UNION {one} {create} CROSS JOIN {pair.listed('waiting.waits_for')}) "
        f"SELECT waiting.model, waiting.record_key, waiting.waits_for FROM {create}"
    )


def _leads_to(above: dict[Lane, set[Lane]], start: Lane, target: Lane) -> bool:
    seen: set[Lane] = set()
    todo = [start]
    while todo:
        lane = todo.pop()
        if lane == target:
            return True
        if lane not in seen:
            seen.add(lane)
            todo.extend(above.get(lane, ()))
    return False


def _column_type(name: str, connection: BaseDatabaseWrapper) -> str:
    field: Any = MutationEvent._meta.get_field(name)
    found = field.db_parameters(connection)
    return f"{found['type']} CHARACTER SET utf8mb4 COLLATE {found['collation']}"


def _outbox(connection: BaseDatabaseWrapper) -> str:
    return connection.ops.quote_name(MutationEvent._meta.db_table)
