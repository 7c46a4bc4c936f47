"""The API under test: says what to send, keeps a pace, waits for what is eventually consistent, cleans up."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import httpx

Record: TypeAlias = dict[str, Any]
Answer: TypeAlias = dict[str, Any]
T = TypeVar("T")

METADATA = "_version _lastChangedAt _deleted"
SELECTIONS: Mapping[str, str] = {
    "Thing": "id run name note rank weight live mood words points moods ref day clock moment stamp mail json url "
    "phone ip place { city zip marks spot { lat lng } } places { city zip marks spot { lat lng } } grade "
    f"createdAt updatedAt {METADATA}",
    "Board": f"id title leadId createdAt updatedAt {METADATA}",
    "Card": f"id boardId seat text createdAt updatedAt {METADATA}",
    "Reading": f"device takenAt value createdAt updatedAt {METADATA}",
    "Shelf": f"hall row level label createdAt updatedAt {METADATA}",
}
"""Everything a record has, its relations excepted."""
KEYS: Mapping[str, tuple[str, ...]] = {
    "Thing": ("id",),
    "Board": ("id",),
    "Card": ("id",),
    "Reading": ("device", "takenAt"),
    "Shelf": ("hall", "row", "level"),
}
PLURALS: Mapping[str, str] = {
    "Thing": "Things",
    "Board": "Boards",
    "Card": "Cards",
    "Reading": "Readings",
    "Shelf": "Shelves",
}
BATCH = 25
MAX_PAGES = 200
"""Pages a walk over a whole table takes at most; beyond, the API has too much of others in it to be tested by scans."""


@dataclass(frozen=True)
class Target:
    """Where an API is, and how to get in."""

    endpoint: str
    api_key: str
    pace: float = 0.0
    """Seconds between two requests."""
    patience: float = 10.0
    """Seconds until what was written must have become readable."""

    @property
    def is_aws(self) -> bool:
        """Whether it has one of AWS's own host names."""
        return ".appsync-api." in self.host

    @property
    def host(self) -> str:
        """The host of the endpoint, with its port."""
        return urlsplit(self.endpoint).netloc

    @property
    def socket_urls(self) -> tuple[str, ...]:
        """Where the sockets go: AWS's realtime host, or the paths of a custom domain and of the plain endpoint."""
        url = self.endpoint.replace("https://", "wss://").replace("http://", "ws://")
        if self.is_aws:
            return (url.replace(".appsync-api.", ".appsync-realtime-api."),)
        return (f"{url}/realtime", url) if url.startswith("ws://") else (f"{url}/realtime",)


