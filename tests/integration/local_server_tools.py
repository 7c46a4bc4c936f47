"""What the tests of the local server share: a server per module, a client that posts, a socket that speaks protocol."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect

from django_datastore.appsync_local.server import LocalServer
from testproject.settings import database_from_url

SDL = (Path(__file__).parents[1] / "data" / "amplify_example" / "models.graphql").read_text()
POST = (
    "id title rating status tags metadata publishedAt createdAt updatedAt blogPostsId _version _lastChangedAt _deleted"
)


@contextmanager
def fresh_database() -> Iterator[str | None]:
    """A database for a local server on the server that TEST_DATABASE_URL names, else None for a SQLite file."""
    url = os.environ.get("TEST_DATABASE_URL", "")
    makers = {"postgres": _execute_on_postgresql, "postgresql": _execute_on_postgresql, "mysql": _execute_on_mariadb}
    execute = makers.get(urlsplit(url).scheme)
    if execute is None:
        yield None
        return
    name = f"appsync_local_{uuid.uuid4().hex[:12]}"
    execute(url, f"CREATE DATABASE {name}")
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        execute(url, f"DROP DATABASE {name}" + ("" if execute is _execute_on_mariadb else " WITH (FORCE)"))


def query(database: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement on the database of a local server."""
    if database.startswith("postgres"):
        return _execute_on_postgresql(database, statement)
    if database.startswith("mysql"):
        return _execute_on_mariadb(database, statement)
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(statement).fetchall()


def _execute_on_postgresql(url: str, statement: str) -> list[tuple[Any, ...]]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def _execute_on_mariadb(url: str, statement: str) -> list[tuple[Any, ...]]:
    import MySQLdb

    entry = database_from_url(url)
    place = {"host": entry["HOST"], "port": int(entry["PORT"] or 3306)}
    # no database is chosen where one is made: the one of the URL need not be there
    chosen = {} if statement.startswith(("CREATE DATABASE", "DROP DATABASE")) else {"database": entry["NAME"]}
    options = {"init_command": "SET sql_mode='ANSI_QUOTES'", "autocommit": True}
    with closing(
        MySQLdb.connect(user=entry["USER"], password=entry["PASSWORD"], **place, **chosen, **options)
    ) as connection:
        cursor = connection.cursor()
        cursor.execute(statement)
        return list(cursor.fetchall())


@contextmanager
def local_server(sdl: str = SDL, **options: Any) -> Iterator[LocalServer]:
    """A running server on a fresh database."""
    with fresh_database() as database, LocalServer(sdl, database=database, **options) as server:
        yield server


class Reachable(Protocol):
    """A running server, whoever started it."""

    @property
    def url(self) -> str: ...

    api_key: str


class Client:
    """Posts documents and hands back what came."""

    def __init__(self, server: Reachable) -> None:
        self.url = server.url
        self.http = httpx.Client(headers={"x-api-key": server.api_key}, timeout=30)

    def post(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer."""
        # not `json=`: httpx cannot write a lone surrogate, which JavaScript can send
        answer = self.http.post(self.url, content=json.dumps({"query": query, "variables": variables}))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def data(self, query: str, **variables: Any) -> Any:
        """The one root field's value; there must be no error."""
        answer = self.post(query, **variables)
        assert "errors" not in answer, answer["errors"]
        (value,) = answer["data"].values()
        return value

    def error(self, query: str, **variables: Any) -> dict[str, Any]:
        """The one error."""
        (error,) = self.post(query, **variables)["errors"]
        found: dict[str, Any] = error
        return found

    def write(self, field: str, selection: str = POST, **values: Any) -> dict[str, Any]:
        """The answer to a mutation such as `createPost` with these input values."""
        return self.post(_mutation(field, selection), input=values)

    def written(self, field: str, selection: str = POST, **values: Any) -> dict[str, Any]:
        """The record after a mutation that must succeed."""
        found: dict[str, Any] = self.data(_mutation(field, selection), input=values)
        return found

    def refused(self, field: str, **values: Any) -> dict[str, Any]:
        """The error of a mutation that must fail."""
        answer = self.write(field, **values)
        assert answer["data"] == {field: None}
        (error,) = answer["errors"]
        found: dict[str, Any] = error
        return found

    def sync(self, field: str = "syncPosts", selection: str = POST, **variables: Any) -> dict[str, Any]:
        """One page, asked for as Amplify's client does."""
        variables = {"limit": None, "nextToken": None, "lastSync": 0, "filter": None, **variables}
        found: dict[str, Any] = self.data(_sync(field, selection), **variables)
        return found

    def pages(self, field: str = "syncPosts", selection: str = POST, **variables: Any) -> list[dict[str, Any]]:
        """All pages."""
        found = [self.sync(field, selection, **variables)]
        while found[-1]["nextToken"] is not None:
            found.append(self.sync(field, selection, **{**variables, "nextToken": found[-1]["nextToken"]}))
        return found


def _mutation(field: str, selection: str) -> str:
    kind = field[0].upper() + field[1:]
    return f"mutation operation($input: {kind}Input!) {{ {field}(input: $input) {{ {selection} }} }}"


def _sync(field: str, selection: str) -> str:
    model = field.removeprefix("sync").removesuffix("s")
    return (
        f"query operation($limit: Int, $nextToken: String, $lastSync: AWSTimestamp, $filter: Model{model}FilterInput) "
        f"{{ {field}(limit: $limit, nextToken: $nextToken, lastSync: $lastSync, filter: $filter) "
        f"{{ items {{ {selection} }} nextToken startedAt }} }}"
    )


def unique() -> str:
    """An id nobody has used."""
    return str(uuid.uuid4())


class Speaker:
    """A socket that speaks the protocol."""

    def __init__(self, socket: ClientConnection, key: str) -> None:
        self.socket = socket
        self.key = key

    async def send(self, kind: str, **fields: Any) -> None:
        """Sends a message."""
        await self.socket.send(json.dumps({**fields, "type": kind}))

    async def receive(self) -> Any:
        """The next message that is no keep-alive."""
        while True:
            message = json.loads(await self.socket.recv())
            if message != {"type": "ka"}:
                return message

    async def start(
        self, subscription_id: str, query: str, variables: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Any:
        """Starts a subscription; the answer to it."""
        payload = {
            "data": json.dumps({"query": query, "variables": variables or {}}),
            "extensions": {"authorization": {"host": "localhost", "x-api-key": key or self.key}},
        }
        await self.send("start", id=subscription_id, payload=payload)
        return await self.receive()

    async def event(self) -> Any:
        """The payload of the next event, which must be the next message."""
        message = await self.receive()
        assert message["type"] == "data", message
        return message["payload"]


@asynccontextmanager
async def speaking(server: Reachable, *, path: str = "/graphql/realtime", init: bool = True) -> AsyncIterator[Speaker]:
    """A socket as Amplify's client opens it, acknowledged."""
    header = base64.urlsafe_b64encode(json.dumps({"host": "localhost", "x-api-key": server.api_key}).encode())
    protocols = ["graphql-ws", f"header-{header.decode().rstrip('=')}"]
    url = server.url.replace("http://", "ws://").removesuffix("/graphql") + path
    async with connect(url, subprotocols=protocols) as socket:  # type: ignore[arg-type]
        speaker = Speaker(socket, server.api_key)
        if init:
            await speaker.send("connection_init")
            assert (await speaker.receive())["type"] == "connection_ack"
        yield speaker
