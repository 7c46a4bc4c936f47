"""Secondary indexes: which a data model needs, and what a record's keys look like in them.

Keys are bytes whose order is DynamoDB's: texts by their UTF-8, numbers by value, whatever a database's collation says.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from django_datastore.appsync_local.errors import FieldError
from django_datastore.appsync_local.models import MAX_SORT_BYTES, MAX_STORED_PARTITION_BYTES
from django_datastore.appsync_local.operations import Operation
from django_datastore.schema.types import ModelSchema

Entry: TypeAlias = tuple[str, bytes, bytes]
"""Index name, partition, sort key: where an index has a record."""

MAX_PARTITION_BYTES = 2048
_NUMBERS = ("Int", "Float", "AWSTimestamp")
_SEPARATOR = "#"
_SIGN = 1 << 63


@dataclass(frozen=True, slots=True)
class Range:
    """A span of sort keys within a partition."""

    lower: bytes = b""
    upper: bytes | None = None
    includes_upper: bool = False

    def intersection(self, other: Range) -> Range:
        """What lies in both."""
        lower = max(self.lower, other.lower)
        uppers = [item for item in (self, other) if item.upper is not None]
        if not uppers:
            return Range(lower)
        least = min(uppers, key=lambda item: (item.upper or b"", item.includes_upper))
        return Range(lower, least.upper, least.includes_upper)

    @property
    def is_empty(self) -> bool:
        """Whether no key can lie in it."""
        if self.upper is None:
            return False
        return self.lower > self.upper or (self.lower == self.upper and not self.includes_upper)


@dataclass(frozen=True)
class Index:
    """The partition field and the sort fields that records of a model can be asked by."""

    model: str
    fields: tuple[str, ...]
    numbers: frozenset[str] = field(default_factory=frozenset)
    """Those of the fields that hold numbers."""

    @cached_property
    def name(self) -> str:
        """What its entries are stored under. Another definition is another name, so that it is built anew."""
        parts = [f"{name}:n" if name in self.numbers else name for name in self.fields]
        return f"{self.model}({','.join(parts)})"

    @property
    def sort(self) -> tuple[str, ...]:
        """The sort fields."""
        return self.fields[1:]

    def entry(self, values: Mapping[str, Any]) -> Entry | None:
        """Where the index has this record; None if it lacks a field. Raises `FieldError` for an oversize key."""
        keys = [values.get(name) for name in self.fields]
        if any(key is None for key in keys):
            return None
        return self.name, self.partition(keys[0]), self.sort_key(keys[1:])

    def partition(self, value: Any) -> bytes:
        """The partition of a value."""
        found = self._encode(self.fields[0], value)
        if len(found) > MAX_PARTITION_BYTES:
            raise _oversize("hashkey", MAX_PARTITION_BYTES)
        if len(found) <= MAX_STORED_PARTITION_BYTES:
            return found
        return b"\xff" + hashlib.sha256(found).digest()  # partitions are only ever compared for equality

    def sort_key(self, values: Sequence[Any]) -> bytes:
        """The sort key of these values; several are one text, as Amplify joins them."""
        found = self._sort_key(values)
        if len(found) > MAX_SORT_BYTES:
            raise _oversize("sortkey", MAX_SORT_BYTES)
        return found

    def beginning(self, values: Sequence[Any]) -> Range:
        """The sort keys that begin with these values."""
        if not values:
            return Range()
        if len(values) == len(self.sort):
            found = self._sort_key(values)
            return Range(found, found, includes_upper=True)
        return _prefixed(self._sort_key(values) + _SEPARATOR.encode())

    def condition(self, given: Mapping[str, Any], *, before: Sequence[Any] = ()) -> Range:
        """The sort keys that meet a key condition on the fields after `before`; raises `FieldError`."""
        names = self.sort[len(before) :]
        found = self.beginning(before)
        for operator, operand in given.items():
            if operand is None:
                continue
            operands = operand if isinstance(operand, list) else [operand]
            keys = [self._sort_key([*before, *_parts(item, names)]) for item in operands]
            found = found.intersection(_span(operator, keys))
        return found

    def _sort_key(self, values: Sequence[Any]) -> bytes:
        if len(self.sort) == 1 and values:
            return self._encode(self.sort[0], values[0])
        return _SEPARATOR.join(map(_text, values)).encode(errors="surrogatepass")

    def _encode(self, name: str, value: Any) -> bytes:
        if name in self.numbers and isinstance(value, int | float):
            return number_key(value)
        return _text(value).encode(errors="surrogatepass")


def indexes_of(operations: Iterable[Operation]) -> dict[str, tuple[Index, ...]]:
    """By model, the indexes that these lists need; models without any are left out."""
    found: dict[str, dict[tuple[str, ...], Index]] = {}
    for operation in operations:
        model, key = operation.model, operation.key
        if len(key) > 1 or (key and (operation.index or operation.joined)):  # a single key finds the record itself
            numbers = frozenset(name for name in key if _is_number(model, name))
            found.setdefault(model.name, {})[key] = Index(model.name, key, numbers)
    return {name: tuple(items.values()) for name, items in found.items()}


def entries(indexes: Iterable[Index], values: Mapping[str, Any]) -> dict[str, Entry]:
    """A record's entries by index name."""
    return {entry[0]: entry for index in indexes if (entry := index.entry(values)) is not None}


def number_key(value: float) -> bytes:
    """A number as bytes in its order: the sign bit turned over, and for negative numbers all the others, too."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", float(value) + 0.0))
    return struct.pack(">Q", bits ^ (_SIGN if not bits & _SIGN else 2 * _SIGN - 1))


def _is_number(model: ModelSchema, name: str) -> bool:
    item = model.by_name.get(name)
    return item is not None and item.type in _NUMBERS and not item.is_list


def _parts(operand: Any, names: Sequence[str]) -> list[Any]:
    """The values of an operand: of several fields it is an object, with the first ones or all of them."""
    if not isinstance(operand, Mapping):
        return [operand]
    return [operand[name] for name in names if operand.get(name) is not None]


def _span(operator: str, keys: Sequence[bytes]) -> Range:
    first = keys[0] if keys else b""
    match operator:
        case "eq":
            return Range(first, first, includes_upper=True)
        case "lt" | "le":
            return Range(b"", first, includes_upper=operator == "le")
        case "ge":
            return Range(first)
        case "gt":
            return Range(first + b"\x00")  # the next key there can be
        case "beginsWith":
            return _prefixed(first)
        case "between" if len(keys) == 2 and keys[0] <= keys[1]:
            return Range(keys[0], keys[1], includes_upper=True)
    problem = f"'{operator}' needs a lower and an upper bound in order."
    raise FieldError("ValidationException", f"Invalid KeyConditionExpression: {problem}")


def _prefixed(prefix: bytes) -> Range:
    upper = prefix.rstrip(b"\xff")
    return Range(prefix, upper[:-1] + bytes([upper[-1] + 1])) if upper else Range(prefix)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _oversize(what: str, limit: int) -> FieldError:
    problem = f"Size of {what} has exceeded the maximum size limit of {limit} bytes"
    return FieldError("ValidationException", f"One or more parameter values were invalid: {problem}")
