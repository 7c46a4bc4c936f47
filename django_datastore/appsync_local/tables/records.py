"""A record as it lies in the tables and as clients see it, and the text of its key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Values: TypeAlias = dict[str, Any]
"""A record as JSON values by field name."""

MAX_ITEM_BYTES = 400 * 1024
"""What DynamoDB takes as one item."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of the base or the delta table."""

    position: int
    key: str
    data: str
    version: int
    last_changed_at: int
    deleted: bool
    sort: bytes = b""
    """The sort key, of a row that was read by an index."""

    def values(self) -> Values:
        """The field values without metadata."""
        found: Values = json.loads(self.data)
        return found

    def record(self) -> Values:
        """The field values with their metadata, as clients see them."""
        return self.values() | self.metadata()

    def metadata(self) -> Values:
        """`_version`, `_lastChangedAt` and `_deleted`, which is null while the record lives."""
        return {
            "_version": self.version,
            "_lastChangedAt": self.last_changed_at,
            "_deleted": self.deleted or None,
        }


def key_of(names: Iterable[str], values: Mapping[str, Any]) -> str:
    """A record's key as canonical JSON text; raises `KeyError` if a part is missing."""
    return key_text([values[name] for name in names])


def key_text(values: Sequence[Any]) -> str:
    """The values of a primary key as canonical JSON text."""
    return json.dumps(list(values), separators=(",", ":"))


def stored(row: Sequence[Any]) -> Stored:
    """A row of `statements.COLUMNS`, with its sort key behind; SQLite has numbers for booleans."""
    position, key, data, version, last_changed_at, deleted, *sort = row
    return Stored(position, key, data, version, last_changed_at, bool(deleted), *map(bytes, sort))


def item_size(value: Any) -> int:
    """The size of a value in DynamoDB: texts as UTF-8, numbers by their digits, 3 bytes more for a list or a map."""
    match value:
        case None | bool():
            return 1
        case int() | float():
            return len(str(value)) // 2 + 2
        case str():
            return len(value.encode(errors="surrogatepass"))
        case Mapping():
            return 3 + sum(1 + item_size(name) + item_size(item) for name, item in value.items())
    return 3 + sum(1 + item_size(item) for item in value)
