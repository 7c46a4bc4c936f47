"""Are we connected? Going offline and coming online, told to everyone, and whether a listener holds the subscriptions.

While AppSync cannot be reached nobody sends. After an outage the engine catches up before it sends: edits are then put
on top of what changed elsewhere meanwhile.
"""

from __future__ import annotations

import logging
from functools import partial

from django_datastore import events
from django_datastore.sync import backoff, lease, reachability

logger = logging.getLogger(__name__)

_PROBE_CAP_MS = 15_000
"""How long at most until the next look whether AppSync is back."""
LISTENER = "listener"
"""The lease of the process that holds the subscriptions."""


def is_offline() -> bool:
    """Whether the last request found AppSync unreachable."""
    return reachability.is_unreachable()


def is_listening() -> bool:
    """Whether some process holds the subscriptions."""
    return lease.is_held(LISTENER)


def went_offline() -> None:
    """A request found AppSync unreachable, or a socket was lost."""
    if reachability.failed(partial(backoff.delay, cap_ms=_PROBE_CAP_MS)):
        logger.warning("AppSync cannot be reached; what is written waits in the outbox.", extra={"action": "offline"})
        events.send(events.network_status, active=False)


def came_online() -> None:
    """A request got through."""
    if reachability.succeeded():
        logger.info("AppSync can be reached again.", extra={"action": "online"})
        events.send(events.network_status, active=True)
