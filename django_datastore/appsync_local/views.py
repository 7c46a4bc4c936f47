"""HTTP: `POST /graphql`. `answer` is the whole of it, free of any framework; the Django view only carries it."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from django_datastore.appsync_local import service as services
from django_datastore.appsync_local.errors import RequestError
from django_datastore.appsync_local.service import Call, Service

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1_000_000
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type, x-amz-date, x-amz-security-token, "
    "x-amz-user-agent, x-api-key",
    "Access-Control-Expose-Headers": "x-amzn-ErrorType, x-amzn-RequestId",
    "Access-Control-Max-Age": "86400",
}
_ABOUT = """This is an AppSync-compatible GraphQL API (django_datastore.appsync_local).

Send POST requests with a JSON body {{"query": ..., "variables": ...}} and the header x-api-key to this URL.
Subscriptions: a WebSocket to this URL, or to it with /realtime appended, subprotocol graphql-ws.

Models: {models}
"""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


async def answer(service: Service, method: str, headers: Mapping[str, str], body: bytes) -> Reply:
    """The answer to a request for the GraphQL URL; header names in lower case."""
    try:
        match method:
            case "OPTIONS":
                return Reply(200, b"", _CORS)
            case "GET" | "HEAD":
                about = _ABOUT.format(models=", ".join(service.executable.api.schema.models))
                return Reply(200, about.encode(), {"Content-Type": "text/plain; charset=utf-8"})
            case "POST":
                service.auth.authorize(headers)
                if len(body) > MAX_BODY_BYTES:
                    raise RequestError(413, "RequestEntityTooLargeException", "The request body is beyond 1 MB.")
                return _json(200, await service.execute(Call.parse(body)))
            case _:
                raise RequestError(405, "MethodNotAllowedException", f"{method} is not supported. Use POST.")
    except RequestError as exc:
        return refuse(exc)
    except Exception:
        logger.exception("A request failed.", extra={"action": "request_failed"})
        return refuse(RequestError(500, "InternalFailureException", "The request could not be executed."))


def refuse(error: RequestError) -> Reply:
    """The answer to a request nothing could be done with."""
    return _json(error.status, json.dumps({"errors": [error.as_wire()]}).encode(), error.error_type)


def _json(status: int, body: bytes, error_type: str | None = None) -> Reply:
    headers = {"Content-Type": "application/json;charset=UTF-8", "x-amzn-RequestId": str(uuid.uuid4()), **_CORS}
    if error_type is not None:
        headers["x-amzn-ErrorType"] = error_type
    return Reply(status, body, headers)


@csrf_exempt
async def graphql(request: HttpRequest) -> HttpResponse:
    """The GraphQL URL inside a Django project. The API key stands in for the CSRF token."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    reply = await answer(services.current(), request.method or "GET", headers, request.body)
    return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))
