"""Which creates an entry waits for: those of the records its foreign keys point to, and AppSync may not have yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_datastore.models import MutationReference, RecordMetadata
from django_datastore.storage.captured import CapturedModel
from django_datastore.storage.compiled import once
from django_datastore.types import Operation, WireRecord

Lane: TypeAlias = tuple[str, str]
"""Label and record key of a record."""

_CHUNK = 100


def parents(captured: CapturedModel, operation: Operation, key: str, changed: WireRecord) -> list[Lane]:
    """The records that a mutation with these values points to, but for the record itself.

    A key that is a foreign key points somewhere from its create on.
    """
    values = changed
    if operation == Operation.CREATE and any(column.parent is not None for column in captured.key_columns):
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


def refer(event: int, lane: Lane, operation: Operation, pointed_to: Sequence[Lane], using: str) -> None:
    """Let an entry wait for the creates of these records. One AppSync has acknowledged needs no waiting for.

    A create does not wait for one that waits, directly or not, for itself: its pointer is taken as it is.
    """
    if not pointed_to:
        return
    statement = once(using, (refer, len(pointed_to)), lambda connection: _insert(connection, len(pointed_to)))
    with connections[using].cursor() as cursor:
        cursor.execute(statement, [event, *(text for pair in pointed_to for text in pair)])
        if not cursor.rowcount or operation != Operation.CREATE:
            return
    for parent in pointed_to:
        if reaches(parent, lane, using):
            label, key = parent
            waiting = MutationReference.objects.using(using).filter(event=event, model=label, record_key=key)
            waiting._raw_delete(using)


def forget(events: Iterable[int], using: str) -> None:
    """Let these entries wait for nothing."""
    if pks := list(events):
        MutationReference.objects.using(using).filter(event__in=pks)._raw_delete(using)


def reaches(start: Lane, target: Lane, using: str) -> bool:
    """Whether the create of a record waits, directly or not, for the create of `target`."""
    waiting = MutationReference.objects.using(using)
    if not waiting.filter(model=target[0], record_key=target[1]).exists():
        return False
    seen: set[Lane] = set()
    todo = [start]
    while todo:
        lane = todo.pop()
        if lane == target:
            return True
        if lane in seen:
            continue
        seen.add(lane)
        creates = waiting.filter(event__model=lane[0], event__record_key=lane[1], event__operation=Operation.CREATE)
        todo.extend(creates.values_list("model", "record_key"))
    return False


def unacknowledged(lanes: Iterable[Lane], using: str) -> set[Lane]:
    """Those of the records that AppSync may not have."""
    by_label: dict[str, list[str]] = {}
    for label, key in dict.fromkeys(lanes):
        by_label.setdefault(label, []).append(key)
    found: set[Lane] = set()
    for label, keys in by_label.items():
        for start in range(0, len(keys), _CHUNK):
            some = keys[start : start + _CHUNK]
            known = RecordMetadata.objects.using(using).filter(model=label, record_key__in=some, version__isnull=False)
            here = known.exclude(presence=RecordMetadata.Presence.DELETED)
            found |= {(label, key) for key in set(some) - set(here.values_list("record_key", flat=True))}
    return found


def _insert(connection: BaseDatabaseWrapper, count: int) -> str:
    quote = connection.ops.quote_name
    table, metadata = quote(MutationReference._meta.db_table), quote(RecordMetadata._meta.db_table)
    first, *others = ["SELECT %s AS model, %s AS record_key", *["SELECT %s, %s"] * (count - 1)]
    pairs = " UNION ".join([first, *others])
    return (
        f"INSERT INTO {table} (event_id, model, record_key) SELECT %s, pair.model, pair.record_key FROM ({pairs}) pair "
        f"WHERE NOT EXISTS (SELECT 1 FROM {metadata} known WHERE known.model = pair.model "
        "AND known.record_key = pair.record_key AND known.version IS NOT NULL "
        f"AND known.presence <> '{RecordMetadata.Presence.DELETED.value}')"
    )
