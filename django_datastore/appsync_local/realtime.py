"""AppSync's WebSocket protocol without any I/O: feed `Protocol` what a client sends, send what it returns.

connection_init ─▶ connection_ack, ka        start ─▶ start_ack | error        stop ─▶ complete
(connection_error and a close for wrong credentials)       data, ka at any time

Time is a number that `clock` says: whoever carries the messages calls `tick` at `deadline`.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from django_datastore.appsync_local.auth.identity import Identity, Presented
from django_datastore.appsync_local.errors import UNAUTHORIZED, DocumentError, RequestError, unauthorized
from django_datastore.appsync_local.graphql.limits import ConnectionLimits

SUBPROTOCOL = "graphql-ws"
KEEP_ALIVE = '{"type":"ka"}'
_HEADER_PREFIX = "header-"

MAX_FRAME_BYTES = 256 * 1024
"""What a client may send at once. Amplify's longest, a `start` with tokens, has a few thousand."""
_MAX_ID_LENGTH = 128
_FRAMES_PER_SECOND = 200
_FRAMES_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is to be closed."""

    code: int
    reason: str = ""


UNAUTHENTICATED = Close(4401, "Unauthorized")
NOT_INITIALISED = Close(4408, "Connection initialisation timeout")
LIFETIME_OVER = Close(1001, "Connection lifetime exceeded")
TOO_BIG = Close(1009, "Frame too big")

Outgoing: TypeAlias = str | Close


def credentials(subprotocols: Iterable[str], query_string: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """What a connection brings to prove who it is: subprotocol `header-…`, `?header=…`, or plain HTTP headers."""
    texts = [item.removeprefix(_HEADER_PREFIX) for item in subprotocols if item.startswith(_HEADER_PREFIX)]
    texts += parse_qs(query_string).get("header", [])
    for text in texts:
        if text and (found := decode_header(text)) is not None:
            return found
    return headers


def decode_header(text: str) -> dict[str, str] | None:
    """The header object a socket carries as base64 or base64url, padded or not; None for anything else.

    Clients put it into the query string without escaping it, so a `+` may arrive as a space.
    """
    plain = text.replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        found = json.loads(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {str(name): value for name, value in found.items() if isinstance(value, str)}


def data_head(subscription_id: str) -> bytes:
    """What stands before the payload of an event for that subscription."""
    return f'{{"id":{json.dumps(subscription_id)},"type":"data","payload":'.encode()


DATA_TAIL = b"}"
"""What stands behind it."""


class Protocol:
    """One connection's side of the conversation."""

    def __init__(
        self,
        presented: Mapping[str, str],
        *,
        authenticate: Callable[[Presented], Identity],
        start: Callable[[str, str, Identity], None],
        stop: Callable[[str], None],
        limits: ConnectionLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        path: str = "/graphql",
    ) -> None:
        self._presented = presented
        self._authenticate = authenticate
        self._start = start
        """Takes a subscription's id, its `data` text and who starts it; raises `RequestError`, `DocumentError`."""
        self._stop = stop
        self._limits = limits or ConnectionLimits()
        self._clock = clock
        self._ends_at = clock() + self._limits.lifetime_seconds
        self._next_tick = clock() + self._limits.init_timeout_seconds
        self._frames = _Allowance(_FRAMES_PER_SECOND, _FRAMES_AT_ONCE, clock)
        self._is_closed = False
        self._path = path
        """The path of the endpoint, which signatures cover."""
        self._started: set[str] = set()
        self._is_acknowledged = False

    @property
    def deadline(self) -> float:
        """When `tick` is to be called next, by the clock; never, once it is closed."""
        return math.inf if self._is_closed else min(self._next_tick, self._ends_at)

    def tick(self) -> list[Outgoing]:
        """What to send because time has passed."""
        now = self._clock()
        if self._is_closed or now < self.deadline:
            return []
        if now >= self._ends_at:
            return self._close(LIFETIME_OVER)
        if not self._is_acknowledged:
            return self._close(NOT_INITIALISED)
        self._next_tick = now + self._limits.keep_alive_seconds
        return [KEEP_ALIVE]

    def receive(self, text: str | None) -> list[Outgoing]:
        """What to send after a message of the client; None stands for a binary one."""
        if self._is_closed:
            return []
        if text is not None and len(text) > MAX_FRAME_BYTES:
            return self._close(TOO_BIG)
        if not self._frames.take():
            return [_limit_reached("LimitExceededError", "Rate limit exceeded")]
        return self._answer(text)

    def _answer(self, text: str | None) -> list[Outgoing]:
        try:
            message = json.loads(text or "")
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            return [_unsupported()]
        match message.get("type"):
            case "connection_init":
                return self._connect()
            case "start" | "stop" if not self._is_acknowledged:
                return []  # as AppSync: nothing counts before the acknowledgement
            case "start":
                return [self._start_one(message)]
            case "stop":
                return [self._stop_one(message.get("id"))]
        return [_unsupported()]

    def _connect(self) -> list[Outgoing]:
        try:
            self._identify(Presented(self._presented, f"{self._path}/connect", b"{}"))
        except RequestError as exc:
            error = {**exc.as_wire(), "errorCode": exc.status}
            return [_encode("connection_error", payload={"errors": [error]}), *self._close(UNAUTHENTICATED)]
        self._is_acknowledged = True
        self._next_tick = self._clock() + self._limits.keep_alive_seconds
        acknowledgement = _encode("connection_ack", payload={"connectionTimeoutMs": self._limits.timeout_ms})
        return [acknowledgement, KEEP_ALIVE]

    def _identify(self, presented: Presented) -> Identity:
        """Who it is; a bad signature is a bad request here, where it is a 403 over HTTP."""
        try:
            return self._authenticate(presented)
        except RequestError as exc:
            if exc.status == 403:
                raise RequestError(400, "BadRequestException", exc.message) from exc
            raise

    def _close(self, close: Close) -> list[Outgoing]:
        self._is_closed = True
        return [close]

    def _start_one(self, message: Mapping[str, Any]) -> str:
        found, payload = message.get("id"), message.get("payload")
        if not isinstance(found, str) or not 0 < len(found) <= _MAX_ID_LENGTH:
            return _error(None, "BadRequestException", f"A start needs an id of at most {_MAX_ID_LENGTH} characters.")
        if found in self._started:
            return _error(found, "DuplicatedOperationError", f"Duplicated operation with id {found}")
        if len(self._started) >= self._limits.subscriptions:
            reached = f"Max number of {self._limits.subscriptions} subscriptions reached"
            return _limit_reached("MaxSubscriptionsReachedError", reached, found)
        try:
            if not isinstance(payload, dict) or not isinstance(payload.get("data"), str):
                raise RequestError(400, "BadRequestException", "A start needs payload.data: the request as JSON text.")
            data: str = payload["data"]
            identity = self._identify(
                Presented(_authorization(payload), self._path, data.encode("utf-8", "surrogatepass"))
            )
            self._start(found, data, identity)
        except RequestError as exc:
            return _error(found, exc.error_type, exc.message)
        except DocumentError as exc:
            return _encode("error", id=found, payload={"errors": [_refused(error) for error in exc.errors]})
        self._started.add(found)
        return _encode("start_ack", id=found)

    def _stop_one(self, found: object) -> str:
        if not isinstance(found, str) or found not in self._started:
            return _error(found, "UnknownOperationError", f"Unknown operation id {found}")
        self._started.discard(found)
        self._stop(found)
        return _encode("complete", id=found)


