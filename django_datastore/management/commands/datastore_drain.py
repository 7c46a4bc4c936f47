"""`manage.py datastore_drain`: the mutation processor without Celery."""

from __future__ import annotations

import logging
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, close_old_connections

from django_datastore.exceptions import ConfigurationError, NotRunning
from django_datastore.models import MutationEvent
from django_datastore.storage.transactions import outbox_alias
from django_datastore.sync import engine, lanes

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """See `help`."""

    help = (
        "Sends the outbox to AppSync. Without options it sends what is due and ends: with status 1 if mutations are "
        "left that are not parked. With --watch it goes on until it is stopped (SIGTERM, Ctrl-C)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the options."""
        parser.add_argument("--watch", action="store_true", help="go on until stopped")
        parser.add_argument("--interval", type=float, default=1.0, help="with --watch: seconds between looks (1)")

    def handle(self, *args: Any, watch: bool, interval: float, **options: Any) -> None:
        """Drain once or for ever."""
        stopping = threading.Event()
        if watch:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
        try:
            current = engine.current()
            while True:
                try:
                    while current.drain() and not stopping.is_set():
                        pass
                except OperationalError as exc:  # a deadlock, a lock not got: what was claimed is found by its lease
                    if not watch:
                        raise
                    logger.warning("The database failed, the outbox waits: %s", exc)
                if not watch or stopping.wait(interval):
                    break
                close_old_connections()
        except (ConfigurationError, NotRunning) as exc:
            raise CommandError(str(exc)) from exc
        self._report()

    def _report(self) -> None:
        events = MutationEvent.objects.using(outbox_alias())
        parked = events.parked().count()
        left = events.count() - parked
        self.stdout.write(f"{left} left, {parked} parked")
        if not lanes.is_empty():
            reason = events.pending().exclude(last_error="").values_list("last_error", flat=True).first()
            raise CommandError(f"{left} mutations could not be sent yet{f': {reason}' if reason else '.'}")
