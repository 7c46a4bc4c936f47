"""The tables of the engine: outbox, metadata, change log, conflicts, settings, leases. Users' models get no columns.

Records are keyed by `model` (the label, `"blog.post"`) and `record_key` (the primary key's wire values as JSON text).
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_datastore.fields import JSONText, KeyText
from django_datastore.indexes import PartialIndex

KEY_LENGTH = 2200
"""Characters of a record key. DynamoDB takes keys of 2,048 bytes; PostgreSQL's indexes take rows of 2,704."""
KEY_LENGTH_MYSQL = 600
"""The same on MariaDB, whose indexes take 3,072 bytes of a row, four for each character."""


class RecordReference(models.Model):
    """What every row about one record has in common."""

    model = KeyText(_("model"), max_length=120)
    record_key = KeyText(_("record key"), max_length=KEY_LENGTH, mysql_length=KEY_LENGTH_MYSQL)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.model} {self.record_key}"


class MutationEventQuerySet(models.QuerySet["MutationEvent"]):
    """The outbox's named queries."""

    def pending(self) -> MutationEventQuerySet:
        """Entries that wait to be sent."""
        return self.filter(state=MutationEvent.State.PENDING)

    def parked(self) -> MutationEventQuerySet:
        """Entries that wait for a person."""
        return self.filter(state=MutationEvent.State.PARKED)

    def in_flight(self) -> MutationEventQuerySet:
        """Entries a worker has claimed."""
        return self.filter(state=MutationEvent.State.IN_FLIGHT)

    def of_record(self, model: str, record_key: str) -> MutationEventQuerySet:
        """One lane, in order."""
        return self.filter(model=model, record_key=record_key).order_by("id")


class MutationEvent(RecordReference):
    """One outbox entry: a mutation AppSync has not acknowledged yet (DataStore's `MutationEvent`).

    An acknowledged entry is deleted. The entries of one record, by `id`, are its lane.
    """

    class State(models.TextChoices):
        PENDING = "PENDING", _("pending")
        IN_FLIGHT = "IN_FLIGHT", _("in flight")
        PARKED = "PARKED", _("parked")

    class Operation(models.TextChoices):
        CREATE = "create", _("create")
        UPDATE = "update", _("update")
        DELETE = "delete", _("delete")

    id = models.BigAutoField(primary_key=True)
    operation = models.CharField(_("operation"), max_length=10, choices=Operation.choices)
    data = JSONText(_("data"), default=dict)
    """The changed fields by wire name, without key and version."""
    base = JSONText(_("base"), default=dict)
    """The same fields as they were before the change, for three-way merging."""
    condition = JSONText(_("condition"), null=True, blank=True)
    """The GraphQL condition that AppSync checks, or null."""
    waits_for = JSONText(_("waits for"), default=list)
    """The records its foreign keys point to, as `[model, record_key]`: it is sent once none of their creates waits."""
    state = models.CharField(
        _("state"), max_length=10, choices=State.choices, default=State.PENDING, db_default=State.PENDING
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0, db_default=0)
    next_attempt_at = models.DateTimeField(_("next attempt at"), default=timezone.now)
    outcome_unknown = models.BooleanField(_("outcome unknown"), default=False, db_default=False)
    """It was sent and no answer came: the outcome must be read back before anything else."""
    error_type = models.CharField(_("error type"), max_length=120, blank=True, default="", db_default="")
    last_error = models.TextField(_("last error"), blank=True, default="", db_default="")
    lease_owner = models.CharField(_("lease owner"), max_length=120, blank=True, default="", db_default="")
    lease_expires_at = models.DateTimeField(_("lease expires at"), null=True, blank=True)
    fence = models.BigIntegerField(_("fence"), default=0, db_default=0)
    """Counts the claims; what a worker settles must carry the number it claimed with."""
    shape = models.CharField(_("shape"), max_length=16, blank=True, default="")
    """The shape of the model (see `ModelMetadata.shape`) when the change was captured."""
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    objects = MutationEventQuerySet.as_manager()

    class Meta:
        verbose_name = _("mutation event")
        verbose_name_plural = _("outbox")
        indexes: ClassVar = [
            # The one index each write has to keep. What is due is found by id: nearly everything that waits is due.
            models.Index(fields=["model", "record_key", "id"], name="datastore_outbox_lane"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.model} {self.record_key}"


class ModelMetadata(models.Model):
    """How far one model is synced (DataStore's `ModelMetadata`), with the checkpoint of a running sync."""

    model = KeyText(_("model"), max_length=120, primary_key=True)
    api = models.CharField(_("API"), max_length=64, blank=True, default="")
    """Which API the versions of this model come from; another one must not mix with them."""
    shape = models.CharField(_("shape"), max_length=16, blank=True, default="")
    """A hash of the model's wire fields and types; another one makes the next sync a base sync."""
    run = models.BigIntegerField(_("run"), default=0)
    """Counts the syncs, for mark and sweep; the server's clock may jump."""
    last_sync = models.BigIntegerField(_("last sync"), null=True, blank=True)
    """The `startedAt` of the last finished sync, in ms of the server's clock; null before the first."""
    last_full_sync = models.BigIntegerField(_("last full sync"), null=True, blank=True)
    sync_expression = JSONText(_("sync expression"), null=True, blank=True)
    """The filter the last sync used; another one forces a base sync."""
    next_token = models.TextField(_("next token"), blank=True, default="")
    """Where an interrupted sync goes on; empty when none is running."""
    started_at = models.BigIntegerField(_("started at"), null=True, blank=True)
    """The `startedAt` of the running sync's first page, in ms of the server's clock."""
    is_full_sync = models.BooleanField(_("is full sync"), default=False)
    """Whether the running sync is a base sync."""
    holes = models.PositiveIntegerField(_("holes"), default=0)
    """How many records of the running sync came as nothing: with holes, nothing is taken to be gone."""
    checked_at = models.DateTimeField(_("checked at"), null=True, blank=True)
    """When the last sync of this model ended, by this site's clock."""
    last_error = models.TextField(_("last error"), blank=True, default="")

    class Meta:
        verbose_name = _("sync state")
        verbose_name_plural = _("sync states")

    def __str__(self) -> str:
        return self.model

    @property
    def is_synced(self) -> bool:
        """Whether the model has been synced at least once."""
        return self.last_sync is not None


class RecordMetadata(RecordReference):
    """What is known of a record's remote state: the version applied here, and a newer state that is held back."""

    class Hold(models.TextChoices):
        NONE = "", _("applied")
        LOCAL_EDITS = "LOCAL_EDITS", _("waits for unsent local edits")
        MISSING_PARENT = "MISSING_PARENT", _("waits for its parent")
        CHILDREN = "CHILDREN", _("deleted remotely, waits for its children")
        QUARANTINED = "QUARANTINED", _("does not fit the model")

    class Presence(models.TextChoices):
        HERE = "HERE", _("here")
        EVICTED = "EVICTED", _("outside the sync expression, or no longer returned")
        DELETED = "DELETED", _("deleted")

    id = models.BigAutoField(primary_key=True)
    wire_key = JSONText(_("wire key"), null=True, blank=True)
    """The key as AppSync spells it, a list of values; null where the record key has the same spelling."""
    version = models.BigIntegerField(_("version"), null=True, blank=True)
    """The `_version` of the remote state that was last applied; null before the first acknowledgement."""
    last_changed_at = models.BigIntegerField(_("last changed at"), null=True, blank=True)
    presence = models.CharField(_("presence"), max_length=8, choices=Presence.choices, default=Presence.HERE)
    incomplete = models.BooleanField(_("incomplete"), default=False)
    """A part of the record is unknown: its version is taken again from whoever has all of it."""
    hold = models.CharField(_("hold"), max_length=20, choices=Hold.choices, default=Hold.NONE, blank=True)
    remote = JSONText(_("remote"), null=True, blank=True)
    """The newest remote record that could not be applied yet."""
    reason = models.TextField(_("reason"), blank=True, default="")
    waits_for = KeyText(
        _("waits for"), max_length=KEY_LENGTH + 121, mysql_length=KEY_LENGTH_MYSQL + 121, blank=True, default=""
    )
    """With MISSING_PARENT: the label and key of the parent, joined by a space."""
    seen_in_run = models.BigIntegerField(_("seen in run"), null=True, blank=True)
    """The `ModelMetadata.run` of the last base sync that returned this record, for mark and sweep."""

    class Meta:
        verbose_name = _("record metadata")
        verbose_name_plural = _("record metadata")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "record_key"], name="datastore_metadata_record"),
        ]
        indexes: ClassVar = [
            PartialIndex(fields=["hold", "model"], name="datastore_metadata_hold", only=~Q(hold="")),
            PartialIndex(fields=["waits_for"], name="datastore_metadata_waits_for", only=~Q(waits_for="")),
            PartialIndex(fields=["incomplete", "model"], name="datastore_metadata_incomplete", only=Q(incomplete=True)),
        ]


