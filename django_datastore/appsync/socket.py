"""One socket to AppSync: gql's transport up to the acknowledgement, then frame by frame. Used by `realtime`."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from gql import GraphQLRequest
from gql.transport.appsync_websockets import AppSyncWebsocketsTransport

from django_datastore.appsync.auth import Auth
from django_datastore.appsync.endpoint import Endpoint

DEFAULT_CONNECTION_TIMEOUT_MS = 300_000
"""After how long without a sign of life AppSync calls a connection dead, if its acknowledgement does not say."""

_LARGEST_FRAME = 16 * 2**20
_PING_SECONDS = 20
_CLOSE_SECONDS = 2

_socket_logger = logging.getLogger("django_datastore.appsync.socket")
_socket_logger.setLevel(logging.INFO)  # at DEBUG the websockets library logs frames and headers, credentials included


class FrameError(Exception):
    """A frame that ends the connection: `connection_error`, or something that is no frame at all."""

    def __init__(self, payload: object) -> None:
        super().__init__("the server refused the connection")
        self.payload = payload


class _TextRequest(GraphQLRequest):
    """A request whose document is at hand as text."""

    def __init__(self, text: str, variables: Mapping[str, Any]) -> None:
        self._payload = {"query": text, "variables": dict(variables)}

    @property
    def payload(self) -> dict[str, Any]:
        return self._payload


class SocketTransport(AppSyncWebsocketsTransport):
    """gql's transport for the handshake and the framing; frames are taken one by one with `next_frame`.

    gql's own reader drops `start_ack`, ignores `connectionTimeoutMs`, closes everything for an error without an id, and
    logs credentials and records at DEBUG level.
    """

    def __init__(
        self, endpoint: Endpoint, auth: Auth, timeout_seconds: float, ssl_context: ssl.SSLContext | None
    ) -> None:
        socket_auth = auth.socket_auth(endpoint)
        super().__init__(
            endpoint.realtime_url,
            auth=socket_auth,
            ssl=(endpoint.realtime_url.startswith("wss:") and ssl_context) or False,
            connect_timeout=timeout_seconds,  # type: ignore[arg-type]  # gql says int, asyncio takes float
            ack_timeout=timeout_seconds,  # type: ignore[arg-type]  # as above
            close_timeout=2 * _CLOSE_SECONDS,
            connect_args={
                "compression": None,
                "max_size": _LARGEST_FRAME,
                "ping_interval": _PING_SECONDS,
                # Pongs wait behind frames that nobody takes yet; the server's keep-alive says whether it lives.
                "ping_timeout": None,
                "close_timeout": _CLOSE_SECONDS,
                "logger": _socket_logger,
            },
        )
        header = json.dumps(socket_auth.get_headers(), separators=(",", ":")).encode()
        encoded = urlsafe_b64encode(header).decode().rstrip("=")
        self.adapter.subprotocols = ["graphql-ws", f"header-{encoded}"]
        self.connection_timeout_ms: float = DEFAULT_CONNECTION_TIMEOUT_MS
        self.is_ready = False

    async def start(self, text: str, variables: Mapping[str, Any]) -> None:
        """Sends `start` under the id `next_query_id`."""
        await self._send_query(_TextRequest(text, variables))

    async def stop(self, query_id: int) -> None:
        """Sends `stop`."""
        await self._send(json.dumps({"id": str(query_id), "type": "stop"}))

    async def next_frame(self) -> Mapping[str, Any]:
        """The next frame; `TimeoutError` if the server is silent for longer than it said it would be."""
        async with asyncio.timeout(self.connection_timeout_ms / 1000):
            return _frame(await self._receive())

    async def _initialize(self) -> None:
        await self._send(json.dumps({"type": "connection_init"}))
        async with asyncio.timeout(self.ack_timeout):
            self.connection_timeout_ms = await self._acknowledgement()
        self.is_ready = True

    async def _acknowledgement(self) -> float:
        while True:
            frame = _frame(await self._receive())
            match frame:
                case {"type": "connection_ack", "payload": {"connectionTimeoutMs": int() | float() as limit}}:
                    return limit if limit > 0 else DEFAULT_CONNECTION_TIMEOUT_MS
                case {"type": "connection_ack"}:
                    return DEFAULT_CONNECTION_TIMEOUT_MS
                case {"type": "connection_error" | "error"}:
                    raise FrameError(frame.get("payload"))

    async def _receive_data_loop(self) -> None:
        """Nothing: the connection reads with `next_frame`."""

    async def _send(self, message: str) -> None:
        await self.adapter.send(message)

    async def _receive(self) -> str:
        return await self.adapter.receive()


def _frame(text: str) -> Mapping[str, Any]:
    try:
        frame = json.loads(text)
    except ValueError:
        frame = None
    if not isinstance(frame, dict):
        raise FrameError({"errorType": "InternalFailure", "message": "what arrived is no frame of the protocol"})
    return frame
