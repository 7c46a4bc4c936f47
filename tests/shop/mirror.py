"""Whether row and outbox tell the same story: a model of AppSync that is told the outbox, compared with the rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import models

import django_datastore as datastore
from django_datastore import registry
from django_datastore.models import MutationEvent, RecordMetadata
from tests.shop.models import Account, Card, Collection, Licence, Parcel, Place, Seat, Step, Tagging
from tests.upserts import on

Lane = tuple[str, str]
Records = dict[Lane, dict[str, Any]]


class AccountSync(datastore.ModelSync):
    """With the column the database computes."""

    exclude = ["is_open"]
    types = {"doubled": "Int", "facts": "AWSJSON"}


class StepSync(datastore.ModelSync):
    """With its order."""

    names = {"_order": "position"}


EVERY_SHAPE: dict[type[models.Model], type[datastore.ModelSync]] = {
    Place: datastore.ModelSync,
    Licence: datastore.ModelSync,
    Account: AccountSync,
    Card: datastore.ModelSync,
    Seat: datastore.ModelSync,
    Step: StepSync,
    Collection: datastore.ModelSync,
    Tagging: datastore.ModelSync,
    Parcel: datastore.ModelSync,
}


@contextmanager
def registered(syncs: dict[type[models.Model], type[datastore.ModelSync]]) -> Iterator[None]:
    """Inside, these models are synced as well."""
    for model, sync in syncs.items():
        registry.register(model, sync)
    try:
        yield
    finally:
        for model in syncs:
            registry.unregister(model)


class Mirror:
    """AppSync's side of all registered models, as far as the outbox says."""

    def __init__(self) -> None:
        self.acknowledged: Records = {}

    def acknowledge_all(self) -> None:
        """AppSync takes everything that waits."""
        self.acknowledged = self.told()
        presence = RecordMetadata.Presence
        lanes = MutationEvent.objects.order_by().values_list("model", "record_key").distinct()
        RecordMetadata.objects.bulk_create(
            [
                RecordMetadata(
                    model=model,
                    record_key=key,
                    version=1,
                    presence=presence.HERE if (model, key) in self.acknowledged else presence.DELETED,
                )
                for model, key in lanes
            ],
            update_conflicts=True,
            update_fields=["version", "presence"],
            **on("model", "record_key"),
        )
        MutationEvent.objects.all().delete()

    def told(self) -> Records:
        """The records once everything that waits is sent, in order. AppSync refuses what makes no sense."""
        records = {lane: dict(record) for lane, record in self.acknowledged.items()}
        for event in MutationEvent.objects.order_by("id"):
            lane = (event.model, event.record_key)
            match event.operation:
                case "create":
                    assert lane not in records, f"{lane} is created twice"
                    records[lane] = {}
                case "delete":
                    del records[lane]
                    continue
            records[lane] |= event.data
        return {lane: _given(record) for lane, record in records.items()}

    def check(self) -> None:
        """Raise where AppSync would end up with something else than the rows."""
        told, kept = self.told(), rows()
        assert told == kept, f"only told: {_only(told, kept)}; only kept: {_only(kept, told)}"


def rows() -> Records:
    """The rows of all registered models, as wire records without their keys and what only the server sets."""
    found: Records = {}
    for synced in registry.all():
        sent = [item for item in synced.bindings if item not in synced.key_bindings and not item.schema.is_read_only]
        for row in models.QuerySet(synced.model):
            wire = synced.to_wire(row)
            found[synced.label, synced.key_of(row)] = _given({item.wire_name: wire[item.wire_name] for item in sent})
    return found


def outbox() -> list[tuple[str, str, dict[str, Any]]]:
    """What waits, in order: operation, model, data."""
    return [(event.operation, event.model, event.data) for event in MutationEvent.objects.order_by("id")]


def _given(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}


def _only(some: Records, others: Records) -> Records:
    return {lane: record for lane, record in some.items() if others.get(lane) != record}
