"""Records as JSON lines, out of the server and in again: `dump` and `load` for files, `load_records` for tests.

    {"model": "Post", "id": "p1", "title": "T", "_version": 3, "_lastChangedAt": 1700000000000, "_deleted": null}

A line with a `_version` is a record as it was elsewhere, and is stored as it stands. One without is a new record: it
must be what a create takes, and gets what a create fills in. Where a model has a field `model`, `__typename` names it.
"""

from __future__ import annotations

import codecs
import gzip
import json
import secrets
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, Protocol, cast

from graphql import (
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_nullable_type,
)

from django_datastore.appsync_local.errors import FieldError
from django_datastore.appsync_local.graphql.coercion import Refused, coerce
from django_datastore.appsync_local.resolvers import checked_key, complete, stamp
from django_datastore.appsync_local.service import Service
from django_datastore.appsync_local.store import Stored, Values
from django_datastore.exceptions import LoadError
from django_datastore.schema import naming
from django_datastore.schema.scalars import SCALARS
from django_datastore.schema.types import ModelSchema

_CHUNK = 500
_MAX_LINE = 8_000_000
"""Bytes: no record that came in through the API is longer."""
_MAX_QUOTED = 300
_METADATA = {"_version": "Int", "_lastChangedAt": "AWSTimestamp", "_deleted": "Boolean"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a file."""

    stored: int = 0
    kept: int = 0
    """Records the server had already, and kept as they were."""


def load(service: Service, path: Path, *, model: str | None = None) -> Loaded:
    """Stores a file of JSON lines, all of it or nothing; raises `LoadError` with the line and what to do.

    `model` names the model of lines that do not say. Records the server has already stay as they are. Subscribers are
    told nothing.
    """
    try:
        with _open(path, "rb") as file:
            entries = ((number, _named(entry, model)) for number, entry in _lines(file))
            return service.workers.call(_Loader(service, keeps=True).load, entries)
    except LoadError as exc:
        raise LoadError(f"Cannot load {str(path)!r}: {exc}") from exc
    except (OSError, EOFError, zlib.error) as exc:
        raise LoadError(f"Cannot read {str(path)!r}: {getattr(exc, 'strerror', None) or exc}") from exc


def load_records(service: Service, records: Iterable[Mapping[str, Any]], *, model: str | None = None) -> Loaded:
    """Stores records, all of them or none; `model` names the model of those that do not say. Raises `LoadError`.

    A record the server has already is refused.
    """
    entries = (_named(record, model) for record in records)
    return service.workers.call(_Loader(service, keeps=False).load, enumerate(entries, start=1))


def _named(entry: Mapping[str, Any], model: str | None) -> Mapping[str, Any]:
    return entry if model is None else {"__typename": model, **entry}


def dump(service: Service, path: Path) -> int:
    """Writes every record and tombstone to a file, which appears when it is whole; returns how many there are."""
    draft = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        with _open(draft, "wb") as file:
            count = dump_to(service, file)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count


class Output(Protocol):
    """What a dump is written to."""

    def write(self, content: bytes, /) -> int:
        """Takes the next bytes."""


def dump_to(service: Service, file: Output) -> int:
    """Writes every record and tombstone as lines, as they are at one moment; returns how many there are."""
    return service.workers.call(_dump, service, file)


def left_out(service: Service) -> dict[str, int]:
    """The models that are stored and not in the schema, which no dump has, with the number of their records."""
    return service.workers.call(service.store.strangers, list(service.executable.api.schema.models))


def _dump(service: Service, file: Output) -> int:
    kinds = _kinds(service)
    count = 0
    for name, row in service.store.everything(kinds):
        kind = kinds[name]
        values = {field: value for field, value in row.values().items() if field in kind.fields}
        file.write(_line({kind.label: name, **values, **row.metadata()}))
        count += 1
    return count


def _line(entry: Values) -> bytes:
    try:
        return json.dumps(entry, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair, which JavaScript can send
        return json.dumps(entry).encode() + b"\n"


# -- reading lines -----------------------------------------------------------------------------------------------------


@contextmanager
def _open(path: Path, mode: Literal["rb", "wb"]) -> Iterator[IO[bytes]]:
    """The file, unpacked on the way if its name ends in `.gz`."""
    with path.open(mode) as plain:
        if path.suffix != ".gz":
            yield plain
            return
        with gzip.GzipFile(filename="", fileobj=plain, mode=mode, mtime=0) as packed:  # equal records, equal bytes
            yield cast("IO[bytes]", packed)


def _lines(file: IO[bytes]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a file with the numbers of their lines; blank lines are passed over."""
    number = 0
    while text := file.readline(_MAX_LINE + 1):
        number += 1
        if number == 1:
            text = text.removeprefix(codecs.BOM_UTF8)
        if not text.strip():
            continue
        if len(text) > _MAX_LINE:
            raise LoadError(f"it is longer than {_MAX_LINE:,} bytes. Write one record a line.", line=number)
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise LoadError(f"it is no JSON text ({_short(exc)}). Write one object a line.", line=number) from exc
        if not isinstance(found, dict):
            raise LoadError(f"it is no object but {_short(found)}. Write one object a line.", line=number)
        yield number, found


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _MAX_QUOTED else text[:_MAX_QUOTED] + "…"


# -- checking records --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kind:
    """What the lines of one model may hold."""

    model: ModelSchema
    label: str
    """The key that names the model."""
    fields: Mapping[str, GraphQLInputType]

    def read(self, entry: Mapping[str, Any], now: int) -> Stored:
        """The record of a line; raises `LoadError`, `Refused`, `FieldError`."""
        values: Values = {}
        for name, value in entry.items():
            if name in self.fields:
                values[name] = _as_given(value, coerce(value, self.fields[name], name))
            elif name not in (self.label, "__typename", *_METADATA):
                known = ", ".join(self.fields)
                hint = naming.did_you_mean(name, list(self.fields)) or f" It has: {known}."
                raise LoadError(f"{self.model.name} has no field {_short(name)!r}.{hint}")
        version, changed, deleted = (_metadata(entry, name) for name in _METADATA)
        moment = now if changed is None else changed
        if version is None:
            self._check_required(complete(self.model, values, now=moment))
        elif version < 1:
            raise LoadError(f"the _version is {version}; versions begin with 1.")
        else:
            self._check_required(stamp(self.model, values, moment=moment), nulls=True)
        missing = [name for name in self.model.primary_key if values.get(name) is None]
        if missing:
            raise LoadError(f"the key of {self.model.name} is incomplete: {', '.join(missing)} is missing.")
        key = checked_key(self.model, values)
        return Stored(0, key, json.dumps(values), version or 1, moment, bool(deleted))

    def _check_required(self, values: Values, *, nulls: bool = False) -> None:
        """Refuses a record without what it needs; an update may have set it to null, yet cannot have left it out."""
        for item in self.model.value_fields:
            is_required = item.is_list_required if item.is_list else item.is_required
            is_missing = item.name not in values or (values[item.name] is None and not nulls)
            if is_required and is_missing and not item.is_read_only:
                raise LoadError(f"{self.model.name} needs a value for {item.name!r}.")


def _metadata(entry: Mapping[str, Any], name: str) -> Any:
    value = entry.get(name)
    try:
        found = None if value is None else SCALARS[_METADATA[name]].parse(value)
    except ValueError as exc:
        raise LoadError(f"{name} has an invalid value: {_short(exc)}.") from exc
    if name == "_lastChangedAt" and isinstance(found, int) and not 0 <= found < 2**53:
        raise LoadError(f"_lastChangedAt is {found}; write milliseconds since 1970.")
    return found


def _as_given(given: Any, checked: Any) -> Any:
    """The checked value with its parts in the order they were given, so that a dump comes out as it went in."""
    if isinstance(given, dict) and isinstance(checked, dict):
        return {name: _as_given(value, checked[name]) for name, value in given.items()}
    if isinstance(given, list) and isinstance(checked, list):
        return [_as_given(one, other) for one, other in zip(given, checked, strict=True)]
    return checked


def _kinds(service: Service) -> dict[str, _Kind]:
    """What may be loaded, by model."""
    executable = service.executable
    types = _InputTypes(executable.schema)
    kinds = {}
    for model in executable.api.schema.models.values():
        relations = {item.name for item in model.fields if item.is_relation}
        fields = types.fields(model.name, without=relations | _METADATA.keys())
        kinds[model.name] = _Kind(model, "__typename" if "model" in fields else "model", fields)
    return kinds


class _InputTypes:
    """The API's output types as inputs: what is shown is what can be loaded, whether or not a mutation takes it."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._nested: dict[str, GraphQLInputObjectType] = {}

    def fields(self, name: str, *, without: Iterable[str] = ()) -> dict[str, GraphQLInputType]:
        """The fields of a type; at the top nothing is required, because an update may have set it to null."""
        found = cast("GraphQLObjectType", self._schema.type_map[name])
        wanted = {key: get_nullable_type(item.type) for key, item in found.fields.items() if key not in without}
        return {key: self._input(kind) for key, kind in wanted.items()}

    def _input(self, kind: Any) -> Any:
        match kind:
            case GraphQLNonNull():
                return GraphQLNonNull(self._input(kind.of_type))
            case GraphQLList():
                return GraphQLList(self._input(kind.of_type))
            case GraphQLObjectType():
                return self._object(kind)
        return kind

    def _object(self, kind: GraphQLObjectType) -> GraphQLInputObjectType:
        if kind.name not in self._nested:

            def fields() -> dict[str, GraphQLInputField]:
                return {name: GraphQLInputField(self._input(item.type)) for name, item in kind.fields.items()}

            self._nested[kind.name] = GraphQLInputObjectType(kind.name, fields)
        return self._nested[kind.name]


# -- storing -----------------------------------------------------------------------------------------------------------


class _Loader:
    """Stores checked lines, a few hundred at a time, in one transaction."""

    def __init__(self, service: Service, *, keeps: bool) -> None:
        self._store = service.store
        self._kinds = _kinds(service)
        self._keeps = keeps

    def load(self, entries: Iterable[tuple[int, Mapping[str, Any]]]) -> Loaded:
        """Runs in the thread that writes; raises `LoadError`."""
        stored = kept = 0
        with self._store.writing() as now:
            taken = self._store.make_room()
            remaining = iter(entries)
            while chunk := list(islice(remaining, _CHUNK)):
                rows = self._new_rows([(number, *self._read(number, entry, now)) for number, entry in chunk], taken)
                self._store.restore(rows, now=now)
                stored += len(rows)
                kept += len(chunk) - len(rows)
        return Loaded(stored, kept)

    def _read(self, number: int, entry: Mapping[str, Any], now: int) -> tuple[str, Stored]:
        name = entry.get("__typename", entry.get("model"))
        kind = self._kinds.get(name) if isinstance(name, str) else None
        if kind is None:
            known = list(self._kinds)
            hint = naming.did_you_mean(str(name), known) or f" There are: {', '.join(known)}."
            problem = "it does not name its model" if name is None else f"there is no model {_short(name)!r}"
            raise LoadError(f"{problem}.{hint}", line=number)
        if kind.label not in entry and "__typename" not in entry:
            raise LoadError(f"{name} has a field 'model'. Name the model with '__typename'.", line=number)
        try:
            return kind.model.name, kind.read(entry, now)
        except (LoadError, Refused, FieldError, RecursionError) as exc:
            raise LoadError(_short(exc).replace("Variable '", f"{kind.model.name}: '", 1), line=number) from exc

    def _new_rows(self, rows: list[tuple[int, str, Stored]], taken: int) -> list[tuple[str, Stored]]:
        """The rows that are not there yet. What came earlier from the same file is there twice, which is a mistake."""
        found = self._positions(rows)
        new: dict[tuple[str, str], Stored] = {}
        for number, model, row in rows:
            key = (model, row.key)
            position = found.get(key)
            if key in new or (position is not None and position > taken):
                raise LoadError(f"{model} {_short(row.key)} is there twice. Remove one of the lines.", line=number)
            if position is None:
                new[key] = row
            elif not self._keeps:
                raise LoadError(f"the server has {model} {_short(row.key)} already.", line=number)
        return [(model, row) for (model, _), row in new.items()]

    def _positions(self, rows: Iterable[tuple[int, str, Stored]]) -> dict[tuple[str, str], int]:
        keys: dict[str, list[str]] = {}
        for _, model, row in rows:
            keys.setdefault(model, []).append(row.key)
        return {
            (model, key): row.position
            for model, wanted in keys.items()
            for key, row in self._store.get_many(model, wanted, with_data=False).items()
        }
