"""The outbox (DataStore's `sync/outbox.ts`): local changes that AppSync has not acknowledged.

`enqueue` runs in the transaction that writes the row. A change is absorbed by the last entry of its lane where nothing
can be lost by that: the entry was never sent, or certainly not executed, and neither carries a condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from django_datastore import events
from django_datastore.models import MutationEvent, MutationReference, RecordMetadata
from django_datastore.storage.announcements import announcer
from django_datastore.storage.compiled import CompiledQuery
from django_datastore.storage.messages import StorageMutation
from django_datastore.storage.serialization import referenced_keys
from django_datastore.types import Mutator, Operation, OpType, WireRecord

State = MutationEvent.State

_OPERATIONS = {
    OpType.INSERT: Operation.CREATE,
    OpType.UPDATE: Operation.UPDATE,
    OpType.DELETE: Operation.DELETE,
}


def _build_last_of_lane(using: str, label: str, key: str) -> QuerySet[MutationEvent]:
    return MutationEvent.objects.using(using).of_record(label, key).order_by("-id").select_for_update()


def _build_acknowledged(using: str, label: str, key: str) -> QuerySet[RecordMetadata]:
    return RecordMetadata.objects.using(using).filter(model=label, record_key=key, version__isnull=False).only("pk")


_last_of_lane = CompiledQuery(MutationEvent, _build_last_of_lane, texts=2)
_acknowledged = CompiledQuery(RecordMetadata, _build_acknowledged, texts=2)


def on_storage_mutated(*, mutations: Sequence[StorageMutation], using: str, **_: Any) -> None:
    """Listen to storage: what a person wrote goes to the outbox, and is announced once it has committed."""
    queued = [enqueue(mutation) for mutation in mutations if mutation.mutator is Mutator.USER]
    if any(queued):
        announcer.announce_on_commit(using)


def enqueue(mutation: StorageMutation) -> MutationEvent | None:
    """Put a local change in its lane. Returns the entry that carries it, or None where nothing has to be sent."""
    operation = _OPERATIONS[mutation.op_type]
    if operation is Operation.UPDATE and not mutation.changed:
        return None
    last = _last_of_lane.first(mutation.using, mutation.sync.label, mutation.key)
    if last is not None and _absorbs(last, mutation):
        event = _absorb(last, operation, mutation)
    elif operation is Operation.DELETE and last is None and _is_gone(mutation):
        return None
    else:
        event = _append(operation, mutation)
    if event is not None and events.outbox_mutation_enqueued.has_listeners(mutation.sync.model):
        transaction.on_commit(partial(_tell_enqueued, event, mutation), using=mutation.using, robust=True)
    return event


def _absorbs(last: MutationEvent, mutation: StorageMutation) -> bool:
    never_executed = last.state != State.IN_FLIGHT and not last.outcome_unknown
    return never_executed and last.condition is None and mutation.condition is None


def _absorb(last: MutationEvent, operation: Operation, mutation: StorageMutation) -> MutationEvent | None:
    match (last.operation, operation):
        case (Operation.CREATE, Operation.DELETE):
            last.delete(using=mutation.using)
            return None
        case (Operation.DELETE, Operation.DELETE):
            return last
        case (Operation.DELETE, Operation.CREATE):
            # AppSync never heard of the delete: the record lives there, so all its fields are set to the new ones
            nulls = {item.wire_name: None for item in mutation.sync.bindings if _is_sent(mutation, item.wire_name)}
            return _rewrite(last, Operation.UPDATE, {**nulls, **mutation.changed}, {}, mutation)
        case (_, Operation.DELETE):
            return _rewrite(last, Operation.DELETE, {}, {}, mutation)
    if last.operation == Operation.CREATE and _closes_circle(last, mutation):
        return _append(operation, mutation)
    data = {**last.data, **mutation.changed}
    base = {**mutation.base, **last.base} if last.operation == Operation.UPDATE else {}
    return _rewrite(last, Operation(last.operation), data, base, mutation)


def _is_sent(mutation: StorageMutation, wire_name: str) -> bool:
    binding = mutation.sync.by_wire_name[wire_name]
    return binding not in mutation.sync.key_bindings and not binding.schema.is_read_only


def _rewrite(
    last: MutationEvent, operation: Operation, data: WireRecord, base: WireRecord, mutation: StorageMutation
) -> MutationEvent:
    """Change an entry in place; a parked one gets another try, since what was wrong with it may be mended now."""
    last.operation, last.data, last.base = operation, data, base
    if last.state == State.PARKED:
        last.state, last.attempts, last.next_attempt_at = State.PENDING, 0, timezone.now()
        last.error_type = last.last_error = ""
    last.save(using=mutation.using)
    if operation is Operation.DELETE:
        last.references.all().delete()
    else:
        _refer(last, mutation)
    return last


def _append(operation: Operation, mutation: StorageMutation) -> MutationEvent:
    event = MutationEvent(
        model=mutation.sync.label,
        record_key=mutation.key,
        operation=operation,
        data=mutation.changed,
        base=mutation.base,
        condition=mutation.condition,
    )
    event.save(using=mutation.using, force_insert=True)
    _refer(event, mutation)
    return event


def _refer(event: MutationEvent, mutation: StorageMutation) -> None:
    """Note the parents AppSync may not have yet. One it has acknowledged needs no waiting for."""
    lane = (event.model, event.record_key)
    parents = [pair for pair in referenced_keys(mutation.sync, mutation.changed) if pair != lane]
    for label, key in parents:
        record: dict[str, Any] = {"model": label, "record_key": key}
        is_known = _acknowledged.first(mutation.using, label, key) is not None
        if is_known or (event.operation == Operation.CREATE and _reaches(label, key, lane, mutation.using)):
            continue
        MutationReference.objects.using(mutation.using).get_or_create(event=event, **record)


def _closes_circle(create: MutationEvent, mutation: StorageMutation) -> bool:
    """Whether taking these foreign keys into a waiting create would make two creates wait for each other."""
    lane = (create.model, create.record_key)
    return any(
        _reaches(label, key, lane, mutation.using) for label, key in referenced_keys(mutation.sync, mutation.changed)
    )


def _reaches(label: str, key: str, target: tuple[str, str], using: str) -> bool:
    """Whether the create of a record waits, directly or not, for the create of `target`."""
    seen: set[tuple[str, str]] = set()
    todo = [(label, key)]
    while todo:
        record = todo.pop()
        if record == target:
            return True
        if record in seen:
            continue
        seen.add(record)
        waiting = MutationReference.objects.using(using).filter(
            event__model=record[0], event__record_key=record[1], event__operation=Operation.CREATE
        )
        todo.extend(waiting.values_list("model", "record_key"))
    return False


def _is_gone(mutation: StorageMutation) -> bool:
    """Whether AppSync has told us that the record is deleted there."""
    metadata = RecordMetadata.objects.using(mutation.using)
    return metadata.filter(
        model=mutation.sync.label, record_key=mutation.key, presence=RecordMetadata.Presence.DELETED
    ).exists()


def _tell_enqueued(event: MutationEvent, mutation: StorageMutation) -> None:
    events.send(
        events.outbox_mutation_enqueued,
        mutation.sync.model,
        mutation_event_id=event.pk,
        operation=event.operation,
        record_key=event.record_key,
    )


def retry(queryset: Any) -> int:
    """Let parked entries try again. Returns how many."""
    changed: int = queryset.filter(state=State.PARKED).update(
        state=State.PENDING, attempts=0, next_attempt_at=timezone.now(), error_type="", last_error=""
    )
    announcer.announce_on_commit(queryset.db)
    return changed
