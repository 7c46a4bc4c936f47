"""gql's own transports, as they are: whoever can use AppSync with gql can use this API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from importlib import import_module
from typing import Any

import pytest
from gql import Client, gql
from gql.transport.appsync_auth import AppSyncApiKeyAuthentication, AppSyncAuthentication
from gql.transport.appsync_websockets import AppSyncWebsocketsTransport
from gql.transport.exceptions import TransportQueryError, TransportServerError

from django_datastore.testing.contract.api import Api
from django_datastore.testing.contract.sockets import SECONDS

CREATE = "mutation($input: CreateThingInput!) { createThing(input: $input) { id name rank _version } }"
ON_CREATE = "subscription { onCreateThing { id name rank _version } }"


def _headers(api: Api) -> dict[str, Any]:
    return {"headers": {"x-api-key": api.target.api_key}}


def _authentication(api: Api) -> dict[str, Any]:
    return {"auth": AppSyncApiKeyAuthentication(api.target.host, api.target.api_key)}


TRANSPORTS: list[tuple[str, str, Callable[[Api], dict[str, Any]]]] = [
    ("gql.transport.httpx", "HTTPXTransport", _headers),
    ("gql.transport.httpx", "HTTPXAsyncTransport", _headers),
    ("gql.transport.requests", "RequestsHTTPTransport", _headers),
    ("gql.transport.aiohttp", "AIOHTTPTransport", _authentication),
]
"""Module, class, and how it is told the key: only aiohttp's takes AppSync's authentication for HTTP."""


@pytest.mark.parametrize(("module", "name", "options"), TRANSPORTS, ids=[name for _, name, _ in TRANSPORTS])
def test_http_transport_executes(api: Api, module: str, name: str, options: Callable[[Api], dict[str, Any]]) -> None:
    """gql's documentation, "AppSync": queries and mutations over HTTP."""
    try:
        transport_class = getattr(import_module(module), name)
    except ImportError as exc:
        pytest.skip(f"{name} needs a package that is not installed: {exc}")
    client = Client(transport=transport_class(url=api.target.endpoint, **options(api)), execute_timeout=SECONDS)
    values = api.thing_input(rank=1)
    api.remember("Thing", values)
    document = gql(CREATE)
    document.variable_values = {"input": values}
    found = client.execute(document)
    assert found == {"createThing": {"id": values["id"], "name": "one", "rank": 1, "_version": 1}}
    with pytest.raises(TransportQueryError) as caught:
        client.execute(document)
    assert caught.value.errors is not None
    assert caught.value.errors[0]["errorType"].endswith("ConditionalCheckFailedException")


@pytest.mark.parametrize("number", [0, 1])
def test_socket_transport_subscribes(api: Api, number: int) -> None:
    """gql's documentation, "AppSync": AppSyncWebsocketsTransport, unpatched, on every address there is for sockets."""
    if number >= len(api.target.socket_urls):
        pytest.skip("this API has one address for sockets")
    auth = AppSyncApiKeyAuthentication(api.target.host, api.target.api_key)
    found = asyncio.run(subscribed(api, auth, api.target.socket_urls[number]))
    assert [item["name"] for item in found] == ["a", "b"]


def test_socket_transport_with_a_wrong_key_is_refused(api: Api) -> None:
    """gql raises what `connection_error` brings."""
    auth = AppSyncApiKeyAuthentication(api.target.host, "da2-wrongwrongwrongwrongwrong")
    with pytest.raises((TransportServerError, TransportQueryError), match="UnauthorizedException"):
        asyncio.run(subscribed(api, auth, api.target.socket_urls[0]))


def test_socket_transport_refused_subscription_raises_its_errors(api: Api) -> None:
    """gql turns an `error` frame with an id into a TransportQueryError of that subscription."""

    async def subscribe() -> None:
        auth = AppSyncApiKeyAuthentication(api.target.host, api.target.api_key)
        transport = AppSyncWebsocketsTransport(url=api.target.socket_urls[0], auth=auth)
        async with Client(transport=transport) as session:
            async for _ in session.subscribe(gql("subscription { onCreateThing { nope } }")):
                pass

    with pytest.raises(TransportQueryError, match="FieldUndefined"):
        asyncio.run(subscribe())


async def subscribed(api: Api, auth: AppSyncAuthentication, url: str) -> list[dict[str, Any]]:
    """The first two events about things created once the subscription stands."""
    transport = AppSyncWebsocketsTransport(url=url, auth=auth, connect_timeout=SECONDS, ack_timeout=SECONDS)
    assert transport.url.startswith(url)
    async with Client(transport=transport) as session:
        events: AsyncGenerator[dict[str, Any], None] = session.subscribe(gql(ON_CREATE))
        first = asyncio.ensure_future(anext(events))
        ids: list[str] = []
        found: list[dict[str, Any]] = []
        # gql does not say when `start_ack` came: things are created until one of them arrives.
        while not first.done():
            ids.append((await asyncio.to_thread(api.thing, name="early"))["id"])
            await asyncio.wait([first], timeout=0.2)
        await first
        wanted = [(await asyncio.to_thread(api.thing, name=name))["id"] for name in ("a", "b")]
        while len(found) < len(wanted):
            item = (await asyncio.wait_for(anext(events), SECONDS))["onCreateThing"]
            if item["id"] in wanted:
                found.append(item)
        await events.aclose()  # else gql waits for it when it closes
        return found
