"""What the server keeps: every record of every model in one table, where indexes have it, and what changed lately."""

from __future__ import annotations

from django.db import models

from django_datastore.appsync_local.columns import AsciiText, KeyBytes

MAX_KEY_LENGTH = 1000
"""Characters of a key's JSON text."""
MAX_SORT_BYTES = 1024
"""Bytes of a sort key in a secondary index, as many as DynamoDB takes."""
MAX_STORED_PARTITION_BYTES = 512
"""Longer partitions are stored as a hash."""


class StoredRecord(models.Model):
    """The shared columns: a record of any model, as it is or as it was."""

    model = AsciiText(max_length=200)
    """The model's name in the API."""
    key = AsciiText(max_length=MAX_KEY_LENGTH)
    """The primary key's values as JSON text, such as `["3f…"]`."""
    data = models.TextField()
    """The field values as JSON text: text keeps what `jsonb` refuses, such as a NUL in a string."""
    version = models.BigIntegerField()
    """`_version`."""
    last_changed_at = models.BigIntegerField()
    """`_lastChangedAt`: epoch milliseconds, never going back within a record."""
    deleted = models.BooleanField(default=False)
    """`_deleted`: this is a tombstone."""
    expires_at = models.BigIntegerField(null=True, blank=True)
    """`_ttl`: epoch milliseconds after which the row is removed."""

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.model} {self.key} v{self.version}"


class Record(StoredRecord):
    """The base table: the newest state of each record, tombstones included."""

    class Meta:
        verbose_name = "record"
        constraints = [models.UniqueConstraint(fields=["model", "key"], name="appsync_local_record_key")]
        indexes = [
            # A base sync walks a model in the order of the rows' ids, page by page, without OFFSET.
            models.Index(fields=["model", "id"], name="appsync_local_record_scan"),
            models.Index(fields=["expires_at"], name="appsync_local_record_ttl"),
        ]


class Delta(StoredRecord):
    """The delta table: each change of the last minutes, for clients that only missed those."""

    class Meta:
        verbose_name = "delta"
        verbose_name_plural = "delta log"
        indexes = [
            models.Index(fields=["model", "last_changed_at", "id"], name="appsync_local_delta_scan"),
            models.Index(fields=["expires_at"], name="appsync_local_delta_ttl"),
        ]


class Publication(models.Model):
    """The events of one committed document, on their way to the sockets of all processes. See `relay.py`."""

    data = models.TextField()
    """The events as JSON text."""
    created_at = models.BigIntegerField(db_index=True)
    """Epoch seconds."""

    def __str__(self) -> str:
        return f"events {self.pk}"


class IndexEntry(models.Model):
    """Where a secondary index has a record. The keys are bytes in the order of the index."""

    index = AsciiText(max_length=500)
    """The index's name, which tells its model and fields."""
    partition = KeyBytes(max_length=MAX_STORED_PARTITION_BYTES)
    sort = KeyBytes(max_length=MAX_SORT_BYTES)
    record_id = models.BigIntegerField()
    """The `id` of the `Record`; no foreign key, because a cascade would read the rows it deletes."""

    class Meta:
        verbose_name = "index entry"
        verbose_name_plural = "index entries"
        indexes = [
            models.Index(fields=["index", "partition", "sort", "record_id"], name="appsync_local_entry_walk"),
            models.Index(fields=["record_id"], name="appsync_local_entry_record"),
        ]

    def __str__(self) -> str:
        return f"{self.index} {self.record_id}"


class BuiltIndex(models.Model):
    """An index that has all records there are: writes keep it up to date from then on."""

    name = AsciiText(max_length=500, unique=True)

    def __str__(self) -> str:
        return self.name


class Moment(models.Model):
    """The one row that puts the writes of all processes in order. See `moments.py`."""

    last_write = models.BigIntegerField()
    """The time of the last write that was committed."""
    promised = models.BigIntegerField()
    """No write after this row was written is earlier than this."""

    def __str__(self) -> str:
        return f"{self.last_write}, promised {self.promised}"
