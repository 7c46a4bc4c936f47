"""A registered model, and the same table without us."""

from __future__ import annotations

import uuid

from django.db import models


class Shelf(models.Model):
    """The parent of both kinds of books; registered."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class AnyBook(models.Model):
    """The columns."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=200)
    rating = models.IntegerField(null=True)
    tags = models.JSONField(default=list)
    published_at = models.DateTimeField(null=True)
    shelf = models.ForeignKey(Shelf, models.CASCADE, null=True, related_name="+")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.title


class Book(AnyBook):
    """Registered with DataStore."""


class PlainBook(AnyBook):
    """Known to Django only."""


class ServedBook(AnyBook):
    """What the local server keeps of a book, as columns: for a plain view that serves the same rows."""

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    version = models.IntegerField(default=1)
    last_changed_at = models.BigIntegerField(default=0)
    deleted = models.BooleanField(null=True)
