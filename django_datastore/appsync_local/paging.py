"""Pages: where a paged query goes on, the token that says so, and how much is read at once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import TypeAlias

from django_datastore.appsync_local.errors import FieldError
from django_datastore.appsync_local.tables.records import Stored

Read: TypeAlias = Callable[[Stored | None, int], list[Stored]]
"""The next rows after the given one (from the start after None), at most so many."""

MAX_PAGE_BYTES = 1024 * 1024
"""What DynamoDB reads for a page before it stops."""
_SIGNATURE_BYTES = 16
_MAX_TOKEN_LENGTH = 8192
_FIRST_CHUNK = 100


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a paged query goes on."""

    kind: str
    """`base`, `delta` or `index`."""
    started_at: int = 0
    since: int = 0
    changed: int = 0
    position: int = 0
    sort: str = ""
    """In an index, the sort key in hexadecimal."""

    def after(self, row: Stored) -> Cursor:
        """The cursor behind this row."""
        return Cursor(self.kind, self.started_at, self.since, row.last_changed_at, row.position, row.sort.hex())


class Tokens:
    """Cursors as opaque texts. A token goes on only the query it came from: anything else is refused."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)

    def issue(self, cursor: Cursor, scope: str) -> str:
        """The cursor as text, good for queries of that scope."""
        fields = json.dumps(astuple(cursor), separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._signature(fields, scope) + fields).decode()

    def read(self, token: str, scope: str) -> Cursor:
        """The cursor of a token of ours; `FieldError` for any other."""
        try:
            if len(token) > _MAX_TOKEN_LENGTH:
                raise ValueError("too long for one of ours")
            found = base64.b64decode(token, altchars=b"-_", validate=True)
            signature, fields = found[:_SIGNATURE_BYTES], found[_SIGNATURE_BYTES:]
            if hmac.compare_digest(signature, self._signature(fields, scope)):
                return Cursor(*json.loads(fields))
        except (binascii.Error, ValueError):
            pass
        raise FieldError("DynamoDB:UserIllegalArgumentException", "Invalid pagination token given.")

    def _signature(self, fields: bytes, scope: str) -> bytes:
        text = scope.encode(errors="surrogatepass")
        return hmac.digest(self._key, len(text).to_bytes(4) + text + fields, hashlib.sha256)[:_SIGNATURE_BYTES]


def read_page(read: Read, *, limit: int, max_bytes: int) -> tuple[list[Stored], bool]:
    """The rows of a page, and whether there are more; it ends early where the rows are large (0: never).

    It reads a few rows first: how large they are says how many more to ask for, so that memory stays bounded.
    """
    rows: list[Stored] = []
    size = 0
    while True:
        wanted = limit + 1 - len(rows)
        count = min(wanted, _fitting(len(rows), size, max_bytes)) if max_bytes else wanted
        chunk = read(rows[-1] if rows else None, count)
        for row in chunk:
            size += len(row.data)
            if max_bytes and rows and size > max_bytes:
                return rows, True
            rows.append(row)
        if len(rows) > limit:
            return rows[:limit], True
        if len(chunk) < count:
            return rows, False


def _fitting(seen: int, size: int, max_bytes: int) -> int:
    return _FIRST_CHUNK if not seen else (max_bytes - size) * seen // max(size, 1) + _FIRST_CHUNK
