"""Emptying the local tables without losing what only this site has. The facade and the command come here."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping

from django.db.models import QuerySet

from django_datastore import registry
from django_datastore.exceptions import UnsentMutations
from django_datastore.introspection import SyncedModel
from django_datastore.models import Conflict, ModelMetadata, MutationEvent, RecordMetadata
from django_datastore.storage.outbox.entries import muted
from django_datastore.storage.transactions import outbox_alias, write_transaction

_CHUNK = 500


def clear(*, force: bool = False) -> None:
    """Empty the tables of all registered models, and the sync state. Raises `UnsentMutations` unless `force`."""
    using = outbox_alias()
    with write_transaction(using), muted():
        if force:
            MutationEvent.objects.using(using).all().delete()
        else:
            _refuse_to_lose(using)
        for sync in reversed(registry.in_topological_order()):
            QuerySet(sync.model, using=using).delete()
        for table in (RecordMetadata, ModelMetadata, Conflict):
            table._base_manager.using(using).all().delete()
        if not force:
            _refuse_to_lose(using)  # somebody may have written in the meantime


def _refuse_to_lose(using: str) -> None:
    unsent = unsent_mutations(using)
    unknown = {sync.name: count for sync in registry.all() if (count := _rows_never_sent(sync, using))}
    if unsent or unknown:
        raise UnsentMutations(_message(unsent, unknown), unsent=unsent, never_sent=unknown)


def unsent_mutations(using: str) -> dict[str, int]:
    """How many mutations AppSync has not acknowledged, by model."""
    labels = MutationEvent.objects.using(using).order_by("model").values_list("model", flat=True)
    names = {sync.label: sync.name for sync in registry.all()}
    return dict(Counter(names.get(label, label) for label in labels.iterator(_CHUNK)))


def _rows_never_sent(sync: SyncedModel, using: str) -> int:
    """How many rows AppSync was never told of: they were here before the model was registered, say."""
    pks = QuerySet(sync.model, using=using).values_list("pk", flat=True).iterator(_CHUNK)
    count = 0
    while chunk := list(itertools.islice(pks, _CHUNK)):
        keys = {sync.key_of_pk(pk) for pk in chunk}
        told = {"model": sync.label, "record_key__in": keys}
        known = RecordMetadata.objects.using(using).filter(**told, version__isnull=False)
        waiting = MutationEvent.objects.using(using).filter(**told)
        count += len(keys.difference(*(rows.values_list("record_key", flat=True) for rows in (known, waiting))))
    return count


def _message(unsent: Mapping[str, int], never_sent: Mapping[str, int]) -> str:
    losses = []
    if unsent:
        losses.append(f"{sum(unsent.values())} mutations AppSync has not acknowledged ({_listed(unsent)})")
    if never_sent:
        losses.append(f"{sum(never_sent.values())} rows it was never told of ({_listed(never_sent)})")
    return (
        f"Cannot clear: it would lose {' and '.join(losses)}. Send them first (`manage.py datastore_drain`; "
        "`manage.py datastore outbox` says why some wait), or lose them with force=True, on the shell --force."
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
