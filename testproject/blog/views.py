"""The demo's page and its JSON views. A view writes with the ORM and is done: sending is the outbox's business.

Everyone may write here, as the demo listens on this machine only. The views still ask for Django's CSRF token.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import BadRequest, ValidationError
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from django_datastore.models import MutationEvent
from django_datastore.sync import connectivity
from testproject.blog.device import Device, DeviceError
from testproject.blog.models import Blog, Post
from testproject.demo import line as demo_line

CONTENT_SECURITY_POLICY = "; ".join(
    ["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'"]
)


@require_GET
@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    """The demo itself; everything on it arrives through the live query and the views below."""
    context = {"database": connection.display_name, "has_line": bool(settings.LINE_CONTROL)}
    response = render(request, "blog/page.html", context)
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


@require_POST
def posts(request: HttpRequest) -> JsonResponse:
    """Adds a post."""
    blog = Blog.objects.order_by("name").first()
    return _save(Post(blog=blog, status=Post.Status.PUBLISHED, published_at=timezone.now()), request)


@require_http_methods(["PATCH", "DELETE"])
def post(request: HttpRequest, pk: UUID) -> JsonResponse:
    """Changes or deletes a post."""
    found = get_object_or_404(Post, pk=pk)
    if request.method == "PATCH":
        return _save(found, request)
    found.delete()
    return JsonResponse(_outbox())


def _save(found: Post, request: HttpRequest) -> JsonResponse:
    """Saves what the request says of title and rating; the answer shows the outbox as this save left it."""
    for name, value in _body(request).items():
        if name in {"title", "rating"}:
            setattr(found, name, value)
    try:
        found.full_clean()
    except ValidationError as exc:
        return JsonResponse({"error": " ".join(exc.messages)}, status=400)
    found.save()
    return JsonResponse(_outbox() | {"id": str(found.pk)})


@require_GET
def outbox(request: HttpRequest) -> JsonResponse:
    """What waits to be sent, and how the line is."""
    return JsonResponse(_outbox() | {"line": _line("status")})


def _outbox() -> dict[str, Any]:
    events = list(MutationEvent.objects.order_by("id")[:100])
    keys = {key for event in events if (key := _key(event))}
    titles = {str(pk): title for pk, title in Post.objects.filter(pk__in=keys).values_list("pk", "title")}
    return {
        "outbox": [_event(event, titles) for event in events],
        "waiting": MutationEvent.objects.count(),
        "isOffline": connectivity.is_offline(),
    }


def _event(event: MutationEvent, titles: dict[str, str]) -> dict[str, Any]:
    return {
        "id": event.pk,
        "model": event.model.rpartition(".")[2],
        "key": _key(event),
        "title": event.data.get("title") or event.base.get("title") or titles.get(_key(event) or "", ""),
        "operation": event.operation,
        "fields": sorted(event.data),
        "state": event.state,
        "attempts": event.attempts,
        "error": event.last_error,
        "ageSeconds": round((timezone.now() - event.created_at).total_seconds(), 1),
    }


def _key(event: MutationEvent) -> str | None:
    """The key of a post's mutation event."""
    return str(json.loads(event.record_key)[0]) if event.model == "blog.post" else None


@require_http_methods(["GET", "POST"])
def line(request: HttpRequest) -> JsonResponse:
    """Tells how the line is; POST `{"cut": true}` cuts it, `{"cut": false}` mends it."""
    word = "status"
    if request.method == "POST":
        word = "cut" if _body(request).get("cut") else "mend"
    return JsonResponse({"line": _line(word)})


def _line(word: str) -> str:
    """`up` or `cut`; `unknown` where the demo's line does not run."""
    if not settings.LINE_CONTROL:
        return "unknown"
    try:
        return demo_line.tell(settings.LINE_CONTROL, word)
    except OSError:
        return "unknown"


@require_http_methods(["GET", "POST"])
def device(request: HttpRequest) -> JsonResponse:
    """The other device's view of AppSync. It goes past the line: cutting it does not bother the device."""
    other = Device(settings.APPSYNC_URL, settings.DATASTORE["API_KEY"])
    try:
        if request.method == "POST":
            _write(other, _body(request))
        return JsonResponse({"records": other.records()})
    except DeviceError as exc:
        return JsonResponse({"error": str(exc)}, status=502)


def _write(other: Device, body: dict[str, Any]) -> None:
    """One mutation, as the device's own store would send it."""
    values = {name: body[name] for name in ("title", "rating") if name in body}
    match body.get("operation"):
        case "create":
            published_at = timezone.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
            blog = Blog.objects.order_by("name").first()
            parent = {"blogPostsId": str(blog.pk)} if blog else {}
            other.create(**values, **parent, status="PUBLISHED", publishedAt=published_at)
        case "update":
            other.update(body["id"], body["version"], **values)
        case "delete":
            other.delete(body["id"], body["version"])
        case unknown:
            raise BadRequest(f"The device cannot {unknown!r}; it can create, update and delete.")


def _body(request: HttpRequest) -> dict[str, Any]:
    """The JSON object in the request's body; `BadRequest` if there is none."""
    try:
        body = json.loads(request.body)
    except ValueError as exc:
        raise BadRequest("The body is not JSON.") from exc
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object.")
    return body
