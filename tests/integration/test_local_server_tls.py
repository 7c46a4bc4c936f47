"""The server over TLS: https and wss for clients that trust its certificate, for nobody else."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from django_datastore.appsync_local.server import LocalServer
from tests.integration.local_server_tools import Speaker, local_server
from tests.integration.test_local_server_processes import run

CREATE = 'mutation { createBlog(input: {name: "B"}) { name } }'


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with local_server(tls=True) as found:
        yield found


def post(url: str, key: str, context: ssl.SSLContext) -> object:
    answer = httpx.post(url, json={"query": CREATE}, headers={"x-api-key": key}, verify=context)
    return answer.json()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_client_that_trusts_the_file_is_served(server: LocalServer, host: str):
    assert server.url.startswith("https://127.0.0.1:")
    context = ssl.create_default_context(cafile=server.ca_path)
    url = server.url.replace("127.0.0.1", host)
    assert post(url, server.api_key, context) == {"data": {"createBlog": {"name": "B"}}}


def test_client_that_does_not_trust_it_refuses(server: LocalServer):
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        post(server.url, server.api_key, ssl.create_default_context())


async def test_socket_over_wss_gets_events(server: LocalServer):
    assert server.realtime_url.startswith("wss://")
    context = ssl.create_default_context(cafile=server.ca_path)
    headers = {"x-api-key": server.api_key}
    url = server.realtime_url
    async with connect(url, ssl=context, additional_headers=headers, subprotocols=["graphql-ws"]) as socket:  # type: ignore[list-item]
        speaker = Speaker(socket, server.api_key)
        await speaker.send("connection_init")
        assert (await speaker.receive())["type"] == "connection_ack"
        assert (await speaker.start("1", "subscription { onCreateBlog { name } }"))["type"] == "start_ack"
        await asyncio.to_thread(server.execute, CREATE)
        assert (await speaker.event())["data"] == {"onCreateBlog": {"name": "B"}}


def test_line_is_cut_and_mended(server: LocalServer):
    context = ssl.create_default_context(cafile=server.ca_path)
    url = server.url
    server.stop()
    with pytest.raises(httpx.ConnectError):
        post(url, server.api_key, context)
    server.start()
    assert server.url == url
    assert "data" in json.dumps(post(url, server.api_key, context))


def test_command_serves_tls_with_a_certificate_that_stays(tmp_path: Path):
    models = tmp_path / "models.graphql"
    models.write_text("type Blog @model { name: String }")
    arguments = (
        "--schema",
        str(models),
        "--database",
        str(tmp_path / "db.sqlite3"),
        "--tls-dir",
        str(tmp_path / "tls"),
    )
    path = tmp_path / "tls" / "appsync-local.crt"
    seen = set()
    for more in [("--tls",), ("--tls",), ("--cert", str(path), "--key", str(path.with_suffix(".key")))]:
        with run(*arguments, *more) as process:
            assert process.url.startswith("https://127.0.0.1:")
            context = ssl.create_default_context(cafile=path)
            assert post(process.url, process.api_key, context) == {"data": {"createBlog": {"name": "B"}}}
            seen.add(path.read_bytes())
    assert len(seen) == 1
