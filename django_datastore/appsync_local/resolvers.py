"""What the root fields do: get, list and sync read; create, update and delete write, one record each.

They work on plain records (field name to JSON value) and know nothing of documents and selections.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from django.db import IntegrityError

from django_datastore.appsync_local.auth.access import Access
from django_datastore.appsync_local.conf import ConflictHandler
from django_datastore.appsync_local.conflict import as_set, automerge, json_fields
from django_datastore.appsync_local.conflict_lambda import Ruling
from django_datastore.appsync_local.errors import BAD_REQUEST, CONDITIONAL_CHECK_FAILED, CONFLICT_UNHANDLED, FieldError
from django_datastore.appsync_local.filters import compile_filter
from django_datastore.appsync_local.models import MAX_KEY_LENGTH
from django_datastore.appsync_local.paging import MAX_PAGE_BYTES, Cursor, Read, Tokens, read_page
from django_datastore.appsync_local.store import Store, Stored, Values, key_of
from django_datastore.appsync_local.transform import Action, Api, Operation, timestamps
from django_datastore.schema.checks import default_value
from django_datastore.schema.types import FieldSchema, ModelSchema

Arguments: TypeAlias = Mapping[str, Any]

_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000
_UNWRITABLE = frozenset({"_lastChangedAt", "_deleted", "_ttl"})
METADATA = frozenset({"_version", *_UNWRITABLE})
"""The sync metadata of a record; of these a client may only send the `_version` it edited."""


class Resolvers:
    """The root fields of one API over one store."""

    def __init__(
        self,
        store: Store,
        api: Api,
        *,
        conflict: Mapping[str, ConflictHandler],
        sets: Mapping[str, frozenset[str]] | None = None,
        tokens: Tokens | None = None,
        page_bytes: int = MAX_PAGE_BYTES,
        has_tombstones: bool = True,
    ) -> None:
        self.store = store
        self.models = api.schema.models
        self._schema = api.schema
        self._children = api.children
        self._tokens = tokens or Tokens()
        self._page_bytes = page_bytes
        self._has_tombstones = has_tombstones
        self._conflict = conflict
        self._sets = sets or {}
        self._json = {name: json_fields(api.schema, model.fields) for name, model in self.models.items()}
        self._queries: dict[Action, Callable[[Operation, Arguments, Access], Any]] = {
            Action.GET: self._get,
            Action.LIST: self._list,
            Action.SYNC: self._sync,
            Action.INDEX: self._index,
        }
        self._mutations: dict[Action, Callable[[Operation, Arguments, Access, int, Ruling | None], Stored]] = {
            Action.CREATE: self._create,
            Action.UPDATE: self._update,
            Action.DELETE: self._delete,
        }

    def query(self, operation: Operation, arguments: Arguments, access: Access) -> Any:
        """The record or connection a query asks for."""
        return self._queries[operation.action](operation, arguments, access)

    def mutate(
        self, operation: Operation, arguments: Arguments, access: Access, *, now: int, ruling: Ruling | None = None
    ) -> Values:
        """Writes, and returns the record as it is now; raises `FieldError` with the server's record, or `Undecided`."""
        try:
            with self.store.savepoint():
                return self._mutations[operation.action](operation, arguments, access, now, ruling).record()
        except IntegrityError as exc:  # a create, and another process was faster
            key = key_of(operation.model.primary_key, arguments["input"])
            raise _condition_failed(self.store.get(operation.model.name, key)) from exc

    # -- mutations -----------------------------------------------------------------------------------------------------

    def _create(
        self, operation: Operation, arguments: Arguments, access: Access, now: int, ruling: Ruling | None
    ) -> Stored:
        model = operation.model
        values = self._with_sets(model, complete(model, access.check_create(_input(arguments)), now=now))
        key = checked_key(model, values)
        found = self.store.lock(model.name, key)
        if found is not None:
            raise _condition_failed(found)
        _check_condition(arguments, {}, None, access)
        return self.store.insert(model.name, key, values, now=now)

    def _update(
        self, operation: Operation, arguments: Arguments, access: Access, now: int, ruling: Ruling | None
    ) -> Stored:
        model = operation.model
        found = self._existing(model, arguments, lambda: access.check_update({}, _input(arguments)))
        stored, incoming = found.values(), _input(arguments)
        access.check_update(stored, incoming)
        _, updated_at = timestamps(model)
        stamp = {updated_at: _iso(now)} if updated_at and incoming.get(updated_at) is None else {}
        values, is_newest = {**stored, **incoming, **stamp}, True
        if _version(arguments) != found.version:
            match self._conflict[model.name]:
                case ConflictHandler.AUTOMERGE:
                    sets, parsed = self._sets.get(model.name, ()), self._json[model.name]
                    values = {**automerge(stored, incoming, sets=sets, parsed=parsed), **stamp}
                    is_newest = False
                case ConflictHandler.LAMBDA if ruling is not None:
                    values = _replaced(model, stored, ruling.on(self._schema, operation, found, values, arguments))
                case _:
                    raise _conflict(found)
        _check_condition(arguments, found.record(), found, access)
        # An edit of the newest tombstone brings the record back; an outdated one does not undo a delete.
        deleted = found.deleted and not is_newest
        return self.store.update(model.name, found, self._with_sets(model, values), now=now, deleted=deleted)

    def _delete(
        self, operation: Operation, arguments: Arguments, access: Access, now: int, ruling: Ruling | None
    ) -> Stored:
        model = operation.model
        found = self._existing(model, arguments, lambda: access.check_delete({}))
        access.check_delete(found.values())
        if _version(arguments) != found.version:
            if ruling is None or self._conflict[model.name] is not ConflictHandler.LAMBDA:
                raise _conflict(found)
            ruling.on(self._schema, operation, found, {**found.values(), "_deleted": True}, arguments)
        _check_condition(arguments, found.record(), found, access)
        return self.store.delete(model.name, found, now=now)

    def _with_sets(self, model: ModelSchema, values: Values) -> Values:
        """The values with what the database keeps as sets made such."""
        for name in self._sets.get(model.name, ()):
            values[name] = as_set(values.get(name))
        return values

    def _existing(self, model: ModelSchema, arguments: Arguments, check_missing: Callable[[], None]) -> Stored:
        found = self.store.lock(model.name, key_of(model.primary_key, arguments["input"]))
        if found is None:
            check_missing()  # whoever may not touch it is not told that it is missing
            raise _condition_failed(None)
        return found

    # -- queries -------------------------------------------------------------------------------------------------------

    def _get(self, operation: Operation, arguments: Arguments, access: Access) -> Values | None:
        found = self.store.get(operation.model.name, key_of(operation.model.primary_key, arguments))
        record = found.record() if found else None
        access.check_read(record)
        return record

    def _sync(self, operation: Operation, arguments: Arguments, access: Access) -> Values:
        model = operation.model.name
        scope = f"sync {model}"
        if token := arguments.get("nextToken"):
            cursor = self._tokens.read(token, scope)
        else:
            since = arguments.get("lastSync") or 0
            kind = "delta" if since > 0 and self.store.keeps_delta_since(since) else "base"
            cursor = Cursor(kind, self.store.start(), since)

        def changes(last: Stored | None, count: int) -> list[Stored]:
            after = (last.last_changed_at, last.position) if last else (cursor.changed, cursor.position)
            return self.store.changes(model, since=cursor.since, after=after, limit=count)

        read = changes if cursor.kind == "delta" else self._scan(model, cursor, with_tombstones=self._has_tombstones)
        return self._page(read, cursor, scope, arguments, access)

    def _list(self, operation: Operation, arguments: Arguments, access: Access) -> Values:
        model = operation.model.name
        if operation.key and arguments.get(operation.key[0]) is not None:
            return self._index(operation, arguments, access)
        scope = f"list {model}"
        token = arguments.get("nextToken")
        cursor = self._tokens.read(token, scope) if token else Cursor("base", self.store.start())
        return self._page(self._scan(model, cursor), cursor, scope, arguments, access)

    def _scan(self, model: str, cursor: Cursor, *, with_tombstones: bool = True) -> Read:
        def read(last: Stored | None, count: int) -> list[Stored]:
            after = last.position if last else cursor.position
            return self.store.scan(model, after=after, limit=count, with_tombstones=with_tombstones)

        return read

    def _page(
        self,
        read: Read,
        cursor: Cursor,
        scope: str,
        arguments: Arguments,
        access: Access,
        *,
        limit: int | None = None,
    ) -> Values:
        """Reads a page, then filters it: as in AppSync a page may come out short, or empty, and still have a next."""
        rows, has_more = read_page(read, limit=_limit(arguments, limit), max_bytes=self._page_bytes)
        token = self._tokens.issue(cursor.after(rows[-1]), scope) if has_more else None
        records = _filtered([row.record() for row in rows], arguments, access)
        return {"items": records, "nextToken": token, "startedAt": cursor.started_at or None}

    # -- queries by index ----------------------------------------------------------------------------------------------

    def _index(self, operation: Operation, arguments: Arguments, access: Access) -> Values:
        partition = arguments[operation.key[0]]
        if len(operation.key) > 1 or operation.index:
            page = self._walk(operation, [partition], arguments, access)
            if (visible := access.visible) is not None:  # to be found by a value tells it
                asked = operation.key if arguments.get(operation.sort_argument or "") else operation.key[:1]
                page["items"] = [it for it in page["items"] if visible(it).keys() >= set(asked)]
            return page
        found = self.store.get(operation.model.name, key_of(operation.key, arguments))
        return self._page(lambda *_: [found] if found else [], Cursor("index"), "", arguments, access)

    def children(
        self, model: str, field: str, parent: Mapping[str, Any], arguments: Arguments, access: Access
    ) -> Values:
        """The records that a relation of this parent lists, or for a `@hasOne` the only one."""
        operation = self._children[model, field]
        joined = [parent.get(name) for name in operation.parent]
        if any(value is None for value in joined):
            return {"items": [], "nextToken": None, "startedAt": None}
        return self._walk(operation, joined, arguments, access)

    def _walk(self, operation: Operation, joined: Sequence[Any], arguments: Arguments, access: Access) -> Values:
        index = self.store.indexes.get(operation.model.name, operation.key)
        condition = arguments.get(operation.sort_argument or "") or {}
        partition = index.partition(joined[0])
        span = index.condition(condition, before=joined[1:])
        is_descending = arguments.get("sortDirection") == "DESC"
        scope = f"{index.name} {partition.hex()} {span} {is_descending}"
        token = arguments.get("nextToken")
        cursor = self._tokens.read(token, scope) if token else Cursor("index")

        def read(last: Stored | None, count: int) -> list[Stored]:
            place = (last.sort, last.position) if last else (bytes.fromhex(cursor.sort), cursor.position)
            after = place if place[1] else None
            return self.store.walk(index, partition, span, after=after, limit=count, is_descending=is_descending)

        return self._page(read, cursor, scope, arguments, access, limit=operation.limit)

    def load(self, model: ModelSchema, keys: Iterable[str], *, with_data: bool) -> dict[str, Values]:
        """Records by key, as relations need them; without data only the key and the metadata."""
        rows = self.store.get_many(model.name, list(keys), with_data=with_data)
        if with_data:
            return {key: row.record() for key, row in rows.items()}
        names = model.primary_key
        return {key: dict(zip(names, json.loads(key), strict=True)) | row.metadata() for key, row in rows.items()}


