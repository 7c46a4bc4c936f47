"""Records read from AppSync: page by page by sync queries, or by their keys. Knows no database."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django_datastore.appsync.client import AppSyncClient, FieldError
from django_datastore.appsync.documents import Documents, GetRequest, alias, sync_field
from django_datastore.appsync.verdicts import is_too_large
from django_datastore.exceptions import ServerError, SyncError
from django_datastore.introspection import SyncedModel
from django_datastore.types import ProcessName, WireRecord

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SyncPage:
    """One page of a sync query."""

    items: list[WireRecord]
    next_token: str | None
    started_at: int | None
    """The server's clock when the query began, in ms."""
    holes: int
    """How many records came as nothing: AppSync could not read them."""


class PageReader:
    """Asks for pages. One that is over AppSync's limit is asked for again, half as long, as the later ones are."""

    def __init__(self, client: AppSyncClient, documents: Documents, *, page_size: int) -> None:
        self._client = client
        self._documents = documents
        self._page_size = page_size
        self._limits: dict[str, int] = {}
        """By model, where a page of the full size was too large."""

    def fetch(self, synced: SyncedModel, wire_filter: Any, *, last_sync: int, token: str) -> SyncPage:
        """The page at `token`, or the first one. Raises `SyncError`."""
        while True:
            limit = self._limits.get(synced.label, self._page_size)
            try:
                return self._fetch(synced, wire_filter, last_sync, token, limit)
            except SyncError as exc:
                if limit == 1 or not is_too_large(exc):
                    raise
            logger.info(
                "A page of %d records of %s is too large.", limit, synced.label, extra={"action": "page_halved"}
            )
            self._limits[synced.label] = limit // 2

    def _fetch(self, synced: SyncedModel, wire_filter: Any, last_sync: int, token: str, limit: int) -> SyncPage:
        document = self._documents.sync(
            synced.schema, limit=limit, next_token=token or None, last_sync=last_sync, filter=wire_filter
        )
        name = sync_field(synced.schema)
        facts: dict[str, Any] = {"process": ProcessName.SYNC, "operation": name, "model": synced.name}
        response = self._client.execute(document.text, document.variables, **facts)
        found = response.data.get(name)
        if not isinstance(found, dict):
            response.raise_for_errors(**facts)
            raise ServerError(f"AppSync answered {name} with nothing.", **facts)
        items, next_token, started_at = found.get("items") or [], found.get("nextToken"), found.get("startedAt")
        if not isinstance(items, list) or not isinstance(next_token, str | None):
            raise ServerError(f"AppSync answered {name} with something that is no page.", **facts)
        if next_token and next_token == token:
            raise ServerError(f"AppSync answered {name} with the nextToken it was asked with.", **facts)
        _strip(items, response.errors, (name, "items"))
        records = [item for item in items if item is not None]
        return SyncPage(records, next_token, started_at if type(started_at) is int else None, len(items) - len(records))

    def get(self, synced: SyncedModel, keys: Sequence[Sequence[Any]]) -> list[WireRecord]:
        """The records with these keys, as far as AppSync has and gives them. Raises `SyncError`."""
        if not keys:
            return []
        document = self._documents.batch_get([GetRequest(synced.schema, key) for key in keys])
        response = self._client.execute(
            document.text, document.variables, process=ProcessName.SYNC, operation="get", model=synced.name
        )
        found = [response.data.get(alias(position)) for position in range(len(keys))]
        for position, record in enumerate(found):
            strip_unknown(record, response.errors, alias(position))
        return [record for record in found if isinstance(record, dict)]


def strip_unknown(record: Any, errors: Sequence[FieldError], name: str) -> None:
    """Take out of a record under the alias `name` what an error says could not be read: it is unknown, not null."""
    for error in errors:
        if isinstance(record, dict) and len(error.path) > 1 and error.path[0] == name:
            record.pop(error.path[1], None)


def _strip(items: list[Any], errors: Sequence[FieldError], prefix: tuple[str, str]) -> None:
    """The same for the records of a page, whose errors name them by their position."""
    if errors:
        logger.warning(
            "AppSync answered %s with %d errors.", prefix[0], len(errors), extra={"action": "page_has_errors"}
        )
    for error in errors:
        if error.path[:2] != prefix or len(error.path) < 4:
            continue
        position, field = error.path[2], error.path[3]
        if isinstance(position, int) and 0 <= position < len(items) and isinstance(items[position], Mapping):
            items[position].pop(field, None)
