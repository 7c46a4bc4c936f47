"""The `Access` that rules give a caller."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django_datastore.appsync_local.auth.access import Access, Readable, Record
from django_datastore.appsync_local.auth.claims import Condition
from django_datastore.appsync_local.errors import FieldError, NotAuthorized


class Event(Protocol):
    """A record after a mutation: as it is stored, and as much of it as the mutation selected."""

    @property
    def record(self) -> Record: ...

    @property
    def payload(self) -> Record: ...


@dataclass(frozen=True, slots=True)
class Grant:
    """What one role gives to who is in it."""

    condition: Condition
    fields: frozenset[str] | None = None
    """The fields it may write; None for all."""
    null_fields: frozenset[str] | None = None
    """The fields it may set to null; None for all."""
    is_list: bool = False
    """Whether the field that names the owner is a list."""

    @property
    def is_full(self) -> bool:
        """Whether it holds for every record and field."""
        return self.condition.field is None and self.is_unlimited

    @property
    def is_unlimited(self) -> bool:
        """Whether it holds for every field."""
        return self.fields is None and self.null_fields is None


class RuleAccess(Access):
    """Access by rules: one that holds is enough."""

    def __init__(self, grants: Sequence[Grant]) -> None:
        self._grants = tuple(grants)
        conditions = tuple(grant.condition for grant in grants)
        self._readable = None if any(item.field is None for item in conditions) else _any_of(conditions)
        self._conditions = conditions
        self.key: Hashable = None if self._readable is None else tuple((it.field, it.values) for it in conditions)

    @property
    def readable(self) -> Readable | None:
        return self._readable

    def check_owners(self, arguments: Mapping[str, Any]) -> None:
        """Refuses a subscription that asks for somebody else's records."""
        for item in self._conditions:
            wanted = arguments.get(item.field) if item.field and item.fill is not None else None
            if wanted and wanted not in item.values:
                raise NotAuthorized()

    def filters_instead(self, arguments: Mapping[str, Any]) -> bool:
        """Whether the rules are the filter of a subscription, so that its other arguments filter nothing.

        As in AppSync they are not where the owner argument alone says the same.
        """
        item = self._conditions[0]
        is_named = len(self._conditions) == 1 and item.fill is not None and arguments.get(item.field or "")
        return not is_named or bool(arguments.get("filter"))

    def admits_event(self, event: Event) -> bool:
        """Whether the caller hears of an event. It has to carry the field that names him: AppSync looks only there."""
        record = event.record or event.payload
        return any(
            item.holds(record) and (item.field is None or event.payload.get(item.field) is not None)
            for item in self._conditions
        )

    def check_read(self, record: Record | None) -> None:
        if record is not None and self._readable is not None and not self._readable(record):
            raise NotAuthorized()

    def check_create(self, values: dict[str, Any]) -> dict[str, Any]:
        given, granted = set(values), []
        for grant in self._grants:
            condition = grant.condition
            if condition.field is not None and condition.fill is not None and condition.field not in values:
                values[condition.field] = [condition.fill] if grant.is_list else condition.fill
                granted.append(grant)
            elif condition.holds(values):
                granted.append(grant)
        self._check_fields(granted, {name: values[name] for name in given}, check_null=False)
        return values

    def check_update(self, stored: Record, incoming: Record) -> None:
        self._check_fields([it for it in self._grants if it.condition.holds(stored)], incoming, check_null=True)

    def check_delete(self, stored: Record) -> None:
        self.check_read(stored)

    @staticmethod
    def _check_fields(granted: Sequence[Grant], incoming: Record, *, check_null: bool) -> None:
        if not granted:
            raise NotAuthorized()
        if any(grant.is_unlimited for grant in granted):
            return
        denied = [
            name
            for name, value in incoming.items()
            if not any(grant.fields is None or name in grant.fields for grant in granted)
            or (
                check_null
                and value is None
                and not any(grant.null_fields is None or name in grant.null_fields for grant in granted)
            )
        ]
        if denied:
            raise FieldError("Unauthorized", f"Unauthorized on [{', '.join(denied)}]")


def _any_of(conditions: Iterable[Condition]) -> Readable:
    """One that holds is enough; most callers have exactly one."""
    found = tuple(conditions)
    return found[0].holds if len(found) == 1 else lambda record: any(item.holds(record) for item in found)
