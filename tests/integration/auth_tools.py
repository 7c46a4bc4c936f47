"""What the tests of the local server's auth modes share: callers with credentials of any kind, on both doors."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import connect

from django_datastore.appsync_local.server import LocalServer
from tests.integration.local_server_tools import Client, Speaker

Headers = Callable[[str, bytes], Mapping[str, str]]
"""The headers that prove who sends this body to this path."""


class Caller(Client):
    """A client with credentials of its own."""

    def __init__(self, server: LocalServer, headers: Headers) -> None:
        self.url = server.url
        self.headers = headers
        self.http = httpx.Client(timeout=30)
        self.server = server

    def answer(self, query: str, **variables: Any) -> httpx.Response:
        """The HTTP answer, whatever it is."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        return self.http.post(self.url, content=body, headers=dict(self.headers("/graphql", body)))

    def post(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = self.answer(query, **variables)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def refused(self, field: str, **values: Any) -> dict[str, Any]:
        answer = self.write(field, "id", **values)
        assert answer["data"] == {field: None}, answer
        (error,) = answer["errors"]
        found: dict[str, Any] = error
        return found

    @asynccontextmanager
    async def speaking(self) -> AsyncIterator[AuthorizedSpeaker]:
        """A socket that is open; nothing was said yet."""
        host = self.server.url.split("/")[2]
        presented = {"host": host, **self.headers("/graphql/connect", b"{}")}
        header = base64.urlsafe_b64encode(json.dumps(presented).encode()).decode().rstrip("=")
        async with connect(self.server.realtime_url, subprotocols=["graphql-ws", f"header-{header}"]) as socket:  # type: ignore[list-item]
            yield AuthorizedSpeaker(socket, self.headers, host)

    @asynccontextmanager
    async def acknowledged(self) -> AsyncIterator[AuthorizedSpeaker]:
        """A socket that was let in."""
        async with self.speaking() as speaker:
            await speaker.send("connection_init")
            assert (await speaker.receive())["type"] == "connection_ack"
            yield speaker


class AuthorizedSpeaker(Speaker):
    """A socket whose subscriptions carry any credentials."""

    def __init__(self, socket: Any, headers: Headers, host: str) -> None:
        super().__init__(socket, "")
        self.headers = headers
        self.host = host

    async def start(
        self,
        subscription_id: str,
        query: str,
        variables: Mapping[str, Any] | None = None,
        key: str | None = None,
        headers: Headers | None = None,
    ) -> Any:
        data = json.dumps({"query": query, "variables": variables or {}})
        authorization = {"host": self.host, **(headers or self.headers)("/graphql", data.encode())}
        payload = {"data": data, "extensions": {"authorization": authorization}}
        await self.send("start", id=subscription_id, payload=payload)
        return await self.receive()


def with_token(token: str) -> Headers:
    """Credentials that are a token."""
    return lambda path, body: {"Authorization": token}


def with_key(key: str) -> Headers:
    """Credentials that are an API key."""
    return lambda path, body: {"x-api-key": key}
