"""`manage.py datastore start|stop|clear|sync|status|outbox`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count
from django.utils import timezone

from django_datastore import registry
from django_datastore.datastore import DataStore
from django_datastore.exceptions import DataStoreError, SyncError
from django_datastore.introspection import SyncedModel
from django_datastore.models import Conflict, ModelMetadata, MutationEvent, RecordMetadata
from django_datastore.storage.transactions import outbox_alias
from django_datastore.sync import connectivity, engine, listening, merger, runs
from django_datastore.sync.merger import Counts


class Command(BaseCommand):
    """See `help`."""

    help = "Starts, stops, clears, syncs and shows DataStore."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the subcommands."""
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("start", help="let the processors of all processes work")
        actions.add_parser("stop", help="let them rest; what is written waits in the outbox")
        clear = actions.add_parser("clear", help="empty the local tables of all registered models, and the sync state")
        clear.add_argument("--force", action="store_true", help="lose what AppSync does not have, the outbox included")
        clear.add_argument(
            "--no-input", action="store_false", dest="interactive", help="do not ask whether it is meant"
        )
        sync = actions.add_parser("sync", help="ask AppSync for what changed, now, in this process")
        sync.add_argument("models", nargs="*", help="wire names or labels; all registered models by default")
        sync.add_argument("--full", action="store_true", help="a base sync: every record, and rows gone remotely go")
        sync.add_argument("--retry", action="store_true", help="only try again what is held back; asks AppSync nothing")
        actions.add_parser("move", help="ENDPOINT is a new address of the same API: go on with what is stored here")
        actions.add_parser("status", help="what runs, what is synced, what waits")
        outbox = actions.add_parser("outbox", help="the mutations that wait, oldest first")
        outbox.add_argument("--limit", type=int, default=50, help="how many to show (50)")
        outbox.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        """Run the subcommand."""
        try:
            getattr(self, f"_{action}")(**options)
        except SyncError as exc:
            raise CommandError(f"{exc.message} {exc.recovery_suggestion}") from exc
        except DataStoreError as exc:
            raise CommandError(str(exc)) from exc

    def _start(self, **_: Any) -> None:
        engine.start()
        self.stdout.write("started")

    def _stop(self, **_: Any) -> None:
        engine.stop()
        self.stdout.write("stopped; what is written waits in the outbox")

    def _clear(self, *, force: bool, interactive: bool, **_: Any) -> None:
        names = ", ".join(sync.name for sync in registry.all())
        question = f"This empties the local tables of {names}. AppSync keeps its records. Type 'yes' to go on: "
        if interactive and input(question) != "yes":
            raise CommandError("Nothing was cleared.")
        DataStore.clear(force=force)
        self.stdout.write("cleared; the next sync is a base sync")

    def _move(self, **_: Any) -> None:
        count = runs.move_to(engine.current().endpoint)
        self.stdout.write(f"{count} models now belong to {engine.current().endpoint.host}")

    def _sync(self, *, models: list[str], full: bool, retry: bool, **_: Any) -> None:
        wanted = [registry.get(name) for name in models] or None
        if retry:
            self._retry(wanted)
            return
        done = engine.current().sync(wanted, full=full)
        if done is None:
            raise CommandError("Another process is syncing just now. Try again when it is done.")
        for label, counts in done.items():
            self.stdout.write(f"{label}: {counts.new} new, {counts.updated} updated, {counts.deleted} deleted")

    def _retry(self, wanted: list[SyncedModel] | None) -> None:
        counts = Counts()
        for synced in wanted if wanted is not None else [None]:
            counts.add(merger.retry_holds(synced, everything=True))
        held = RecordMetadata.objects.using(outbox_alias()).exclude(hold="").count()
        done = f"{counts.new} new, {counts.updated} updated, {counts.deleted} deleted"
        self.stdout.write(f"{done}; {held} records are still held back")

    def _status(self, **_: Any) -> None:
        using = outbox_alias()
        events = MutationEvent.objects.using(using)
        self.stdout.write(f"running: {'yes' if engine.is_running() else 'no'}")
        self.stdout.write(f"AppSync: {'unreachable' if connectivity.is_offline() else 'reachable, as far as we know'}")
        self.stdout.write(f"listener: {_as_words(listening.current())}")
        states = dict(events.values_list("state").annotate(Count("pk")))
        shown = ", ".join(f"{states.get(state, 0)} {label}" for state, label in MutationEvent.State.choices)
        self.stdout.write(f"outbox: {shown}")
        held = RecordMetadata.objects.using(using).exclude(hold="").count()
        self.stdout.write(f"held back: {held}   conflicts: {Conflict.objects.using(using).count()}")
        metadata = {item.model: item for item in ModelMetadata.objects.using(using)}
        for sync in registry.all():
            found = metadata.get(sync.label)
            when = found.checked_at.isoformat(timespec="seconds") if found and found.checked_at else "never"
            error = f"   error: {found.last_error}" if found and found.last_error else ""
            self.stdout.write(f"{sync.name}: synced {when}{error}")

    def _outbox(self, *, limit: int, json: bool, **_: Any) -> None:
        for event in MutationEvent.objects.using(outbox_alias()).order_by("id")[:limit]:
            self.stdout.write(_as_json(event) if json else _as_line(event))


def _as_words(heard: listening.Listening) -> str:
    if not heard.is_running:
        return "no; changes are polled"
    if not heard.is_live:
        return "not live, changes are polled" + (f": {heard.reason}" if heard.reason else "")
    unheard = ", ".join(sorted(sync.name for sync in registry.all() if sync.label in heard.unheard))
    return f"live; refused and polled: {unheard}" if unheard else "live"


def _as_line(event: MutationEvent) -> str:
    age = int((timezone.now() - event.created_at).total_seconds())
    error = f"   {event.last_error}" if event.last_error else ""
    return (
        f"{event.pk} {event.state} {event.operation} {event.model} {event.record_key} {age}s {event.attempts}x{error}"
    )


def _as_json(event: MutationEvent) -> str:
    return json.dumps(
        {
            "id": event.pk,
            "state": event.state,
            "operation": event.operation,
            "model": event.model,
            "record_key": event.record_key,
            "data": event.data,
            "attempts": event.attempts,
            "created_at": event.created_at.isoformat(),
            "error_type": event.error_type,
            "last_error": event.last_error,
        }
    )
