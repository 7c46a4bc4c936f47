"""The small words every room shares: operations and wire records. Imports nothing of ours."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

VERSION = "0.1.0.dev0"
"""The version of this package; everything else that names it reads it here."""

WireRecord: TypeAlias = dict[str, Any]
"""One record as AppSync sends it: wire names to JSON values, with `_version`, `_lastChangedAt` and `_deleted`."""


class OpType(StrEnum):
    """What happened to a row in storage (DataStore's `OpType`)."""

    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


class Operation(StrEnum):
    """Which mutation an outbox entry asks AppSync for."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class AuthMode(StrEnum):
    """How a request proves who it is, with AppSync's names."""

    API_KEY = "API_KEY"


class ProcessName(StrEnum):
    """Which processor met an error (DataStore's `ProcessName`)."""

    SYNC = "sync"
    MUTATE = "mutate"
    SUBSCRIBE = "subscribe"
