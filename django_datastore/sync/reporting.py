"""What others hear of a merge: people (conflicts), watchers (the change log), and code (`record_merged`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from django.db import transaction

from django_datastore import events
from django_datastore.introspection import SyncedModel
from django_datastore.models import Conflict, RecordMetadata
from django_datastore.storage import change_log
from django_datastore.storage.announcements import announcer
from django_datastore.storage.change_log import Entry
from django_datastore.storage.records.metadata import Known
from django_datastore.sync import conflict
from django_datastore.sync.classifying import HoldBack, Refuse
from django_datastore.sync.removing import Removed
from django_datastore.sync.writing import Written
from django_datastore.types import OpType

Hold = RecordMetadata.Hold


def report(
    synced: SyncedModel, before: Mapping[str, Known], after: Mapping[str, Known], held: Mapping[str, HoldBack]
) -> None:
    """Quarantined records leave a conflict row, once; its row goes when the record is stored."""
    for key, item in held.items():
        if item.hold == Hold.QUARANTINED and item.record is not None and _is_news(before.get(key), item):
            conflict.record(
                Conflict.Kind.QUARANTINED,
                synced,
                key,
                reason=item.reason,
                remote=item.record.wire,
                traceback=item.traceback,
            )
    freed = [key for key in after if key in before and before[key].hold == Hold.QUARANTINED and key not in held]
    if freed:
        conflict.resolve_quarantine(synced, freed)


def _is_news(known: Known | None, item: HoldBack) -> bool:
    if known is None or known.hold != Hold.QUARANTINED or known.remote is None or item.record is None:
        return True
    return known.remote.get("_version") != item.record.version


def report_refused(synced: SyncedModel, item: Refuse) -> None:
    """A record that has no place of its own here."""
    conflict.record_once(synced, item.record.key, reason=item.reason, remote=item.record.wire)


def report_vanished(synced: SyncedModel, keys: Sequence[str]) -> None:
    """Rows that a base sync did not return; with a sync expression they may just have left it."""
    if synced.sync_expression is not None:
        return
    for key in keys:
        conflict.record(Conflict.Kind.VANISHED, synced, key, reason="AppSync no longer returns this record.")


def tell(synced: SyncedModel, written: Written, removed: Removed, using: str) -> None:
    """Log what was done to rows, in the merge's transaction, and announce it when it commits."""
    entries: list[Entry] = [(OpType.DELETE, key, snapshot) for key, snapshot in removed.deleted.items()]
    entries += [(OpType.UPDATE, key, None) for key in written.updated]
    entries += [(OpType.INSERT, key, None) for key in written.inserted]
    changes = [(synced, entries)]
    for item in removed.detached:
        changes.append((item.synced, [(OpType.UPDATE, key, None) for key in item.keys]))
    for model, found in changes:
        if found:
            change_log.append(model.label, found, using)
            announcer.announce_on_commit(using)
            _send(model, found, using)


def _send(synced: SyncedModel, entries: Sequence[Entry], using: str) -> None:
    if events.record_merged.has_listeners(synced.model):
        send: Callable[[], Any] = partial(_send_now, synced, list(entries))
        transaction.on_commit(send, using=using, robust=True)


def _send_now(synced: SyncedModel, entries: Sequence[Entry]) -> None:
    changes = [(op_type, synced.pk_of(key)) for op_type, key, _ in entries]
    events.send(events.record_merged, synced.model, changes=changes)
