"""HTTP: `/graphql`. `answer` is the whole of it, free of any framework; the Django view only carries it."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from django_datastore.appsync_local import service as services
from django_datastore.appsync_local.about import describe
from django_datastore.appsync_local.auth.identity import Presented
from django_datastore.appsync_local.errors import RequestError
from django_datastore.appsync_local.service import Call, Service

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1_000_000
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type, x-amz-date, x-amz-security-token, "
    "x-amz-user-agent, x-api-key",
    "Access-Control-Expose-Headers": "x-amzn-ErrorType, x-amzn-RequestId",
    "Access-Control-Max-Age": "86400",
}
_TOKENS = re.compile(r"[A-Za-z0-9-]+")
_MAX_WANTED = 2_000


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


async def answer(
    service: Service,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
    url: str = "",
    *,
    path: str = "/graphql",
    query_string: str = "",
) -> Reply:
    """The answer to a request for the GraphQL URL, which `url` is in full; header names in lower case.

    `path` and `query_string` are what a signature covers.
    """
    try:
        match method:
            case "OPTIONS":
                return Reply(200, b"", _preflight(headers))
            case "GET" | "HEAD":
                return await _visit(
                    service, method, url, Presented(headers, path, method=method, query_string=query_string)
                )
            case "POST":
                identity = await service.authenticate(Presented(headers, path, body, query_string=query_string))
                if len(body) > MAX_BODY_BYTES:
                    raise RequestError(413, "RequestEntityTooLargeException", "The request body is beyond 1 MB.")
                return _json(200, await service.execute(Call.parse(body), identity))
            case _:
                raise RequestError(405, "MethodNotAllowedException", f"{method} is not supported. Use POST.")
    except RequestError as exc:
        return refuse(exc)
    except Exception:
        logger.exception("A request failed.", extra={"action": "request_failed"})
        return refuse(RequestError(500, "InternalFailureException", "The request could not be executed."))


async def _visit(service: Service, method: str, url: str, presented: Presented) -> Reply:
    """The answer to a GET: what a call in the query string asks for, or a page that tells what this is."""
    asked = dict(parse_qsl(url.partition("?")[2], keep_blank_values=True))
    if method == "HEAD" or "query" not in asked:
        return Reply(200, *describe(service, url, presented.header("accept") or ""))
    identity = await service.authenticate(presented)
    return _json(200, await service.execute(Call.from_query_string(asked), identity))


def _preflight(headers: Mapping[str, str]) -> dict[str, str]:
    """What a browser may send from a page of any origin, public sites' pages included."""
    wanted = _TOKENS.findall(headers.get("access-control-request-headers", "")[:_MAX_WANTED])
    allowed = dict.fromkeys([*_CORS["Access-Control-Allow-Headers"].split(", "), *map(str.lower, wanted)])
    found = {**_CORS, "Access-Control-Allow-Headers": ", ".join(allowed)}
    if headers.get("access-control-request-private-network") == "true":
        found["Access-Control-Allow-Private-Network"] = "true"
    return found


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
    method = request.method or "GET"
    url = "" if method == "POST" else request.build_absolute_uri()
    path, query_string = request.path, request.META.get("QUERY_STRING", "")
    reply = await answer(services.current(), method, headers, request.body, url, path=path, query_string=query_string)
    return HttpResponse(reply.body, status=reply.status, headers=dict(reply.headers))
