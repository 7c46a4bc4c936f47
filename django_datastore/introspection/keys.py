"""Record keys: a primary key's wire values as canonical JSON text, and how long they may be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.db import connections, models, router

KEY_BYTES = 2048
"""What DynamoDB takes as value of a key."""

_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class KeyTooLong(ValueError):
    """A key that neither our tables nor AppSync's could hold."""


def key_text(values: Sequence[Any], limit: int) -> str:
    """The record key of wire values; `ValueError` for one without a value, `KeyTooLong` beyond `limit` characters."""
    for value in values:
        if value is None or value == "":
            raise ValueError("a record without a primary key cannot be synced")
    text = _dumps(values)
    if len(text) * 4 > KEY_BYTES or len(text) > limit:
        _check_length(values, text, limit)
    return text


def _check_length(values: Sequence[Any], text: str, limit: int) -> None:
    if len(text) > limit:
        raise KeyTooLong(f"the key has {len(text)} characters as record key, and this database takes {limit}")
    for value in values:
        if (size := len(str(value).encode(errors="surrogatepass"))) > KEY_BYTES:
            raise KeyTooLong(f"the key {value!r:.40}… has {size} bytes, and AppSync's database takes {KEY_BYTES}")


def key_limit(model: type[models.Model]) -> int:
    """How many characters a record key of the model may have: what the engine's own column takes on its database."""
    column: Any = apps.get_model("django_datastore", "RecordMetadata")._meta.get_field("record_key")
    return int(column.length_on(connections[router.db_for_write(model)]))
