"""What the root fields do: get, list and sync read; create, update and delete write, one record each.

They work on plain records (field name to JSON value) and know nothing of documents and selections.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.db import IntegrityError

from django_datastore.appsync_local import inputs
from django_datastore.appsync_local.conflict import automerge
from django_datastore.appsync_local.errors import CONDITIONAL_CHECK_FAILED, CONFLICT_UNHANDLED, FieldError
from django_datastore.appsync_local.filters import compile_filter
from django_datastore.appsync_local.models import MAX_KEY_LENGTH
from django_datastore.appsync_local.store import Store, Stored, Values, key_of, key_text
from django_datastore.appsync_local.transform import Action, Operation, timestamps
from django_datastore.schema.types import FieldSchema, ModelSchema

Arguments: TypeAlias = Mapping[str, Any]

_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a paged query goes on; clients get it as an opaque `nextToken`."""

    kind: str
    """`base`, `delta` or `offset`."""
    started_at: int
    since: int
    changed: int
    position: int

    def token(self) -> str:
        """The cursor as text."""
        fields = [self.kind, self.started_at, self.since, self.changed, self.position]
        return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()

    @classmethod
    def parse(cls, token: str, *kinds: str) -> Cursor:
        """The cursor of a token of ours; `FieldError` for any other."""
        try:
            kind, *numbers = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
            if kind in kinds and len(numbers) == 4 and all(type(item) is int and item < 2**62 for item in numbers):
                return cls(kind, *numbers)
        except (binascii.Error, ValueError, TypeError):
            pass
        raise FieldError("BadRequestException", "Invalid pagination token given.")


