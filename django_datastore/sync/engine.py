"""The engine: puts client, processors and settings together, and knows when which runs. It decides no more.

Doors call it: Celery tasks, commands, the facade.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cached_property

from asgiref.sync import sync_to_async
from django.utils import timezone

from django_datastore import conf, registry
from django_datastore.appsync.auth import Auth
from django_datastore.appsync.client import AppSyncClient
from django_datastore.appsync.documents import Documents
from django_datastore.appsync.endpoint import Endpoint
from django_datastore.conf import Settings
from django_datastore.exceptions import AnotherApi, NotRunning, Offline, SyncError
from django_datastore.introspection import SyncedModel
from django_datastore.models import ModelMetadata, Setting
from django_datastore.storage import change_log
from django_datastore.storage.announcements import announcer
from django_datastore.storage.transactions import outbox_alias
from django_datastore.sync import auth_modes, connectivity, lanes, lease, listening, reachability, runs
from django_datastore.sync.merger import Counts
from django_datastore.sync.processors.mutation import MutationProcessor
from django_datastore.sync.processors.subscription import SubscriptionProcessor
from django_datastore.sync.processors.sync import SyncProcessor

logger = logging.getLogger(__name__)

_RUNNING = "running"
_LISTENER_LEASE = timedelta(seconds=20)


def is_running() -> bool:
    """Whether DataStore was started (it is unless somebody stopped it)."""
    row = Setting.objects.using(outbox_alias()).filter(pk=_RUNNING).first()
    return row is None or bool(row.value)


def start() -> None:
    """Let the processors of all processes work. Raises `ConfigurationError` without an endpoint."""
    conf.settings.require_endpoint()
    Setting.objects.using(outbox_alias()).update_or_create(key=_RUNNING, defaults={"value": True})
    announcer.announce_on_commit(outbox_alias())


def stop() -> None:
    """Let the processors of all processes rest. Writes go on and wait in the outbox."""
    Setting.objects.using(outbox_alias()).update_or_create(key=_RUNNING, defaults={"value": False})


class Engine:
    """The processors of one process, made from the settings. Threads may share it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.endpoint = Endpoint.parse(settings.require_endpoint())
        self.documents = Documents(registry.model_schemas())
        self.owner = lease.new_owner()

    @cached_property
    def client(self) -> AppSyncClient:
        """The HTTP client, with its kept-alive connections."""
        return AppSyncClient(self.endpoint, self.auth(), timeout_seconds=self.settings.REQUEST_TIMEOUT_SECONDS)

    def auth(self) -> Auth:
        """Credentials, fresh from the settings."""
        return auth_modes.default_auth(self.settings)

    @cached_property
    def mutation_processor(self) -> MutationProcessor:
        """What drains the outbox."""
        return MutationProcessor.from_settings(self.settings, self.client, self.documents, owner=self.owner)

    @cached_property
    def sync_processor(self) -> SyncProcessor:
        """What catches up."""
        return SyncProcessor.from_settings(self.settings, self.client, self.documents, owner=self.owner)

    def drain(self, *, slice_seconds: float | None = None) -> bool:
        """Send what is due, for one slice at most. Returns whether more is due. Raises `NotRunning` when stopped."""
        if not is_running():
            raise NotRunning("DataStore is stopped. `manage.py datastore start` starts it.")
        deadline = time.monotonic() + (self.settings.SLICE_SECONDS if slice_seconds is None else slice_seconds)
        if not reachability.may_probe():
            return False
        try:
            runs.require_same_api(self.endpoint)
            if connectivity.is_offline() and not self._is_back():
                return False
            lanes.recover_expired()
            while self.mutation_processor.run_once():
                if time.monotonic() >= deadline or not is_running():
                    return True
        except Offline:
            connectivity.went_offline()
        except AnotherApi as exc:
            logger.error("%s %s", exc.message, exc.recovery_suggestion, extra={"action": "another_api"})
        return False

    def _is_back(self) -> bool:
        """Catch up after an outage; whether there is somebody to send to. Raises `Offline`.

        A model that cannot catch up for reasons of its own holds back nobody's mutations, its own neither.
        """
        try:
            return self.sync_processor.run() is not None  # None: another process is catching up; it announces its end
        except Offline:
            raise
        except SyncError as exc:
            logger.warning("Could not catch up with everything before sending: %s", exc.message)
            return not connectivity.is_offline()

    def sync(self, syncs: list[SyncedModel] | None = None, *, full: bool = False) -> dict[str, Counts] | None:
        """Ask AppSync for what changed; None if another process does it just now. Raises `SyncError`."""
        try:
            return self.sync_processor.run(syncs, full=full)
        except Offline:
            connectivity.went_offline()
            raise

    def poll_if_due(self) -> None:
        """Sync what has not been asked for long enough: rarely what a listener hears, often what nobody does.

        Raises `SyncError` for a model that failed, after the others were synced.
        """
        heard, now = listening.current(), timezone.now()
        checked = dict(ModelMetadata.objects.using(outbox_alias()).values_list("model", "checked_at"))
        due = []
        for sync in registry.all():
            hears = heard.hears(sync.label)
            seconds = self.settings.DELTA_SYNC_SECONDS if hears else self.settings.POLL_SYNC_SECONDS
            last = checked.get(sync.label)
            if last is None or last <= now - timedelta(seconds=seconds):
                due.append(sync)
        if due and reachability.may_probe():
            with suppress(Offline):
                self.sync(due)

    async def listen(self, *, once: bool = False, announce: Callable[[str], None] = lambda line: None) -> None:
        """Subscribe and merge what arrives, while holding the listener's lease; stand by while another holds it."""
        await sync_to_async(runs.require_same_api)(self.endpoint)
        listener = await self._as_listener(announce)
        processor = SubscriptionProcessor(
            self.endpoint,
            self.auth,
            self.documents,
            listener=listener,
            catch_up=sync_to_async(self._catch_up, thread_sensitive=True),
            poll=sync_to_async(self._poll, thread_sensitive=True),
            complete=sync_to_async(self._complete, thread_sensitive=True),
            renew_every_seconds=_LISTENER_LEASE.total_seconds() / 3,
            look_every_seconds=self.settings.POLL_SYNC_SECONDS,
            announce=announce,
        )
        try:
            await processor.run(once=once)
        finally:
            await sync_to_async(listener.release)()

    async def _as_listener(self, announce: Callable[[str], None]) -> listening.Listener:
        waiting = False
        while True:
            become = sync_to_async(listening.become_listener)
            listener = await become(owner=self.owner, duration=_LISTENER_LEASE)
            if listener is not None:
                return listener
            if not waiting:
                announce("standing by: another listener is running")
                waiting = True
            await asyncio.sleep(2)

    def _catch_up(self) -> None:
        """After the subscriptions are live: ask for what was missed, and get the outbox going. Raises `Offline`.

        A model that cannot catch up is asked again by polling, and keeps nobody from hearing the others.
        """
        deadline = time.monotonic() + self.settings.LEASE_SECONDS
        try:
            while self.sync() is None and time.monotonic() < deadline:
                time.sleep(0.2)
        except Offline:
            raise
        except SyncError as exc:
            logger.warning("Could not catch up with everything: %s", exc.message, extra={"action": "not_caught_up"})
        announcer.announce()

    def _poll(self) -> None:
        """What the sweep does where Celery's beat runs, for what the listener does not hear."""
        try:
            self.poll_if_due()
        except SyncError as exc:
            logger.warning("Polling AppSync failed: %s", exc.message)

    def _complete(self, models: Sequence[SyncedModel]) -> None:
        """Read what came in part by its key. What cannot be read now is read with the next sync."""
        for synced in models:
            try:
                self.sync_processor.complete(synced)
            except SyncError as exc:
                logger.warning("Records of %s stay incomplete: %s", synced.label, exc.message)

    def prune(self) -> None:
        """Forget changes nobody will ask for again."""
        change_log.prune(timedelta(seconds=self.settings.CHANGE_RETENTION_SECONDS), outbox_alias())


_engines: dict[Settings, Engine] = {}
_lock = threading.Lock()


def current() -> Engine:
    """The engine of this process for the settings in force. Raises `ConfigurationError`."""
    settings = conf.current()
    with _lock:
        if settings not in _engines:
            _engines.clear()
            _engines[settings] = Engine(settings)
        return _engines[settings]
