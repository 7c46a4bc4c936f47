"""Text keys, self-references, SET_NULL, every scalar, choices that are no GraphQL names."""

from __future__ import annotations

import uuid

from django.db import models


class Supplier(models.Model):
    """Keyed by text."""

    code = models.CharField(primary_key=True, max_length=20)
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.code


class Article(models.Model):
    """Every scalar."""

    class Size(models.TextChoices):
        SMALL = "small"
        EXTRA_LARGE = "extra-large"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=50)
    supplier = models.ForeignKey(Supplier, models.SET_NULL, null=True, blank=True)
    part_of = models.ForeignKey("self", models.CASCADE, null=True, blank=True, related_name="parts")
    size = models.CharField(max_length=20, choices=Size.choices, blank=True, default="")
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True, blank=True)
    weight = models.FloatField(null=True, blank=True)
    in_stock = models.BooleanField(default=True)
    email = models.EmailField(blank=True, default="")
    url = models.URLField(blank=True, default="")
    available_on = models.DateField(null=True, blank=True)
    opens_at = models.TimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    labels = models.JSONField(default=list, blank=True)
    facts = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class Label(models.Model):
    """Must be unique, so that a remote record can be refused by the database."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    text = models.CharField(max_length=30, unique=True)

    def __str__(self) -> str:
        return self.text
