"""What one request and one connection may cost: AppSync's limits, and a bound where the service simply is bigger.

document ─▶ tokens, selected fields, depth, introspection ─▶ Budget ─▶ resolvers, records, seconds
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from django_datastore.appsync_local.errors import FieldError

MAX_TOKENS = 15_000
"""Words and marks in a document; graphql-java's default, which AppSync is built on."""
MAX_FIELDS = 20_000
"""Fields a document may select once its fragments are unfolded."""
MAX_INTROSPECTED = 20
"""Lists an introspection may walk."""
MAX_RECORDS = 50_000
"""Records the answer to one request may be made of."""
EXECUTION_SECONDS = 30
"""AppSync's request execution time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may ask for."""

    resolver_count: int = 10_000
    """Resolvers a request may call: one for each root field and for each relation of each record."""
    query_depth: int = 0
    """Levels of fields a document may nest; 0 for no limit."""
    has_introspection: bool = True
    """Whether `__schema` and `__type` are answered."""

    def budget(self) -> Budget:
        """For one request."""
        return Budget(self)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one socket may do, and for how long."""

    subscriptions: int = 100
    init_timeout_seconds: float = 15
    """Until when `connection_init` has to come."""
    lifetime_seconds: float = 86_400
    keep_alive_seconds: float = 60
    timeout_ms: int = 300_000
    """What the client is told to wait for a keep-alive."""


class Budget:
    """Counts what a request has cost so far."""

    def __init__(self, limits: Limits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._resolvers_left = limits.resolver_count
        self._records_left = MAX_RECORDS
        self._clock = clock
        self._deadline = clock() + EXECUTION_SECONDS

    def call(self, wanted: int = 1) -> int:
        """How many of so many resolvers may run."""
        if self._records_left <= 0 or self._clock() > self._deadline:
            return 0
        granted = min(wanted, self._resolvers_left)
        self._resolvers_left -= granted
        return granted

    def read(self, records: int) -> None:
        """So many records were found."""
        self._records_left -= records

    def refusal(self) -> FieldError:
        """Why a resolver may not run."""
        if self._clock() > self._deadline:
            return FieldError("ExecutionTimeout", "Execution timed out.")
        if self._records_left <= 0:
            return FieldError("ResponseTooLarge", f"The answer has more than {MAX_RECORDS:,} records. Ask for fewer.")
        return FieldError("ResolverExecutionLimitReached", "Resolver invocation limit reached.")