def _input(arguments: Arguments) -> Values:
    given: Values = arguments["input"]
    if not _UNWRITABLE.isdisjoint(given):
        raise FieldError(
            BAD_REQUEST, f"{', '.join(sorted(_UNWRITABLE & given.keys()))}: only the service writes these."
        )
    return {name: value for name, value in given.items() if name != "_version"}


def _replaced(model: ModelSchema, stored: Values, item: Values) -> Values:
    """The item of a conflict handler in place of the stored one; its key and its sync metadata do not count."""
    kept = {name: stored[name] for name in (*timestamps(model), *model.primary_key) if name in stored}
    ours = {name: value for name, value in item.items() if name not in METADATA and name not in model.primary_key}
    return {**kept, **ours}


def _version(arguments: Arguments) -> int:
    """The version the client edited; a missing one counts as 0, which no record has."""
    return int(arguments["input"].get("_version") or 0)


def complete(model: ModelSchema, values: Values, *, now: int) -> Values:
    """The values of a new record, with everything the server fills in: defaults, an id, timestamps."""
    for item in model.value_fields:
        if values.get(item.name) is None and (default := _default(item)) is not None:
            values[item.name] = default
    if values.get("id") is None and "id" in model.by_name and model.by_name["id"].type in ("ID", "String"):
        values["id"] = str(uuid.uuid4())
    return stamp(model, values, moment=now)


