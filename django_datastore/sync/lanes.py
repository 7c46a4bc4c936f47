"""Lanes: the entries of one record, in order. Workers claim due heads, own them for a lease, and settle what they own.

A head is due when its time has come, no earlier entry of its record is left, and no record it points to still waits for
its create to be acknowledged.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import connections, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from django_datastore import events, registry
from django_datastore.exceptions import LeaseLost, ModelNotRegistered, SyncError
from django_datastore.models import MutationEvent, MutationEventQuerySet
from django_datastore.storage.keysets import among, chunks
from django_datastore.storage.outbox.references import WaitsForCreate
from django_datastore.storage.refusals import storable
from django_datastore.storage.transactions import begun_again, outbox_alias, write_transaction

logger = logging.getLogger(__name__)
State = MutationEvent.State
_ERROR_TYPE_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Retry:
    """Not settled: try again at `at`."""

    error: SyncError
    at: datetime
    outcome_unknown: bool
    counts: bool = True
    """Whether the try counts towards the limit of attempts."""


@dataclass(frozen=True, slots=True)
class Park:
    """Not settled: wait for a person, an edit, or a retry in the admin."""

    error: SyncError


def due_heads(now: datetime, using: str) -> MutationEventQuerySet:
    """The entries that could be sent now."""
    lane = {"model": OuterRef("model"), "record_key": OuterRef("record_key")}
    events_ = MutationEvent.objects.using(using)
    earlier = events_.filter(**lane, id__lt=OuterRef("id"))
    due = events_.pending().filter(~Exists(earlier), next_attempt_at__lte=now)
    return due.filter(Q(waits_for=[]) | ~Q(WaitsForCreate())).order_by("id")


def of_records(
    label: str, keys: Collection[str], using: str, *, without: Collection[int] = ()
) -> dict[str, list[MutationEvent]]:
    """The lanes of these records, by record key, without some entries; records that have none are left out."""
    found: dict[str, list[MutationEvent]] = {}
    table = MutationEvent._meta.db_table
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {table} WHERE model = %s LIMIT 1", [label])
        if cursor.fetchone() is None:  # most of the time, and soon known
            return found
    for chunk in chunks(list(keys)):
        condition, parameters = among("record_key", "varchar", chunk, using)
        statement = f"SELECT * FROM {table} WHERE model = %s AND {condition} ORDER BY id"
        for event in MutationEvent.objects.using(using).raw(statement, [label, *parameters]):
            if event.pk not in without:
                found.setdefault(event.record_key, []).append(event)
    return found


@begun_again
def claim(*, owner: str, limit: int, lease: timedelta, now: datetime | None = None) -> list[MutationEvent]:
    """Take up to `limit` due heads for this worker; nobody else gets them before the lease ends."""
    now = now or timezone.now()
    using = outbox_alias()
    with write_transaction(using):
        _never_compile(using)
        skip = connections[using].features.has_select_for_update_skip_locked
        heads = due_heads(now, using).select_for_update(skip_locked=skip)[:limit]
        claimed = list(heads)
        if not claimed:
            return []
        MutationEvent.objects.using(using).filter(pk__in=[event.pk for event in claimed]).update(
            state=State.IN_FLIGHT,
            lease_owner=owner,
            lease_expires_at=now + lease,
            fence=F("fence") + 1,
            attempts=F("attempts") + 1,
        )
    for event in claimed:
        event.state, event.lease_owner = State.IN_FLIGHT, owner
        event.fence += 1
        event.attempts += 1
    return claimed


def _never_compile(using: str) -> None:
    """PostgreSQL cannot guess how few entries wait for others, and would compile what then ends at once."""
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute("SET LOCAL jit = off")


@begun_again
def renew(claimed: Sequence[MutationEvent], *, lease: timedelta, now: datetime | None = None) -> list[MutationEvent]:
    """Hold entries for another lease, before a further request about them. Returns those that are still ours."""
    now = now or timezone.now()
    using = outbox_alias()
    with write_transaction(using):
        mine = owned(claimed)
        MutationEvent.objects.using(using).filter(pk__in=[event.pk for event in mine]).update(
            lease_expires_at=now + lease
        )
    return mine


@begun_again
def recover_expired(now: datetime | None = None) -> int:
    """Free what a worker claimed and never settled. It may have been sent: its outcome will be read back."""
    now = now or timezone.now()
    expired = MutationEvent.objects.using(outbox_alias()).in_flight().filter(lease_expires_at__lte=now)
    if not expired.exists():
        return 0
    return expired.update(
        state=State.PENDING, outcome_unknown=True, lease_owner="", lease_expires_at=None, next_attempt_at=now
    )


def owned(claimed: Sequence[MutationEvent]) -> list[MutationEvent]:
    """Those of `claimed` that are still ours, locked. Call it in the transaction that settles them."""
    fences = {event.pk: event.fence for event in claimed}
    rows = MutationEvent.objects.using(outbox_alias()).in_flight().filter(pk__in=fences)
    rows = rows.select_for_update().order_by("pk")
    kept = {pk for pk, fence in rows.values_list("pk", "fence") if fence == fences[pk]}
    lost = len(fences) - len(kept)
    if lost:
        logger.warning("Lost the lease of %d mutations; whoever has them now settles them.", lost)
    return [event for event in claimed if event.pk in kept]


def assert_owned(event: MutationEvent) -> None:
    """Raises `LeaseLost` if another worker has taken the entry over."""
    if not owned([event]):
        raise LeaseLost(f"Mutation event {event.pk} was taken over by another worker.")


def settle(acknowledged: Iterable[MutationEvent]) -> None:
    """Remove entries AppSync has acknowledged."""
    pks = [event.pk for event in acknowledged]
    if pks:
        using = outbox_alias()
        MutationEvent.objects.using(using).filter(pk__in=pks)._raw_delete(using)


def release(event: MutationEvent, verdict: Retry | Park) -> None:
    """Give an owned entry back: to be tried again, or parked with its reason. Call it in a transaction.

    Only the row changes, so that the transaction may be begun again.
    """
    facts: dict[str, Any] = {
        "lease_owner": "",
        "lease_expires_at": None,
        "error_type": storable(verdict.error.error_type or type(verdict.error).__name__, _ERROR_TYPE_LENGTH),
        "last_error": storable(verdict.error.message),
    }
    if isinstance(verdict, Park):
        facts |= {"state": State.PARKED, "outcome_unknown": False}
    else:
        facts |= {"state": State.PENDING, "outcome_unknown": verdict.outcome_unknown, "next_attempt_at": verdict.at}
        facts["attempts"] = event.attempts - (0 if verdict.counts else 1)
    using = outbox_alias()
    MutationEvent.objects.using(using).filter(pk=event.pk).update(**facts)
    if isinstance(verdict, Park):
        tell = partial(_tell_parked, event, facts["error_type"], facts["last_error"])
        transaction.on_commit(tell, using=using, robust=True)


def give_back(claimed: Iterable[MutationEvent]) -> None:
    """Return entries that were claimed and certainly not sent, as if they had never been claimed."""
    if batch := list(claimed):
        _give_back(batch)


@begun_again
def _give_back(batch: Sequence[MutationEvent]) -> None:
    with write_transaction(outbox_alias()):
        pks = [event.pk for event in owned(batch)]
        MutationEvent.objects.using(outbox_alias()).filter(pk__in=pks).update(
            state=State.PENDING, lease_owner="", lease_expires_at=None, attempts=F("attempts") - 1
        )


def is_empty() -> bool:
    """Whether nothing waits to be sent (parked entries do not count: they wait for a person)."""
    return not MutationEvent.objects.using(outbox_alias()).filter(~Q(state=State.PARKED)).exists()


def _tell_parked(event: MutationEvent, error_type: str, reason: str) -> None:
    logger.warning("Parked %s of %s: %s", event.operation, event.model, reason, extra={"action": "mutation_parked"})
    try:
        sender = registry.get(event.model).model
    except ModelNotRegistered:
        sender = None
    events.send(
        events.outbox_mutation_parked,
        sender,
        mutation_event_id=event.pk,
        operation=event.operation,
        record_key=event.record_key,
        error_type=error_type,
        reason=reason,
    )
