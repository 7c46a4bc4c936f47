"""What can go wrong with AppSync, by name: `appsync.faults` switches it on, until `off` or the end of a `with` block.

with appsync.faults.reply_lost("createPost", times=1) as fault:
    engine.drain()
assert fault.hits == 1
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeAlias, TypedDict, Unpack

from django_datastore.appsync_local.errors import CONDITIONAL_CHECK_FAILED, CONFLICT_UNHANDLED, UNAUTHORIZED
from django_datastore.appsync_local.injection.faults import (
    Answer,
    Body,
    Effect,
    EventFate,
    Fault,
    OnEvent,
    OnField,
    OnRequest,
    OnSocket,
    Place,
    Subject,
    Where,
)

Ask: TypeAlias = Callable[..., Any]
"""Calls a method inside the server, in this process or in another."""

WAIT_SECONDS = 10.0

_SERVER_ERRORS = {
    500: "InternalFailureException",
    502: "BadGatewayException",
    503: "ServiceUnavailableException",
    504: "GatewayTimeoutException",
}
_PORTAL = "<html><title>Welcome</title><p>Sign in to the hotel's network.</html>"


class Condition(TypedDict, total=False):
    """When a fault happens; without any, always."""

    kind: str
    """`query`, `mutation`, `subscription`, or `create`, `update`, `delete`, `get`, `list`, `sync`, `index`."""
    model: str
    key: str | tuple[str, ...]
    """The primary key of one record; several values for a composite one."""
    matching: Mapping[str, Any]
    """A filter over a mutation's input, a query's arguments or an event's record: `{"rating": {"gt": 3}}`."""
    when: Callable[[Subject], bool]
    """Any other rule. For a server in another process it has to be a function at the top level of a module."""
    after: int
    """How many pass unharmed first."""
    times: int
    """How often it happens."""


class ActiveFault:
    """A fault that is switched on, until `off` or the end of its `with` block."""

    def __init__(self, name: str, number: int, ask: Ask) -> None:
        self.name = name
        self.number = number
        """What `appsync.requests` calls it."""
        self._ask = ask

    def __repr__(self) -> str:
        return f"<fault {self.number}: {self.name}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.off()

    @property
    def hits(self) -> int:
        """How often it has happened, also after it was switched off."""
        return int(self._ask("faults.hits", self.number))

    def wait(self, timeout_seconds: float = WAIT_SECONDS, *, hits: int = 1) -> None:
        """Returns once it has happened so often; raises `TimeoutError`."""
        if not self._ask("faults.wait", self.number, hits, timeout_seconds):
            raise TimeoutError(f"{self!r} happened {self.hits} times in {timeout_seconds} s; expected {hits}.")

    def off(self) -> None:
        """Switches it off. What it holds goes on."""
        self._ask("faults.remove", self.number)

    def release(self) -> None:
        """Lets go what it holds, and switches it off."""
        self.off()


