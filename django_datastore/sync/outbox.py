"""The outbox (DataStore's `sync/outbox.ts`): what a person may do to its entries. `storage.entries` fills it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from django_datastore.models import MutationEvent
from django_datastore.storage.announcements import announcer

State = MutationEvent.State


def retry(queryset: Any) -> int:
    """Let parked entries try again. Returns how many."""
    changed: int = queryset.filter(state=State.PARKED).update(
        state=State.PENDING, attempts=0, next_attempt_at=timezone.now(), error_type="", last_error=""
    )
    announcer.announce_on_commit(queryset.db)
    return changed
