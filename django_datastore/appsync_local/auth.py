"""Who may call: everyone who has an API key, sent as HTTP header or in the socket's header object."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping, Sequence

from django_datastore.appsync_local.errors import unauthorized


class ApiKeys:
    """The auth mode API_KEY."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def authorize(self, headers: Mapping[str, str]) -> None:
        """Lets callers with a valid `x-api-key` pass; raises the 401 that AppSync answers."""
        found = next((value for name, value in headers.items() if name.lower() == "x-api-key"), None)
        if found is None:
            raise unauthorized("Missing authorization header")
        presented = str(found).encode("utf-8", "surrogatepass")
        if not any(hmac.compare_digest(presented, key) for key in self._keys):
            raise unauthorized()


def decode_header(text: str) -> dict[str, str] | None:
    """The header object a socket carries as base64 or base64url, padded or not; None for anything else.

    Clients put it into the query string without escaping it, so a `+` may arrive as a space.
    """
    plain = text.replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        found = json.loads(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {str(name): value for name, value in found.items() if isinstance(value, str)}
