"""Registers the odd models for one test module: `pytestmark`, or the fixture `odd_models`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import django_datastore as datastore
from django_datastore import registry
from tests.odd import models


class SlotSync(datastore.ModelSync):
    exclude = ["seen_here"]


class RectangleSync(datastore.ModelSync):
    exclude = ["area", "state"]


class LimitedSync(datastore.ModelSync):
    exclude = ["approved_by"]


class ParcelSync(datastore.ModelSync):
    exclude = ["depot", "note"]


class ShoutSync(datastore.ModelSync):
    types = {"text": "String"}


REGISTRATIONS = {
    models.Slot: SlotSync,
    models.Badge: datastore.ModelSync,
    models.Pair: datastore.ModelSync,
    models.Team: datastore.ModelSync,
    models.Player: datastore.ModelSync,
    models.Rectangle: RectangleSync,
    models.Limited: LimitedSync,
    models.Shout: ShoutSync,
    models.Price: datastore.ModelSync,
    models.Parcel: ParcelSync,
}


@contextmanager
def registered() -> Iterator[None]:
    """Inside, the odd models are synced."""
    for model, sync in REGISTRATIONS.items():
        datastore.register(model, sync)
    try:
        yield
    finally:
        for model in REGISTRATIONS:
            registry.unregister(model)
