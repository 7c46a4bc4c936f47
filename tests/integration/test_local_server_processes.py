"""The server as command, inside a Django project, and under gql's own AppSync transports."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.testing import ApplicationCommunicator
from channels.routing import URLRouter
from django.core.management import CommandError, call_command
from django.test import AsyncClient
from gql import Client as GqlClient
from gql import gql
from gql.transport.appsync_auth import AppSyncApiKeyAuthentication
from gql.transport.appsync_websockets import AppSyncWebsocketsTransport
from gql.transport.httpx import HTTPXAsyncTransport

from django_datastore.appsync_local import databases
from django_datastore.appsync_local import service as services
from django_datastore.appsync_local.routing import websocket_urlpatterns
from django_datastore.appsync_local.server import LocalServer, LocalServerProcess
from tests.integration.local_server_tools import SDL, fresh_database, local_server, speaking

ROOT = Path(__file__).parents[2]


@pytest.fixture
def models(tmp_path: Path) -> str:
    path = tmp_path / "models.graphql"
    path.write_text(SDL)
    return str(path)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    with fresh_database() as found:
        yield found or str(tmp_path / "appsync.sqlite3")


def run(*arguments: str) -> LocalServerProcess:
    module = os.environ["DJANGO_SETTINGS_MODULE"]
    path = os.pathsep.join([str(ROOT), *sys.path])
    return LocalServerProcess("127.0.0.1:0", *arguments, env={"DJANGO_SETTINGS_MODULE": module, "PYTHONPATH": path})


def post(process: LocalServerProcess, query: str) -> Any:
    answer = httpx.post(process.url, json={"query": query}, headers={"x-api-key": process.api_key})
    return answer.json()["data"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_serves_says_where_and_ends_cleanly(models: str, database: str, number: int):
    with run("--schema", models, "--database", database, "--api-key", "mine") as process:
        assert process.api_key == "mine"
        assert post(process, 'mutation { createBlog(input: {id: "b", name: "B"}) { id } }') == {
            "createBlog": {"id": "b"}
        }
        assert process.stop(number) == 0
    with run("--schema", models, "--database", database, "--api-key", "mine") as process:
        assert post(process, '{ getBlog(id: "b") { name } }') == {"getBlog": {"name": "B"}}


def test_command_killed_has_lost_nothing_it_answered(models: str, database: str):
    with run("--schema", models, "--database", database) as process:
        for number in range(5):
            post(process, f'mutation {{ createBlog(input: {{id: "b{number}", name: "B"}}) {{ id }} }}')
        process.stop(signal.SIGKILL)
    with run("--schema", models, "--database", database) as process:
        assert len(post(process, "{ syncBlogs { items { id } } }")["syncBlogs"]["items"]) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "is no address"),
        (["127.0.0.1:99999"], "is no address"),
        (["--schema", "nowhere.graphql"], "Cannot read the schema"),
        (["--database", ":memory:"], "cannot use a SQLite database in memory"),
        (["--conflict", "lambada"], "invalid choice"),
    ],
)
def test_command_line_that_makes_no_sense_is_refused(arguments: list[str], message: str):
    with pytest.raises(CommandError, match=message):
        call_command("appsync_local", *arguments)


def test_taken_port_is_said(models: str, tmp_path: Path):
    with LocalServer(SDL) as server:
        port = server.url.split(":")[2].split("/")[0]
        with pytest.raises(CommandError, match="Is it running already"):
            call_command("appsync_local", port, "--schema", models, "--database", str(tmp_path / "x.sqlite3"))


def test_two_servers_live_side_by_side():
    with local_server() as one, local_server("type Note @model { id: ID! }") as other:
        one.execute('mutation { createBlog(input: {id: "1", name: "x"}) { id } }')
        other.execute('mutation { createNote(input: {id: "1"}) { id } }')
        assert (len(one.records("Blog")), len(other.records("Blog"))) == (1, 0)


@pytest.fixture
def mounted(settings: Any, models: str, database: str) -> Iterator[str]:
    """The app inside this process's Django project, on a database of its own."""
    alias = databases.open_private(database)
    settings.APPSYNC_LOCAL = {"API_KEY": "mounted", "SCHEMA": models, "DATABASE": alias}
    settings.ROOT_URLCONF = "django_datastore.appsync_local.urls"
    services.current().migrate()
    yield "mounted"
    services.reset()
    databases.close_private(alias)


