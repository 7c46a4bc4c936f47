"""Every exception this package raises. A class says what the caller does next; facts ride along as attributes."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured


class DataStoreError(Exception):
    """Base of everything this package raises."""


class ConfigurationError(DataStoreError, ImproperlyConfigured):
    """A setting is unknown, missing or unusable. Change the settings."""


class ModelNotRegistered(DataStoreError, LookupError):
    """The model is not registered with DataStore."""


class AlreadyRegistered(DataStoreError):
    """The model is registered with DataStore already."""


class SchemaError(DataStoreError):
    """A Django model or an SDL text that cannot be expressed in Amplify's schema language."""


class InvalidPredicate(DataStoreError, ValueError):
    """A `Q` or a filter that names an unknown field or uses an operator the field does not have."""


class LoadError(DataStoreError, ValueError):
    """A file of records that cannot be loaded. Nothing of it was stored."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"Line {line}: {message}")
        self.line = line


class NotRunning(DataStoreError):
    """DataStore was stopped; `DataStore.start()` or `manage.py datastore start` starts it."""


class UnsentMutations(DataStoreError):
    """`clear` would lose what AppSync does not have. Send it, or say `force`. The counts are by wire name."""

    def __init__(self, message: str, *, unsent: dict[str, int], never_sent: dict[str, int]) -> None:
        super().__init__(message)
        self.unsent = unsent
        """Mutations in the outbox, parked ones too."""
        self.never_sent = never_sent
        """Rows that never were in the outbox."""


class LeaseLost(DataStoreError):
    """Another worker took the lease over. What this one did after that point must not be stored."""


class SyncError(DataStoreError):
    """Something between this site and AppSync went wrong."""

    recovery_suggestion = "Look at the error and the record in the outbox admin, mend the cause, then retry."

    def __init__(
        self,
        message: str,
        *,
        error_type: str | None = None,
        process: str | None = None,
        operation: str | None = None,
        model: str | None = None,
        local: dict[str, Any] | None = None,
        remote: dict[str, Any] | None = None,
        recovery_suggestion: str | None = None,
        cause: object = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_type = error_type
        self.process = process
        self.operation = operation
        self.model = model
        self.local = local
        self.remote = remote
        self.cause = cause
        if recovery_suggestion is not None:
            self.recovery_suggestion = recovery_suggestion


class TransientError(SyncError):
    """May succeed if tried again later."""

    recovery_suggestion = "Nothing to do: it is tried again with back-off."

    def __init__(self, message: str, *, maybe_applied: bool = True, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.maybe_applied = maybe_applied
        """False if AppSync certainly did not execute the request; True if its outcome must be read back."""


class Offline(TransientError):
    """AppSync cannot be reached."""

    recovery_suggestion = "Nothing to do: everything waits in the outbox until AppSync can be reached again."


class Throttled(TransientError):
    """AppSync asks to slow down."""


class ServerError(TransientError):
    """AppSync failed, or answered something that is not GraphQL."""


class Unauthorized(SyncError):
    """AppSync refuses the credentials, or this operation with them."""

    recovery_suggestion = (
        "Check API_KEY and the model's @auth rules; then `manage.py datastore start` or retry in the admin."
    )


class AnotherApi(SyncError):
    """AppSync's records are not those that the versions kept here come from. Nothing was stored."""

    recovery_suggestion = (
        "If ENDPOINT should name the API this data came from, set it back. If it is the same API under another "
        "address, run `manage.py datastore move`. Else empty this site with DataStore.clear(), and sync again."
    )

    @classmethod
    def with_older_records(cls, model: str, count: int, known: int) -> AnotherApi:
        """The records are older than what was stored of them, although nobody changed them lately."""
        return cls(
            f"Cannot sync {model}: {count} of {known} known records on a page are older than they were here, so they "
            "come from another, or from a restored, backend. Their versions cannot be compared with those kept here.",
            model=model,
        )


class ConflictUnhandled(SyncError):
    """AppSync's conflict detection refused the mutation; `remote` is the record it holds."""


class ConditionFailed(SyncError):
    """The condition of the mutation does not hold on the server (or, for a create, the key exists there)."""


class BadRecord(SyncError):
    """AppSync will never take this record as it is."""

    recovery_suggestion = "Change the record so that AppSync's schema accepts it; the next edit is sent in its place."


class BadModel(SyncError):
    """AppSync's schema does not know this model or field as it is registered here."""

    recovery_suggestion = "Compare the registration with the API's schema (names, exclude), then retry."
