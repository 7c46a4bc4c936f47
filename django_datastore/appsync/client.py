"""Posts documents to AppSync over HTTP. Synchronous: worker threads and processes call it.

Nothing is sent twice: there are no retries at any layer below, since only the outbox knows what a repetition would do.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from gql import GraphQLRequest
from gql.transport import httpx as gql_httpx
from graphql import ExecutionResult

from django_datastore.appsync import errors, redaction
from django_datastore.appsync.auth import Auth
from django_datastore.appsync.endpoint import Endpoint
from django_datastore.appsync.errors import AnswerRefused, Attempt
from django_datastore.appsync.verdicts import DELTA_SYNC_WRITE_ERROR
from django_datastore.exceptions import SyncError
from django_datastore.types import VERSION, WireRecord

logger = logging.getLogger(__name__)

httpx: Any = vars(gql_httpx)["httpx"]
"""The library gql chose: httpx, or httpx2 where newer gql finds it."""

USER_AGENT = f"django-datastore/{VERSION}"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One entry of an answer's `errors`: what happened to one alias of the document."""

    alias: str | None
    """The response field it belongs to; None if AppSync does not say."""
    path: tuple[str | int, ...]
    """Where in the answer, alias first."""
    error_type: str | None
    is_applied: bool
    """The operation took effect nevertheless: only a nested field or the delta log (DeltaSyncWriteError) failed."""
    raw: Mapping[str, Any] = field(repr=False)
    """The entry as AppSync sent it; may hold record contents."""
    attempt: Attempt = field(repr=False)

    @property
    def remote(self) -> WireRecord | None:
        """The record AppSync holds, if it sent it along."""
        record = self.raw.get("data")
        return record if isinstance(record, dict) else None

    @property
    def needs_base_sync(self) -> bool:
        """AppSync applied the mutation but lost its delta: other clients learn of it from a base sync only."""
        return self.error_type == DELTA_SYNC_WRITE_ERROR

    def to_exception(
        self,
        *,
        process: str | None = None,
        operation: str | None = None,
        model: str | None = None,
        local: dict[str, Any] | None = None,
    ) -> SyncError:
        """The classified exception, with `remote`, and with what the caller knows about this alias."""
        known = self.attempt.about(process=process, operation=operation, model=model)
        found = errors.from_graphql(self.raw, known)
        found.local = local
        return found


@dataclass(frozen=True, slots=True)
class Response:
    """A GraphQL answer: what each alias got, and what went wrong with some."""

    data: Mapping[str, Any] = field(repr=False)
    errors: tuple[FieldError, ...] = ()

    def error(self, alias: str) -> FieldError | None:
        """Why that alias failed; None if it took effect."""
        for found in self.errors:
            if not found.is_applied and found.alias == alias:
                return found
        if self.data.get(alias) is not None:
            return None
        return next((found for found in self.errors if found.alias is None and not found.is_applied), None)

    def raise_for_errors(self, **facts: Any) -> Self:
        """This response if every alias took effect; else the first error's exception. `facts` as `to_exception`'s."""
        for found in self.errors:
            if not found.is_applied:
                raise found.to_exception(**facts)
        return self


