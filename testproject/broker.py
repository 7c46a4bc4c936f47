"""A queue in a directory for Celery: kombu's filesystem transport, made safe for several processes.

kombu lets a consumer see a message before it is written; the consumer then reads half of it, and the worker ends. Here
a message gets its name when it is complete.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from time import monotonic
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

SCHEME = "files"
"""What a broker URL begins with: `files://`."""
PATIENCE_SECONDS = 0.3
"""How long a consumer waits for a message before it looks for something else to do."""


class Channel(filesystem.Channel):
    """kombu's channel, but a message appears at once and whole."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as kombu calls it
        name = f"{round(monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        folder = Path(self.data_folder_out)
        unfinished = folder / f"{name}.unfinished"
        unfinished.write_text(dumps(payload))
        unfinished.rename(folder / name)


class Transport(filesystem.Transport):
    """kombu's transport with that channel."""

    Channel = Channel

    def drain_events(  # type: ignore[override]  # as kombu calls it
        self, connection: Any, timeout: float | None = None
    ) -> None:
        """Waits for a message, but not for long: a worker hears a signal to stop only in between."""
        super().drain_events(connection, timeout=timeout and min(timeout, PATIENCE_SECONDS))


def register() -> None:
    """Makes `files://` known to kombu."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
