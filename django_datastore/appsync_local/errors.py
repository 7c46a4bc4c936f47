"""What goes wrong in AppSync's own words: errors of one field, and errors of a whole request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CONFLICT_UNHANDLED = "ConflictUnhandled"
BAD_REQUEST = "BadRequest"
CONFLICT_ERROR = "ConflictError"
MAX_CONFLICTS = "MaxConflicts"
CONDITIONAL_CHECK_FAILED = "ConditionalCheckFailedException"
UNAUTHORIZED = "UnauthorizedException"


class FieldError(Exception):
    """A resolver refuses; the field becomes null, and its neighbours go on."""

    def __init__(self, error_type: str, message: str, *, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.data = data
        """The record as the server holds it, complete: clients adopt it."""

    def named(self, parent: str, field: str) -> FieldError:
        """The error as the refusal of this field, where its message does not say so yet."""
        return self

    def as_wire(self, path: Sequence[str | int], locations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The error as AppSync writes it."""
        return {
            "path": list(path),
            "data": self.data,
            "errorType": self.error_type,
            "errorInfo": None,
            "locations": list(locations),
            "message": self.message,
        }


class NotAuthorized(FieldError):
    """The rules of a model or field refuse this caller. Whoever knows which field it was names it."""

    def __init__(self, message: str = "") -> None:
        super().__init__("Unauthorized", message)

    def named(self, parent: str, field: str) -> FieldError:
        return NotAuthorized(f"Not Authorized to access {field} on type {parent}")


class DocumentError(Exception):
    """The document or its variables cannot be executed; nothing ran."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__("; ".join(str(item.get("message")) for item in errors))
        self.errors = list(errors)

    @classmethod
    def of(cls, message: str, locations: Sequence[Mapping[str, Any]] | None = None) -> DocumentError:
        """One error that belongs to no field."""
        return cls([{"path": None, "locations": locations, "message": message}])


class RequestError(Exception):
    """The HTTP request or the socket message is refused before any GraphQL happens."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message

    def as_wire(self) -> dict[str, Any]:
        """The error as AppSync writes it."""
        return {"errorType": self.error_type, "message": self.message}


def unauthorized(message: str = "You are not authorized to make this call.") -> RequestError:
    """The refusal of missing or wrong credentials."""
    return RequestError(401, UNAUTHORIZED, message)
