"""Upserts as every database takes them."""

from __future__ import annotations

from typing import Any

from django.db import connection


def on(*fields: str) -> dict[str, Any]:
    """What an upsert is to conflict on. MariaDB takes every unique constraint, and no names."""
    return {"unique_fields": fields} if connection.features.supports_update_conflicts_with_target else {}
