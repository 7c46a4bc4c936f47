"""`RecordMetadata` read and written many at a time: what is known of records, and which of them are held back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from django.db import connections

from django_datastore.fields import to_json
from django_datastore.models import ModelMetadata, RecordMetadata
from django_datastore.storage import bulk
from django_datastore.storage.keysets import among, array, chunks
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.types import WireRecord

Hold = RecordMetadata.Hold
Presence = RecordMetadata.Presence


@dataclass(slots=True)
class Known:
    """What is known of one record. `id` is None for what has no row yet."""

    id: int | None = None
    wire_key: list[Any] | None = None
    version: int | None = None
    last_changed_at: int | None = None
    presence: str = "HERE"
    incomplete: bool = False
    hold: str = ""
    remote: WireRecord | None = None
    reason: str = ""
    waits_for: str = ""
    seen_in_run: int | None = None


_NAMES = tuple(item.name for item in fields(Known) if item.name != "id")
_FIELDS: tuple[Any, ...] = tuple(RecordMetadata._meta.get_field(name) for name in _NAMES)
_OWN = ("wire_key", "version", "last_changed_at")
"""What the metadata of records that came and are here differs in; in all else it is alike."""
_TABLE = RecordMetadata._meta.db_table
_MODELS = ModelMetadata._meta.db_table
_LABEL, _KEY = RecordMetadata._meta.get_field("model"), RecordMetadata._meta.get_field("record_key")
_ID = RecordMetadata._meta.get_field("id")
_JSON = RecordMetadata._meta.get_field("remote")


def read(label: str, keys: Iterable[str], using: str) -> dict[str, Known]:
    """What is known of the records of one model, by record key; unknown ones are left out."""
    found: dict[str, Known] = {}
    for chunk in chunks(list(keys)):
        for key, *values in _rows(*_by_keys(label, chunk, using)):
            found[key] = _known(values)
    return found


def _by_keys(label: str, keys: Sequence[str], using: str) -> tuple[Any, ...]:
    """What reads these records.

    PostgreSQL is told to look up one by one. It would rather read all records of the model, as long as it has no
    statistics of a table that was just filled.
    """
    connection = connections[using]
    columns = ", ".join(map(connection.ops.quote_name, ("record_key", "id", *_NAMES)))
    if connection.vendor == "postgresql":
        one = f"SELECT {columns} FROM {_TABLE} WHERE model = %s AND record_key = wanted.record_key LIMIT 1"
        wanted = "unnest(%s::varchar[]) AS wanted (record_key)"
        return f"SELECT found.* FROM {wanted} CROSS JOIN LATERAL ({one}) AS found", using, array(keys), label
    condition, parameters = among("record_key", "varchar", keys, using)
    return f"SELECT {columns} FROM {_TABLE} WHERE model = %s AND {condition}", using, label, *parameters


def write(label: str, states: Mapping[str, Known], using: str) -> None:
    """Store what is known of these records now. The model is locked, so that an `id` is still true."""
    new = [(label, key, *_values(state)) for key, state in states.items() if state.id is None]
    changed = [(state.id, *_values(state)) for state in states.values() if state.id is not None]
    bulk.insert(RecordMetadata, (_LABEL, _KEY, *_FIELDS), new, using)
    bulk.update(RecordMetadata, (_ID,), _FIELDS, changed, using)


def add(label: str, records: Iterable[RemoteRecord], run: int, using: str) -> None:
    """Note records of which nothing was known: they are here now, as they came. `IntegrityError` if one was known."""
    rows = [
        (item.key, None if item.wire_key is None else to_json(item.wire_key), item.version, item.last_changed_at)
        for item in records
    ]
    state = dict(zip(_FIELDS, _values(Known(seen_in_run=run)), strict=True))
    own = [field for field in _FIELDS if field.name in _OWN]
    same = {_LABEL: label} | {field: value for field, value in state.items() if field not in own}
    bulk.insert(RecordMetadata, (_KEY, *own), rows, using, same=same)


def mark_seen(ids: Sequence[int], run: int, using: str) -> None:
    """Note that a run has come across these records, about which nothing else is new."""
    for chunk in chunks(ids):
        condition, parameters = among("id", "bigint", chunk, using)
        _execute(f"UPDATE {_TABLE} SET seen_in_run = %s WHERE {condition}", using, run, *parameters)


def unseen(label: str, run: int, *, after: str, limit: int, using: str) -> list[str]:
    """Keys of records that are known to be here, or are held, and that a run has not come across; in their order."""
    statement = (
        f"SELECT record_key FROM {_TABLE} WHERE model = %s AND record_key > %s AND presence = 'HERE' AND "
        f"(version IS NOT NULL OR {_HELD}) AND (seen_in_run IS NULL OR seen_in_run <> %s) ORDER BY record_key LIMIT %s"
    )
    return [key for (key,) in _rows(statement, using, label, after, run, limit)]


def incomplete(label: str, limit: int, using: str) -> list[list[Any]]:
    """The keys, as AppSync spells them, of records of which a part is unknown."""
    condition = "incomplete AND incomplete = TRUE AND model = %s"  # the index's condition, and its columns
    statement = f"SELECT record_key, wire_key FROM {_TABLE} WHERE {condition} LIMIT %s"
    return [json.loads(spelled or key) for key, spelled in _rows(statement, using, label, limit)]


def forget_completeness(label: str, using: str) -> None:
    """The model's shape changed: a part of each record may be missing here, so its version is taken again."""
    RecordMetadata.objects.using(using).filter(model=label).update(incomplete=True)


