"""What the server keeps: every record of every model in one table, and a log of what changed lately."""

from __future__ import annotations

from django.db import models

MAX_KEY_LENGTH = 1000
"""Characters of a key's JSON text."""


class StoredRecord(models.Model):
    """The shared columns: a record of any model, as it is or as it was."""

    model = models.CharField(max_length=200)
    """The model's name in the API."""
    key = models.CharField(max_length=MAX_KEY_LENGTH)
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
