"""Entries that were captured under another registration than today's, before they are sent."""

from __future__ import annotations

from typing import Any

from django_datastore import registry
from django_datastore.exceptions import ModelNotRegistered
from django_datastore.introspection import SyncedModel
from django_datastore.models import Conflict, MutationEvent
from django_datastore.storage.transactions import begun_again, outbox_alias, write_transaction
from django_datastore.sync import conflict, lanes
from django_datastore.sync.spelling import renamed
from django_datastore.types import Operation, WireRecord


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
    facts = {"data": data, "base": renamed(synced, event.base)[0], "shape": synced.shape}
    if not _bring_up_to_date(synced, event, facts, gone):
        return False
    for name, value in facts.items():
        setattr(event, name, value)
    return event.operation != Operation.UPDATE or bool(data)


@begun_again
def _bring_up_to_date(synced: SyncedModel, event: MutationEvent, facts: dict[str, Any], gone: WireRecord) -> bool:
    """Store it; whether the entry is still ours."""
    using = outbox_alias()
    with write_transaction(using):
        if not lanes.owned([event]):
            return False
        MutationEvent.objects.using(using).filter(pk=event.pk).update(**facts)
        if gone:
            names = ", ".join(sorted(gone))
            reason = f"{synced.name} is registered without {names} now; that part of the edit was not sent."
            conflict.record(Conflict.Kind.REJECTED, synced, event.record_key, reason=reason, local=gone)
        if event.operation == Operation.UPDATE and not facts["data"]:
            lanes.settle([event])
    return True
