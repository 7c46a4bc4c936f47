"""What was held back, tried again when what it waits for came or went, and at the end of a run of syncs.

a row came ──▶ records that wait for this parent
a row went, or lost its parent ──▶ parents that are deleted elsewhere and waited for their children
a row went or changed ──▶ records that the database refused because of other rows
a commit ──▶ a parent and a child that another process stored or deleted at the same time
the end of a run ──▶ all of these, and records that wait for one another
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from django.db import connections, transaction

from django_datastore import registry
from django_datastore.exceptions import ModelNotRegistered
from django_datastore.introspection import SyncedModel
from django_datastore.models import RecordMetadata
from django_datastore.storage.records import metadata, rows
from django_datastore.storage.records.metadata import Known
from django_datastore.storage.serialization import RemoteRecord
from django_datastore.storage.transactions import begun_again, write_transaction
from django_datastore.sync import circles
from django_datastore.sync.classifying import Evict, HoldBack, Source
from django_datastore.sync.merging import Merge, Outcome, merging

Hold = RecordMetadata.Hold
Held: TypeAlias = tuple[str, Mapping[str, Known]]
"""Held records of one model: its label, and what is known of them."""
_MOST = 500
"""Of more refused records than this, no single change frees one; they are tried at the end of a run."""
_MOVABLE = (Hold.LOCAL_EDITS, Hold.MISSING_PARENT, Hold.CHILDREN)


def release(merge: Merge) -> None:
    """Try again what waited for what a merge did, in its transaction."""
    _go_on(_freed(merge), merge.using)


def release_children(synced: SyncedModel, keys: Iterable[str], using: str) -> None:
    """Try again what waited for these records, which are here now, in their transaction."""
    _go_on(_children(synced, keys, using), using)


def _go_on(freed: Iterator[Held], using: str) -> None:
    """Merge what may get in now, then what that frees, and so on: a chain of records may be of any length."""
    todo = [freed]
    while todo:
        found = next(todo[-1], None)
        if found is None:
            todo.pop()
        elif (merge := _merged(*found, using)) is not None and merge.outcome.applied:
            todo.append(_freed(merge))


def _freed(merge: Merge) -> Iterator[Held]:
    synced, outcome, using = merge.synced, merge.outcome, merge.using
    has_freed = bool(outcome.deleted or outcome.updated or outcome.has_detached)
    look_again(synced, outcome.inserted, using, held=outcome.held, has_freed=has_freed)
    if not (merge.has_holds or outcome.held):
        return
    yield from _children(synced, outcome.applied, using)
    if has_freed:
        yield from _parents(synced, using)
    if outcome.deleted or outcome.updated or _has_clashes(outcome):
        clashing = metadata.waiting_for([synced.label], using).get(synced.label, {})
        if 0 < len(clashing) <= _MOST and clashing.keys() != outcome.held.keys():
            yield synced.label, clashing


def _children(synced: SyncedModel, keys: Iterable[str], using: str) -> Iterator[Held]:
    yield from metadata.waiting_for([f"{synced.label} {key}" for key in keys], using).items()


def _parents(synced: SyncedModel, using: str) -> Iterator[Held]:
    for label in {target.label for _, target in synced.foreign_keys}:
        yield label, metadata.held(label, [Hold.CHILDREN], using)


def look_again(
    synced: SyncedModel,
    new: Collection[str],
    using: str,
    *,
    held: Mapping[str, HoldBack] | None = None,
    has_freed: bool = False,
) -> None:
    """Once this transaction has committed, let parents and children find each other.

    What two processes store or delete at once, neither sees of the other before. SQLite has one writer.
    """
    orphans = [key for key, item in (held or {}).items() if item.hold == Hold.MISSING_PARENT]
    kept = [key for key, item in (held or {}).items() if item.hold == Hold.CHILDREN]
    if (new or orphans or kept or has_freed) and connections[using].vendor != "sqlite":
        look = partial(_look_again, synced, list(new), orphans, kept, has_freed, using)
        transaction.on_commit(look, using=using, robust=True)


def _look_again(
    synced: SyncedModel, new: Sequence[str], orphans: Sequence[str], kept: Sequence[str], has_freed: bool, using: str
) -> None:
    if (new or has_freed) and metadata.models_with_holds(using):
        _release_both(synced, new, has_freed, using)
    waiting = metadata.read(synced.label, orphans, using)
    arrived = _arrived({known.waits_for for known in waiting.values() if known.hold == Hold.MISSING_PARENT}, using)
    if found := [*kept, *(key for key, known in waiting.items() if known.waits_for in arrived)]:
        retry_records(synced.label, found, using)


@begun_again
def _release_both(synced: SyncedModel, new: Collection[str], has_freed: bool, using: str) -> None:
    with write_transaction(using):
        release_children(synced, new, using)
        if has_freed:
            _go_on(_parents(synced, using), using)


def _arrived(parents: Iterable[str], using: str) -> set[str]:
    """Those that have a row, each a label and a key joined by a space."""
    by_label: dict[str, list[str]] = {}
    for parent in parents:
        label, _, key = parent.partition(" ")
        by_label.setdefault(label, []).append(key)
    return {
        f"{synced.label} {key}"
        for synced in registry.all()
        if synced.label in by_label
        for key in rows.here(synced, by_label[synced.label], using)
    }


def _has_clashes(outcome: Outcome) -> bool:
    return any(item.hold == Hold.QUARANTINED and item.waits_for for item in outcome.held.values())


def _again(label: str, held: Mapping[str, Known], using: str) -> Outcome | None:
    """Merge held records once more; goes on with what waited for those that get in."""
    merge = _merged(label, held, using)
    if merge is None:
        return None
    if merge.outcome.applied:
        release(merge)
    return merge.outcome


def _merged(label: str, held: Mapping[str, Known], using: str) -> Merge | None:
    try:
        synced = registry.get(label)
    except ModelNotRegistered:
        return None
    if not held:
        return None
    with merging(synced, held, using=using) as merge:
        for key, known in merge.known.items():
            _take_held(merge, key, known)
    return merge


def _take_held(merge: Merge, key: str, known: Known) -> None:
    if not known.hold:
        return
    if known.remote is None:  # swept, and kept by its children
        if not merge.lanes.get(key):
            merge.settle(key, Evict(key, merge.synced.sync_expression is not None))
        return
    try:
        record = RemoteRecord.parse(merge.synced, known.remote)
    except ValueError:  # held under another registration; the next base sync brings it as it is now
        return
    merge.take(record, Source.PAGE)


def retry(synced: SyncedModel | None, *, everything: bool, using: str) -> Iterator[Outcome]:
    """Try again what is held of one model, or of all, parents first; then what waits for one another."""
    models = registry.in_topological_order() if synced is None else (synced,)
    wanted = metadata.models_with_holds(using)
    for model in models:
        if model.label in wanted and (outcome := _retry_model(model, everything, using)) is not None:
            yield outcome
    if wanted:
        yield from circles.close(using)


@begun_again
def retry_records(label: str, keys: Collection[str], using: str) -> int:
    """Try again these records of one model. Returns how many are held no more."""
    with write_transaction(using):
        held = {key: known for key, known in metadata.read(label, keys, using).items() if known.hold}
        outcome = _again(label, held, using)
    return len(held.keys() & set(outcome.applied)) if outcome is not None else 0


@begun_again
def _retry_model(synced: SyncedModel, everything: bool, using: str) -> Outcome | None:
    with write_transaction(using):
        held = metadata.held(synced.label, [*_MOVABLE, Hold.QUARANTINED], using)
        chosen = {
            key: known for key, known in held.items() if everything or known.hold != Hold.QUARANTINED or known.waits_for
        }
        return _again(synced.label, chosen, using)
