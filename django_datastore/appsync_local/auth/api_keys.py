"""The auth mode API_KEY."""

from __future__ import annotations

import datetime
import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from django_datastore.appsync_local.auth.identity import ANYONE, Identity, Presented
from django_datastore.appsync_local.errors import unauthorized
from django_datastore.exceptions import ConfigurationError

Key: TypeAlias = "str | Mapping[str, Any]"
"""The key, or `{"key": …, "expires": …}` with epoch seconds, a `datetime` or ISO text."""


class ApiKeys:
    """Lets in whoever has one of the keys, until it expires."""

    def __init__(self, keys: Iterable[Key], *, now: Callable[[], int] = lambda: 0) -> None:
        self._keys = [_key(item) for item in keys]
        self._now = now

    def authenticate(self, presented: Presented) -> Identity:
        """Lets callers with a valid `x-api-key` pass; raises the 401 that AppSync answers."""
        found = presented.header("x-api-key")
        if found is None:
            raise unauthorized("Missing authorization header")
        key = str(found).encode("utf-8", "surrogatepass")
        for known, expires_ms in self._keys:
            if hmac.compare_digest(key, known) and (expires_ms is None or self._now() < expires_ms):
                return ANYONE
        raise unauthorized()


def _key(item: Key) -> tuple[bytes, float | None]:
    if isinstance(item, str):
        return item.encode(), None
    key, expires = item.get("key"), item.get("expires")
    if not isinstance(key, str) or not key or set(item) - {"key", "expires"}:
        raise ConfigurationError("An entry of APPSYNC_LOCAL['API_KEY'] is a key, or {'key': ..., 'expires': ...}.")
    return key.encode(), None if expires is None else _epoch_ms(expires)


def _epoch_ms(moment: object) -> float:
    if isinstance(moment, str):
        try:
            moment = datetime.datetime.fromisoformat(moment)
        except ValueError:
            moment = None
    if isinstance(moment, datetime.datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        return aware.timestamp() * 1000
    if isinstance(moment, int | float) and not isinstance(moment, bool):
        return moment * 1000
    raise ConfigurationError(
        "The 'expires' of an entry of APPSYNC_LOCAL['API_KEY'] is epoch seconds, a datetime or ISO text."
    )
