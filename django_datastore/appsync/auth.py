"""How a request proves who it is: one class per auth mode, made by `auth_for`.

A mode gives the HTTP headers of one request and gql's authentication for one socket. Both are asked for anew each time,
so a mode whose credentials expire or sign the body needs nothing but a class here and a row in `_MODES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gql.transport.appsync_auth import AppSyncApiKeyAuthentication, AppSyncAuthentication

from django_datastore.appsync.endpoint import Endpoint
from django_datastore.exceptions import ConfigurationError
from django_datastore.types import AuthMode


class Auth(Protocol):
    """What the client asks of an auth mode."""

    @property
    def mode(self) -> AuthMode:
        """Which mode it is."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that may never appear in a message or log."""

    def http_headers(self, endpoint: Endpoint, body: bytes) -> Mapping[str, str]:
        """The headers that prove who posts `body`."""

    def socket_auth(self, endpoint: Endpoint) -> AppSyncAuthentication:
        """Fresh credentials for one socket and its `start` messages."""


@dataclass(frozen=True, slots=True)
class ApiKeyAuth:
    """AppSync's `API_KEY` mode."""

    api_key: str = field(repr=False)

    @property
    def mode(self) -> AuthMode:
        return AuthMode.API_KEY

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.api_key,)

    def http_headers(self, endpoint: Endpoint, body: bytes) -> Mapping[str, str]:
        return {"x-api-key": self.api_key}

    def socket_auth(self, endpoint: Endpoint) -> AppSyncAuthentication:
        return _ApiKeySocketAuth(host=endpoint.host, api_key=self.api_key)


def auth_for(mode: str, *, api_key: str | None = None) -> Auth:
    """The auth of that mode; `ConfigurationError` for a mode that is not supported or lacks its credentials."""
    try:
        make = _MODES[AuthMode(mode)]
    except (ValueError, KeyError):
        supported = ", ".join(repr(str(known)) for known in _MODES)
        raise ConfigurationError(f"DATASTORE['AUTH_MODE'] is {mode!r}; supported: {supported}.") from None
    return make(api_key)


def _api_key_auth(api_key: str | None) -> Auth:
    if not api_key:
        raise ConfigurationError("DATASTORE['API_KEY'] is missing. AUTH_MODE 'API_KEY' needs a key of the API.")
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise ConfigurationError(
            "DATASTORE['API_KEY'] cannot be sent in a header: it contains white space, a line break or a character "
            "outside ASCII. Copy the bare key."
        )
    return ApiKeyAuth(api_key)


_MODES: Mapping[AuthMode, Callable[[str | None], Auth]] = {AuthMode.API_KEY: _api_key_auth}


class _ApiKeySocketAuth(AppSyncApiKeyAuthentication):
    def get_auth_url(self, url: str) -> str:
        """The URL as it is: credentials travel in the sub-protocol, since query strings end up in access logs."""
        return url
