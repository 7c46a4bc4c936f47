"""What one identity may do with one model. Resolvers ask before they read and write; this one allows everything."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeAlias

from django_datastore.appsync_local.errors import NotAuthorized

Record: TypeAlias = Mapping[str, Any]
Readable: TypeAlias = Callable[[Record], bool]
Visible: TypeAlias = Callable[[Record], Record]


class Access:
    """Full access. A refusal is a `FieldError` with the errorType `Unauthorized`."""

    key: Hashable = None
    """Equal for accesses that show the same records."""
    visible: Visible | None = None
    """A record without the fields the caller may not see: his filters and conditions get no other, for what they find
    tells what is there. None where he sees all fields."""

    @property
    def readable(self) -> Readable | None:
        """Which records lists, syncs, relations and subscriptions show; None for all of them."""
        return None

    def check(self) -> None:
        """Refuses a caller for whom no record at all could be allowed."""

    def check_read(self, record: Record | None) -> None:
        """Refuses a `get` of a record the caller may not see; None if there is no such record."""

    def check_create(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values to store, with the owner filled in where the client left it out; refuses others."""
        return values

    def check_update(self, stored: Record, incoming: Record) -> None:
        """Refuses an update of this record, or of these fields; an empty `stored` if there is no such record."""

    def check_delete(self, stored: Record) -> None:
        """Refuses the delete of this record; an empty one if there is no such record."""


class NoAccess(Access):
    """Refuses everything."""

    key = "nothing"

    @property
    def readable(self) -> Readable | None:
        return _never

    def check(self) -> None:
        raise NotAuthorized()

    def check_read(self, record: Record | None) -> None:
        raise NotAuthorized()

    def check_create(self, values: dict[str, Any]) -> dict[str, Any]:
        raise NotAuthorized()

    def check_update(self, stored: Record, incoming: Record) -> None:
        raise NotAuthorized()

    def check_delete(self, stored: Record) -> None:
        raise NotAuthorized()


def _never(record: Record) -> bool:
    return False


FULL_ACCESS = Access()
"""For everyone whom no rule limits, such as the holder of an API key on a public model."""
NO_ACCESS = NoAccess()
"""For everyone whom no rule admits."""
