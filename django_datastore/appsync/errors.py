"""What went wrong on the wire, as a class that says what to do next; raw exceptions ride along as `__cause__`.

    GraphQL error (errorType, message) ──▶ from_graphql    ─┐
    HTTP status, page that is no answer ─▶ from_http_answer ├─▶ Offline · Throttled · ServerError · Unauthorized ·
    httpx exception ────────────────────▶ from_http         │   ConflictUnhandled · ConditionFailed · BadRecord ·
    socket exception, socket error frame ▶ from_socket      ─┘   BadModel · SyncError (nobody knows it)

AppSync's `errorType` decides. Messages are looked at only where AppSync sends no type, or one that says too little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import websockets.exceptions as socket_exceptions
from gql.transport.exceptions import TransportError

from django_datastore.appsync import redaction
from django_datastore.appsync.verdicts import Verdict, verdict_of, verdict_of_status
from django_datastore.exceptions import BadRecord, Offline, ServerError, SyncError
from django_datastore.types import WireRecord

_FILTER_REFUSALS = (
    "UnknownArgument: Unknown field argument filter",
    "Unknown argument 'filter'",
    "Filters exceed maximum attributes limit",
    "Filters combination exceed maximum limit",
    "filter uses same fieldName multiple time",
    "exceeds maximum value limit",
    "The variables input contains a field name 'not'",
    "The variables input contains a field that is not defined for input object type",
)


class AnswerRefused(Exception):
    """An HTTP answer that is no GraphQL answer: an error status, or a body that does not parse. Holds no body."""

    def __init__(
        self,
        status: int,
        *,
        content_type: str = "",
        length: int = 0,
        excerpt: str = "",
        error: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"HTTP {status}, {length} bytes of {content_type or 'unknown type'}")
        self.status = status
        self.content_type = content_type
        self.length = length
        self.excerpt = excerpt
        self.error = error
        """The first GraphQL error of the body, if it has any."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried, for messages: where, by whom, on what. Holds what must not be repeated in them."""

    host: str
    process: str | None = None
    operation: str | None = None
    model: str | None = None
    action: str | None = None
    """What was tried, where `operation` and `model` do not say it."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    variables: Mapping[str, Any] | None = field(default=None, repr=False)

    def describe(self, why: str) -> str:
        """The sentence for an exception."""
        known = " ".join(filter(None, (self.operation, self.model)))
        what = " ".join(filter(None, (self.action, known and f"({known})"))) if self.action else known
        return f"Cannot {what or 'execute the request'} at {self.host!r}: {why.rstrip('. ')}."

    def facts(self) -> dict[str, Any]:
        """What every exception about this attempt carries."""
        return {"process": self.process, "operation": self.operation, "model": self.model}

    def about(self, *, process: str | None, operation: str | None, model: str | None) -> Attempt:
        """The same attempt with what is known of one part of it."""
        return replace(
            self,
            process=process or self.process,
            operation=operation or self.operation,
            model=model or self.model,
        )

    def readable(self, text: object) -> str:
        """A server's words, fit for a message."""
        return redaction.message(str(text or ""), secrets=self.secrets, variables=self.variables)


def from_graphql(error: Mapping[str, Any], attempt: Attempt, *, status: int | None = None) -> SyncError:
    """The exception for one entry of an `errors` list. `remote` is the record AppSync sent along."""
    verdict = verdict_of(type_of(error), str(error.get("message") or ""), status=status)
    return _from_entry(error, attempt, verdict)


def from_http(exc: Exception, attempt: Attempt) -> SyncError:
    """The exception for what the HTTP transport raised; chain it with `from exc`."""
    cause = _innermost(exc)
    if isinstance(cause, AnswerRefused):
        return from_http_answer(cause, attempt)
    name = next((item.__name__ for item in type(cause).__mro__ if item.__name__ in _HTTP_EXCEPTIONS), None)
    if name is None:
        return _build(Verdict(ServerError), f"it failed with {type(cause).__name__}", attempt, cause=cause)
    verdict, why = _HTTP_EXCEPTIONS[name]
    return _build(verdict, _with_reason(why, cause, attempt), attempt, cause=cause)


def from_http_answer(answer: AnswerRefused, attempt: Attempt) -> SyncError:
    """The exception for an answer that is not GraphQL, or comes with an error status."""
    if answer.error is not None:
        return from_graphql(answer.error, attempt, status=answer.status)
    shown = f": {attempt.readable(answer.excerpt)!r}" if answer.excerpt else ""
    kind = answer.content_type.split(";")[0] or "no content type"
    why = f"HTTP {answer.status} with {answer.length} bytes of {kind} that are no GraphQL answer{shown}"
    return _build(verdict_of_status(answer.status), why, attempt, cause=answer)


def from_socket(exc: BaseException, attempt: Attempt) -> SyncError:
    """The exception for a socket that could not be opened or was lost; chain it with `from exc`."""
    cause = _innermost(exc)
    match cause:
        case SyncError():
            return cause
        case socket_exceptions.InvalidStatus():
            answer = AnswerRefused(cause.response.status_code)
            why = f"the socket was refused with HTTP {answer.status}"
            return _build(verdict_of_status(answer.status), why, attempt, cause=cause)
        case socket_exceptions.ConnectionClosed():
            return _build(
                Verdict(Offline, maybe_applied=False), f"the socket was closed ({cause})", attempt, cause=cause
            )
        case TimeoutError():
            why = "the socket was not ready in time"
        case OSError():
            why = _with_reason("the socket cannot be opened", cause, attempt)
        case socket_exceptions.WebSocketException():
            why = f"what answers is no socket ({type(cause).__name__})"
        case _:
            why = f"the socket failed with {type(cause).__name__}"
    return _build(Verdict(Offline, maybe_applied=False), why, attempt, cause=cause)


