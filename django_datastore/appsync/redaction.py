"""Makes what a server said fit for logs and the admin: no credentials, no record contents, not too long."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HIDDEN = "…"

_EXCERPT_LENGTH = 120
_MESSAGE_LENGTH = 400
_SHORTEST_HIDDEN = 4
"""Values shorter than this stay: hiding `a` or `1` wherever it occurs would leave no readable sentence."""

_INVALID_VALUE = re.compile(r"got invalid value .*?(?P<place> at '[^']*')?; (?P<why>[^;]*)$", re.DOTALL)
_CANNOT_REPRESENT = re.compile(r"(cannot represent [^:]*): .*$", re.DOTALL)
_MARKUP = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>|<[^>]*$", re.DOTALL | re.IGNORECASE)


def message(text: str, *, secrets: Sequence[str] = (), variables: Mapping[str, Any] | None = None) -> str:
    """A server's error message without credentials and without the values of `variables` it may echo."""
    text = _INVALID_VALUE.sub(lambda found: f"got an invalid value{found['place'] or ''}; {found['why']}", text)
    text = _CANNOT_REPRESENT.sub(r"\1", text)
    for value in sorted({*secrets, *_texts(variables)}, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return _shortened(" ".join(text.split()), _MESSAGE_LENGTH)


def excerpt(body: str, *, secrets: Sequence[str] = ()) -> str:
    """The first words of a page that should have been a GraphQL answer; nothing of one that may hold records."""
    if body.lstrip()[:1] in ("{", "[", '"', ""):
        return ""
    text = _MARKUP.sub(" ", body)
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return _shortened(" ".join(text.split()), _EXCERPT_LENGTH)


def _texts(value: Any) -> Iterator[str]:
    """The texts inside variables that could give a record's contents away; names of fields stay readable."""
    if isinstance(value, str):
        if len(value) >= _SHORTEST_HIDDEN:
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + HIDDEN
