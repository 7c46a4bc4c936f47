"""The auth mode AWS_LAMBDA: a Python callable says whether a token is good, in the words of a Lambda authorizer.

{"authorizationToken": …, "requestContext": {…}, "requestHeaders": {…}}
    ─▶ {"isAuthorized": True, "resolverContext": {…}, "deniedFields": […], "ttlOverride": 300}
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from django_datastore.appsync_local.auth.identity import Identity, Presented
from django_datastore.appsync_local.calls import call, load
from django_datastore.appsync_local.errors import RequestError, unauthorized
from django_datastore.schema.auth_modes import AWS_LAMBDA

logger = logging.getLogger(__name__)

Authorizer: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Any]]

TIMEOUT_SECONDS = 10.0
MAX_TOKEN_LENGTH = 2048
MAX_CONTEXT_BYTES = 5 * 1024 * 1024
_REMEMBERED = 1024
_WANTED = "takes the event of a Lambda authorizer and returns {'isAuthorized': bool}"
_ARN = re.compile(r"arn:aws[\w-]*:appsync:[^/]*apis/[^/]+/types/(\w+)/fields/(\w+)")
_NAMES = re.compile(r"(\w+)\.(\w+)")


class LambdaAuthorizer:
    """Lets in whom a callable lets in."""

    def __init__(
        self,
        authorizer: Authorizer | str,
        *,
        now: Callable[[], int],
        ttl_seconds: float = 0,
        pattern: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._authorizer = load("LAMBDA_AUTHORIZER", authorizer, _WANTED)
        self._now = now
        self._ttl_ms = ttl_seconds * 1000
        self._pattern = re.compile(pattern) if pattern else None
        self._timeout_seconds = timeout_seconds
        self._remembered: OrderedDict[str, tuple[Identity | None, float]] = OrderedDict()

    def authenticate(self, token: str, presented: Presented) -> Identity:
        """Whoever the callable lets in with this token; raises the 401 that AppSync answers."""
        if not token or len(token) > MAX_TOKEN_LENGTH or (self._pattern and not self._pattern.fullmatch(token)):
            raise unauthorized()
        identity, expires_ms = self._remembered.get(token, (None, 0.0))
        if self._now() >= expires_ms:
            identity, ttl_ms = self._ask(token, presented)
            if ttl_ms > 0:
                self._remember(token, identity, self._now() + ttl_ms)
        if identity is None:
            raise unauthorized()
        return identity

    def _remember(self, token: str, identity: Identity | None, expires_ms: float) -> None:
        self._remembered[token] = (identity, expires_ms)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)

    def _ask(self, token: str, presented: Presented) -> tuple[Identity | None, float]:
        answer = self._call(
            {
                "authorizationToken": token,
                "requestContext": _request_context(presented.body),
                "requestHeaders": {name: value for name, value in presented.headers.items() if name != "authorization"},
            }
        )
        if not isinstance(answer, Mapping) or not isinstance(answer.get("isAuthorized"), bool):
            raise self._broken("it answered without isAuthorized")
        ttl = answer.get("ttlOverride")
        ttl_ms = ttl * 1000 if isinstance(ttl, int | float) else self._ttl_ms
        if not answer["isAuthorized"]:
            return None, ttl_ms
        context, denied = _context(answer.get("resolverContext")), answer.get("deniedFields") or ()
        if context is None:
            raise self._broken("its resolverContext is no JSON object, or beyond 5 MB")
        if not isinstance(denied, list | tuple | set | frozenset):  # of a text nothing would be denied
            raise self._broken("its deniedFields are no list")
        return Identity(AWS_LAMBDA, None, context, denied_fields=frozenset(map(_field, denied))), ttl_ms

    def _call(self, event: dict[str, Any]) -> Any:
        try:
            return call(self._authorizer, event, timeout_seconds=self._timeout_seconds, name="appsync-local-authorizer")
        except TimeoutError:
            raise self._broken(f"no answer within {self._timeout_seconds:g} seconds") from None
        except Exception as exc:
            logger.exception("The Lambda authorizer raised.", extra={"action": "authorizer_failed"})
            raise self._broken(type(exc).__name__) from exc

    @staticmethod
    def _broken(why: str) -> RequestError:
        logger.warning("The Lambda authorizer let nobody in: %s.", why, extra={"action": "authorizer_failed"})
        return unauthorized()


def _request_context(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        request = None
    found = request if isinstance(request, dict) else {}
    return {
        "apiId": "local",
        "accountId": "123456789012",
        "requestId": str(uuid.uuid4()),
        "queryString": found.get("query") or "",
        "operationName": found.get("operationName"),
        "variables": found.get("variables") or {},
    }


def _context(found: object) -> dict[str, Any] | None:
    """A `resolverContext` as JSON values; None for what cannot be one."""
    try:
        text = json.dumps(dict(found) if isinstance(found, Mapping) else found or {}, default=str)
        context = json.loads(text) if len(text) <= MAX_CONTEXT_BYTES else None
    except (TypeError, ValueError, RecursionError):
        return None
    return context if isinstance(context, dict) else None


def _field(item: object) -> tuple[str, str]:
    """The type and the field of `Type.field` or of an ARN."""
    match = _ARN.fullmatch(str(item)) or _NAMES.fullmatch(str(item))
    if match is None:
        logger.warning("The Lambda authorizer denies %r, which names no field.", item, extra={"action": "denied_field"})
        return "", ""
    return match[1], match[2]
