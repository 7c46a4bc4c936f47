"""Entries that were captured under another registration than today's, before they are sent."""

from __future__ import annotations

from django_datastore import registry
from django_datastore.exceptions import ModelNotRegistered
from django_datastore.models import Conflict, MutationEvent
from django_datastore.storage.transactions import outbox_alias, write_transaction
from django_datastore.sync import conflict, lanes
from django_datastore.sync.spelling import renamed
from django_datastore.types import Operation


def is_left_to_send(event: MutationEvent) -> bool:
    """Bring an entry up to date with the registration. Returns whether anything of it is left to send.

    A field that is registered no more is reported and given up; the others are sent.
    """
    try:
        synced = registry.get(event.model)
    except ModelNotRegistered:
        return True
    data, gone = renamed(synced, event.data)
    if data is event.data:
        return True
    using = outbox_alias()
    with write_transaction(using):
        if not lanes.owned([event]):
            return False
        event.data, event.base, event.shape = data, renamed(synced, event.base)[0], synced.shape
        event.save(using=using, update_fields=["data", "base", "shape"])
        if gone:
            names = ", ".join(sorted(gone))
            reason = f"{synced.name} is registered without {names} now; that part of the edit was not sent."
            conflict.record(Conflict.Kind.REJECTED, synced, event.record_key, reason=reason, local=gone)
        is_empty = event.operation == Operation.UPDATE and not data
        if is_empty:
            lanes.settle([event])
    return not is_empty
