"""The mutation processor (DataStore's `sync/processors/mutation.ts`): sends the outbox, lane by lane, in batches.

    claim due heads ─▶ read back those whose outcome is unknown ─▶ send the rest as one document ─▶ settle each

No transaction is open while a request is under way. A worker that dies between sending and settling leaves its entries
to their lease; whoever claims them next reads back what became of them before anything is sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import cast

from django.db import transaction
from django.utils import timezone

from django_datastore import events, registry
from django_datastore.appsync.client import AppSyncClient, Response
from django_datastore.appsync.documents import Documents, GetRequest, MutationRequest, alias
from django_datastore.conf import Settings
from django_datastore.exceptions import (
    BadModel,
    BadRecord,
    ConditionFailed,
    ConflictUnhandled,
    LeaseLost,
    ModelNotRegistered,
    Offline,
    ServerError,
    SyncError,
    TransientError,
    Unauthorized,
)
from django_datastore.introspection import SyncedModel
from django_datastore.models import MutationEvent
from django_datastore.storage.records import metadata
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.storage.transactions import begun_again, outbox_alias, write_transaction
from django_datastore.sync import backoff, conflict, connectivity, lanes, merger, readback
from django_datastore.sync.lanes import Park, Retry
from django_datastore.sync.processors import upkeep
from django_datastore.sync.processors.pages import strip_unknown
from django_datastore.sync.spelling import Spelling
from django_datastore.types import Operation, ProcessName, WireRecord

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Outcomes:
    """What became of a claimed batch."""

    answers: list[tuple[SyncedModel, MutationEvent, WireRecord | None]] = field(default_factory=list)
    failures: list[tuple[MutationEvent, Retry | Park]] = field(default_factory=list)
    conflicts: list[tuple[SyncedModel, MutationEvent, WireRecord]] = field(default_factory=list)


class MutationProcessor:
    """Drains the outbox. Any number of workers may run one each."""

    def __init__(
        self,
        client: AppSyncClient,
        documents: Documents,
        *,
        owner: str,
        batch_size: int = 25,
        max_attempts: int = 10,
        lease: timedelta = timedelta(seconds=60),
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._client = client
        self._documents = documents
        self._owner = owner
        self._batch_size = batch_size
        self._max_attempts = max_attempts
        self._lease = lease
        self._clock = clock

    @classmethod
    def from_settings(
        cls, settings: Settings, client: AppSyncClient, documents: Documents, *, owner: str
    ) -> MutationProcessor:
        """The processor as the settings want it."""
        return cls(
            client,
            documents,
            owner=owner,
            batch_size=settings.MUTATION_BATCH_SIZE,
            max_attempts=settings.MAX_ATTEMPTS,
            lease=timedelta(seconds=settings.LEASE_SECONDS),
        )

    def run_once(self) -> int:
        """Claim one batch, send it, settle it. Returns how many entries were claimed; 0 if nothing is due.

        Raises `Offline` after giving the batch back; everything else is settled entry by entry.
        """
        found = lanes.claim(owner=self._owner, limit=self._batch_size, lease=self._lease, now=self._clock())
        if not found:
            return 0
        claimed = [event for event in found if upkeep.is_left_to_send(event)]
        outcomes = _Outcomes()
        offline: SyncError | None = None
        try:
            # told apart before reading back, which clears the doubt: an entry must not be in both
            certain = [event for event in claimed if not event.outcome_unknown]
            doubtful = [event for event in claimed if event.outcome_unknown]
            batch = [*self._read_back(doubtful, outcomes), *certain]
            self._send(self._renewed(batch) if doubtful else batch, outcomes)
        except Offline as exc:
            offline = exc
        self._settle(claimed, outcomes)
        if offline is not None:
            raise offline
        return len(found)

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send(self, batch: Sequence[MutationEvent], outcomes: _Outcomes) -> None:
        known = [(sync, event) for event in batch if (sync := self._registered(event, outcomes))]
        if not known:
            return
        spelling = Spelling.of(known, outbox_alias())
        requests = [_request(synced, event, spelling) for synced, event in known]
        try:
            document = self._documents.batch_mutation(requests)
            response = self._client.execute(document.text, document.variables, process=ProcessName.MUTATE)
        except (BadRecord, BadModel) as exc:
            self._send_apart([event for _, event in known], exc, outcomes)
        except Offline as exc:
            self._postpone([event for _, event in known], exc, outcomes)
            raise
        except SyncError as exc:
            for _, event in known:
                outcomes.failures.append((event, self._verdict_of_request(event, exc)))
        else:
            connectivity.came_online()
            for position, (sync, event) in enumerate(known):
                self._sort_answer(sync, event, response, alias(position), outcomes)

    def _send_apart(self, batch: Sequence[MutationEvent], error: SyncError, outcomes: _Outcomes) -> None:
        """One input spoils the whole document before any of it is executed: find out which."""
        if len(batch) == 1:
            outcomes.failures.append((batch[0], Park(error)))
            return
        half = len(batch) // 2
        self._send(self._renewed(batch[:half]), outcomes)
        self._send(self._renewed(batch[half:]), outcomes)

    def _renewed(self, batch: Sequence[MutationEvent]) -> list[MutationEvent]:
        """What is still ours after another request took its time. What is not, another worker is sending."""
        return lanes.renew(batch, lease=self._lease, now=self._clock())

    def _sort_answer(
        self, sync: SyncedModel, event: MutationEvent, response: Response, name: str, outcomes: _Outcomes
    ) -> None:
        failed = response.error(name)
        record = response.data.get(name)
        strip_unknown(record, response.errors, name)
        if failed is None and _is_readable(sync, event, record):
            outcomes.answers.append((sync, event, record))
            return
        error = (
            failed.to_exception(process=ProcessName.MUTATE, operation=event.operation, model=sync.name)
            if failed
            else ServerError(f"AppSync answered {event.operation}{sync.name} without the record's key and version.")
        )
        may_resolve = event.attempts <= self._max_attempts and _is_readable(sync, event, error.remote)
        if isinstance(error, ConflictUnhandled) and may_resolve:
            outcomes.conflicts.append((sync, event, cast(WireRecord, error.remote)))
        elif isinstance(error, ConditionFailed):
            self._sort_condition_failed(sync, event, error, outcomes)
        else:
            outcomes.failures.append((event, self._verdict(event, error)))

    def _sort_condition_failed(
        self, sync: SyncedModel, event: MutationEvent, error: SyncError, outcomes: _Outcomes
    ) -> None:
        """The user's condition does not hold, or the key is not as the operation needs it."""
        remote = error.remote if _is_readable(sync, event, error.remote) else None
        if event.operation == Operation.CREATE and remote is not None:
            self._sort_existing(sync, event, remote, outcomes)
        elif event.operation == Operation.CREATE and event.attempts < self._max_attempts:
            verdict = Retry(error, self._clock(), outcome_unknown=True)  # the key exists: read back whose it is
            outcomes.failures.append((event, verdict))
        elif event.condition is not None:
            outcomes.failures.append((event, Park(error)))
        elif event.operation == Operation.DELETE and (remote is None or remote.get("_deleted")):
            outcomes.answers.append((sync, event, remote))
        elif remote is not None and event.attempts <= self._max_attempts:
            outcomes.conflicts.append((sync, event, remote))  # nobody set a condition but the version's
        else:
            outcomes.failures.append((event, Park(error)))

    @staticmethod
    def _sort_existing(sync: SyncedModel, event: MutationEvent, remote: WireRecord, outcomes: _Outcomes) -> None:
        """A create found its key taken: by itself, by a tombstone, or by somebody else's record."""
        if readback.was_executed(sync, event, remote, None):
            outcomes.answers.append((sync, event, remote))
        elif remote.get("_deleted"):
            reason = (
                f"AppSync still keeps a deleted {sync.name} with this key, so it cannot be created again. "
                "Use a new key, or retry after the tombstone has expired."
            )
            outcomes.failures.append((event, Park(ConditionFailed(reason, remote=remote))))
        else:
            outcomes.conflicts.append((sync, event, remote))

    # -- reading back ------------------------------------------------------------------------------------------------

    def _read_back(self, batch: Sequence[MutationEvent], outcomes: _Outcomes) -> list[MutationEvent]:
        """Find out what became of entries whose answer got lost. Returns those that were not executed."""
        known = [(sync, event) for event in batch if (sync := self._registered(event, outcomes))]
        if not known:
            return []
        spelling = Spelling.of(known, outbox_alias())
        requests = [GetRequest(synced.schema, spelling.key(event)) for synced, event in known]
        document = self._documents.batch_get(requests)
        try:
            response = self._client.execute(document.text, document.variables, process=ProcessName.MUTATE)
        except SyncError as exc:
            self._postpone([event for _, event in known], exc, outcomes)
            if isinstance(exc, Offline):
                raise
            return []
        again: list[MutationEvent] = []
        for position, (sync, event) in enumerate(known):
            failed = response.error(alias(position))
            if failed is not None:
                error = failed.to_exception(process=ProcessName.MUTATE, operation="get", model=sync.name)
                self._postpone([event], error, outcomes)
                continue
            remote = response.data.get(alias(position))
            if remote is not None and not _is_readable(sync, event, remote):
                self._postpone([event], ServerError(f"AppSync answered get{sync.name} with no such record."), outcomes)
                continue
            sent_on = spelling.version(event)
            if readback.was_executed(sync, event, remote, sent_on):
                outcomes.answers.append((sync, event, remote))
            elif remote is not None and event.operation == Operation.CREATE:
                self._sort_existing(sync, event, remote, outcomes)
            elif remote is None or remote.get("_version") == sent_on:
                event.outcome_unknown = False
                again.append(event)
            else:
                outcomes.conflicts.append((sync, event, remote))
        return again

    # -- verdicts ----------------------------------------------------------------------------------------------------

    def _registered(self, event: MutationEvent, outcomes: _Outcomes) -> SyncedModel | None:
        try:
            return registry.get(event.model)
        except ModelNotRegistered as exc:
            outcomes.failures.append((event, Park(BadModel(str(exc), error_type="ModelNotRegistered"))))
            return None

    def _verdict_of_request(self, event: MutationEvent, error: SyncError) -> Retry | Park:
        """The request as a whole failed: nobody looked at the single mutation."""
        if isinstance(error, Unauthorized):  # the credentials: wait for better ones, however long it takes
            pause = backoff.delay(event.attempts)
            return Retry(error, self._clock() + pause, outcome_unknown=event.outcome_unknown, counts=True)
        return self._verdict(event, error)

    def _verdict(self, event: MutationEvent, error: SyncError) -> Retry | Park:
        if isinstance(error, BadRecord | BadModel | ConditionFailed | Unauthorized):
            return Park(error)
        doubtful = event.outcome_unknown or (error.maybe_applied if isinstance(error, TransientError) else True)
        if event.attempts >= self._max_attempts:
            return Park(error)
        return Retry(error, self._clock() + backoff.delay(event.attempts), outcome_unknown=doubtful)

    def _postpone(self, batch: Sequence[MutationEvent], error: SyncError, outcomes: _Outcomes) -> None:
        """Nothing was decided about these; the try does not count."""
        maybe_sent = isinstance(error, TransientError) and error.maybe_applied
        for event in batch:
            is_read = event.outcome_unknown
            pause = timedelta(0) if isinstance(error, Offline) else backoff.delay(event.attempts)
            verdict = Retry(error, self._clock() + pause, outcome_unknown=is_read or maybe_sent, counts=False)
            outcomes.failures.append((event, verdict))

    # -- settling ----------------------------------------------------------------------------------------------------

    def _settle(self, claimed: Sequence[MutationEvent], outcomes: _Outcomes) -> None:
        """One transaction for what was answered; failures and conflicts each for themselves."""
        decided = {event.pk for event, _ in outcomes.failures}
        decided |= {event.pk for _, event, _ in [*outcomes.answers, *outcomes.conflicts]}
        self._acknowledge(outcomes, claimed)
        for sync, event, remote in outcomes.conflicts:
            self._resolve(sync, event, remote)
        self._release_failures(outcomes.failures)
        lanes.give_back(event for event in claimed if event.pk not in decided)

    def _acknowledge(self, outcomes: _Outcomes, claimed: Sequence[MutationEvent]) -> None:
        by_model: dict[str, tuple[SyncedModel, list[tuple[MutationEvent, WireRecord | None]]]] = {}
        for sync, event, record in outcomes.answers:
            by_model.setdefault(sync.label, (sync, []))[1].append((event, record))
        if not by_model:
            return
        self._acknowledge_all(list(by_model.values()), list(outcomes.answers))

    @begun_again
    def _acknowledge_all(
        self,
        by_model: Sequence[tuple[SyncedModel, list[tuple[MutationEvent, WireRecord | None]]]],
        answers: Sequence[tuple[SyncedModel, MutationEvent, WireRecord | None]],
    ) -> None:
        using = outbox_alias()
        with write_transaction(using):
            metadata.lock_models([synced.label for synced, _ in by_model], using)
            for synced, found in by_model:
                merger.acknowledge(synced, found, claimed=[event for event, _ in found])
            transaction.on_commit(partial(_tell_processed, answers), using=using, robust=True)

    def _resolve(self, sync: SyncedModel, event: MutationEvent, remote: WireRecord) -> None:
        try:
            resolution = conflict.resolve(sync, event, remote)
        except Exception as exc:  # the user's handler: whatever it raises, the edit must not be lost
            logger.exception("The conflict handler of %s failed.", sync.label)
            error = SyncError(
                f"The conflict handler failed: {exc!r}", error_type="ConflictHandlerFailed", remote=remote
            )
            self._release(event, Park(error))
            return
        try:
            self._take_over(sync, event, remote, resolution)
        except LeaseLost as exc:
            logger.warning("Left a conflict of %s to another worker: %s", sync.label, exc)
            return
        if resolution.keeps_edit:
            error = ConflictUnhandled("AppSync has a newer version; the edit is sent again on top of it.")
            pause = timedelta(0) if event.attempts <= 1 else backoff.delay(event.attempts)
            self._release(event, Retry(error, self._clock() + pause, outcome_unknown=False))

    @staticmethod
    @begun_again
    def _take_over(
        synced: SyncedModel, event: MutationEvent, remote: WireRecord, resolution: conflict.Resolution
    ) -> None:
        with write_transaction(outbox_alias()):
            merger.take_over(synced, event, remote, resolution)

    @staticmethod
    @begun_again
    def _release_failures(failures: Sequence[tuple[MutationEvent, Retry | Park]]) -> None:
        if not failures:
            return
        with write_transaction(outbox_alias()):
            mine = {event.pk for event in lanes.owned([event for event, _ in failures])}
            for event, verdict in failures:
                if event.pk in mine:
                    lanes.release(event, verdict)

    @staticmethod
    @begun_again
    def _release(event: MutationEvent, verdict: Retry | Park) -> None:
        with write_transaction(outbox_alias()):
            if lanes.owned([event]):
                lanes.release(event, verdict)


def _request(synced: SyncedModel, event: MutationEvent, spelling: Spelling) -> MutationRequest:
    wire_input = spelling.key_input(synced, event)
    data = spelling.data(synced, event)
    if event.operation == Operation.CREATE:
        wire_input |= {name: value for name, value in data.items() if value is not None}
    else:
        wire_input |= data
        wire_input["_version"] = spelling.version(event)
    return MutationRequest(Operation(event.operation), synced.schema, wire_input, event.condition)


def _is_readable(synced: SyncedModel, event: MutationEvent, record: object) -> bool:
    """Whether the merger can use an answer: it is the record the mutation is about, with its `_version`."""
    try:
        return RemoteRecord.parse(synced, record).key == event.record_key  # type: ignore[arg-type]
    except ValueError:
        return False


def _tell_processed(answers: Sequence[tuple[SyncedModel, MutationEvent, WireRecord | None]]) -> None:
    for sync, event, record in answers:
        events.send(
            events.outbox_mutation_processed,
            sync.model,
            mutation_event_id=event.pk,
            operation=event.operation,
            record_key=event.record_key,
            record=record,
        )
    if events.outbox_status.has_listeners() and lanes.is_empty():
        events.send(events.outbox_status, is_empty=True)
