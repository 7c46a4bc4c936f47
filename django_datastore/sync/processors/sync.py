"""The sync processor (DataStore's `sync/processors/sync.ts`): base and delta syncs, parents first.

Each page is merged and its `nextToken` stored in the same transaction, so an interrupted sync goes on where it was
(promise 8). A base sync ends with mark and sweep.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from django_datastore import events, registry
from django_datastore.appsync.client import AppSyncClient
from django_datastore.appsync.documents import Documents, sync_field
from django_datastore.appsync.verdicts import is_too_large
from django_datastore.conf import Settings
from django_datastore.exceptions import Offline, ServerError, SyncError, TransientError, Unauthorized
from django_datastore.introspection import SyncedModel
from django_datastore.models import ModelMetadata
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.sync import connectivity, expressions, lease, merger
from django_datastore.sync.lease import Held
from django_datastore.sync.merge_page import Counts
from django_datastore.types import ProcessName, WireRecord

logger = logging.getLogger(__name__)

LEASE = "sync"
_EMPTIEST_QUERY = "query { __typename }"
_OVERLAP_MS = 2_000
"""A delta sync looks this far behind the last one: a mutation under way then may have got an older stamp."""


@dataclass(frozen=True, slots=True)
class _SyncPage:
    items: list[WireRecord]
    next_token: str | None
    started_at: int


class SyncProcessor:
    """Brings local models up to date by asking AppSync for what changed."""

    def __init__(
        self,
        client: AppSyncClient,
        documents: Documents,
        *,
        owner: str,
        page_size: int = 1000,
        full_sync_interval: timedelta = timedelta(days=1),
        lease_duration: timedelta = timedelta(seconds=60),
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._client = client
        self._documents = documents
        self._owner = owner
        self._page_size = page_size
        self._limits: dict[str, int] = {}
        """By model, where a page of the full size was too large."""
        self._full_sync_interval = full_sync_interval
        self._lease_duration = lease_duration
        self._clock = clock

    @classmethod
    def from_settings(
        cls, settings: Settings, client: AppSyncClient, documents: Documents, *, owner: str
    ) -> SyncProcessor:
        """The processor as the settings want it."""
        return cls(
            client,
            documents,
            owner=owner,
            page_size=settings.SYNC_PAGE_SIZE,
            full_sync_interval=timedelta(minutes=settings.FULL_SYNC_INTERVAL),
            lease_duration=timedelta(seconds=settings.LEASE_SECONDS),
        )

    def run(self, syncs: Iterable[SyncedModel] | None = None, *, full: bool = False) -> dict[str, Counts] | None:
        """Sync models (all by default), parents first. None if another process is syncing just now.

        `full` asks for a base sync. A model that fails, in whatever way, is reported in its `ModelMetadata.last_error`,
        and the others go on; then the first error is raised. Only `Offline` ends the run at once.
        """
        held = lease.acquire(LEASE, owner=self._owner, duration=self._lease_duration)
        if held is None:
            return None
        try:
            return self._run(registry.in_topological_order(syncs), held, full=full)
        finally:
            held.release()

    def _run(self, syncs: tuple[SyncedModel, ...], held: Held, *, full: bool) -> dict[str, Counts]:
        events.send(events.sync_queries_started, models=[sync.name for sync in syncs])
        done: dict[str, Counts] = {}
        failed: list[SyncError] = []
        for sync in syncs:
            try:
                done[sync.label] = self._sync_model(sync, held, full=full)
            except Offline:
                raise
            except SyncError as exc:
                _report(sync, exc)
                failed.append(exc)
        for sync in syncs:
            merger.retry_holds(sync)
        if done or not failed or self._answers():
            connectivity.came_online()
        else:
            connectivity.stayed_away()
        events.send(events.sync_queries_ready)
        if failed:
            raise failed[0]
        return done

    def _answers(self) -> bool:
        """Where no model was synced: whether AppSync answers at all. Raises `Offline`."""
        try:
            self._client.execute(_EMPTIEST_QUERY, process=ProcessName.SYNC)
        except Offline:
            raise
        except SyncError as exc:
            return not isinstance(exc, TransientError)  # a refusal is an answer, too
        return True

    def _sync_model(self, sync: SyncedModel, held: Held, *, full: bool) -> Counts:
        wire_filter = expressions.wire_filter(sync)
        metadata, page = self._open(sync, wire_filter, full=full)
        counts = Counts()
        while True:
            held.renew()
            counts.add(self._store(sync, metadata, page))
            if not page.next_token:
                break
            page = self._fetch(sync, metadata, wire_filter)
        if metadata.is_full_sync and metadata.started_at is not None:
            counts.deleted += merger.sweep(sync, metadata.started_at, run=metadata.run)
        self._finish(sync, metadata)
        events.send(
            events.model_synced,
            sync.model,
            is_full_sync=metadata.is_full_sync,
            is_delta_sync=not metadata.is_full_sync,
            counts=counts,
        )
        logger.info(
            "Synced %s: %d new, %d updated, %d deleted.",
            *(sync.label, counts.new, counts.updated, counts.deleted),
            extra={"action": "model_synced", "model": sync.label},
        )
        return counts

    def _open(self, sync: SyncedModel, wire_filter: Any, *, full: bool) -> tuple[ModelMetadata, _SyncPage]:
        """The first page. A kept token that AppSync does not take (they age) must not stop us for ever."""
        metadata = self._begin(sync, wire_filter, full=full)
        try:
            return metadata, self._fetch(sync, metadata, wire_filter)
        except (TransientError, Unauthorized):
            raise
        except SyncError:
            if not metadata.next_token:
                raise
        metadata = self._begin(sync, wire_filter, full=full or metadata.is_full_sync, anew=True)
        return metadata, self._fetch(sync, metadata, wire_filter)

    def _begin(self, sync: SyncedModel, wire_filter: Any, *, full: bool, anew: bool = False) -> ModelMetadata:
        """Go on with an interrupted sync, or begin one: base if asked for, due, or the sync expression changed."""
        metadata, _ = ModelMetadata.objects.using(outbox_alias()).get_or_create(model=sync.label)
        same_filter = _text(metadata.sync_expression) == _text(wire_filter)
        if metadata.next_token and not anew and same_filter and (metadata.is_full_sync or not full):
            return metadata
        interval_ms = self._full_sync_interval / timedelta(milliseconds=1)
        now_ms = self._clock().timestamp() * 1000
        is_due = metadata.last_full_sync is None or metadata.last_full_sync + interval_ms < now_ms
        metadata.is_full_sync = full or is_due or not same_filter or metadata.last_sync is None
        metadata.sync_expression = wire_filter
        metadata.next_token, metadata.started_at = "", None
        metadata.run += 1
        self._save(metadata, "is_full_sync", "sync_expression", "next_token", "started_at", "run")
        return metadata

    def _fetch(self, sync: SyncedModel, metadata: ModelMetadata, wire_filter: Any) -> _SyncPage:
        """The next page. One that is over AppSync's limit is asked for again, half as long, as the later ones are."""
        while True:
            limit = self._limits.get(sync.label, self._page_size)
            try:
                return self._fetch_page(sync, metadata, wire_filter, limit)
            except SyncError as exc:
                if limit == 1 or not is_too_large(exc):
                    raise
            logger.info("A page of %d records of %s is too large.", limit, sync.label, extra={"action": "page_halved"})
            self._limits[sync.label] = limit // 2

    def _fetch_page(self, sync: SyncedModel, metadata: ModelMetadata, wire_filter: Any, limit: int) -> _SyncPage:
        last_sync = 0 if metadata.is_full_sync else max((metadata.last_sync or 0) - _OVERLAP_MS, 0)
        document = self._documents.sync(
            sync.schema,
            limit=limit,
            next_token=metadata.next_token or None,
            last_sync=last_sync,
            filter=wire_filter,
        )
        name = sync_field(sync.schema)
        facts: dict[str, Any] = {"process": ProcessName.SYNC, "operation": name, "model": sync.name}
        response = self._client.execute(document.text, document.variables, **facts)
        found = response.data.get(name)
        if not isinstance(found, dict):
            response.raise_for_errors(**facts)
            raise ServerError(f"AppSync answered {name} with nothing.", **facts)
        items = [item for item in found.get("items") or () if item is not None]
        return _SyncPage(items, found.get("nextToken"), found.get("startedAt") or metadata.started_at or 0)

    def _store(self, sync: SyncedModel, metadata: ModelMetadata, page: _SyncPage) -> Counts:
        with write_transaction(outbox_alias()):
            if metadata.started_at is None:
                metadata.started_at = page.started_at
            seen = metadata.run if metadata.is_full_sync else None
            counts = merger.merge_page(sync, page.items, seen_in_run=seen)
            metadata.next_token = page.next_token or ""
            self._save(metadata, "next_token", "started_at")
        return counts

    def _finish(self, sync: SyncedModel, metadata: ModelMetadata) -> None:
        metadata.last_sync = metadata.started_at or metadata.last_sync
        if metadata.is_full_sync:
            metadata.last_full_sync = metadata.last_sync
        metadata.next_token, metadata.started_at = "", None
        metadata.checked_at, metadata.last_error = self._clock(), ""
        self._save(metadata, "last_sync", "last_full_sync", "next_token", "started_at", "checked_at", "last_error")

    @staticmethod
    def _save(metadata: ModelMetadata, *names: str) -> None:
        metadata.save(using=outbox_alias(), update_fields=names)


def _report(sync: SyncedModel, error: SyncError) -> None:
    logger.warning("Sync of %s failed: %s", sync.label, error.message, extra={"action": "sync_failed"})
    rows = ModelMetadata.objects.using(outbox_alias())
    rows.update_or_create(model=sync.label, defaults={"last_error": error.message})


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
