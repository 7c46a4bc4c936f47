"""The events Amplify publishes on Hub, as Django signals. Code that wants to know connects here.

Every receiver gets keyword arguments only; `sender` is the Django model class where there is one. They are sent with
`send_robust`: a receiver that fails is logged and stops nothing.
"""

from __future__ import annotations

import logging
from typing import Any

from django.dispatch import Signal

logger = logging.getLogger(__name__)

model_registered = Signal()
"""A model was registered (`model_sync`). Sent with `send`: the switchboard connects the model's signals here."""
model_unregistered = Signal()
"""A model was unregistered (`model_sync`)."""

network_status = Signal()
"""AppSync became reachable or unreachable over HTTP (`active`)."""
subscriptions_established = Signal()
"""Every subscription was acknowledged (`models`)."""
sync_queries_started = Signal()
"""A sync run began (`models`)."""
model_synced = Signal()
"""A model's last page was merged (`is_full_sync`, `is_delta_sync`, `counts` of new, updated, deleted)."""
record_merged = Signal()
"""A merge changed rows (`changes`, a list of `(op_type, primary key)`), for which Django's own signals stay silent."""
sync_queries_ready = Signal()
"""A sync run ended."""
ready = Signal()
"""The listener is live: subscribed and caught up."""
outbox_mutation_enqueued = Signal()
"""A local change was put in the outbox and committed (`mutation_event_id`, `operation`, `record_key`)."""
outbox_mutation_processed = Signal()
"""AppSync acknowledged a mutation (`mutation_event_id`, `operation`, `record_key`, `record`)."""
outbox_mutation_parked = Signal()
"""A mutation was parked (`mutation_event_id`, `operation`, `record_key`, `error_type`, `reason`)."""
outbox_status = Signal()
"""The outbox became empty or not (`is_empty`)."""
conflict_detected = Signal()
"""Something needs a person's eye: a `Conflict` row was written (`conflict`)."""


def send(signal: Signal, sender: Any = None, **facts: Any) -> None:
    """Send an event; receivers that raise are logged."""
    for receiver, outcome in signal.send_robust(sender, **facts):
        if isinstance(outcome, Exception):
            logger.error("An event receiver failed: %r", receiver, exc_info=outcome)
