"""The sync processor (DataStore's `sync/processors/sync.ts`): base and delta syncs, parents first.

Each page is merged and its `nextToken` stored in the same transaction, so an interrupted sync goes on where it was. A
base sync ends with mark and sweep. Whatever is stored of a run is stored under the lease: who has overslept it, and was
taken over, stores nothing more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from django_datastore import events, registry
from django_datastore.appsync.client import AppSyncClient
from django_datastore.appsync.documents import Documents
from django_datastore.conf import Settings
from django_datastore.exceptions import BadModel, Offline, SyncError, TransientError, Unauthorized
from django_datastore.introspection import SyncedModel
from django_datastore.models import ModelMetadata
from django_datastore.storage.keysets import chunks
from django_datastore.storage.records import metadata
from django_datastore.storage.refusals import may_pass, storable
from django_datastore.storage.transactions import begun_again, outbox_alias, write_transaction
from django_datastore.sync import connectivity, expressions, lease, merger, runs
from django_datastore.sync.lease import Held
from django_datastore.sync.merger import Counts, Readable
from django_datastore.sync.processors.pages import PageReader
from django_datastore.types import ProcessName

logger = logging.getLogger(__name__)

LEASE = "sync"
_EMPTIEST_QUERY = "query { __typename }"
_GETS = 25
"""How many records are read by their keys in one document."""
_MOST_INCOMPLETE = 500
"""How many of them in one run; the others wait for the next."""
_OVERLAP_MS = 2_000
"""A delta sync looks this far behind the last one: a mutation under way then may have got an older stamp."""


@dataclass(frozen=True, slots=True)
class _Page:
    """A page, ready to be merged."""

    found: Readable
    next_token: str | None
    started_at: int | None
    holes: int


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
        self._owner = owner
        self._pages = PageReader(client, documents, page_size=page_size)
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

    def run(self, models: Iterable[SyncedModel] | None = None, *, full: bool = False) -> dict[str, Counts] | None:
        """Sync models (all by default), parents first. None if another process is syncing just now.

        `full` asks for a base sync. A model that fails, in whatever way, is reported in its `ModelMetadata.last_error`,
        and the others go on; then the first error is raised. Only `Offline` ends the run at once.
        """
        held = lease.acquire(LEASE, owner=self._owner, duration=self._lease_duration)
        if held is None:
            return None
        try:
            return self._run(registry.in_topological_order(models), held, full=full)
        finally:
            held.release()

    def _run(self, models: tuple[SyncedModel, ...], held: Held, *, full: bool) -> dict[str, Counts]:
        runs.require_same_api(self._client.endpoint)
        events.send(events.sync_queries_started, models=[synced.name for synced in models])
        done: dict[str, Counts] = {}
        failed: list[SyncError] = []
        for synced in models:
            try:
                done[synced.label] = self._sync_model(synced, held, full=full)
            except Offline:
                raise
            except SyncError as exc:
                _report(synced, exc)
                failed.append(exc)
            except DatabaseError as exc:  # a table or column that is not there, say
                if may_pass(exc):
                    raise
                failed.append(BadModel(storable(f"The database cannot store it: {exc}"), model=synced.name))
                _report(synced, failed[-1])
        merger.retry_holds()
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

    def _sync_model(self, synced: SyncedModel, held: Held, *, full: bool) -> Counts:
        wire_filter = expressions.wire_filter(synced)
        row, page = self._open(synced, wire_filter, held, full=full)
        is_first = row.last_sync is None
        counts = Counts()
        with ThreadPoolExecutor(1, "datastore-pages") as ahead:  # the next page comes while this one is written
            while True:
                coming = (
                    ahead.submit(self._fetch, synced, row, wire_filter, page.next_token) if page.next_token else None
                )
                counts.add(self._store(synced, row, page, is_first, held, holes=row.holes + page.holes))
                if coming is None:
                    break
                page = coming.result()
        self._complete_if_possible(synced)
        if row.is_full_sync and not row.holes:
            held.renew()
            counts.deleted += merger.sweep(synced, run=row.run)
        self._finish(row, held)
        _tell(synced, row, counts)
        return counts

    def _open(self, synced: SyncedModel, wire_filter: Any, held: Held, *, full: bool) -> tuple[ModelMetadata, _Page]:
        """The first page. A kept token that AppSync does not take (they age) must not stop us for ever."""
        row = self._begin(synced, wire_filter, held, full=full)
        try:
            page = self._fetch(synced, row, wire_filter, row.next_token)
        except (TransientError, Unauthorized):
            raise
        except SyncError:
            if not row.next_token:
                raise
            row = self._begin(synced, wire_filter, held, full=full or row.is_full_sync, anew=True)
            page = self._fetch(synced, row, wire_filter, row.next_token)
        runs.check_clock(row, page.started_at or 0, synced.name)
        return row, page

    @begun_again
    def _begin(
        self, synced: SyncedModel, wire_filter: Any, held: Held, *, full: bool, anew: bool = False
    ) -> ModelMetadata:
        with write_transaction(outbox_alias()):
            held.renew()
            return runs.begin(
                synced,
                wire_filter,
                self._client.endpoint,
                now=self._clock(),
                full_sync_interval=self._full_sync_interval,
                full=full,
                anew=anew,
            )

    @begun_again
    def _finish(self, row: ModelMetadata, held: Held) -> None:
        with write_transaction(outbox_alias()):
            held.renew()
            runs.finish(row, self._clock())

    def _fetch(self, synced: SyncedModel, row: ModelMetadata, wire_filter: Any, token: str) -> _Page:
        """The page at `token`, read as far as that goes without a database. Runs in a thread of its own, too."""
        last_sync = 0 if row.is_full_sync else max((row.last_sync or 0) - _OVERLAP_MS, 0)
        page = self._pages.fetch(synced, wire_filter, last_sync=last_sync, token=token)
        found = merger.prepare(synced, merger.read(synced, page.items))
        return _Page(found, page.next_token, page.started_at, page.holes)

    @staticmethod
    @begun_again
    def _store(
        synced: SyncedModel, row: ModelMetadata, page: _Page, is_first: bool, held: Held, *, holes: int
    ) -> Counts:
        """Merge a page, and note in the same transaction where to go on, and how many holes the run has by now.

        Nothing is stored once the lease is lost.
        """
        started_at = page.started_at if row.started_at is None else row.started_at
        with write_transaction(outbox_alias()):
            row.started_at = started_at
            merged = merger.merge_read(synced, page.found, settled_before=runs.settled_before(row), is_first=is_first)
            row.next_token = page.next_token or ""
            row.holes = holes
            runs.save(row, "next_token", "started_at", "holes")
            held.renew()
        return merged.counts

    def _complete_if_possible(self, synced: SyncedModel) -> None:
        """As `complete`; an API that lets nobody read by key keeps no run from ending."""
        try:
            self.complete(synced)
        except Offline:
            raise
        except SyncError as exc:
            logger.warning(
                "Records of %s stay incomplete: %s", synced.label, exc.message, extra={"action": "incomplete"}
            )

    def complete(self, synced: SyncedModel) -> None:
        """Read records of which a part is unknown by their keys, and merge them. Raises `SyncError`."""
        using = outbox_alias()
        known = metadata.incomplete(synced.label, _MOST_INCOMPLETE, using)
        for chunk in chunks(known, _GETS):
            records = self._pages.get(synced, chunk)
            merger.merge_page(synced, records)


def _tell(synced: SyncedModel, row: ModelMetadata, counts: Counts) -> None:
    events.send(
        events.model_synced,
        synced.model,
        is_full_sync=row.is_full_sync,
        is_delta_sync=not row.is_full_sync,
        counts=counts,
    )
    logger.info(
        "Synced %s: %d new, %d updated, %d deleted.",
        *(synced.label, counts.new, counts.updated, counts.deleted),
        extra={"action": "model_synced", "model": synced.label},
    )


def _report(synced: SyncedModel, error: SyncError) -> None:
    logger.warning("Sync of %s failed: %s", synced.label, error.message, extra={"action": "sync_failed"})
    rows = ModelMetadata.objects.using(outbox_alias())
    rows.update_or_create(model=synced.label, defaults={"last_error": error.message})