class MountedSocket:
    """A socket of the project's own ASGI application."""

    def __init__(self, key: str) -> None:
        scope = {
            "type": "websocket",
            "path": "/graphql/realtime",
            "query_string": b"",
            "headers": [(b"x-api-key", key.encode())],
            "subprotocols": ["graphql-ws"],
        }
        self.communicator = ApplicationCommunicator(URLRouter(websocket_urlpatterns), scope)

    async def connect(self) -> dict[str, Any]:
        await self.communicator.send_input({"type": "websocket.connect"})
        return await self.communicator.receive_output()

    async def send(self, message: dict[str, Any]) -> None:
        await self.communicator.send_input({"type": "websocket.receive", "text": json.dumps(message)})

    async def receive(self) -> Any:
        return json.loads((await self.communicator.receive_output())["text"])

    async def disconnect(self) -> None:
        await self.communicator.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.communicator.wait()


async def test_mounted_in_a_project_it_answers_http_and_sockets(mounted: str):
    socket = MountedSocket(mounted)
    assert (await socket.connect())["subprotocol"] == "graphql-ws"
    await socket.send({"type": "connection_init"})
    assert [(await socket.receive())["type"] for _ in range(2)] == ["connection_ack", "ka"]
    payload = {
        "data": json.dumps({"query": "subscription { onCreateBlog { name } }"}),
        "extensions": {"authorization": {"x-api-key": mounted}},
    }
    await socket.send({"type": "start", "id": "1", "payload": payload})
    assert (await socket.receive())["type"] == "start_ack"
    body = {"query": 'mutation { createBlog(input: {name: "B"}) { name } }'}
    headers = {"x-api-key": mounted}
    answer = await AsyncClient().post("/graphql", body, content_type="application/json", headers=headers)
    assert answer.json() == {"data": {"createBlog": {"name": "B"}}}
    assert (await socket.receive())["payload"]["data"] == {"onCreateBlog": {"name": "B"}}
    await socket.disconnect()


async def test_gqls_own_transports_work_unpatched():
    with local_server() as server:
        auth = AppSyncApiKeyAuthentication(host="localhost", api_key=server.api_key)
        socket = AppSyncWebsocketsTransport(url=server.url.replace("http://", "ws://"), auth=auth)
        http = HTTPXAsyncTransport(url=server.url, headers={"x-api-key": server.api_key})
        async with GqlClient(transport=socket) as watching, GqlClient(transport=http) as writing:
            events = watching.subscribe(gql("subscription { onCreateBlog { name } }"))
            first = asyncio.ensure_future(anext(events))
            while not first.done():  # gql hides `start_ack`: write until the first event is there
                await writing.execute(gql('mutation { createBlog(input: {name: "B"}) { name } }'))
            assert await first == {"onCreateBlog": {"name": "B"}}
            await events.aclose()


async def test_mutation_in_one_process_reaches_sockets_at_another(models: str, database: str):
    arguments = ("--schema", models, "--database", database, "--api-key", "mine", "--share-events")
    with run(*arguments) as one, run(*arguments) as other:
        async with AsyncExitStack() as stack:
            speakers = [await stack.enter_async_context(speaking(process)) for process in (one, other)]
            for speaker in speakers:
                await speaker.start("1", "subscription { onCreateBlog { name } }")
            for number in range(5):
                for process in (one, other):
                    name = f"{number} {process.url}"
                    query = f'mutation {{ createBlog(input: {{name: "{name}"}}) {{ name }} }}'
                    assert (await asyncio.to_thread(post, process, query))["createBlog"] == {"name": name}
            heard = [
                [(await speaker.event())["data"]["onCreateBlog"]["name"] for _ in range(10)] for speaker in speakers
            ]
    assert heard[0] == heard[1] == [f"{number} {url}" for number in range(5) for url in (one.url, other.url)]