class Resolvers:
    """The root fields of one API over one store."""

    def __init__(self, store: Store, models: Mapping[str, ModelSchema], *, conflict: str = "automerge") -> None:
        self.store = store
        self.models = models
        self._is_automerge = conflict == "automerge"
        self._queries: dict[Action, Callable[[ModelSchema, Arguments], Any]] = {
            Action.GET: self._get,
            Action.LIST: self._list,
            Action.SYNC: self._sync,
        }
        self._mutations: dict[Action, Callable[[ModelSchema, Arguments, int], Stored]] = {
            Action.CREATE: self._create,
            Action.UPDATE: self._update,
            Action.DELETE: self._delete,
        }

    def query(self, operation: Operation, arguments: Arguments) -> Any:
        """The record or connection a query asks for."""
        return self._queries[operation.action](operation.model, arguments)

    def mutate(self, operation: Operation, arguments: Arguments, *, now: int) -> Values:
        """Writes, and returns the record as it is now; raises `FieldError` with the server's record."""
        try:
            with self.store.savepoint():
                return self._mutations[operation.action](operation.model, arguments, now).record()
        except IntegrityError as exc:  # a create, and another process was faster
            key = key_of(operation.model.primary_key, arguments["input"])
            raise _condition_failed(self.store.get(operation.model.name, key)) from exc

    # -- mutations -----------------------------------------------------------------------------------------------------

    def _create(self, model: ModelSchema, arguments: Arguments, now: int) -> Stored:
        values = _input(arguments)
        for item in model.value_fields:
            if values.get(item.name) is None and (default := _default(item)) is not None:
                values[item.name] = default
        if model.primary_key == ("id",) and values.get("id") is None:
            values["id"] = str(uuid.uuid4())
        moment = _iso(now)
        for name in timestamps(model):
            if name and values.get(name) is None:
                values[name] = moment
        key = key_of(model.primary_key, values)
        _check_key(model, values, key)
        found = self.store.lock(model.name, key)
        if found is not None:
            raise _condition_failed(found)
        _check_condition(arguments, {}, None)
        return self.store.insert(model.name, key, values, now=now)

    def _update(self, model: ModelSchema, arguments: Arguments, now: int) -> Stored:
        found = self._existing(model, arguments)
        stored, incoming = found.values(), _input(arguments)
        is_current = _version(arguments) == found.version
        if not is_current and not self._is_automerge:
            raise _conflict(found)
        _check_condition(arguments, found.record(), found)
        values = {**stored, **incoming} if is_current else automerge(stored, incoming)
        _, updated_at = timestamps(model)
        if updated_at and incoming.get(updated_at) is None:
            values[updated_at] = _iso(now)
        # An edit of the newest tombstone brings the record back; an outdated one does not undo a delete.
        return self.store.update(model.name, found, values, now=now, deleted=found.deleted and not is_current)

    def _delete(self, model: ModelSchema, arguments: Arguments, now: int) -> Stored:
        found = self._existing(model, arguments)
        if _version(arguments) != found.version:
            raise _conflict(found)
        _check_condition(arguments, found.record(), found)
        return self.store.delete(model.name, found, now=now)

    def _existing(self, model: ModelSchema, arguments: Arguments) -> Stored:
        found = self.store.lock(model.name, key_of(model.primary_key, arguments["input"]))
        if found is None:
            raise _condition_failed(None)
        return found

    # -- queries -------------------------------------------------------------------------------------------------------

    def _get(self, model: ModelSchema, arguments: Arguments) -> Values | None:
        found = self.store.get(model.name, key_of(model.primary_key, arguments))
        return found.record() if found else None

    def _sync(self, model: ModelSchema, arguments: Arguments) -> Values:
        if token := arguments.get("nextToken"):
            cursor = Cursor.parse(token, "base", "delta")
        else:
            since = arguments.get("lastSync") or 0
            kind = "delta" if since and self.store.keeps_delta_since(since) else "base"
            cursor = Cursor(kind, self.store.clock.start(), since, 0, 0)
        return self._page(model, arguments, cursor)

    def _list(self, model: ModelSchema, arguments: Arguments) -> Values:
        if arguments.get(model.primary_key[0]) is not None:
            return self._list_partition(model, arguments)
        token = arguments.get("nextToken")
        cursor = Cursor.parse(token, "base") if token else Cursor("base", self.store.clock.start(), 0, 0, 0)
        return self._page(model, arguments, cursor)

    def _page(self, model: ModelSchema, arguments: Arguments, cursor: Cursor) -> Values:
        """Reads a page, then filters it: as in AppSync a page may come out short, or empty, and still have a next."""
        limit = _limit(arguments)
        if cursor.kind == "delta":
            after = (cursor.changed, cursor.position)
            rows = self.store.changes(model.name, since=cursor.since, after=after, limit=limit + 1)
        else:
            rows = self.store.scan(model.name, after=cursor.position, limit=limit + 1)
        token = None
        if len(rows) > limit:
            last = rows[limit - 1]
            token = Cursor(cursor.kind, cursor.started_at, cursor.since, last.last_changed_at, last.position).token()
        records = [row.record() for row in rows[:limit]]
        return _connection(_filtered(records, arguments), token, cursor.started_at)

    def _list_partition(self, model: ModelSchema, arguments: Arguments) -> Values:
        partition, *sort = model.primary_key
        prefix = key_text([arguments[partition]]).removesuffix("]")
        rows = self.store.partition(model.name, prefix)
        records = [record for row in rows if (record := row.record())[partition] == arguments[partition]]
        name = sort[0] if len(sort) == 1 else inputs.composite_argument(sort) if sort else None
        if name and (condition := arguments.get(name)):
            records = _match_sort_key(records, sort, condition)
        return self._slice(_sorted(records, sort, arguments), arguments)

    def load(self, model: ModelSchema, keys: Iterable[str], *, with_data: bool) -> dict[str, Values]:
        """Records by key, as relations need them; without data only the key and the metadata."""
        rows = self.store.get_many(model.name, list(keys), with_data=with_data)
        if with_data:
            return {key: row.record() for key, row in rows.items()}
        names = model.primary_key
        return {key: dict(zip(names, json.loads(key), strict=True)) | row.metadata() for key, row in rows.items()}

    def children(self, model: ModelSchema, join: Mapping[str, Any], arguments: Arguments) -> Values:
        """The records of `model` whose fields have these values: what a `@hasMany` field shows."""
        texts = [json.dumps(value) for value in join.values()]
        rows = self.store.containing(model.name, texts)
        records = [
            record for row in rows if all((record := row.record()).get(name) == value for name, value in join.items())
        ]
        return self._slice(_sorted(records, (), arguments), arguments)

    def _slice(self, records: list[Values], arguments: Arguments) -> Values:
        token, limit = arguments.get("nextToken"), _limit(arguments)
        start = Cursor.parse(token, "offset").position if token else 0
        end = start + limit
        following = Cursor("offset", 0, 0, 0, end).token() if len(records) > end else None
        return _connection(_filtered(records[start:end], arguments), following, None)


