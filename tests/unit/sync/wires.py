"""Records as AppSync sends them, for tests of merging."""

from __future__ import annotations

from typing import Any

from django.db import models

from django_datastore import registry
from django_datastore.models import RecordMetadata
from django_datastore.sync import merger
from django_datastore.sync.classifying import Source
from django_datastore.sync.merger import Merged


def key(number: int) -> str:
    """The key of a record."""
    return f"00000000-0000-4000-8000-{number:012d}"


def wire(number: int, version: int = 1, **fields: Any) -> dict[str, Any]:
    """A record; it changed when its version says."""
    return {"id": key(number), **fields, "_version": version, "_lastChangedAt": 1000 + version, "_deleted": None}


def tombstone(number: int, version: int = 2, **fields: Any) -> dict[str, Any]:
    """A deleted record."""
    return {**wire(number, version, **fields), "_deleted": True}


def merge(model: type[models.Model], *wires: Any, source: Source = Source.PAGE) -> Merged:
    """Merge records as one page."""
    return merger.merge_page(registry.get(model), list(wires), source=source)


def arrive(model: type[models.Model], *wires: Any) -> Merged:
    """Merge records as one page of the model's first sync."""
    synced = registry.get(model)
    return merger.merge_read(synced, merger.prepare(synced, merger.read(synced, wires)), is_first=True)


def known(model: type[models.Model], number: int) -> RecordMetadata:
    """What is known of a record."""
    return RecordMetadata.objects.get(model=model._meta.label_lower, record_key=f'["{key(number)}"]')


def holds(model: type[models.Model]) -> dict[str, str]:
    """What is held back of a model, by the key's last digits."""
    rows = RecordMetadata.objects.filter(model=model._meta.label_lower).exclude(hold="")
    return {row.record_key[-4:-2].lstrip("0"): row.hold for row in rows}