class Conflict(RecordReference):
    """Something about a record that a person should see: an edit the server refused, a record that does not fit."""

    class Kind(models.TextChoices):
        REJECTED = "REJECTED", _("the server's merge kept another value")
        QUARANTINED = "QUARANTINED", _("the record does not fit the model")
        VANISHED = "VANISHED", _("the row is gone on the server")
        DISCARDED = "DISCARDED", _("a local edit was discarded")

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    local = JSONText(_("local"), null=True, blank=True)
    remote = JSONText(_("remote"), null=True, blank=True)
    reason = models.TextField(_("reason"), blank=True, default="")
    traceback = models.TextField(_("traceback"), blank=True, default="")
    """Where code of this site failed, if it did."""
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("conflict")
        verbose_name_plural = _("conflicts")
        indexes: ClassVar = [models.Index(fields=["model", "record_key"], name="datastore_conflict_record")]


class Change(models.Model):
    """The change log that watchers read: one row for each write to storage, committed with it."""

    id = models.BigAutoField(primary_key=True)
    model = KeyText(_("model"), max_length=120)
    transaction_id = models.BigIntegerField(_("transaction id"), null=True, blank=True)
    """PostgreSQL's number of the writing transaction; null elsewhere."""
    entries = JSONText(_("entries"), default=list)
    """A list of `[op_type, record_key, snapshot]`; the snapshot is the wire record of a deleted row, else null."""
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("change")
        verbose_name_plural = _("changes")

    def __str__(self) -> str:
        return f"{self.model} #{self.pk}"


class Setting(models.Model):
    """A fact every process of this site shares, such as whether DataStore runs (DataStore's `Setting`)."""

    key = KeyText(_("key"), max_length=100, primary_key=True)
    value = JSONText(_("value"), null=True)

    def __str__(self) -> str:
        return self.key


class Lease(models.Model):
    """The right of one process to do something alone, until it expires."""

    name = KeyText(_("name"), max_length=100, primary_key=True)
    owner = models.CharField(_("owner"), max_length=120, blank=True, default="")
    expires_at = models.DateTimeField(_("expires at"))
    fence = models.BigIntegerField(_("fence"), default=0)

    def __str__(self) -> str:
        return self.name
