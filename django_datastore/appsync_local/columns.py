"""Columns of the server's tables that compare byte by byte and fit into the indexes of every database.

Names and keys are ASCII: GraphQL's names are, and keys are JSON text with escapes. MariaDB's indexes take 3,072 bytes
of a row; of ASCII that is one for each character, of utf8mb4 four.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
    _BinaryField = models.BinaryField[bytes, bytes]
else:  # subscriptable for the type checker only
    _CharField, _BinaryField = models.CharField, models.BinaryField

_BYTE_ORDER = {"postgresql": "C", "mysql": "ascii_nopad_bin"}
"""The collation that compares bytes; SQLite has no other."""


class AsciiText(_CharField):
    """ASCII text, equal only to itself. MariaDB takes the character set from the collation."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """With a collation that compares bytes."""
        return {**super().db_parameters(connection), "collation": _BYTE_ORDER.get(connection.vendor)}


class KeyBytes(_BinaryField):
    """At most `max_length` bytes. MariaDB can index them; the column of a plain `BinaryField` it cannot."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """The column's type there."""
        return f"varbinary({self.max_length})" if connection.vendor == "mysql" else super().db_type(connection)
