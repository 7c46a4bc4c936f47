"""The messages between a browser and this site, as values and as JSON text. No I/O.

    browser: observe {id, model, filter?} · observeQuery {id, model, filter?, sort?} · unsubscribe {id}
    site:    ready · snapshot {id, items, keyFields, isSynced, cursor}
             changes {id, upserts, positions, deletes, isSynced, cursor}
             change {id, opType, model, element} · error {id, code, message} · complete {id}

`positions` says where each upsert stands once deletes and upserts were taken out of the list, in rising order. A key in
`deletes` is the value of the key field, or the list of values of a composite key. An `error` with an id ends that
subscription, unless its code is `duplicate_id` or `unknown_id`; the connection lives in any case. The codes:

    bad_message unknown_type duplicate_id unknown_id    the message itself
    unknown_model forbidden bad_filter bad_sort         what it asks for
    too_many too_slow unavailable                       this connection, or this site, now; worth another try later

What many watchers get is made once as a body; `frame` adds the id of each one's subscription.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from django_datastore.exceptions import DataStoreError
from django_datastore.types import WireRecord

VERSION = 1
_MAX_BYTES = 64 * 1024
_MAX_ID = 100


class ProtocolError(DataStoreError):
    """A browser's message cannot be followed. `code` is for programs, the text for people."""

    def __init__(self, code: str, message: str, *, subscription: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.subscription = subscription


@dataclass(frozen=True, slots=True)
class Observe:
    """Send every change of a model from now on."""

    id: str
    model: str
    filter: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObserveQuery:
    """Send the rows of a query, and how they change."""

    id: str
    model: str
    filter: dict[str, Any] = field(default_factory=dict)
    sort: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Send no more."""

    id: str


Message: TypeAlias = Observe | ObserveQuery | Unsubscribe

_TYPES = ("observe", "observeQuery", "unsubscribe")


def parse(text: str) -> Message:
    """A browser's frame as message; raises `ProtocolError`."""
    found = _object(text)
    kind = found.get("type")
    subscription = found.get("id")
    if kind not in _TYPES:
        raise ProtocolError(
            "unknown_type",
            f"No message type {kind!r:.80}. Known: {', '.join(_TYPES)}.",
            subscription=subscription if isinstance(subscription, str) else None,
        )
    if not isinstance(subscription, str) or not 0 < len(subscription) <= _MAX_ID:
        raise ProtocolError("bad_message", f"{kind!r} needs an 'id': a text of 1 to {_MAX_ID} characters.")
    if kind == "unsubscribe":
        return Unsubscribe(subscription)
    model = found.get("model")
    if not isinstance(model, str):
        raise ProtocolError("bad_message", f"{kind!r} needs a 'model': its name as text.", subscription=subscription)
    wanted = found.get("filter")
    if not isinstance(wanted, dict | None):
        raise ProtocolError("bad_filter", "'filter' is an object or null.", subscription=subscription)
    if kind == "observe":
        return Observe(subscription, model, wanted or {})
    return ObserveQuery(subscription, model, wanted or {}, _sort(found.get("sort"), subscription))


def _object(text: str) -> dict[str, Any]:
    if len(text) > _MAX_BYTES:
        raise ProtocolError("bad_message", f"The message is longer than {_MAX_BYTES} characters.")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ProtocolError("bad_message", f"The message is not JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise ProtocolError("bad_message", f"A message is a JSON object with a 'type', not {found!r:.80}.")
    return found


def _sort(found: Any, subscription: str) -> tuple[str, ...]:
    names = [] if found is None else found
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ProtocolError(
            "bad_sort", "'sort' is a list of field names such as \"-rating\".", subscription=subscription
        )
    return tuple(names)


def encode(message: dict[str, Any]) -> str:
    """A message as compact JSON text that any socket carries and any browser reads, whatever a row holds."""
    try:
        text = _dumps(message, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold and UTF-8 cannot: escaped it passes
        return _dumps(message, ensure_ascii=True)
    except ValueError:  # a number that JSON has no word for
        return encode(_finite(message))
    return text


def _dumps(message: dict[str, Any], *, ensure_ascii: bool) -> str:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=ensure_ascii, allow_nan=False)


def _finite(value: Any) -> Any:
    """The same with null for NaN and the infinities, as JavaScript writes them."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {name: _finite(item) for name, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
    return value


def frame(subscription: str, body: str) -> str:
    """A body with the id of one subscription."""
    return f'{{"id":{json.dumps(subscription)},{body[1:]}'


def ready(max_subscriptions: int) -> str:
    """The first frame on a connection."""
    return encode({"type": "ready", "protocol": VERSION, "maxSubscriptions": max_subscriptions})


def snapshot_body(items: Sequence[WireRecord], *, key_fields: Sequence[str], is_synced: bool, cursor: int) -> str:
    """All rows of a live query, in order."""
    return encode(
        {"type": "snapshot", "items": items, "keyFields": key_fields, "isSynced": is_synced, "cursor": cursor}
    )


def changes_body(
    upserts: Sequence[tuple[int, WireRecord]], deletes: Sequence[str], *, is_synced: bool, cursor: int
) -> str:
    """What became of the rows of a live query; upserts with their position, in rising order."""
    return encode(
        {
            "type": "changes",
            "upserts": [item for _, item in upserts],
            "positions": [position for position, _ in upserts],
            "deletes": [wire_key(key) for key in deletes],
            "isSynced": is_synced,
            "cursor": cursor,
        }
    )


def change_body(op_type: str, model: str, element: WireRecord) -> str:
    """One change of a model."""
    return encode({"type": "change", "opType": op_type, "model": model, "element": element})


def error(code: str, message: str, subscription: str | None = None) -> str:
    """Something cannot be done; with an id it concerns that subscription."""
    return encode({"type": "error", "id": subscription, "code": code, "message": message})


def complete(subscription: str) -> str:
    """The subscription has ended as asked."""
    return encode({"type": "complete", "id": subscription})


def wire_key(key: str) -> Any:
    """A record key as browsers get it: the key field's value, or the list of a composite key's values."""
    values = json.loads(key)
    return values[0] if len(values) == 1 else values