class FaultSwitches:
    """The faults of one server. `operation` is a root field such as `createPost`, `syncPosts` or `onCreatePost`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._switched: list[ActiveFault] = []

    def clear(self) -> None:
        """Switches all of them off."""
        self._ask("faults.clear")

    def unused(self) -> list[ActiveFault]:
        """The faults that have never happened, switched off or not: a test that relied on them proves nothing."""
        return [fault for fault in self._switched if not fault.hits]

    # -- a request: late -----------------------------------------------------------------------------------------------

    def latency(
        self,
        operation: str | None = None,
        *,
        request_seconds: float = 0,
        reply_seconds: float = 0,
        **condition: Unpack[Condition],
    ) -> ActiveFault:
        """The request arrives, and the answer leaves, so many seconds late."""
        effect = OnRequest(before_seconds=request_seconds, after_seconds=reply_seconds)
        return self._on("latency", effect, operation, condition)

    def hold(self, operation: str | None = None, *, at: str = "request", **condition: Unpack[Condition]) -> ActiveFault:
        """The request waits until `release`: at `request` before it is executed, at `reply` afterwards."""
        if at not in ("request", "reply"):
            raise ValueError(f"A request can be held at 'request' or at 'reply', not at {at!r}.")
        return self._on(f"hold at {at}", OnRequest(holds=at), operation, condition)

    # -- a request: another answer -------------------------------------------------------------------------------------

    def unauthorized(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """401: these credentials do not count."""
        answer = _refusal(401, UNAUTHORIZED, "You are not authorized to make this call.")
        return self._on("unauthorized", OnRequest(is_executed=False, answer=answer), operation, condition)

    def token_expired(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """401: the token was good once."""
        answer = _refusal(401, UNAUTHORIZED, "Token has expired.")
        return self._on("token expired", OnRequest(is_executed=False, answer=answer), operation, condition)

    def throttled(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """429: too many requests."""
        answer = _refusal(429, "TooManyRequestsException", "Rate exceeded")
        return self._on("throttled", OnRequest(is_executed=False, answer=answer), operation, condition)

    def server_error(
        self, operation: str | None = None, *, status: int = 500, applied: bool = False, **condition: Unpack[Condition]
    ) -> ActiveFault:
        """500, 502, 503 or 504 with an error as JSON, before the request is executed or afterwards."""
        answer = _refusal(status, _SERVER_ERRORS.get(status, "InternalFailureException"), None)
        effect = OnRequest(is_executed=applied, answer=answer)
        return self._on(f"server error {status}", effect, operation, condition)

    def html(
        self,
        operation: str | None = None,
        *,
        status: int = 200,
        applied: bool = False,
        text: str = _PORTAL,
        **condition: Unpack[Condition],
    ) -> ActiveFault:
        """A page for people, as a hotel's network (200) or a gateway (502) shows it."""
        effect = OnRequest(is_executed=applied, answer=Answer(status, text.encode(), "text/html"))
        return self._on(f"HTML {status}", effect, operation, condition)

    def answers(
        self,
        operation: str | None = None,
        *,
        status: int = 200,
        body: bytes | str = b"",
        content_type: str = "application/json",
        applied: bool = False,
        **condition: Unpack[Condition],
    ) -> ActiveFault:
        """Any answer at all."""
        content = body.encode() if isinstance(body, str) else body
        effect = OnRequest(is_executed=applied, answer=Answer(status, content, content_type))
        return self._on(f"answer {status}", effect, operation, condition)

    # -- a request: lost -----------------------------------------------------------------------------------------------

    def request_lost(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """The connection is cut; nothing was executed."""
        return self._on("request lost", OnRequest(is_executed=False, body=Body.NONE), operation, condition)

    def reply_lost(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """The request is executed, and the connection is cut without an answer."""
        return self._on("reply lost", OnRequest(body=Body.NONE), operation, condition)

    def reply_cut(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """The request is executed, and the connection is cut in the middle of the answer."""
        return self._on("reply cut", OnRequest(body=Body.HALF), operation, condition)

    def reply_shortened(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """The request is executed, and something on the way passes on half of the answer as if it were all."""
        return self._on("reply shortened", OnRequest(body=Body.SHORT), operation, condition)

    def reply_slow(
        self,
        operation: str | None = None,
        *,
        chunk_bytes: int = 1,
        pause_seconds: float = 0.01,
        **condition: Unpack[Condition],
    ) -> ActiveFault:
        """The answer drips: so many bytes, then a pause."""
        effect = OnRequest(body=Body.SLOW, chunk_bytes=chunk_bytes, chunk_seconds=pause_seconds)
        return self._on("reply slow", effect, operation, condition)

    # -- a root field --------------------------------------------------------------------------------------------------

    def field_error(
        self,
        operation: str | None = None,
        *,
        error_type: str,
        message: str = "",
        applied: bool = False,
        with_record: bool = False,
        **condition: Unpack[Condition],
    ) -> ActiveFault:
        """This root field gets an error; its neighbours in the document do not.

        With `applied` the mutation is carried out all the same, with `with_record` the error's `data` is the record.
        """
        effect = OnField(error_type, message, applied, with_record)
        return self._on(error_type, effect, operation, condition)

    def conflict_unhandled(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """The conflict handler rejects the mutation; `data` is the server's record."""
        effect = OnField(CONFLICT_UNHANDLED, "Conflict resolver rejects mutation.", has_record=True)
        return self._on(CONFLICT_UNHANDLED, effect, operation, condition)

    def condition_failed(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """The mutation's condition is not met; `data` is the server's record."""
        effect = OnField(CONDITIONAL_CHECK_FAILED, "The conditional request failed", has_record=True)
        return self._on(CONDITIONAL_CHECK_FAILED, effect, operation, condition)

    def max_conflicts(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """Too many write this record at the same time."""
        effect = OnField("MaxConflicts", "Max conflicts reached.")
        return self._on("MaxConflicts", effect, operation, condition)

    def delta_sync_write_error(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """The mutation is applied, and its change could not be logged: an error all the same."""
        effect = OnField("DeltaSyncWriteError", "Failed to write to the delta sync table.", True, True)
        return self._on("DeltaSyncWriteError", effect, operation, condition)

    def internal_failure(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """The resolver failed for no reason that it tells."""
        effect = OnField("InternalFailure", "Internal Failure")
        return self._on("InternalFailure", effect, operation, condition)

    def not_authorized(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """The rules of the API do not allow this root field."""
        effect = OnField("Unauthorized", f"Not Authorized to access {operation or 'this field'}.")
        return self._on("Unauthorized", effect, operation, condition)

    def page_too_large(
        self, operation: str | None = None, *, beyond: int | None = None, **condition: Unpack[Condition]
    ) -> ActiveFault:
        """A page is over 1 MB: "Transformation too large". With `beyond`, only pages of more records than that."""
        effect = OnField("MappingTemplate", "Transformation too large")
        return self._on("page too large", effect, operation, {"kind": "sync", **condition}, beyond=beyond)

    def null(
        self, operation: str | None = None, *, applied: bool = False, **condition: Unpack[Condition]
    ) -> ActiveFault:
        """This root field is null, without any error."""
        return self._on("null", OnField(is_applied=applied), operation, condition)

    # -- an event ------------------------------------------------------------------------------------------------------

    def drop_event(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """The event reaches nobody."""
        return self._on("drop event", OnEvent(EventFate.DROPPED), operation, condition)

    def duplicate_event(
        self, operation: str | None = None, *, copies: int = 2, **condition: Unpack[Condition]
    ) -> ActiveFault:
        """The event comes `copies` times."""
        return self._on("duplicate event", OnEvent(EventFate.DUPLICATED, copies), operation, condition)

    def reorder_events(
        self, operation: str | None = None, *, count: int = 2, **condition: Unpack[Condition]
    ) -> ActiveFault:
        """So many events are collected, and come in reverse."""
        return self._on("reorder events", OnEvent(EventFate.REORDERED, count), operation, condition)

    def hold_event(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """The event waits until `release`."""
        return self._on("hold event", OnEvent(EventFate.HELD), operation, condition)

    def cut_socket(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """In place of the event, its subscribers' sockets are cut without a close frame."""
        return self._on("cut socket", OnEvent(EventFate.SOCKET_CUT), operation, condition)

    def close_socket(
        self, operation: str | None = None, *, code: int = 1001, **condition: Unpack[Condition]
    ) -> ActiveFault:
        """In place of the event, its subscribers' sockets are closed."""
        return self._on("close socket", OnEvent(EventFate.SOCKET_CLOSED, code=code), operation, condition)

    # -- a socket ------------------------------------------------------------------------------------------------------

    def refuse_socket(self, *, status: int = 503, after: int = 0, times: int | None = None) -> ActiveFault:
        """No socket can be opened: the handshake gets an HTTP error."""
        effect = OnSocket(Place.CONNECT, status=status)
        return self._on("refuse socket", effect, None, _counted(after, times))

    def refuse_connection(
        self,
        *,
        error_type: str = UNAUTHORIZED,
        message: str = "Token has expired.",
        after: int = 0,
        times: int | None = None,
    ) -> ActiveFault:
        """A socket's `connection_init` gets a `connection_error` and a close: the credentials are wrong or old."""
        effect = OnSocket(Place.INIT, error_type, message)
        return self._on("refuse connection", effect, None, _counted(after, times))

    def ignore_connection(self, *, after: int = 0, times: int | None = None) -> ActiveFault:
        """A socket's `connection_init` is never acknowledged."""
        return self._on("ignore connection", OnSocket(Place.INIT), None, _counted(after, times))

    def refuse_start(
        self,
        operation: str | None = None,
        *,
        error_type: str = UNAUTHORIZED,
        message: str = "You are not authorized to make this call.",
        **condition: Unpack[Condition],
    ) -> ActiveFault:
        """A subscription's `start` gets an error."""
        return self._on("refuse start", OnSocket(Place.START, error_type, message), operation, condition)

    def ignore_start(self, operation: str | None = None, **condition: Unpack[Condition]) -> ActiveFault:
        """A subscription's `start` is never acknowledged."""
        return self._on("ignore start", OnSocket(Place.START), operation, condition)

    def stop_keep_alives(self, *, after: int = 0, times: int | None = None) -> ActiveFault:
        """Sockets stay open, and no keep-alive comes."""
        return self._on("stop keep-alives", OnSocket(Place.KEEP_ALIVE), None, _counted(after, times))

    def _on(
        self, name: str, effect: Effect, operation: str | None, condition: Condition, *, beyond: int | None = None
    ) -> ActiveFault:
        known = dict(condition)
        after, times = known.pop("after", 0), known.pop("times", None)
        key = known.pop("key", None)
        where = Where(
            operation=operation,
            key=(key,) if isinstance(key, str) else tuple(key) if key is not None else None,  # type: ignore[arg-type]
            beyond=beyond,
            **known,  # type: ignore[arg-type]  # what `Condition` holds
        )
        number = self._ask("add_fault", Fault(effect, where, after, times))  # type: ignore[arg-type]
        fault = ActiveFault(f"{name} {operation}" if operation else name, number, self._ask)
        self._switched.append(fault)
        return fault


def _counted(after: int, times: int | None) -> Condition:
    return {"after": after} if times is None else {"after": after, "times": times}


def _refusal(status: int, error_type: str, message: str | None) -> Answer:
    body = json.dumps({"errors": [{"errorType": error_type, "message": message}]}).encode()
    return Answer(status, body, error_type=error_type)