def from_frame(payload: object, attempt: Attempt) -> SyncError:
    """The exception for the payload of an `error` or `connection_error` frame."""
    error = first_error(payload)
    code = error.get("errorCode")
    status = code if isinstance(code, int) else None
    verdict = verdict_of(type_of(error), str(error.get("message") or ""), status=status)
    if issubclass(verdict.error_class, BadRecord):
        verdict = Verdict(SyncError)  # a bad request about a socket is about no record
    return _from_entry(error, attempt, verdict)


def bad_input(exc: Exception, attempt: Attempt) -> BadRecord:
    """The exception for variables that are no JSON; nothing was sent."""
    why = "its values cannot be written as JSON (NaN and Infinity have no JSON form)"
    return BadRecord(attempt.describe(why), **attempt.facts(), cause=exc)


def first_error(payload: object) -> Mapping[str, Any]:
    """The first error of an answer or frame in any of the shapes seen in the wild; {} if there is none."""
    match payload:
        case {"errors": [Mapping() as error, *_]}:
            return error
        case {"errors": [str() as text, *_]}:
            return {"message": text}
        case {"errors": Mapping() as error}:
            return error
        case Mapping():
            return payload
        case Sequence() if payload and isinstance(payload[0], Mapping):
            return payload[0]
    return {}


def type_of(error: Mapping[str, Any]) -> str | None:
    """AppSync's `errorType`, also where a gateway or another server puts it."""
    extensions = error.get("extensions")
    nested = extensions.get("errorType") if isinstance(extensions, Mapping) else None
    found = error.get("errorType") or nested or error.get("__type")
    return str(found) if found else None


def refuses_filter(error: SyncError) -> bool:
    """Whether AppSync refused a subscription because of its filter; without one it may be accepted."""
    raw = error.cause.get("message") if isinstance(error.cause, Mapping) else None
    return any(phrase in str(raw or error.message) for phrase in _FILTER_REFUSALS)


_NOT_SENT = Verdict(Offline, maybe_applied=False)
_HTTP_EXCEPTIONS: Mapping[str, tuple[Verdict, str]] = {
    # Nothing has left this machine:
    "ConnectTimeout": (_NOT_SENT, "no connection in time"),
    "PoolTimeout": (_NOT_SENT, "no free connection in time"),
    "ConnectError": (_NOT_SENT, "no connection"),
    "ProxyError": (_NOT_SENT, "the proxy does not connect"),
    "UnsupportedProtocol": (_NOT_SENT, "its URL cannot be used"),
    "LocalProtocolError": (_NOT_SENT, "the request cannot be sent"),
    # Some or all of the request was sent; nobody knows what became of it:
    "ReadTimeout": (Verdict(ServerError), "no answer in time"),
    "WriteTimeout": (Verdict(ServerError), "the request could not be sent in time"),
    "DecodingError": (Verdict(ServerError), "the answer cannot be decoded"),
    "TooManyRedirects": (Verdict(ServerError), "it redirects for ever"),
    "NetworkError": (Verdict(Offline), "the connection was lost"),
    "RemoteProtocolError": (Verdict(Offline), "the connection was cut"),
    "TransportError": (Verdict(Offline), "the connection failed"),
}
"""By the class name of an httpx exception, the nearest in its family: gql uses httpx or httpx2, whichever is there."""


def _from_entry(error: Mapping[str, Any], attempt: Attempt, verdict: Verdict) -> SyncError:
    error_type = type_of(error)
    why = attempt.readable(error.get("message")) or "AppSync gave no reason"
    remote = error.get("data")
    return _build(
        verdict,
        f"{error_type}: {why}" if error_type else why,
        attempt,
        error_type=error_type,
        remote=remote if isinstance(remote, dict) else None,
        cause={name: value for name, value in error.items() if name != "data"},
    )


def _innermost(exc: BaseException) -> BaseException:
    """gql wraps what httpx and websockets raise; what they raised says more."""
    while isinstance(exc, TransportError) and exc.__cause__ is not None:
        exc = exc.__cause__
    return exc


def _with_reason(why: str, cause: BaseException, attempt: Attempt) -> str:
    reason = attempt.readable(re.sub(r"^\[[^\]]*\] *", "", str(cause)))
    return f"{why} ({reason})" if reason else why


def _build(
    verdict: Verdict,
    why: str,
    attempt: Attempt,
    *,
    error_type: str | None = None,
    remote: WireRecord | None = None,
    cause: object = None,
) -> SyncError:
    facts: dict[str, Any] = {**attempt.facts(), "error_type": error_type, "remote": remote, "cause": cause}
    if verdict.is_transient:
        facts["maybe_applied"] = verdict.maybe_applied
    return verdict.error_class(attempt.describe(why), recovery_suggestion=verdict.suggestion, **facts)
