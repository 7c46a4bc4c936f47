"""The subscription processor (DataStore's `sync/processors/subscription.ts`): live changes from AppSync, without gaps.

    connect ─▶ subscribe to all ─▶ every start_ack ─▶ sync queries ─▶ what arrived meanwhile ─▶ what arrives now

A fresh connection with fresh credentials each time. A socket that cannot be opened is tried again, and meanwhile models
are polled; a subscription AppSync refuses is tried again on its own, and its model is polled. Neither stops what goes
over HTTP. Asynchronous; the database is reached through threads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, close_old_connections, connections

from django_datastore import events, registry
from django_datastore.appsync.auth import Auth
from django_datastore.appsync.documents import Document, Documents, subscription_field
from django_datastore.appsync.endpoint import Endpoint
from django_datastore.appsync.realtime import Message, RealtimeConnection
from django_datastore.exceptions import Offline, SyncError
from django_datastore.introspection import SyncedModel
from django_datastore.sync import backoff, expressions, merger
from django_datastore.sync.classifying import Source
from django_datastore.sync.listening import Listener
from django_datastore.types import Operation, WireRecord

logger = logging.getLogger(__name__)

_BATCH = 500
_QUEUE_SIZE = 20_000
"""Messages that may wait while the sync queries run; beyond that the socket itself waits."""
_RECONNECT_CAP_MS = 5_000

Wanted = tuple[SyncedModel, Operation]
"""A subscription."""
T = TypeVar("T")


class SubscriptionProcessor:
    """Keeps local models up to date while it runs. One of many processes does the work; the others stand by."""

    def __init__(
        self,
        endpoint: Endpoint,
        auth: Callable[[], Auth],
        documents: Documents,
        *,
        listener: Listener,
        catch_up: Callable[[], Awaitable[None]],
        poll: Callable[[], Awaitable[None]],
        complete: Callable[[Sequence[SyncedModel]], Awaitable[None]],
        renew_every_seconds: float = 10.0,
        look_every_seconds: float = 15.0,
        announce: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._endpoint = endpoint
        self._auth = auth
        self._documents = documents
        self._listener = listener
        self._catch_up = catch_up
        self._poll = poll
        self._complete = complete
        self._renew_every_seconds = renew_every_seconds
        self._look_every_seconds = look_every_seconds
        self._announce = announce
        self._failures = 0
        self._last_reason = ""

    async def run(self, *, once: bool = False) -> None:
        """Listen until cancelled, reconnecting as often as it takes. `once`: return when live and caught up.

        Raises `LeaseLost` if another process took the listener's lease over.
        """
        await _side_by_side(self._reconnect(once=once), self._keep_lease())

    async def _reconnect(self, *, once: bool) -> None:
        while True:
            try:
                return await self._listen(once=once)
            except SyncError as exc:
                await self._lost(exc.message)
            except (OperationalError, InterfaceError) as exc:  # a deadlock, a lock not got, a database that restarts
                await self._lost(f"the database failed: {exc}")
            await asyncio.sleep(backoff.delay(self._failures, cap_ms=_RECONNECT_CAP_MS).total_seconds())

    async def _lost(self, reason: str) -> None:
        """Tell that nothing is heard, and ask for changes as where nobody listens."""
        self._failures += 1
        level = logging.DEBUG if reason == self._last_reason else logging.WARNING  # the story in one line, not in 1,000
        logger.log(level, "The line to AppSync is lost: %s", reason, extra={"action": "disconnected"})
        self._last_reason = reason
        self._announce(f"disconnected: {reason}")
        with suppress(OperationalError, InterfaceError):
            await _in_thread(lambda: self._listener.was_lost(reason))
            await self._poll()

    async def _listen(self, *, once: bool) -> None:
        syncs = registry.in_topological_order()
        async with RealtimeConnection(self._endpoint, self._auth(), queue_size=_QUEUE_SIZE) as connection:
            refused = await self._subscribe(connection, [(sync, op) for sync in syncs for op in Operation])
            events.send(events.subscriptions_established, models=[sync.name for sync in syncs])
            await self._catch_up()
            await self._tell_live(refused)
            self._failures, self._last_reason = 0, ""
            events.send(events.ready)
            self._announce("live")
            if not once:
                await _side_by_side(self._merge_all(connection), self._look_after(connection, refused))

    async def _tell_live(self, refused: Sequence[Wanted]) -> None:
        await _in_thread(lambda: self._listener.went_live([sync.label for sync, _ in refused]))

    async def _subscribe(
        self, connection: RealtimeConnection, wanted: Sequence[Wanted], *, level: int = logging.WARNING
    ) -> list[Wanted]:
        """Subscribe to all at once; returns those that failed, each for itself. Raises `Offline` on a lost line."""
        documents = [await _in_thread(partial(self._document, *pair)) for pair in wanted]
        outcomes = await asyncio.gather(
            *(_subscribed(connection, *pair, document) for pair, document in zip(wanted, documents, strict=True)),
            return_exceptions=True,
        )
        refused = []
        for pair, outcome in zip(wanted, outcomes, strict=True):
            if isinstance(outcome, SyncError) and not isinstance(outcome, Offline):
                logger.log(level, "A subscription failed: %s", outcome.message, extra={"action": "not_subscribed"})
                refused.append(pair)
            elif isinstance(outcome, BaseException):
                raise outcome
        return refused

    def _document(self, sync: SyncedModel, operation: Operation) -> Document | SyncError:
        try:
            return self._documents.subscription(operation, sync.schema, filter=expressions.wire_filter(sync))
        except SyncError as exc:
            return exc

    async def _look_after(self, connection: RealtimeConnection, refused: list[Wanted]) -> None:
        """From time to time: try again what was refused, and ask for what no subscription brings."""
        while True:
            await asyncio.sleep(self._look_every_seconds)
            if refused:
                still = await self._subscribe(connection, refused, level=logging.DEBUG)
                if len(still) < len(refused):
                    await self._catch_up()
                    await self._tell_live(still)
                refused = still
            await self._poll()

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(self._renew_every_seconds)
            with suppress(OperationalError, InterfaceError):
                await _beside(self._listener.renew)

    async def _merge_all(self, connection: RealtimeConnection) -> None:
        async for batch in _batches(connection.messages(), _BATCH):
            if incomplete := await _in_thread(partial(_merge, batch)):
                await self._complete(incomplete)


async def _subscribed(
    connection: RealtimeConnection, sync: SyncedModel, operation: Operation, document: Document | SyncError
) -> None:
    if isinstance(document, SyncError):
        raise document
    await connection.subscribe(*document, operation=operation, model=sync.name)


def _merge(batch: Sequence[Message]) -> list[SyncedModel]:
    """Merge what has arrived. Returns the models with records of which a part did not come."""
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
    merged = {
        synced: merger.merge_page(synced, by_model[synced.label], source=Source.EVENT)
        for synced in registry.in_topological_order()
        if synced.label in by_model
    }
    if any(found.has_orphans for found in merged.values()):
        merger.retry_holds()  # they may wait for one another
    return [synced for synced, found in merged.items() if found.incomplete]


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


async def _beside(call: Callable[[], None]) -> None:
    """Call it in a thread and a connection of its own, since the other thread may be busy with a long sync."""

    def run() -> None:
        try:
            call()
        finally:
            connections.close_all()

    await sync_to_async(run, thread_sensitive=False)()


async def _side_by_side(work: Coroutine[Any, Any, None], chore: Coroutine[Any, Any, None]) -> None:
    """Do the work, and the chore for as long as that takes. Raises what either raises; that ends the other."""
    try:
        async with asyncio.TaskGroup() as group:
            doing = group.create_task(chore)
            await work
            doing.cancel()
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures  # the first failure cancels the other
