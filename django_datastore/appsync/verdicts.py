"""The tables behind `errors`: which class an AppSync `errorType` or message stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django_datastore.exceptions import (
    BadModel,
    BadRecord,
    ConditionFailed,
    ConflictUnhandled,
    ServerError,
    SyncError,
    Throttled,
    TransientError,
    Unauthorized,
)

DELTA_SYNC_WRITE_ERROR = "DeltaSyncWriteError"
"""The mutation was applied; only its entry in the delta table is missing, so a base sync is due."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A class of exception and what comes with it."""

    error_class: type[SyncError]
    maybe_applied: bool = True
    """Of transient errors: whether AppSync may have executed the request."""
    suggestion: str | None = None
    """What to do, where the class does not say it well enough."""

    @property
    def is_transient(self) -> bool:
        """Whether it may succeed if tried again."""
        return issubclass(self.error_class, TransientError)


UNKNOWN = Verdict(SyncError)

_ENDPOINT_HINT = "Check DATASTORE['ENDPOINT']: it must be the API's GraphQL URL."
_THROTTLED = Verdict(Throttled, maybe_applied=False)

_BY_TYPE: Mapping[str, Verdict] = {
    "Unauthorized": Verdict(Unauthorized),
    "UnauthorizedException": Verdict(Unauthorized),
    "NotAuthorizedException": Verdict(Unauthorized),
    "AccessDeniedException": Verdict(Unauthorized),
    "ExpiredTokenException": Verdict(Unauthorized),
    "UnrecognizedClientException": Verdict(Unauthorized),
    "InvalidSignatureException": Verdict(Unauthorized),
    "IncompleteSignatureException": Verdict(Unauthorized),
    "MissingAuthenticationTokenException": Verdict(Unauthorized),
    "ConflictUnhandled": Verdict(ConflictUnhandled),
    "ConditionalCheckFailedException": Verdict(ConditionFailed),
    "ThrottlingException": _THROTTLED,
    "Throttling": _THROTTLED,
    "TooManyRequestsException": _THROTTLED,
    "LimitExceededException": _THROTTLED,
    "LimitExceededError": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
    "ProvisionedThroughputExceededException": _THROTTLED,
    # The handler broke, too many writers, the service broke: whether something was written is found out by reading.
    "ConflictError": Verdict(ServerError),
    "MaxConflicts": Verdict(ServerError),
    "InternalFailure": Verdict(ServerError),
    "InternalFailureException": Verdict(ServerError),
    "InternalServerError": Verdict(ServerError),
    "InternalServerErrorException": Verdict(ServerError),
    "ServiceUnavailableException": Verdict(ServerError),
    "ExecutionTimeout": Verdict(ServerError),
    DELTA_SYNC_WRITE_ERROR: Verdict(SyncError, suggestion="The mutation was applied; a base sync is due."),
    # The API's own role may not use its table: no credentials of ours mend that.
    "DynamoDB:AccessDeniedException": UNKNOWN,
    "UnsupportedOperation": Verdict(BadModel),
    "OperationDisabled": Verdict(BadModel),
    "MaxSubscriptionsReachedError": Verdict(
        SyncError, suggestion="Sync fewer models, or have the quota of subscriptions per connection raised."
    ),
}
"""Types that say enough for themselves."""

_BY_LOOSE_TYPE: Mapping[str, Verdict] = {
    "BadRequest": Verdict(BadRecord),
    "BadRequestException": Verdict(BadRecord),
    "ValidationException": Verdict(BadRecord),
    "ValidationError": Verdict(BadModel),
}
"""Types that stand for several things; the message may say which."""

_BY_MESSAGE: tuple[tuple[re.Pattern[str], Verdict], ...] = (
    # AppSync: our documents hold no values, so one that does not validate names what the API does not have.
    (re.compile(r"^Validation error of type "), Verdict(BadModel)),
    (re.compile(r"UnknownArgument: "), Verdict(BadModel)),
    (re.compile(r"contains a field (name '|that is not defined)"), Verdict(BadModel)),
    (re.compile(r"^Schema is not configured for "), Verdict(BadModel)),
    # graphql-core, graphql-js
    (re.compile(r"is not defined by type "), Verdict(BadModel)),
    (re.compile(r"^Cannot query field "), Verdict(BadModel)),
    (re.compile(r"^Unknown (type|argument|fragment|directive) "), Verdict(BadModel)),
    (re.compile(r"used in position expecting type "), Verdict(BadModel)),
    (re.compile(r"must (not )?have a (selection|sub-?selection)"), Verdict(BadModel)),
    # Values
    (re.compile(r"^Cannot return \w+ for [\w-]+ type"), Verdict(BadRecord)),
    (re.compile(r"^Variable '.+' has coerced Null value for NonNull type"), Verdict(BadRecord)),
    (re.compile(r"^Variable '.+' (has an|got) invalid value"), Verdict(BadRecord)),
    (
        re.compile(r"^Variable '.+' of (required|non-null) type .+ (was not provided|must not be null)"),
        Verdict(BadRecord),
    ),
    (re.compile(r"^\w+ cannot represent "), Verdict(BadRecord)),
)
"""The first that matches counts."""


def verdict_of(error_type: str | None, message: str, *, status: int | None = None) -> Verdict:
    """What a GraphQL error stands for. `status` is that of the HTTP answer, if it was not 200."""
    name = _bare(error_type)
    if found := _BY_TYPE.get(error_type or "") or _BY_TYPE.get(name):
        return found
    if found := next((verdict for pattern, verdict in _BY_MESSAGE if pattern.search(message)), None):
        return found
    if found := _BY_LOOSE_TYPE.get(name):
        return found
    if status is None or (status < 500 and status not in (401, 403, 413, 429)):
        return UNKNOWN
    return verdict_of_status(status)


def verdict_of_status(status: int) -> Verdict:
    """What an HTTP answer that is not GraphQL stands for."""
    match status:
        case 401 | 403:
            return Verdict(Unauthorized)
        case 413:
            return Verdict(BadRecord, suggestion="The request is too large: make the record or the batch smaller.")
        case 429:
            return _THROTTLED
        case _ if 300 <= status < 500 and status != 408:
            return Verdict(ServerError, maybe_applied=False, suggestion=_ENDPOINT_HINT)
    return Verdict(ServerError)


def is_too_large(error: SyncError) -> bool:
    """Whether a page was refused because it is over 1 MB: a smaller one may pass."""
    return error.error_type == "MappingTemplate" and "too large" in error.message


def _bare(error_type: str | None) -> str:
    """`DynamoDB:X`, `com.amazonaws.appsync#X` and `X:http://…` are X."""
    name = (error_type or "").removeprefix("DynamoDB:").rpartition("#")[2]
    return name.partition(":")[0]
