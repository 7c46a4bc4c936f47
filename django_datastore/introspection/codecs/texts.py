"""How text crosses, and what crosses as text: UUIDs and bytes. Booleans need no more than their scalar."""

from __future__ import annotations

import base64
import binascii
import uuid
from typing import Any

from django_datastore.introspection.codecs.base import Codec, text_of
from django_datastore.schema.scalars import SCALARS

TEXT = Codec(lambda value: value, text_of)
BOOLEAN = Codec(SCALARS["Boolean"].parse, SCALARS["Boolean"].parse)


def formatted(scalar: str) -> Codec:
    """Text in the scalar's format; blank is null."""
    parse = SCALARS[scalar].parse

    def encode(value: str) -> Any:
        return parse(value) if value else None

    return Codec(encode, lambda wire: parse(text_of(wire)))


def _uuid_of(wire: Any) -> uuid.UUID:
    """A UUID in any letters, with its hyphens or without."""
    text = text_of(wire)
    found = uuid.UUID(text)
    if text.lower() not in (str(found), found.hex):
        raise ValueError("it is no UUID in its usual spelling")
    return found


def _bytes_of(wire: Any) -> bytes:
    text = text_of(wire)
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ValueError("it is no base64 text") from exc
    if base64.b64encode(found).decode() != text:
        raise ValueError("it is no base64 text in its usual spelling")
    return found


UUID = Codec(str, _uuid_of)
BINARY = Codec(lambda value: base64.b64encode(value).decode(), _bytes_of)