class Api:
    """A client of the API under test, with the ways of Amplify's own."""

    def __init__(self, target: Target, transport: httpx.BaseTransport | None = None) -> None:
        self.target = target
        self.run = f"run-{uuid.uuid4()}"
        """Marks the records of this run, so that those of others can be told apart."""
        self._http = httpx.Client(headers={"x-api-key": target.api_key}, timeout=40, transport=transport)
        self._last_request = 0.0
        self._made: list[tuple[str, Record]] = []

    # -- requests ------------------------------------------------------------------------------------------------------

    def post(self, body: bytes | str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """The raw answer to a raw body; `headers` replace the key's."""
        for attempt in range(5):
            time.sleep(max(0.0, self._last_request + self.target.pace - time.monotonic()))
            self._last_request = time.monotonic()
            request = self._http.build_request("POST", self.target.endpoint, content=body)
            request.headers["content-type"] = "application/json; charset=UTF-8"
            if headers is not None:
                del request.headers["x-api-key"]
                request.headers.update(headers)
            found = self._http.send(request)
            if found.status_code != 429:
                break
            time.sleep(2**attempt)
        return found

    def answer(self, query: str, variables: Mapping[str, Any] | None = None, **body: Any) -> Answer:
        """The GraphQL answer to a document, which must come with status 200."""
        response = self.post(json.dumps({"query": query, "variables": variables or {}, **body}))
        assert response.status_code == 200, response.text
        found: Answer = response.json()
        return found

    def data(self, query: str, variables: Mapping[str, Any] | None = None) -> Any:
        """What the document's one root field gave; there must be no error."""
        answer = self.answer(query, variables)
        assert not answer.get("errors"), answer["errors"]
        (value,) = answer["data"].values()
        return value

    def error(self, query: str, variables: Mapping[str, Any] | None = None) -> Record:
        """The one error of a document."""
        (error,) = self.answer(query, variables)["errors"]
        found: Record = error
        return found

    # -- mutations -----------------------------------------------------------------------------------------------------

    def write(
        self,
        kind: str,
        model: str,
        values: Mapping[str, Any],
        *,
        condition: Mapping[str, Any] | None = None,
        selection: str = "",
    ) -> Answer:
        """The answer to `createThing` and the like."""
        selection = selection or SELECTIONS[model]
        variables: dict[str, Any] = {"input": dict(values)}
        head, arguments = f"$input: {kind.title()}{model}Input!", "input: $input"
        if condition is not None:
            variables["condition"] = condition
            head += f", $condition: Model{model}ConditionInput"
            arguments += ", condition: $condition"
        found = self.answer(f"mutation operation({head}) {{ {kind}{model}({arguments}) {{ {selection} }} }}", variables)
        if kind == "create":
            self.remember(model, (found.get("data") or {}).get(f"create{model}") or values)
        return found

    def written(self, kind: str, model: str, values: Mapping[str, Any], **options: Any) -> Record:
        """The record after a mutation that must succeed."""
        answer = self.write(kind, model, values, **options)
        assert not answer.get("errors"), answer["errors"]
        found: Record = answer["data"][f"{kind}{model}"]
        return found

    def refused(self, kind: str, model: str, values: Mapping[str, Any], **options: Any) -> Record:
        """The error of a mutation whose resolver must refuse."""
        answer = self.write(kind, model, values, **options)
        assert answer["data"] == {f"{kind}{model}": None}, answer
        (error,) = answer["errors"]
        assert error["path"] == [f"{kind}{model}"]
        found: Record = error
        return found

    def thing(self, **values: Any) -> Record:
        """A new `Thing`."""
        return self.written("create", "Thing", self.thing_input(**values))

    def thing_input(self, **values: Any) -> Record:
        """What creates a `Thing` of this run."""
        return {"id": str(uuid.uuid4()), "run": self.run, "name": "one", **values}

    def update(self, record: Mapping[str, Any], version: int | None = None, **values: Any) -> Record:
        """A `Thing` after an update that must succeed; without a version, by the record's own."""
        return self.written("update", "Thing", self.change(record, version, **values))

    def change(self, record: Mapping[str, Any], version: int | None = None, **values: Any) -> Record:
        """What updates a `Thing`."""
        return {"id": record["id"], **values, "_version": record["_version"] if version is None else version}

    def delete(self, record: Mapping[str, Any]) -> Record:
        """A `Thing` after its deletion."""
        return self.written("delete", "Thing", {"id": record["id"], "_version": record["_version"]})

    def create_many(self, model: str, inputs: Iterable[Mapping[str, Any]]) -> None:
        """Creates many records, 25 aliases a document."""
        every = list(inputs)
        for start in range(0, len(every), BATCH):
            batch = every[start : start + BATCH]
            heads = ", ".join(f"$i{number}: Create{model}Input!" for number in range(len(batch)))
            fields = " ".join(
                f"m{number}: create{model}(input: $i{number}) {{ {SELECTIONS[model]} }}" for number in range(len(batch))
            )
            answer = self.answer(
                f"mutation({heads}) {{ {fields} }}", {f"i{number}": dict(item) for number, item in enumerate(batch)}
            )
            assert not answer.get("errors"), answer["errors"]
            for item in batch:
                self.remember(model, item)

    # -- queries -------------------------------------------------------------------------------------------------------

    def get(self, model: str, **key: Any) -> Record | None:
        """The record of a key, tombstone or not; None where there is none."""
        heads = ", ".join(f"${name}: {_KEY_TYPES[name]}" for name in key)
        arguments = ", ".join(f"{name}: ${name}" for name in key)
        found: Record | None = self.data(
            f"query operation({heads}) {{ get{model}({arguments}) {{ {SELECTIONS[model]} }} }}", key
        )
        return found

    def sync(self, model: str = "Thing", selection: str = "", **arguments: Any) -> Record:
        """One page, asked for with the variables Amplify's client always sends."""
        selection = selection or SELECTIONS[model]
        variables = {"limit": None, "nextToken": None, "lastSync": 0, "filter": None, **arguments}
        found: Record = self.data(
            "query operation($limit: Int, $nextToken: String, $lastSync: AWSTimestamp, "
            f"$filter: Model{model}FilterInput) {{ sync{PLURALS[model]}"
            "(limit: $limit, nextToken: $nextToken, lastSync: $lastSync, filter: $filter) "
            f"{{ items {{ {selection} }} nextToken startedAt }} }}",
            variables,
        )
        return found

    def pages(self, ask: Callable[[str | None], Record]) -> list[Record]:
        """All pages of a query that takes a `nextToken`."""
        found = [ask(None)]
        while found[-1]["nextToken"] is not None:
            assert len(found) < MAX_PAGES, f"more than {MAX_PAGES} pages: give the suite an API of its own"
            found.append(ask(found[-1]["nextToken"]))
        return found

    def sync_all(self, model: str = "Thing", **arguments: Any) -> list[Record]:
        """The items of all pages that belong to this run."""
        pages = self.pages(lambda token: self.sync(model, limit=1000, **{**arguments, "nextToken": token}))
        return [item for page in pages for item in page["items"] if item.get("run", self.run) == self.run]

    def eventually(self, read: Callable[[], T], wanted: Callable[[T], bool]) -> T:
        """What `read` gives once it is as wanted, or at the end of the patience: reads may lag behind writes."""
        end = time.monotonic() + self.target.patience
        pause = 0.05
        while not wanted(found := read()) and time.monotonic() < end:
            time.sleep(pause)
            pause = min(1.0, pause * 2)
        return found

    # -- cleaning up ---------------------------------------------------------------------------------------------------

    def remember(self, model: str, values: Mapping[str, Any]) -> None:
        """Notes a record that is to be deleted in the end."""
        if all(values.get(name) is not None for name in KEYS[model]):
            self._made.append((model, {name: values[name] for name in KEYS[model]}))

    def close(self) -> None:
        """Deletes what this run has created, 25 records a document."""
        made = list({json.dumps(item): item for item in self._made}.values())
        self._made = []
        for start in range(0, len(made), BATCH):
            self._delete(made[start : start + BATCH])
        self._http.close()

    def _delete(self, made: list[tuple[str, Record]]) -> None:
        fields = " ".join(
            f"m{number}: get{model}({_literal(key)}) {{ _version _deleted }}"
            for number, (model, key) in enumerate(made)
        )
        found = self.answer(f"query {{ {fields} }}")["data"]
        alive = [
            f"{name}: delete{made[int(name[1:])][0]}(input: {{{_literal(made[int(name[1:])][1])}, "
            f"_version: {item['_version']}}}) {{ {' '.join(made[int(name[1:])][1])} }}"
            for name, item in found.items()
            if item is not None and not item["_deleted"]
        ]
        if alive:
            self.answer(f"mutation {{ {' '.join(alive)} }}")


_KEY_TYPES: Mapping[str, str] = {
    "id": "ID!",
    "device": "ID!",
    "takenAt": "AWSDateTime!",
    "hall": "ID!",
    "row": "String!",
    "level": "Int!",
}


def _literal(key: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {json.dumps(value)}" for name, value in key.items())


def unique() -> str:
    """An id nobody has used."""
    return str(uuid.uuid4())


def picked(record: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    """Some fields of a record."""
    return tuple(record[name] for name in names)
