"""`manage.py datastore_listen`: the process that holds the subscriptions."""

from __future__ import annotations

import asyncio
import signal
from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_datastore.exceptions import ConfigurationError, LeaseLost
from django_datastore.sync import engine


class Command(BaseCommand):
    """See `help`."""

    help = (
        "Subscribes to AppSync, catches up with sync queries, and merges every change as it comes. Run one; a second "
        "one stands by and takes over when the first is gone. Ends on SIGTERM and Ctrl-C."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the options."""
        parser.add_argument("--once", action="store_true", help="end when live and caught up")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        """Listen."""
        try:
            asyncio.run(self._listen(engine.current(), once=once))
        except ConfigurationError as exc:
            raise CommandError(str(exc)) from exc
        except LeaseLost as exc:
            raise CommandError(f"{exc} Start this one again to have it stand by.") from exc

    async def _listen(self, current: engine.Engine, *, once: bool) -> None:
        listening = asyncio.create_task(current.listen(once=once, announce=self._say))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, listening.cancel)
        with suppress(asyncio.CancelledError):
            await listening

    def _say(self, line: str) -> None:
        self.stdout.write(f"listener: {line}")
        self.stdout.flush()
