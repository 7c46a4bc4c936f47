"""The server as an ASGI application of its own: the GraphQL URL and its sockets, without Django's request machinery."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from django_datastore.appsync_local.consumers import RealtimeConsumer
from django_datastore.appsync_local.errors import RequestError
from django_datastore.appsync_local.service import Service
from django_datastore.appsync_local.sockets.send_queue import Send
from django_datastore.appsync_local.views import MAX_BODY_BYTES, Reply, answer, refuse

Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_SECONDS = 30
"""How long a client may take to send a request, as long as AppSync would take to execute it."""
HTTP_PATHS = ("/graphql", "/graphql/")
SOCKET_PATHS = (*HTTP_PATHS, "/graphql/realtime", "/graphql/realtime/")


def application(service: Service) -> Application:
    """The ASGI application of one API."""
    socket = RealtimeConsumer.as_asgi(service=service)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                if (reply := await _http(service, scope, receive)) is not None:
                    await _reply(reply, send)
            case "websocket" if scope["path"] in SOCKET_PATHS:
                await socket(scope, receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 4404})

    if service.injection is None:
        return serve
    from django_datastore.appsync_local.injection import lines

    return lines.application(serve, service, service.injection)


async def _http(service: Service, scope: Scope, receive: Receive) -> Reply | None:
    if scope["path"] not in HTTP_PATHS:
        return refuse(RequestError(404, "NotFoundException", f"There is nothing at {scope['path']}. Use /graphql."))
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    path, query_string = scope["path"], scope.get("query_string", b"").decode("latin-1")
    url = _url(scope, headers, query_string)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _body(receive)
    except TimeoutError:
        problem = f"The request did not arrive as a whole within {BODY_SECONDS} seconds."
        return refuse(RequestError(408, "RequestTimeoutException", problem))
    if body is None:
        return None
    return await answer(service, scope["method"], headers, body, url, path=path, query_string=query_string)


def _url(scope: Scope, headers: Mapping[str, str], query_string: str) -> str:
    """The URL as the client wrote it; only visitors need it."""
    if scope["method"] == "POST":
        return ""
    host, port = scope.get("server") or ("localhost", None)
    return f"{scope['scheme']}://{headers.get('host') or f'{host}:{port}'}{scope['path']}?{query_string}"


async def _body(receive: Receive) -> bytes | None:
    """The request body, None if the client left before its end.

    What is beyond the limit is read and thrown away, so that the answer can be sent.
    """
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if length <= MAX_BODY_BYTES:
            parts.append(message.get("body", b""))
        length += len(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _reply(reply: Reply, send: Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
    headers.append((b"Content-Length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
