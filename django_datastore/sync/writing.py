"""Writing what a merge has decided, set-wise. What the data of one record causes is that record's, and keeps it back.

Returns what was done; decides nothing about versions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, OperationalError

from django_datastore.introspection import FieldBinding, SyncedModel
from django_datastore.models import RecordMetadata
from django_datastore.storage.records import rows, swaps
from django_datastore.storage.records.attempts import Change, persist
from django_datastore.storage.records.rows import Values
from django_datastore.storage.records.wire_rows import wire_rows
from django_datastore.storage.refusals import raise_trouble, storable, trace_of
from django_datastore.sync import parents
from django_datastore.sync.classifying import Apply, HoldBack, Source

Hold = RecordMetadata.Hold
_NOTHING: Values = {}


@dataclass(frozen=True, slots=True)
class Written:
    """What was done to the rows of records, and what could not be done."""

    inserted: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    held: dict[str, HoldBack] = field(default_factory=dict)
    incomplete: frozenset[str] = frozenset()
    """Records of which a part is unknown, or was not applied."""


def write(
    synced: SyncedModel,
    wanted: Mapping[str, Apply],
    reverts: Mapping[str, Values],
    here: set[str],
    using: str,
    *,
    together: frozenset[tuple[str, str]] = frozenset(),
) -> Written:
    """Write living records, and fields that are put back.

    `here` are the keys that have a row. `together` are records, by label and key, that the caller stores in the same
    transaction, and whose presence is checked at its end.
    """
    family = parents.reunite(
        synced,
        {key: item.record for key, item in wanted.items()},
        using,
        without={key: item.without for key, item in wanted.items() if item.without},
        together=together,
    )
    held = dict(family.orphans)
    writable = {key: item for key, item in wanted.items() if key not in held}
    stored = _stored(synced, [key for key in (*writable, *reverts) if key in here], using)
    changes, others = _plain_rows(synced, writable, here, family.detached.keys(), using)
    incomplete: set[str] = set()
    for key, item in others.items():
        planned = _planned(synced, item, stored.get(key), family.detached.get(key, frozenset()))
        if isinstance(planned, HoldBack):
            held[key] = planned
            continue
        if planned.is_incomplete:
            incomplete.add(key)
        if planned.is_new or planned.values:
            changes.append(planned)
    for key, values in reverts.items():
        row = stored.get(key)
        if isinstance(row, dict) and (different := _different(values, row)):
            changes.append(Change(key, different, row))
    refused = _persist(synced, changes, using, check=not together)
    held |= {key: _refused(synced, wanted[key], error, using) for key, error in refused.items() if key in wanted}
    done = [item for item in changes if item.key not in refused]
    return Written(
        inserted=[item.key for item in done if item.is_new],
        updated=[item.key for item in done if not item.is_new],
        held=held,
        incomplete=frozenset(incomplete - held.keys()),
    )


def _plain_rows(
    synced: SyncedModel, wanted: Mapping[str, Apply], here: Collection[str], detached: Collection[str], using: str
) -> tuple[list[Change], dict[str, Apply]]:
    """New rows of whole records with values that fit: nearly all of a base sync. And the records that need a look."""
    columns = wire_rows(synced, using)
    changes: list[Change] = []
    others: dict[str, Apply] = {}
    for key, item in wanted.items():
        if columns.is_plain and key not in here and key not in detached and not item.without:
            try:
                changes.append(Change(key, _NOTHING, None, item.record.row or columns.row(key, item.record.wire)))
                continue
            except Exception as exc:  # it is not whole, or does not fit, whatever a field makes of it: see below
                raise_trouble(exc)
        others[key] = item
    return changes, others


def _stored(synced: SyncedModel, keys: list[str], using: str) -> dict[str, Values | Exception]:
    """The rows as they are; for one that cannot be read (a custom field may raise), why not."""
    try:
        return dict(rows.stored(synced, keys, using))
    except Exception as exc:
        raise_trouble(exc)
        if isinstance(exc, DatabaseError):
            raise
        if len(keys) == 1:
            return {keys[0]: exc}
    half = len(keys) // 2
    return _stored(synced, keys[:half], using) | _stored(synced, keys[half:], using)


def _planned(
    synced: SyncedModel, item: Apply, stored: Values | Exception | None, detached: frozenset[str]
) -> Change | HoldBack:
    if isinstance(stored, Exception):
        return quarantined(item, stored)
    try:
        if stored is not None:
            return _edit(synced, item, stored, detached)
        return _new(synced, item, detached)
    except Exception as exc:  # a custom field may raise anything
        raise_trouble(exc)
        return quarantined(item, exc, incomplete=_lacks_required(synced, item))


def _new(synced: SyncedModel, item: Apply, detached: frozenset[str]) -> Change:
    key, wire = item.record.key, item.record.wire
    values = item.record.values(synced, without=item.without)
    values |= {synced.by_wire_name[name].attname: None for name in detached}
    return Change(key, values, is_incomplete=any(name not in wire for name in synced.by_wire_name))


def _edit(synced: SyncedModel, item: Apply, stored: Values, detached: frozenset[str]) -> Change:
    """The columns that differ. What the record does not say, or an event says by null, is unknown and stays."""
    wire = item.record.wire
    values: Values = {}
    is_incomplete = False
    for binding in synced.bindings:
        name, attname = binding.wire_name, binding.attname
        if name in item.without or binding.field.generated or binding.field.primary_key:
            continue
        if name not in wire or (wire[name] is None and _is_required(binding)):
            is_incomplete = True
            continue
        value = None if name in detached else binding.to_python(wire[name])
        if value == stored[attname] and type(value) is type(stored[attname]):
            continue
        if wire[name] is None and item.source is Source.EVENT:
            is_incomplete = True
            continue
        values[attname] = value
    return Change(item.record.key, values, stored, is_incomplete=is_incomplete)


def _lacks_required(synced: SyncedModel, item: Apply) -> bool:
    """Whether the record came without what AppSync must have: read by its key, it may come whole."""
    wire = item.record.wire
    return any(_is_required(binding) and wire.get(binding.wire_name) is None for binding in synced.bindings)


def _is_required(binding: FieldBinding) -> bool:
    return binding.schema.is_list_required if binding.schema.is_list else binding.schema.is_required


def _different(values: Values, stored: Values) -> Values:
    return {name: value for name, value in values.items() if stored.get(name) != value}


def _persist(synced: SyncedModel, changes: list[Change], using: str, *, check: bool) -> dict[str, Exception]:
    if any(item.is_new for item in changes) and (reason := parents.missing_default(synced, using)) is not None:
        refused: dict[str, Exception] = {item.key: IntegrityError(reason) for item in changes if item.is_new}
        return refused | persist(synced, [item for item in changes if not item.is_new], using, check=check)
    refused = persist(synced, changes, using, check=check)
    if not refused:
        return {}
    _require_alone(synced, [item.key for item in changes if item.is_new and item.key in refused], using)
    clashing = [item for item in changes if isinstance(refused.get(item.key), IntegrityError)]
    solved = swaps.exchange(synced, clashing, using) if clashing else {}
    return {key: error for key, error in refused.items() if not isinstance(error, IntegrityError)} | solved


def _require_alone(synced: SyncedModel, keys: Iterable[str], using: str) -> None:
    """A row that was made while we looked elsewhere is no fault of its record: the merge begins again and sees it."""
    if made := rows.here(synced, keys, using):
        raise OperationalError(f"{len(made)} rows of {synced.label} were made while they were merged; begin again.")


def quarantined(item: Apply, error: Exception, *, incomplete: bool = False) -> HoldBack:
    """Keep a record back that cannot be stored, with its reason."""
    is_database = isinstance(error, DatabaseError)
    reason = f"The database refused it: {error}" if is_database else str(error) or type(error).__name__
    return HoldBack(
        item.record,
        Hold.QUARANTINED,
        storable(reason),
        traceback=trace_of(error) if _is_of_code(error) else "",
        incomplete=incomplete,
    )


def _is_of_code(error: Exception) -> bool:
    """Whether it was raised by code nobody expected it of, so that a person wants to know where."""
    cause = error.__cause__ if isinstance(error, ValueError) and error.__cause__ is not None else error
    return not isinstance(cause, DatabaseError | ValueError | ArithmeticError | ValidationError)


def _refused(synced: SyncedModel, item: Apply, error: Exception, using: str) -> HoldBack:
    """Why the database refused a record: a parent that went meanwhile, another row, or its values."""
    key = item.record.key
    family = parents.reunite(synced, {key: item.record}, using, without={key: item.without})
    orphan = family.orphans.get(key)
    if orphan is not None:
        return orphan
    found = quarantined(item, error)
    return replace(found, waits_for=synced.label) if isinstance(error, IntegrityError) else found