def _input(arguments: Arguments) -> Values:
    return {name: value for name, value in arguments["input"].items() if name != "_version"}


def _version(arguments: Arguments) -> int:
    """The version the client edited; a missing one counts as 0, which no record has."""
    return int(arguments["input"].get("_version") or 0)


def _check_key(model: ModelSchema, values: Values, key: str) -> None:
    if len(key) > MAX_KEY_LENGTH or any(values[name] == "" for name in model.primary_key):
        raise FieldError("ValidationException", f"A key of {model.name} is empty or longer than the table takes.")


def _default(item: FieldSchema) -> Any:
    """The value of `@default`, which the SDL writes as a string whatever the field's type is."""
    text = next((found.get("value") for found in item.attributes if found.get("type") == "default"), None)
    if not isinstance(text, str):
        return text
    match item.type:
        case "Int" | "AWSTimestamp":
            return int(text)
        case "Float":
            return float(text)
        case "Boolean":
            return text.lower() == "true"
    return text


def _iso(now: int) -> str:
    moment = datetime.datetime.fromtimestamp(now / 1000, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now % 1000:03}Z"


def _check_condition(arguments: Arguments, record: Values, found: Stored | None) -> None:
    condition = compile_filter(arguments.get("condition"))
    if condition is not None and not condition(record):
        raise _condition_failed(found)


def _condition_failed(found: Stored | None) -> FieldError:
    data = found.record() if found else None
    return FieldError(CONDITIONAL_CHECK_FAILED, "The conditional request failed", data=data)


def _conflict(found: Stored) -> FieldError:
    return FieldError(CONFLICT_UNHANDLED, "Conflict resolver rejects mutation.", data=found.record())


def _limit(arguments: Arguments) -> int:
    limit = arguments.get("limit")
    if limit is None:
        return _DEFAULT_LIMIT
    if limit < 1:
        raise FieldError("ValidationException", f"The limit is {limit}; it must be 1 to {_MAX_LIMIT}.")
    return min(int(limit), _MAX_LIMIT)


def _filtered(records: list[Values], arguments: Arguments) -> list[Values]:
    wanted = compile_filter(arguments.get("filter"))
    return records if wanted is None else [record for record in records if wanted(record)]


def _connection(items: list[Values], token: str | None, started_at: int | None) -> Values:
    return {"items": items, "nextToken": token, "startedAt": started_at}


def _sorted(records: list[Values], sort: Iterable[str], arguments: Arguments) -> list[Values]:
    names = tuple(sort)
    is_descending = arguments.get("sortDirection") == "DESC"
    if not names:
        return records[::-1] if is_descending else records
    return sorted(records, key=lambda record: tuple(record[name] for name in names), reverse=is_descending)


def _match_sort_key(records: list[Values], sort: list[str], condition: Arguments) -> list[Values]:
    """The records whose sort key meets the condition; a condition over several fields compares them as one."""
    if len(sort) == 1:
        wanted = compile_filter({sort[0]: condition})
        return records if wanted is None else [record for record in records if wanted(record)]

    def joined(values: Arguments) -> str:
        return "#".join(str(values[name]) for name in sort if values.get(name) is not None)

    operands = {
        operator: [joined(item) for item in value] if isinstance(value, list) else joined(value)
        for operator, value in condition.items()
        if value is not None
    }
    wanted = compile_filter({"key": operands})
    return records if wanted is None else [record for record in records if wanted({"key": joined(record)})]
