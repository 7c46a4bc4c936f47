"""The records of the bare AppSync. A page is a template with its number filled in, so that any number of them is free.

Knows nothing of Django: the server's process has better things to do than to load it.
"""

from __future__ import annotations

import json
import re
import time
from functools import lru_cache
from typing import Any

SHELF = "00000000-0000-4000-8000-000000000001"
"""Where all books stand."""
API_KEY = "da2-bench"
SELECTED = "id title rating tags publishedAt shelfId _version _lastChangedAt _deleted shelf { id _deleted }"
"""What our engine selects of a book."""

_PAGE = "@@@@"
_CHANGED_AT = 1_767_225_600_000
_CREATED_AT = "2026-01-01T00:00:00.000Z"
_VERSION = b'"_version":1,'


def book_id(number: int, page: int | str = _PAGE) -> str:
    """The id of a page's book. Ids ascend: an index takes them as fast as it can, and hides nothing of what we take."""
    return f"0000{_numbered(page)}-0000-4000-8000-{number:012x}"


def book(number: int, page: int | str = _PAGE) -> dict[str, Any]:
    """A record, with everything that anybody may select."""
    return {
        "id": book_id(number, page),
        "title": f"Book {number} of {_numbered(page)}",
        "rating": number,
        "tags": ["a", "b"],
        "publishedAt": _CREATED_AT,
        "shelfId": SHELF,
        **_metadata(),
        "shelf": {"id": SHELF, "_deleted": None},
    }


def shelf() -> dict[str, Any]:
    """The only shelf."""
    return {"id": SHELF, "name": "A", **_metadata()}


def base_page(query: str, size: int, page: int) -> bytes:
    """The items of a page, as JSON."""
    return _template(query, size).replace(_PAGE.encode(), _numbered(page).encode())


def delta_page(query: str, size: int, version: int) -> bytes:
    """Records of the first page that have changed, as JSON."""
    return base_page(query, size, 0).replace(_VERSION, b'"_version":%d,' % version)


def selected(record: dict[str, Any], query: str) -> dict[str, Any]:
    """As much of a record as a document names."""
    return {name: value for name, value in record.items() if re.search(rf"\b{name}\b", query)}


def answer(field: str, items: bytes, next_token: str | None = None) -> bytes:
    """An answer to a sync query."""
    token = json.dumps(next_token).encode()
    end = b',"nextToken":%s,"startedAt":%d}}}' % (token, time.time() * 1000)
    return b'{"data":{"%s":{"items":' % field.encode() + items + end


@lru_cache
def _template(query: str, size: int) -> bytes:
    return compact([selected(book(number), query) for number in range(size)])


def compact(value: Any) -> bytes:
    """JSON without blanks."""
    return json.dumps(value, separators=(",", ":")).encode()


def _metadata() -> dict[str, Any]:
    moments = {"createdAt": _CREATED_AT, "updatedAt": _CREATED_AT}
    return {"_version": 1, "_lastChangedAt": _CHANGED_AT, "_deleted": None, **moments}


def _numbered(page: int | str) -> str:
    return page if isinstance(page, str) else f"{page:04x}"
