"""AppSync's WebSocket protocol without any I/O: feed `Protocol` what a client sends, send what it returns.

connection_init ─▶ connection_ack, ka        start ─▶ start_ack | error        stop ─▶ complete
(connection_error and a close for wrong credentials)       data, ka at any time
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from django_datastore.appsync_local.auth import decode_header
from django_datastore.appsync_local.errors import UNAUTHORIZED, DocumentError, RequestError, unauthorized

SUBPROTOCOL = "graphql-ws"
KEEP_ALIVE = '{"type":"ka"}'
_HEADER_PREFIX = "header-"


@dataclass(frozen=True, slots=True)
class Close:
    """The connection is to be closed."""

    code: int


Outgoing: TypeAlias = str | Close


def credentials(subprotocols: Iterable[str], query_string: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """What a connection brings to prove who it is: subprotocol `header-…`, `?header=…`, or plain HTTP headers."""
    texts = [item.removeprefix(_HEADER_PREFIX) for item in subprotocols if item.startswith(_HEADER_PREFIX)]
    texts += parse_qs(query_string).get("header", [])
    for text in texts:
        if text and (found := decode_header(text)) is not None:
            return found
    return headers


def data_message(subscription_id: str, payload: str) -> str:
    """An event for a subscription; the payload is JSON text already, shared by all who selected the same."""
    return f'{{"id":{json.dumps(subscription_id)},"type":"data","payload":{payload}}}'


class Protocol:
    """One connection's side of the conversation."""

    def __init__(
        self,
        presented: Mapping[str, str],
        *,
        authorize: Callable[[Mapping[str, str]], None],
        start: Callable[[str, str], None],
        stop: Callable[[str], None],
        connection_timeout_ms: int = 300_000,
    ) -> None:
        self._presented = presented
        self._authorize = authorize
        self._start = start
        """Takes a subscription's id and its `data` text; raises `RequestError`, `DocumentError`."""
        self._stop = stop
        self._timeout_ms = connection_timeout_ms
        self._started: set[str] = set()
        self._is_acknowledged = False

    def receive(self, text: str | None) -> list[Outgoing]:
        """What to send after a message of the client; None stands for a binary one."""
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
            self._authorize(self._presented)
        except RequestError as exc:
            error = {**exc.as_wire(), "errorCode": exc.status}
            return [_encode("connection_error", payload={"errors": [error]}), Close(4401)]
        self._is_acknowledged = True
        acknowledgement = _encode("connection_ack", payload={"connectionTimeoutMs": self._timeout_ms})
        return [acknowledgement, KEEP_ALIVE]

    def _start_one(self, message: Mapping[str, Any]) -> str:
        found, payload = message.get("id"), message.get("payload")
        if not isinstance(found, str) or not found:
            return _error(None, "BadRequestException", "A start needs an id.")
        if found in self._started:
            return _error(found, "DuplicatedOperationError", f"There is a subscription with the id {found} already.")
        try:
            if not isinstance(payload, dict) or not isinstance(payload.get("data"), str):
                raise RequestError(400, "BadRequestException", "A start needs payload.data: the request as JSON text.")
            self._authorize(_authorization(payload))
            self._start(found, payload["data"])
        except RequestError as exc:
            return _error(found, exc.error_type, exc.message)
        except DocumentError as exc:
            return _encode("error", id=found, payload={"errors": [_refused(error) for error in exc.errors]})
        self._started.add(found)
        return _encode("start_ack", id=found)

    def _stop_one(self, found: object) -> str:
        if not isinstance(found, str) or found not in self._started:
            return _error(found, "UnknownOperationError", f"There is no subscription with the id {found}.")
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
    return {"errorType": "BadRequestException", "message": error["message"]}


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


def _encode(kind: str, **fields: Any) -> str:
    return json.dumps({**fields, "type": kind}, separators=(",", ":"))