def lock(label: str, using: str) -> tuple[int, bool]:
    """Lock a model for a merge. Returns its `run`, and whether anything is held back, of whatever model.

    The models of which something is held back are locked, too: the merge may release it.
    """
    holding = models_with_holds(using)
    wanted = {label, *holding}
    condition, parameters = among("model", "varchar", sorted(wanted), using)
    locking = "FOR UPDATE" if connections[using].features.has_select_for_update else ""
    statement = f"SELECT model, run FROM {_MODELS} WHERE {condition} ORDER BY model {locking}"
    run_of = dict(_rows(statement, using, *parameters))
    if len(run_of) < len(wanted):
        run_of = {name: row.run for name, row in lock_models(wanted, using).items()}
    return run_of[label], bool(holding)


def lock_models(labels: Iterable[str], using: str) -> dict[str, ModelMetadata]:
    """Lock models, in one order everywhere, so that their merges come one after the other."""
    wanted = sorted(set(labels))
    rows = ModelMetadata.objects.using(using)
    locked = {row.model: row for row in rows.filter(pk__in=wanted).select_for_update().order_by("pk")}
    if len(locked) < len(wanted):
        rows.bulk_create([ModelMetadata(model=label) for label in wanted], ignore_conflicts=True)
        locked = {row.model: row for row in rows.filter(pk__in=wanted).select_for_update().order_by("pk")}
    return locked


# -- what is held back -------------------------------------------------------------------------------------------------
# The conditions are spelled as the partial indexes are: SQLite uses them for nothing else.

_HELD = "NOT (hold = '')"
_WAITING = "NOT (waits_for = '')"


def models_with_holds(using: str) -> set[str]:
    """The models of which something is held back.

    From one entry of the index to the next other one: nearly always there is none, and a planner that has no statistics
    yet would read the whole table for a DISTINCT.
    """
    found: set[str] = set()
    hold = label = ""
    condition = f"{_HELD} AND hold > '' AND (hold > %s OR (hold = %s AND model > %s))"
    statement = f"SELECT hold, model FROM {_TABLE} WHERE {condition} ORDER BY hold, model LIMIT 1"
    while rows := list(_rows(statement, using, hold, hold, label)):
        ((hold, label),) = rows
        found.add(label)
    return found


def held(label: str, holds: Iterable[str], using: str) -> dict[str, Known]:
    """The records of one model that are held back for one of these reasons, by record key."""
    kinds = list(holds)
    marks = ", ".join(["%s"] * len(kinds))
    return _found(f"{_HELD} AND hold IN ({marks}) AND model = %s", using, *kinds, label).get(label, {})


def waiting_for(parents: Sequence[str], using: str) -> dict[str, dict[str, Known]]:
    """What waits for one of these, each a label and a key joined by a space; by label and key."""
    found: dict[str, dict[str, Known]] = {}
    for chunk in chunks(parents):
        condition, parameters = among("waits_for", "varchar", chunk, using)
        for label, records in _found(f"{_WAITING} AND {condition}", using, *parameters).items():
            found.setdefault(label, {}).update(records)
    return found


def _found(condition: str, using: str, *parameters: Any) -> dict[str, dict[str, Known]]:
    columns = ", ".join(map(connections[using].ops.quote_name, ("model", "record_key", "id", *_NAMES)))
    found: dict[str, dict[str, Known]] = {}
    for label, key, *values in _rows(
        f"SELECT {columns} FROM {_TABLE} WHERE {condition} ORDER BY id", using, *parameters
    ):
        found.setdefault(label, {})[key] = _known(values)
    return found


def _known(values: Sequence[Any]) -> Known:
    number, wire_key, version, changed_at, presence, incomplete, hold, remote, reason, waits_for, seen = values
    return Known(
        *(number, _JSON.from_db_value(wire_key), version, changed_at, presence, bool(incomplete)),
        *(hold, _JSON.from_db_value(remote), reason, waits_for, seen),
    )


def _values(state: Known) -> tuple[Any, ...]:
    return (
        None if state.wire_key is None else to_json(state.wire_key),
        state.version,
        state.last_changed_at,
        state.presence,
        state.incomplete,
        state.hold,
        None if state.remote is None else to_json(state.remote),
        state.reason,
        state.waits_for,
        state.seen_in_run,
    )


def _rows(statement: str, using: str, *parameters: Any) -> Iterator[Any]:
    with connections[using].cursor() as cursor:
        cursor.execute(statement, parameters)
        yield from cursor.fetchall()


def _execute(statement: str, using: str, *parameters: Any) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(statement, parameters)
