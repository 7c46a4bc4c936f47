"""Are we connected? Going offline and coming online, told to everyone.

While AppSync cannot be reached over HTTP nobody sends. After an outage the engine catches up before it sends: edits are
then put on top of what changed elsewhere meanwhile. A socket is another matter: see `listening`.
"""

from __future__ import annotations

import logging
from functools import partial

from django_datastore import events
from django_datastore.sync import backoff, reachability

logger = logging.getLogger(__name__)

_PROBE_CAP_MS = 15_000
"""How long at most until the next look whether AppSync is back."""


def is_offline() -> bool:
    """Whether the last request found AppSync unreachable."""
    return reachability.is_unreachable()


def went_offline() -> None:
    """A request found AppSync unreachable."""
    if reachability.failed(partial(backoff.delay, cap_ms=_PROBE_CAP_MS)):
        logger.warning("AppSync cannot be reached; what is written waits in the outbox.", extra={"action": "offline"})
        events.send(events.network_status, active=False)


def stayed_away() -> None:
    """After an outage AppSync answers, but to nothing that was asked: the next look comes after a pause."""
    if is_offline():
        went_offline()


def came_online() -> None:
    """A request got through."""
    if reachability.succeeded():
        logger.info("AppSync can be reached again.", extra={"action": "online"})
        events.send(events.network_status, active=True)
