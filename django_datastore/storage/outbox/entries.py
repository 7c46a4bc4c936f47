"""What a write puts into outbox and change log, in its transaction, by compiled statements.

    a row was written ─▶ its lane is empty ─▶ entry and change, in one statement or two
                                    └─ something waits ─▶ coalescing ─▶ rewritten, dropped, or one more entry

Called by the captures with what a person wrote; merges log their changes by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from django.db import transaction
from django.utils import timezone

from django_datastore import events
from django_datastore.models import MutationEvent, RecordMetadata
from django_datastore.storage import change_log
from django_datastore.storage.announcements import announcer
from django_datastore.storage.captured import CapturedModel
from django_datastore.storage.outbox import entry_statements, references
from django_datastore.storage.outbox.coalescing import Append, Drop, Keep, Rewrite, Waiting, coalesce
from django_datastore.types import Operation, OpType, WireRecord

T = TypeVar("T")
State = MutationEvent.State

_CHUNK = 500
_OPERATIONS = {
    OpType.INSERT: Operation.CREATE,
    OpType.UPDATE: Operation.UPDATE,
    OpType.DELETE: Operation.DELETE,
}
_muted: ContextVar[bool] = ContextVar("django_datastore_muted", default=False)


@dataclass(slots=True)
class Write:
    """One row that a person wrote."""

    op_type: OpType
    key: str
    changed: WireRecord = field(default_factory=dict)
    """By wire name, what AppSync has to be told."""
    base: WireRecord = field(default_factory=dict)
    """The same fields as they were stored before."""
    snapshot: WireRecord | None = None
    """The wire record of a deleted row."""
    condition: WireRecord | None = None
    """The GraphQL condition of the mutation."""

    @property
    def operation(self) -> Operation:
        """The mutation that tells AppSync."""
        return _OPERATIONS[self.op_type]

    @property
    def is_sent(self) -> bool:
        """Whether AppSync has to be told at all."""
        return bool(self.changed) or self.op_type is not OpType.UPDATE

    @property
    def mutation(self) -> references.Mutation:
        """The write as the outbox sees it."""
        return (self.operation, self.key, self.changed)

    @property
    def change(self) -> change_log.Entry:
        """The write as watchers see it."""
        return (self.op_type, self.key, self.snapshot)


@contextmanager
def muted() -> Iterator[None]:
    """Inside, writes of this task or thread are not sent: watchers see them, the outbox does not.

    Nothing is refused for what AppSync would not take. The rows then differ from AppSync's records until one of both is
    written again. For imports of what AppSync has already, and for tests.
    """
    token = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(token)


def is_muted() -> bool:
    """Whether what is written now is not sent, so that AppSync need not take it."""
    return _muted.get()


def write(captured: CapturedModel, written: Write, using: str) -> None:
    """Put one write into outbox and change log."""
    if _muted.get() or not written.is_sent:
        change_log.append(captured.label, [written.change], using)
    else:
        (waits_for,) = references.waited_for(captured, [written.mutation], using)
        event = entry_statements.insert_first(captured, written, waits_for, using)
        if event is None:
            _join_lanes(captured, [written], using)
        else:
            _tell_enqueued(captured, [(event, written)], using)
    announcer.announce_on_commit(using)


def write_all(captured: CapturedModel, writes: Iterable[Write], using: str, *, verify: bool = False) -> None:
    """Put many writes of one model into outbox and change log, some hundred at a time.

    `verify`: others may have created the same records meanwhile; what AppSync has already is updated then.
    """
    for some in _chunks(writes):
        if len(some) == 1 and not verify:
            write(captured, some[0], using)
            continue
        change_log.append(captured.label, [each.change for each in some], using)
        if not _muted.get():
            sent = [each for each in some if each.is_sent]
            _enqueue(captured, _verified(captured, sent, using) if verify else sent, using)
        announcer.announce_on_commit(using)


def _enqueue(captured: CapturedModel, writes: Sequence[Write], using: str) -> None:
    taken = entry_statements.lanes_among(captured, [each.key for each in writes], using)
    behind = [each for each in writes if each.key in taken]
    first = [each for each in writes if each.key not in taken]
    gone = _gone(captured, [each.key for each in first if each.op_type is OpType.DELETE], using)
    first = [each for each in first if each.op_type is not OpType.DELETE or each.key not in gone]
    _append(captured, first, using)
    if behind:
        _join_lanes(captured, behind, using)


def _append(captured: CapturedModel, writes: Sequence[Write], using: str) -> None:
    if not writes:
        return
    waits_for = references.waited_for(captured, [each.mutation for each in writes], using)
    entry_statements.insert_all(captured, writes, waits_for, using)
    if events.outbox_mutation_enqueued.has_listeners(captured.synced.model):
        ids = entry_statements.last_ids(captured, [each.key for each in writes], using)
        _tell_enqueued(captured, [(ids[each.key], each) for each in writes], using)


# -- lanes where something waits -------------------------------------------------------------------------------------


def _join_lanes(captured: CapturedModel, writes: Sequence[Write], using: str) -> None:
    """Put writes, one for each record at most, behind what waits in their lanes, or into it."""
    last = _last_entries(captured, [each.key for each in writes], using)
    gone = _gone(
        captured, [each.key for each in writes if each.op_type is OpType.DELETE and each.key not in last], using
    )
    dropped: list[int] = []
    rewritten: list[tuple[MutationEvent, Write]] = []
    appended: list[Write] = []
    for each in writes:
        if each.key in gone:
            continue
        match _decide(captured, last.get(each.key), each, using):
            case Drop():
                dropped.append(last[each.key].pk)
            case Rewrite() as decision:
                rewritten.append((_rewrite(last[each.key], decision), each))
            case Append():
                appended.append(each)
    if dropped:
        MutationEvent.objects.using(using).filter(pk__in=dropped)._raw_delete(using)
    _enter_rewritten(captured, rewritten, using)
    _append(captured, appended, using)


def _last_entries(captured: CapturedModel, keys: Sequence[str], using: str) -> dict[str, MutationEvent]:
    """The last entry of each lane, locked."""
    waiting = MutationEvent.objects.using(using).filter(model=captured.label).select_for_update()
    if len(keys) == 1:
        found = waiting.filter(record_key=keys[0]).order_by("-id")[:1]
    else:
        found = waiting.filter(pk__in=entry_statements.last_ids(captured, keys, using).values()).order_by("id")
    return {event.record_key: event for event in found}


def _decide(
    captured: CapturedModel, last: MutationEvent | None, each: Write, using: str
) -> Drop | Keep | Rewrite | Append:
    if last is None:
        return Append()
    never_executed = last.state != State.IN_FLIGHT and not last.outcome_unknown
    waiting = Waiting(
        Operation(last.operation),
        last.data,
        last.base,
        can_absorb=never_executed and last.condition is None and each.condition is None,
    )
    fields = (column.wire_name for column in captured.columns if column.is_sent)
    decision = coalesce(waiting, each.operation, each.changed, each.base, sent_fields=fields)
    if isinstance(decision, Rewrite) and last.operation == decision.operation == Operation.CREATE:
        pointed_to = references.pointed_to(captured, *each.mutation)
        if references.would_circle(captured, each.key, pointed_to, using):
            return Append()  # two creates would wait for each other
    return decision


def _rewrite(last: MutationEvent, decision: Rewrite) -> MutationEvent:
    """Change an entry; a parked one gets another try, since what was wrong with it may be mended now."""
    last.operation, last.data, last.base = decision.operation, decision.data, decision.base
    if last.state == State.PARKED:
        last.state, last.attempts, last.next_attempt_at = State.PENDING, 0, timezone.now()
        last.error_type = last.last_error = ""
    return last


def _enter_rewritten(captured: CapturedModel, rewritten: Sequence[tuple[MutationEvent, Write]], using: str) -> None:
    moved = [
        event
        for event, each in rewritten
        if event.operation == Operation.DELETE or references.are_changed(captured, each.changed)
    ]
    mutations = [(Operation(event.operation), event.record_key, event.data) for event in moved]
    for event, waits_for in zip(moved, references.waited_for(captured, mutations, using), strict=True):
        event.waits_for = waits_for
    entry_statements.rewrite_all([event for event, _ in rewritten], using)
    _tell_enqueued(captured, [(event.pk, each) for event, each in rewritten], using)


# -- what AppSync is known to have -----------------------------------------------------------------------------------


def _gone(captured: CapturedModel, keys: Sequence[str], using: str) -> set[str]:
    """Those that AppSync has told us are deleted there: no delete need be sent."""
    if not keys:
        return set()
    known = RecordMetadata.objects.using(using).filter(model=captured.label, record_key__in=keys)
    return set(known.filter(presence=RecordMetadata.Presence.DELETED).values_list("record_key", flat=True))


def _verified(captured: CapturedModel, writes: Sequence[Write], using: str) -> list[Write]:
    made = [each.key for each in writes if each.op_type is OpType.INSERT]
    known = RecordMetadata.objects.using(using).filter(
        model=captured.label, record_key__in=made, version__isnull=False, presence=RecordMetadata.Presence.HERE
    )
    here = set(known.values_list("record_key", flat=True))
    return [
        Write(OpType.UPDATE, each.key, each.changed) if each.op_type is OpType.INSERT and each.key in here else each
        for each in writes
    ]


# -- telling ---------------------------------------------------------------------------------------------------------


def _tell_enqueued(captured: CapturedModel, written: Sequence[tuple[int, Write]], using: str) -> None:
    model = captured.synced.model
    if not events.outbox_mutation_enqueued.has_listeners(model):
        return
    for event, each in written:
        facts: dict[str, Any] = {"mutation_event_id": event, "operation": each.operation, "record_key": each.key}
        tell = partial(events.send, events.outbox_mutation_enqueued, model, **facts)
        transaction.on_commit(tell, using=using, robust=True)


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(values)
    while some := list(islice(iterator, _CHUNK)):
        yield some