def stamp(model: ModelSchema, values: Values, *, moment: int) -> Values:
    """The values with the timestamps every record has, where they do not bring their own."""
    for name in timestamps(model):
        if name and values.get(name) is None:
            values[name] = _iso(moment)
    return values


def checked_key(model: ModelSchema, values: Values) -> str:
    """The key of a record; raises `FieldError` for one the table cannot take."""
    key = key_of(model.primary_key, values)
    if len(key) > MAX_KEY_LENGTH or any(values[name] == "" for name in model.primary_key):
        raise FieldError("ValidationException", f"A key of {model.name} is empty or longer than the table takes.")
    return key


def _default(item: FieldSchema) -> Any:
    """The value of `@default`, which the SDL writes as a string whatever the field's type is."""
    found = next((found for found in item.attributes if found.get("type") == "default"), None)
    return default_value(item.type, found.get("value")) if found else None


def _iso(now: int) -> str:
    moment = datetime.datetime.fromtimestamp(now / 1000, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now % 1000:03}Z"


def _check_condition(arguments: Arguments, record: Values, found: Stored | None, access: Access) -> None:
    condition = compile_filter(arguments.get("condition"))
    if condition is not None and not condition(access.visible(record) if access.visible else record):
        raise _condition_failed(found)


def _condition_failed(found: Stored | None) -> FieldError:
    data = found.record() if found else None
    return FieldError(CONDITIONAL_CHECK_FAILED, "The conditional request failed", data=data)


def _conflict(found: Stored) -> FieldError:
    return FieldError(CONFLICT_UNHANDLED, "Conflict resolver rejects mutation.", data=found.record())


def _limit(arguments: Arguments, default: int | None = None) -> int:
    limit = arguments.get("limit", default)
    if limit is None:
        return default or _DEFAULT_LIMIT
    if limit < 1:
        raise FieldError("ValidationException", f"The limit is {limit}; it must be 1 to {_MAX_LIMIT}.")
    return min(int(limit), _MAX_LIMIT)


def _filtered(records: list[Values], arguments: Arguments, access: Access) -> list[Values]:
    readable, wanted, visible = access.readable, compile_filter(arguments.get("filter")), access.visible
    if readable is not None:
        records = [record for record in records if readable(record)]
    if wanted is not None:
        records = [record for record in records if wanted(visible(record) if visible else record)]
    return records
