"""Lists by key: `@index` queries, composite primary keys, `@hasMany`, served by an index and kept up to date."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from django_datastore.appsync_local.models import Delta, IndexEntry, Record
from django_datastore.appsync_local.server import LocalServer
from django_datastore.appsync_local.tables.records import key_text
from tests.integration.local_server_tools import Client, fresh_database, local_server, unique

TASKS = """
type Board @model { id: ID! name: String tasks: [Task] @hasMany(indexName: "byBoard", fields: ["id"]) }
type Task @model {
  id: ID!
  boardID: ID @index(name: "byBoard", sortKeyFields: ["dueAt"], queryField: "tasksByBoard")
  dueAt: AWSDateTime
  status: String @index(name: "byStatus", sortKeyFields: ["priority"], queryField: "tasksByStatus")
  priority: Int
  owner: String @index(name: "byOwner", sortKeyFields: ["status", "title"], queryField: "tasksByOwner")
  title: String
}
type Shelf @model {
  room: ID! @primaryKey(sortKeyFields: ["row", "column"])
  row: String!
  column: Int!
  books: [Book] @hasMany
}
type Book @model { id: ID! title: String }
"""
TASK = "id boardID dueAt status priority owner title _version _deleted"


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with local_server(TASKS, BASE_TABLE_TTL=60) as found:
        yield found


@pytest.fixture
def client(server: LocalServer) -> Client:
    return Client(server)


def create(client: Client, **values: Any) -> str:
    found: str = client.written("createTask", "id", **{"title": "t", **values})["id"]
    return found


def by_status(client: Client, status: str, arguments: str = "") -> list[Any]:
    query = f'{{ tasksByStatus(status: "{status}"{arguments}) {{ items {{ priority }} nextToken }} }}'
    return [item["priority"] for item in client.data(query)["items"]]


def test_index_query_is_sorted_by_number_not_by_text(client: Client):
    status = unique()
    for priority in (10, 9, -1, 100, 0):
        create(client, status=status, priority=priority)
    create(client, status=unique(), priority=5)
    assert by_status(client, status) == [-1, 0, 9, 10, 100]
    assert by_status(client, status, ", sortDirection: DESC") == [100, 10, 9, 0, -1]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("{eq: 9}", [9]),
        ("{lt: 9}", [-1, 0]),
        ("{le: 9}", [-1, 0, 9]),
        ("{gt: 9}", [10, 100]),
        ("{ge: 9}", [9, 10, 100]),
        ("{between: [0, 10]}", [0, 9, 10]),
        ("{ge: 0, lt: 10}", [0, 9]),
        ("{gt: 9, lt: 9}", []),
        ("{eq: null}", [-1, 0, 9, 10, 100]),
    ],
)
def test_key_conditions(server: LocalServer, condition: str, expected: list[int]):
    client = Client(server)
    if not by_status(client, "conditions"):
        for priority in (10, 9, -1, 100, 0):
            create(client, status="conditions", priority=priority)
    assert by_status(client, "conditions", f", priority: {condition}") == expected


def test_impossible_key_condition_is_refused(client: Client):
    error = client.error('{ tasksByStatus(status: "x", priority: {between: [2, 1]}) { items { id } } }')
    assert error["errorType"] == "ValidationException"


def test_composite_sort_key_compares_its_fields_as_one(client: Client):
    owner = unique()
    for status, title in (("a", "2"), ("b", "1"), ("a", "1"), ("ab", "1")):
        create(client, owner=owner, status=status, title=title)

    def found(condition: str) -> list[str]:
        query = f'{{ tasksByOwner(owner: "{owner}"{condition}) {{ items {{ status title }} }} }}'
        return [item["status"] + item["title"] for item in client.data(query)["items"]]

    assert found("") == ["a1", "a2", "ab1", "b1"]
    assert found(', statusTitle: {beginsWith: {status: "a"}}') == ["a1", "a2", "ab1"]
    assert found(', statusTitle: {eq: {status: "a", title: "2"}}') == ["a2"]
    assert found(', statusTitle: {ge: {status: "a", title: "2"}}') == ["a2", "ab1", "b1"]


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_pages_cover_equal_keys_once_and_the_filter_comes_after_the_read(client: Client, direction: str):
    status = unique()
    for number in range(7):
        create(client, status=status, priority=number // 3, title=str(number))
    query = """query($s: String!, $d: ModelSortDirection, $t: String) {
      tasksByStatus(status: $s, sortDirection: $d, limit: 2, nextToken: $t, filter: {title: {ne: "3"}}) {
        items { title } nextToken } }"""
    pages, token = [], None
    while True:
        page = client.data(query, s=status, d=direction, t=token)
        pages.append([item["title"] for item in page["items"]])
        if (token := page["nextToken"]) is None:
            break
    expected = ["0", "1", "2", "4", "5", "6"]
    assert [title for page in pages for title in page] == (expected if direction == "ASC" else expected[::-1])
    assert [len(page) for page in pages] == [2, 1, 2, 1]


def test_token_goes_on_its_own_query_only(client: Client):
    one, other = unique(), unique()
    for status in (one, one, other, other):
        create(client, status=status, priority=1)
    query = "query($s: String!, $t: String) { tasksByStatus(status: $s, limit: 1, nextToken: $t) { nextToken } }"
    token = client.data(query, s=one)["nextToken"]
    assert client.error(query, s=other, t=token)["message"] == "Invalid pagination token given."
    assert client.data(query, s=one, t=token) == {"nextToken": None}
    sync = "query($t: String) { syncTasks(limit: 1, nextToken: $t) { nextToken } }"
    assert client.error(sync, t=token)["message"] == "Invalid pagination token given."
    boards = "query($t: String) { syncBoards(limit: 1, nextToken: $t) { nextToken } }"
    assert client.error(boards, t=client.data(sync)["nextToken"])["message"] == "Invalid pagination token given."


def test_index_follows_updates_deletes_and_revivals(client: Client):
    here, there = unique(), unique()
    key = create(client, status=here, priority=1)
    client.written("updateTask", TASK, id=key, priority=2, _version=1)
    assert (by_status(client, here), by_status(client, there)) == ([2], [])
    client.written("updateTask", TASK, id=key, status=there, _version=2)
    assert (by_status(client, here), by_status(client, there)) == ([], [2])
    client.written("updateTask", TASK, id=key, status=None, _version=3)  # without a key it is in no index
    assert by_status(client, there) == []
    client.written("updateTask", TASK, id=key, status=here, _version=4)
    client.written("deleteTask", TASK, id=key, _version=5)
    found = client.data(f'{{ tasksByStatus(status: "{here}") {{ items {{ _deleted }} }} }}')["items"]
    assert found == [{"_deleted": True}]  # lists show tombstones, as AppSync's do


def test_refused_mutation_leaves_no_entry(client: Client, server: LocalServer):
    status = unique()
    key = create(client, status=status, priority=1)
    answer = client.post(
        f"""mutation {{
          a: createTask(input: {{ id: "{key}", status: "{status}", priority: 2 }}) {{ id }}
          b: updateTask(input: {{ id: "{key}", priority: 3, _version: 1 }},
            condition: {{ title: {{ eq: "no" }} }}) {{ id }}
        }}"""
    )
    assert len(answer["errors"]) == 2
    assert by_status(client, status) == [1]
    assert entries(server, key) == 1


def entries(server: LocalServer, key: str) -> int:
    alias = server.service.alias

    def count() -> int:
        position = Record.objects.using(alias).get(key=f'["{key}"]').pk
        return IndexEntry.objects.using(alias).filter(record_id=position).count()

    return server.service.workers.call(count)


def test_key_too_large_for_an_index_is_refused(client: Client):
    answer = client.write("createTask", "id", title="x" * 2000, owner="o", status="s")
    assert answer["errors"][0]["errorType"] == "ValidationException"
    assert "sortkey" in answer["errors"][0]["message"]


def test_has_many_by_an_index_is_in_its_order_and_takes_its_condition(client: Client):
    board = client.written("createBoard", "id", name="B")["id"]
    for day in (3, 1, 2):
        create(client, boardID=board, dueAt=f"2026-01-0{day}T00:00:00.000Z", title=str(day))
    create(client, boardID=unique(), dueAt="2026-01-01T00:00:00.000Z")

    def found(arguments: str = "") -> list[str]:
        query = f'{{ getBoard(id: "{board}") {{ tasks{arguments} {{ items {{ title }} }} }} }}'
        return [item["title"] for item in client.data(query)["tasks"]["items"]]

    assert found() == ["1", "2", "3"]
    assert found("(sortDirection: DESC)") == ["3", "2", "1"]
    assert found('(dueAt: {gt: "2026-01-01T00:00:00.000Z"})') == ["2", "3"]


def test_composite_parent_has_its_own_children_only(client: Client):
    keys = [("r", "a", 1), ("r", "a", 10), ("r", "b", 1), ("q", "a", 1)]
    names = ("shelfBooksRoom", "shelfBooksRow", "shelfBooksColumn")
    for room, row, column in keys:
        client.written("createShelf", "room", room=room, row=row, column=column)
        client.written(
            "createBook", "id", title=f"{room}{row}{column}", **dict(zip(names, (room, row, column), strict=True))
        )
    for room, row, column in keys:
        get = f'getShelf(room: "{room}", row: "{row}", column: {column})'
        (book,) = client.data(f"{{ {get} {{ books {{ items {{ title }} }} }} }}")["books"]["items"]
        assert book["title"] == f"{room}{row}{column}"


# -- built for what was there before -----------------------------------------------------------------------------------

PLAIN = "type Task @model { id: ID! status: String priority: Int }"
INDEXED = PLAIN.replace(
    "status: String", 'status: String @index(name: "byStatus", sortKeyFields: ["priority"], queryField: "q")'
)
BY_TEXT = INDEXED.replace("priority: Int", "priority: String")


def test_index_of_a_changed_data_model_has_the_records_of_before(tmp_path: Path):
    query = '{ q(status: "x") { items { id } } }'
    with fresh_database() as url:
        database = url or str(tmp_path / "appsync.sqlite3")

        def serve(sdl: str, work: Callable[[Client], Any]) -> Any:
            with LocalServer(sdl, database=database) as server:
                return work(Client(server))

        serve(PLAIN, lambda client: client.written("createTask", "id", id="1", status="x", priority=10))
        assert serve(INDEXED, lambda client: client.data(query)["items"]) == [{"id": "1"}]
        serve(INDEXED, lambda client: client.written("createTask", "id", id="2", status="x", priority=9))
        serve(PLAIN, lambda client: client.written("updateTask", "id", id="1", status="y", _version=1))  # unindexed
        assert serve(INDEXED, lambda client: client.data(query)["items"]) == [{"id": "2"}]
        serve(PLAIN, lambda client: client.written("updateTask", "id", id="1", status="x", _version=2))
        assert serve(INDEXED, lambda client: client.data(query)["items"]) == [{"id": "2"}, {"id": "1"}]


# -- query plans -------------------------------------------------------------------------------------------------------


def plan(server: LocalServer, query: str, variables: dict[str, Any]) -> str:
    """How the database finds what a query asks for: EXPLAIN of every statement."""
    alias, workers = server.service.alias, server.service.workers
    statements: list[tuple[str, Any]] = []

    def record(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append((sql, params))
        return execute(sql, params, many, context)

    workers.call(lambda: connections[alias].execute_wrappers.append(record))
    assert "errors" not in server.execute(query, variables)
    workers.call(lambda: connections[alias].execute_wrappers.remove(record))

    def explain() -> str:
        connection, found = connections[alias], []
        prefix = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
        with connection.cursor() as cursor:
            for sql, params in statements:
                if sql.startswith("SELECT") and "appsync_local_moment" not in sql:
                    cursor.execute(f"{prefix} {sql}", params)
                    found += [_step(connection.vendor, row) for row in cursor.fetchall()]
        return "\n".join(found)

    return workers.call(explain)


def _step(vendor: str, row: tuple[Any, ...]) -> str:
    """One step of a plan as text. MariaDB tells it in columns."""
    if vendor != "mysql":
        return str(row[-1])
    _, _, _, way, _, index, *_, extra = row
    return f"{way} {index} {extra}"


@pytest.fixture(scope="module")
def full() -> Iterator[LocalServer]:
    """A server with so many records that a scan would be the worse way."""
    with local_server(TASKS) as server:
        service = server.service

        def fill() -> None:
            with service.store.writing() as now:
                for number in range(3000):
                    values = {"id": str(number), "status": f"s{number % 300}", "priority": number, "boardID": "b"}
                    values["dueAt"] = f"2026-01-01T00:00:00.{number:03}Z"
                    service.store.insert("Task", key_text([str(number)]), values, now=now)
                for number in range(30):
                    service.store.insert("Board", key_text([str(number)]), {"id": str(number)}, now=now)
            if connections[service.alias].vendor != "sqlite":  # the others scan small tables they know nothing of
                with connections[service.alias].cursor() as cursor:
                    for model in (Record, Delta, IndexEntry):
                        table = "TABLE " if connections[service.alias].vendor == "mysql" else ""
                        cursor.execute(f"ANALYZE {table}{model._meta.db_table}")

        service.workers.call(fill)
        yield server


PLANS = [
    ('{ tasksByStatus(status: "s7") { items { id } } }', "appsync_local_entry_walk"),
    ('{ tasksByStatus(status: "s7", priority: {gt: 900}, limit: 5) { items { id } } }', "appsync_local_entry_walk"),
    ('{ tasksByStatus(status: "s7", sortDirection: DESC) { items { id } } }', "appsync_local_entry_walk"),
    ("{ syncBoards(limit: 10) { items { id } } }", "appsync_local_record_scan"),
    ("query($now: AWSTimestamp) { syncTasks(lastSync: $now) { items { id } } }", "appsync_local_delta_scan"),
]


@pytest.mark.parametrize(("query", "index"), PLANS)
def test_reads_walk_their_index_and_scan_no_table(full: LocalServer, query: str, index: str):
    found = plan(full, query, {"now": full.service.store.clock.now()} if "$now" in query else {})
    assert index in found
    assert not re.search(r"(?m)Seq Scan|\bSCAN\b|TEMP B-TREE|^ALL\b|filesort|temporary", found), found
