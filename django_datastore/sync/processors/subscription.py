"""The subscription processor (DataStore's `sync/processors/subscription.ts`): live changes from AppSync, without gaps.

    connect ─▶ subscribe to all ─▶ every start_ack ─▶ sync queries ─▶ what arrived meanwhile ─▶ what arrives now

A fresh connection with fresh credentials each time. A subscription AppSync refuses is tried again on its own; the
models it leaves out are polled by the sweep. Asynchronous; the database is reached through threads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import OperationalError, close_old_connections

from django_datastore import events, registry
from django_datastore.appsync.auth import Auth
from django_datastore.appsync.documents import Document, Documents, subscription_field
from django_datastore.appsync.endpoint import Endpoint
from django_datastore.appsync.realtime import Message, RealtimeConnection
from django_datastore.exceptions import SyncError
from django_datastore.introspection import SyncedModel
from django_datastore.predicates import graphql
from django_datastore.sync import backoff, connectivity, merger
from django_datastore.types import Operation, WireRecord

logger = logging.getLogger(__name__)

_BATCH = 500
_QUEUE_SIZE = 20_000
"""Messages that may wait while the sync queries run; beyond that the socket itself waits."""
_RECONNECT_CAP_MS = 5_000
_RETRY_SUBSCRIPTION_SECONDS = 30.0

CatchUp = Callable[[], Awaitable[None]]
T = TypeVar("T")


class SubscriptionProcessor:
    """Keeps local models up to date while it runs. One of many processes does the work; the others stand by."""

    def __init__(
        self,
        endpoint: Endpoint,
        auth: Callable[[], Auth],
        documents: Documents,
        *,
        owner: str,
        catch_up: CatchUp,
        renew: Callable[[], None] = lambda: None,
        renew_every_seconds: float = 10.0,
        announce: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._endpoint = endpoint
        self._auth = auth
        self._documents = documents
        self._owner = owner
        self._catch_up = catch_up
        self._renew = renew
        self._renew_every_seconds = renew_every_seconds
        self._announce = announce
        self._failures = 0

    async def run(self, *, once: bool = False) -> None:
        """Listen until cancelled, reconnecting as often as it takes. `once`: return when live and caught up.

        Raises `LeaseLost` if another process took the listener's lease over.
        """
        while True:
            try:
                await self._listen(once=once)
                return
            except (SyncError, OperationalError) as exc:  # a deadlock, a lock not got, a database that restarts
                self._failures += 1
                pause = backoff.delay(self._failures, cap_ms=_RECONNECT_CAP_MS).total_seconds()
                reason = exc.message if isinstance(exc, SyncError) else f"the database failed: {exc}"
                logger.warning("The line to AppSync is lost: %s", reason, extra={"action": "disconnected"})
                self._announce(f"disconnected: {reason}")
                with suppress(OperationalError):
                    await _in_thread(connectivity.went_offline)
                    await _in_thread(self._renew)
                await asyncio.sleep(pause)

    async def _listen(self, *, once: bool) -> None:
        syncs = registry.in_topological_order()
        async with RealtimeConnection(self._endpoint, self._auth(), queue_size=_QUEUE_SIZE) as connection:
            refused = await self._subscribe(connection, [(sync, op) for sync in syncs for op in Operation])
            events.send(events.subscriptions_established, models=[sync.name for sync in syncs])
            await self._catch_up()
            self._failures = 0
            events.send(events.ready)
            self._announce("live")
            if once:
                return
            await self._stay(connection, refused)

    async def _stay(self, connection: RealtimeConnection, refused: list[tuple[SyncedModel, Operation]]) -> None:
        """Merge what arrives until the stream ends; raises what ended it."""
        try:
            async with asyncio.TaskGroup() as group:
                merging = group.create_task(self._merge_all(connection))
                chores = [group.create_task(self._keep_lease()), group.create_task(self._persist(connection, refused))]
                merging.add_done_callback(lambda _: [task.cancel() for task in chores])
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures  # the first failure cancels the others

    async def _subscribe(
        self, connection: RealtimeConnection, wanted: Sequence[tuple[SyncedModel, Operation]]
    ) -> list[tuple[SyncedModel, Operation]]:
        """Subscribe to all at once; returns those AppSync refused, each for itself."""
        documents = [await self._document(sync, operation) for sync, operation in wanted]
        outcomes = await asyncio.gather(
            *(
                connection.subscribe(*document, operation=operation, model=sync.name)
                for (sync, operation), document in zip(wanted, documents, strict=True)
            ),
            return_exceptions=True,
        )
        refused = []
        for pair, outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome, SyncError):
                logger.warning(
                    "AppSync refuses a subscription: %s", outcome.message, extra={"action": "not_subscribed"}
                )
                refused.append(pair)
            elif isinstance(outcome, BaseException):
                raise outcome
        return refused

    async def _document(self, sync: SyncedModel, operation: Operation) -> Document:
        predicate = await _in_thread(lambda: sync.sync_predicate)
        wire_filter = graphql.to_filter(predicate, sync) if predicate is not None else None
        return self._documents.subscription(operation, sync.schema, filter=wire_filter)

    async def _persist(self, connection: RealtimeConnection, refused: list[tuple[SyncedModel, Operation]]) -> None:
        """Try refused subscriptions again from time to time, and catch up when one succeeds."""
        while refused:
            await asyncio.sleep(_RETRY_SUBSCRIPTION_SECONDS)
            still = await self._subscribe(connection, refused)
            if len(still) < len(refused):
                await self._catch_up()
            refused = still

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(self._renew_every_seconds)
            await _in_thread(self._renew)

    async def _merge_all(self, connection: RealtimeConnection) -> None:
        async for batch in _batches(connection.messages(), _BATCH):
            await _in_thread(lambda batch=batch: _merge(batch))  # type: ignore[misc]


def _merge(batch: Sequence[Message]) -> None:
    by_model: dict[str, list[WireRecord]] = {}
    for message in batch:
        if message.error is not None:
            logger.warning("A subscription reports: %s", message.error.message, extra={"action": "subscription_error"})
        if message.subscription is None or not message.data or not message.subscription.model:
            continue
        sync = registry.get(message.subscription.model)
        operation = Operation(message.subscription.operation or Operation.UPDATE)
        record = message.data.get(subscription_field(operation, sync.schema))
        if isinstance(record, dict):
            by_model.setdefault(sync.label, []).append(record)
    for sync in registry.in_topological_order():
        if sync.label in by_model:
            merger.merge_page(sync, by_model[sync.label])


async def _batches(messages: AsyncIterator[Message], limit: int) -> AsyncIterator[list[Message]]:
    """What has arrived so far, as one batch; the error that ends the stream comes after the last batch."""
    queue: asyncio.Queue[Message | None] = asyncio.Queue(limit)
    failure: list[BaseException] = []

    async def pump() -> None:
        try:
            async for message in messages:
                await queue.put(message)
        except SyncError as exc:
            failure.append(exc)
        await queue.put(None)

    pumping = asyncio.create_task(pump())
    try:
        ended = False
        while not ended:
            batch = [await queue.get()]
            while not queue.empty() and len(batch) < limit:
                batch.append(queue.get_nowait())
            ended = None in batch
            if found := [message for message in batch if message is not None]:
                yield found
        if failure:
            raise failure[0]
    finally:
        pumping.cancel()
        with suppress(asyncio.CancelledError):
            await pumping


async def _in_thread(call: Callable[[], T]) -> T:
    def run() -> T:
        close_old_connections()
        return call()

    return await sync_to_async(run, thread_sensitive=True)()
