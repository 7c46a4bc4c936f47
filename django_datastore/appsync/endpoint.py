"""Where an API answers: its HTTP URL, the socket's URL that belongs to it, and the host credentials are made for."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit, urlunsplit

from django_datastore.exceptions import ConfigurationError

_AWS_HOST = re.compile(r"(?P<api>[a-z0-9-]+)\.appsync-api\.(?P<rest>[a-z0-9-]+\.amazonaws\.com(\.cn)?)")
_AWS_REALTIME_HOST = re.compile(r"[a-z0-9-]+\.appsync-realtime-api\..+")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SOCKET_SCHEMES = {"http": "ws", "https": "wss"}
_EXPECTED = (
    "Expected the API's GraphQL URL, such as 'https://….appsync-api.eu-west-1.amazonaws.com/graphql', "
    "'https://api.example.com/graphql' or 'http://127.0.0.1:8001/graphql'."
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The two URLs of one API."""

    http_url: str
    """Where queries and mutations are posted."""
    realtime_url: str
    """Where the socket for subscriptions is opened."""
    host: str
    """Host and port of the HTTP URL as credentials name it; the socket's credentials name this one too."""

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """The endpoint with that GraphQL URL; `ConfigurationError` that says what is expected if it is none.

        AppSync's own hosts have a socket host of their own; for all others (custom domains, the local server) the
        socket is at `/realtime` below the GraphQL path, without TLS if the URL is `http://`.
        """
        parts, host = _checked(url)
        http_url = urlunsplit((parts.scheme, host, parts.path, "", ""))
        return cls(http_url=http_url, realtime_url=_realtime_url(parts, host), host=host)

    @property
    def is_open_to_all(self) -> bool:
        """Whether what is sent can be read on the way: there is no TLS, and it may leave this machine."""
        name = urlsplit(self.http_url).hostname or ""
        return self.http_url.startswith("http://") and not _stays_here(name)


def _stays_here(name: str) -> bool:
    """Whether a host is this machine, or has a name that no public network knows."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return "." not in name.rstrip(".") or name.rstrip(".").endswith((".localhost", ".test"))


def _checked(url: str) -> tuple[SplitResult, str]:
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except (ValueError, AttributeError) as exc:
        _refuse(url, "it is not a URL", exc)
    name = (parts.hostname or "").lower()
    if parts.scheme not in _SOCKET_SCHEMES:
        _refuse(url, f"its scheme is {parts.scheme!r}, not 'https' or 'http'")
    if not name or any(letter.isspace() for letter in parts.netloc + parts.path):
        _refuse(url, "it names no host" if not name else "it contains white space")
    if parts.username is not None or parts.password is not None:
        _refuse("…", "it carries a user name or password")
    if parts.query or parts.fragment:
        _refuse(url, "it has a query string or fragment")
    if not parts.path.strip("/"):
        _refuse(url, "it has no path")
    if _AWS_REALTIME_HOST.fullmatch(name):
        _refuse(url, "it is the socket's URL, which is found from the GraphQL URL")
    host = f"[{name}]" if ":" in name else name
    return parts, host if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"


def _realtime_url(parts: SplitResult, host: str) -> str:
    scheme = _SOCKET_SCHEMES[parts.scheme]
    if aws := _AWS_HOST.fullmatch(host):
        realtime_host = f"{aws['api']}.appsync-realtime-api.{aws['rest']}"
        return urlunsplit((scheme, realtime_host, parts.path, "", ""))
    return urlunsplit((scheme, host, parts.path.rstrip("/") + "/realtime", "", ""))


def _refuse(url: object, why: str, cause: Exception | None = None) -> NoReturn:
    raise ConfigurationError(f"Cannot use {url!r} as DATASTORE['ENDPOINT']: {why}. {_EXPECTED}") from cause
