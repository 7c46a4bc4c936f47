"""Capture: no write to a registered model escapes, whatever Django's way to it.

    save() · create() · loaddata ──────────────▶ Model._save_table ─┐
    update() · bulk_update() · related managers ▶ QuerySet.update    │
    bulk_create() ──────────────────────────────▶ QuerySet.bulk_create ├─▶ the row, its outbox entry and its
    delete(), cascades ─────────────────────────▶ DeleteQuery, _raw_delete │  change, in one transaction
    SET_NULL, SET_DEFAULT, SET(...) ────────────▶ UpdateQuery.update_batch ┘

Each of these functions of Django's gets one thin dispatch, once, when the app is ready. It asks which registered tables
a write touches; a write that touches none goes on as if we were not here. No class is swapped, no signal is needed, and
what people's receivers do comes after the entry is in, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django.apps.registry import Apps
from django.db import models
from django.db.models.deletion import Collector
from django.db.models.sql import DeleteQuery, UpdateQuery

from django_datastore import registry
from django_datastore.introspection import SyncedModel
from django_datastore.storage import captured
from django_datastore.storage.capture import bulk_creates, deletes, doomed, saves, setwise

_CAPTURES: tuple[tuple[type, str, Callable[..., Any]], ...] = (
    (models.Model, "save_base", saves.save_base),
    (models.Model, "_save_table", saves.save_table),
    (models.QuerySet, "update", setwise.update),
    (models.QuerySet, "bulk_update", setwise.bulk_update),
    (models.QuerySet, "bulk_create", bulk_creates.bulk_create),
    (models.QuerySet, "_raw_delete", deletes.raw_delete),
    (Collector, "delete", doomed.delete),
    (DeleteQuery, "delete_batch", deletes.delete_batch),
    (UpdateQuery, "update_batch", deletes.update_batch),
)


def install() -> None:
    """Set the dispatch up."""
    for owner, name, capture in _CAPTURES:
        original = owner.__dict__[name]
        if not hasattr(original, "__wrapped__"):
            setattr(owner, name, _dispatch(original, capture))


def _dispatch(original: Callable[..., Any], capture: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def dispatch(self: Any, *args: Any, **kwargs: Any) -> Any:
        return capture(original, self, *args, **kwargs)

    return dispatch


def on_registered(*, model_sync: SyncedModel, **_: Any) -> None:
    """Receiver of `model_registered`: capture the writes to the model from now on."""
    captured.add(captured.CapturedModel(model_sync))


def on_unregistered(*, model_sync: SyncedModel, **_: Any) -> None:
    """Receiver of `model_unregistered`: capture them no longer."""
    captured.remove(model_sync.model)


@contextmanager
def capturing(apps: Apps) -> Iterator[None]:
    """Inside, writes through historical models are captured, too. For data migrations:

        def fill(apps, schema_editor):
            with datastore.capturing(apps):
                apps.get_model("blog", "Post").objects.update(rating=3)

    A historical model stands for the registered one of its name; fields it does not have are left alone. The outbox's
    own tables must be there, so let the migration depend on `("django_datastore", "0001_initial")`.
    """
    twins = [captured.CapturedModel(synced, twin) for synced in registry.all() if (twin := _twin(apps, synced))]
    for each in twins:
        captured.add(each)
    try:
        yield
    finally:
        for each in twins:
            captured.remove(each.model)


def _twin(apps: Apps, synced: SyncedModel) -> type[models.Model] | None:
    try:
        found = apps.get_model(synced.label)
    except LookupError:
        return None
    return None if found is synced.model else found
