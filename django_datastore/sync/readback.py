"""What became of a mutation whose answer got lost: read off the record as AppSync has it."""

from __future__ import annotations

from django_datastore.exceptions import ConditionFailed
from django_datastore.introspection import SyncedModel
from django_datastore.models import MutationEvent
from django_datastore.sync.rebase import rejected_fields
from django_datastore.types import Operation, WireRecord

_KEY_IS_TAKEN = ("ConditionalCheckFailedException", ConditionFailed.__name__)


def was_executed(sync: SyncedModel, event: MutationEvent, remote: WireRecord | None, sent_on: int | None) -> bool:
    """Whether the record shows that the mutation, sent on top of version `sent_on`, took effect."""
    if event.operation == Operation.DELETE:
        return remote is None or bool(remote.get("_deleted"))
    if remote is None or remote.get("_deleted"):
        return False
    if event.operation == Operation.UPDATE and remote.get("_version") == sent_on:
        return False
    if event.operation == Operation.CREATE and (remote.get("_version") or 0) > 1 and _is_our_key(sync, event):
        return True  # what differs was edited by others since
    return not rejected_fields(sync, event.data, remote)


def _is_our_key(sync: SyncedModel, event: MutationEvent) -> bool:
    """Whether a key that AppSync has came there by this create.

    A generated key can have come in no other way. One that people choose can be another's, who chose it too: it is
    taken for ours if all that is known of the create is that no answer came; for another's if AppSync has refused it.
    """
    return sync.has_generated_key or (event.outcome_unknown and not event.error_type.endswith(_KEY_IS_TAKEN))