class AppSyncClient:
    """Executes documents at one endpoint as one identity, over kept-alive connections. Threads may share it.

    After a fork the child opens connections of its own.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        auth: Auth,
        *,
        timeout_seconds: float = 30.0,
        connect_timeout_seconds: float = 10.0,
        max_connections: int = 16,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.auth = auth
        self._options: dict[str, Any] = {
            "timeout": httpx.Timeout(timeout_seconds, connect=min(connect_timeout_seconds, timeout_seconds)),
            "limits": httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
        }
        if ssl_context is not None:
            self._options["verify"] = ssl_context
        self._lock = threading.Lock()
        self._transport: _Transport | None = None
        self._owner_pid = 0

    def execute(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        process: str | None = None,
        operation: str | None = None,
        model: str | None = None,
    ) -> Response:
        """The answer to `document`, whose single fields may have failed: see `Response.error`.

        Raises the classified `SyncError` if the request as a whole failed. `BadRecord` and `BadModel` for a batch mean
        that nothing of it was executed and one of its inputs is to blame: sent one by one, the others pass. `process`,
        `operation` and `model` are for messages and ride along on exceptions.
        """
        attempt = Attempt(self.endpoint.host, process, operation, model, secrets=self.auth.secrets, variables=variables)
        try:
            request = _TextRequest(document, variables)
        except ValueError as exc:
            raise errors.bad_input(exc, attempt) from exc
        try:
            result = self._connected().execute(request)
        except Exception as exc:
            raise errors.from_http(exc, attempt) from exc
        return _response(result, attempt)

    def close(self) -> None:
        """Lets go of all connections; `execute` opens new ones."""
        with self._lock:
            transport, self._transport = self._transport, None
        if transport is not None and self._owner_pid == os.getpid():
            transport.close()  # type: ignore[no-untyped-call]  # gql leaves it unannotated

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connected(self) -> _Transport:
        with self._lock:
            if self._transport is None or self._owner_pid != os.getpid():
                self._transport = _Transport(self.endpoint, self.auth, self._options)
                self._transport.connect()  # type: ignore[no-untyped-call]  # gql leaves it unannotated
                self._owner_pid = os.getpid()
            return self._transport


class _TextRequest(GraphQLRequest):
    """A request whose document is at hand as text: gql would parse it, only to print it again."""

    def __init__(self, text: str, variables: Mapping[str, Any] | None) -> None:
        # The parent's __init__ is the parser.
        self.variable_values = dict(variables or {})
        self.operation_name = None
        self.extensions = None
        self.text = text
        payload = {"query": text, "variables": self.variable_values}
        self.body = json.dumps(payload, separators=(",", ":"), allow_nan=False).encode()

    @property
    def payload(self) -> dict[str, Any]:
        return {"query": self.text, "variables": self.variable_values}


class _Transport(gql_httpx.HTTPXTransport):
    """gql's transport with our headers, and without its log of every record at DEBUG level."""

    def __init__(self, endpoint: Endpoint, auth: Auth, options: Mapping[str, Any]) -> None:
        super().__init__(endpoint.http_url, **options)
        self._endpoint = endpoint
        self._auth = auth

    def _prepare_request(self, request: Any, **_: Any) -> dict[str, Any]:
        headers = {"content-type": "application/json", "x-amz-user-agent": USER_AGENT}
        headers.update(self._auth.http_headers(self._endpoint, request.body))
        return {"content": request.body, "headers": headers}

    def _prepare_result(self, response: Any) -> ExecutionResult:
        # gql would drop the status of an error answer that parses, and quote the whole body of one that does not.
        answer = _parsed(response.content)
        if response.status_code == 200 and isinstance(answer, dict) and {"data", "errors"} & answer.keys():
            return ExecutionResult(data=answer.get("data"), errors=answer.get("errors"))
        raise AnswerRefused(
            response.status_code,
            content_type=response.headers.get("content-type", ""),
            length=len(response.content),
            excerpt=redaction.excerpt(response.text, secrets=self._auth.secrets),
            error=_error_of(answer, response.headers),
        )


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _error_of(answer: Any, headers: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The error in an answer with an error status, with the type that gateways put in a header."""
    error = errors.first_error(answer)
    if not error.keys() & {"errorType", "message", "__type"}:
        return None
    if header := headers.get("x-amzn-errortype"):
        return {"errorType": header, **error}
    return error


def _response(result: ExecutionResult, attempt: Attempt) -> Response:
    entries = [entry for entry in result.errors or () if isinstance(entry, Mapping)]
    data = dict(result.data or {})
    if result.data is None and not any(entry.get("path") for entry in entries):
        raise errors.from_graphql(entries[0] if entries else {"errorType": "InternalFailure"}, attempt)
    found = tuple(_field_error(entry, data, attempt) for entry in entries)
    for item in found:
        if item.needs_base_sync and item.alias and data.get(item.alias) is None:
            data[item.alias] = item.remote
    if found:
        logger.debug("%d errors in an answer of %s", len(found), attempt.host, extra={"action": "answer_has_errors"})
    return Response(data, found)


def _field_error(entry: Mapping[str, Any], data: Mapping[str, Any], attempt: Attempt) -> FieldError:
    path = tuple(entry.get("path") or ())
    alias = str(path[0]) if path else None
    error_type = errors.type_of(entry)
    is_partial = len(path) > 1 and alias is not None and data.get(alias) is not None
    return FieldError(
        alias=alias,
        path=path,
        error_type=error_type,
        is_applied=is_partial or error_type == DELTA_SYNC_WRITE_ERROR,
        raw=entry,
        attempt=attempt,
    )
