"""What a change does to the last waiting entry of its lane. Pure: values in, a decision out.

A change is absorbed where nothing can be lost by that: the entry was never sent, or certainly not executed, and neither
carries a condition.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from django_datastore.types import Operation, WireRecord


@dataclass(frozen=True, slots=True)
class Drop:
    """The entry goes, and nothing is sent: AppSync never hears of the record."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The entry says it all already."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The entry carries the change, too."""

    operation: Operation
    data: WireRecord
    base: WireRecord


@dataclass(frozen=True, slots=True)
class Append:
    """The change waits behind the entry, as one of its own."""


Decision: TypeAlias = Drop | Keep | Rewrite | Append


@dataclass(frozen=True, slots=True)
class Waiting:
    """The last entry of a lane."""

    operation: Operation
    data: WireRecord
    base: WireRecord
    can_absorb: bool
    """It was certainly not executed, and has no condition."""


def coalesce(
    last: Waiting, operation: Operation, data: WireRecord, base: WireRecord, *, sent_fields: Iterable[str]
) -> Decision:
    """What becomes of the entry `last` when a change of the same record comes after it.

    `sent_fields` are all fields of the model that are sent.
    """
    if not last.can_absorb:
        return Append()
    match (last.operation, operation):
        case (Operation.CREATE, Operation.DELETE):
            return Drop()
        case (Operation.DELETE, Operation.DELETE):
            return Keep()
        case (_, Operation.DELETE):
            return Rewrite(Operation.DELETE, {}, {})
        case (Operation.DELETE, Operation.UPDATE):  # the row came back past us; AppSync never heard of the delete
            return Rewrite(Operation.UPDATE, data, base)
        case (Operation.DELETE, Operation.CREATE):
            # AppSync never heard of the delete: the record lives there, so all its fields are set to the new ones
            return Rewrite(Operation.UPDATE, {**dict.fromkeys(sent_fields), **data}, {})
        case (Operation.CREATE, Operation.CREATE):  # the row vanished past us; what it was is of no interest
            return Rewrite(Operation.CREATE, data, {})
        case (Operation.UPDATE, Operation.CREATE):
            return Rewrite(Operation.UPDATE, {**dict.fromkeys(sent_fields), **data}, last.base)
    if last.operation == Operation.CREATE:
        return Rewrite(Operation.CREATE, {**last.data, **data}, {})
    return Rewrite(Operation.UPDATE, {**last.data, **data}, {**base, **last.base})