def _authorization(payload: Mapping[str, Any]) -> dict[str, str]:
    extensions = payload.get("extensions")
    found = extensions.get("authorization") if isinstance(extensions, dict) else None
    if not isinstance(found, dict):
        raise unauthorized("Required headers are missing.")
    return {str(name): value for name, value in found.items() if isinstance(value, str)}


def _refused(error: Mapping[str, Any]) -> dict[str, Any]:
    return {"message": error["message"], "errorCode": 400}


def _unsupported() -> str:
    return _error(None, "UnsupportedOperation", "unknown not supported through the realtime channel")


def _error(subscription_id: object, error_type: str, message: str) -> str:
    error: dict[str, Any] = {"errorType": error_type, "message": message}
    if error_type == UNAUTHORIZED:
        error["errorCode"] = 401
    payload = {"errors": [error]}
    if isinstance(subscription_id, str):
        return _encode("error", id=subscription_id, payload=payload)
    return _encode("error", payload=payload)


def _limit_reached(error_type: str, message: str, subscription_id: str | None = None) -> str:
    """The two errors whose `errors` is no list: seen at the service, and what Amplify's Swift client looks for."""
    payload = {"errors": {"errorType": error_type, "message": message}}
    if subscription_id is None:  # nobody's: the frame was not even read
        return _encode("error", payload=payload)
    return _encode("error", id=subscription_id, payload=payload)


def _encode(kind: str, **fields: Any) -> str:
    return json.dumps({**fields, "type": kind}, separators=(",", ":"))


class _Allowance:
    """So many a second, and as many at once as were saved up."""

    def __init__(self, per_second: float, at_once: float, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._clock = clock
        self._left = at_once
        self._counted_at = clock()

    def take(self) -> bool:
        """Whether there is one left, which is gone then."""
        now = self._clock()
        self._left = min(self._at_once, self._left + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
