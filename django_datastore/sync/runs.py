"""The runs of a model's sync: base or delta, begun or gone on with, of which API and in which shape. Counted by us."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from django_datastore.appsync.endpoint import Endpoint
from django_datastore.exceptions import AnotherApi
from django_datastore.introspection import SyncedModel
from django_datastore.models import ModelMetadata
from django_datastore.storage.records import metadata as record_metadata
from django_datastore.storage.transactions import outbox_alias

_CLOCKS_DIFFER_MS = 60_000
"""How far the clocks of AppSync's machines may be apart."""


def api_name(endpoint: Endpoint) -> str:
    """The name an API goes by in `ModelMetadata.api`: its host, and a hash of its URL."""
    return f"{endpoint.host[:47]} {hashlib.sha256(endpoint.http_url.encode()).hexdigest()[:16]}"


def require_same_api(endpoint: Endpoint) -> None:
    """Raises `AnotherApi` if what is stored here comes from another API: versions of two must not mix."""
    ours = api_name(endpoint)
    models = ModelMetadata.objects.using(outbox_alias()).exclude(api__in=["", ours])
    other = models.values_list("api", flat=True).first()
    if other is not None:
        raise AnotherApi(f"ENDPOINT names {endpoint.host}, but what is stored here comes from {other.split()[0]}.")


def move_to(endpoint: Endpoint) -> int:
    """The API has another address now: what is stored here comes from it. Returns for how many models that is news."""
    ours = api_name(endpoint)
    return ModelMetadata.objects.using(outbox_alias()).exclude(api=ours).update(api=ours)


def begin(
    synced: SyncedModel,
    wire_filter: Any,
    endpoint: Endpoint,
    *,
    now: datetime,
    full_sync_interval: timedelta,
    full: bool = False,
    anew: bool = False,
) -> ModelMetadata:
    """Go on with an interrupted run, or begin one: a base sync if it is asked for, due, or something changed here.

    After a change of the sync expression, what is outside it now goes; after one of the model's shape, what is known
    of each record is incomplete, so that its version is taken once more. Call it in a transaction.
    """
    using = outbox_alias()
    row = record_metadata.lock_models([synced.label], using)[synced.label]
    same_filter = _text(row.sync_expression) == _text(wire_filter)
    same_shape = row.shape == synced.shape
    if row.next_token and not anew and same_filter and same_shape and (row.is_full_sync or not full):
        return row
    if row.shape and not same_shape:
        record_metadata.forget_completeness(synced.label, using)
    is_due = row.last_full_sync is None or row.last_full_sync + full_sync_interval / _MS < now.timestamp() * 1000
    row.is_full_sync = full or is_due or not same_filter or not same_shape or row.last_sync is None
    row.sync_expression, row.shape, row.api = wire_filter, synced.shape, api_name(endpoint)
    row.next_token, row.started_at, row.holes = "", None, 0
    row.run += 1
    row.save(using=using)
    return row


_MS = timedelta(milliseconds=1)


def check_clock(row: ModelMetadata, started_at: int, model: str) -> None:
    """Raises `AnotherApi` if a run starts before the last one did, by the server's clock."""
    if row.last_sync is not None and started_at and started_at < row.last_sync - _CLOCKS_DIFFER_MS:
        raise AnotherApi(
            f"Cannot sync {model}: by AppSync's clock this sync begins before the last one, so it is another backend, "
            "or its clock was set back.",
            model=model,
        )


def settled_before(row: ModelMetadata) -> int | None:
    """Since when (server's ms) a page of this run must be newer than what is known; None if it need not be."""
    return row.started_at - _CLOCKS_DIFFER_MS if row.is_full_sync and row.started_at else None


def finish(row: ModelMetadata, now: datetime) -> None:
    """The run is over. With holes it is not whole: that is said, and nothing was swept."""
    row.last_sync = row.started_at or row.last_sync or 0
    if row.is_full_sync:
        row.last_full_sync = row.last_sync
    row.next_token, row.started_at = "", None
    row.checked_at = now
    row.last_error = f"AppSync returned {row.holes} records as nothing; no row was removed." if row.holes else ""
    save(row, "last_sync", "last_full_sync", "next_token", "started_at", "checked_at", "last_error")


def save(row: ModelMetadata, *names: str) -> None:
    """Store how far a run is."""
    row.save(using=outbox_alias(), update_fields=names)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
