"""gql's AppSync transport, as it is, on both paths and in each mode it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.credentials import Credentials
from gql import Client as GqlClient
from gql import gql
from gql.transport.appsync_auth import (
    AppSyncApiKeyAuthentication,
    AppSyncAuthentication,
    AppSyncIAMAuthentication,
    AppSyncJWTAuthentication,
)
from gql.transport.appsync_websockets import AppSyncWebsocketsTransport
from gql.transport.exceptions import TransportQueryError

from django_datastore.appsync.auth import auth_for
from django_datastore.appsync.endpoint import Endpoint
from django_datastore.appsync.realtime import RealtimeConnection
from django_datastore.appsync_local.server import LocalServer
from django_datastore.exceptions import SyncError
from django_datastore.testing.issuer import Issuer
from tests.integration.local_server_tools import local_server

SDL = """
type Note @model @auth(rules: [{ allow: public }, { allow: private }, { allow: private, provider: iam }]) {
  id: ID!
  text: String
}
"""
REGION = "eu-west-1"
ON_CREATE = "subscription { onCreateNote { id text } }"
CREATE = 'mutation { createNote(input: {text: "x"}) { id text } }'


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def server(issuer: Issuer) -> Iterator[LocalServer]:
    with local_server(
        SDL,
        ADDITIONAL_AUTH_MODES=["AWS_IAM", "AMAZON_COGNITO_USER_POOLS"],
        USER_POOL=issuer,
        IAM_CREDENTIALS=[{"access_key_id": "AKIDLOCAL", "secret_access_key": "secret"}],
        REGION=REGION,
        SUBSCRIPTIONS_PER_CONNECTION=2,
    ) as found:
        yield found


def authentication(mode: str, server: LocalServer, issuer: Issuer) -> AppSyncAuthentication:
    host = server.url.split("/")[2]
    match mode:
        case "API_KEY":
            return AppSyncApiKeyAuthentication(host=host, api_key=server.api_key)
        case "AWS_IAM":
            credentials = Credentials("AKIDLOCAL", "secret")
            return AppSyncIAMAuthentication(host=host, region_name=REGION, credentials=credentials)
    return AppSyncJWTAuthentication(host=host, jwt=issuer.token("alice"))


@pytest.mark.parametrize("path", ["/graphql", "/graphql/realtime"])
@pytest.mark.parametrize("mode", ["API_KEY", "AWS_IAM", "AMAZON_COGNITO_USER_POOLS"])
async def test_gqls_transport_subscribes(server: LocalServer, issuer: Issuer, mode: str, path: str):
    url = server.url.replace("http://", "ws://").removesuffix("/graphql") + path
    transport = AppSyncWebsocketsTransport(url=url, auth=authentication(mode, server, issuer))
    watching = server.service.broker.watching("onCreateNote")
    async with GqlClient(transport=transport) as session:
        events = session.subscribe(gql(ON_CREATE))
        first = asyncio.ensure_future(anext(events))
        while server.service.broker.watching("onCreateNote") == watching:  # noqa: ASYNC110 - gql hides the start_ack
            await asyncio.sleep(0)
        note: Any = (await asyncio.to_thread(server.execute, CREATE))["data"]["createNote"]
        assert await first == {"onCreateNote": note}
        await events.aclose()


async def test_gql_understands_that_there_are_too_many_subscriptions(server: LocalServer, issuer: Issuer):
    url = server.url.replace("http://", "ws://")
    transport = AppSyncWebsocketsTransport(url=url, auth=authentication("API_KEY", server, issuer))
    async with GqlClient(transport=transport) as session:
        subscriptions = [session.subscribe(gql(ON_CREATE)) for _ in range(3)]
        running = [asyncio.ensure_future(anext(events)) for events in subscriptions]
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        error = done.pop().exception()
        assert isinstance(error, TransportQueryError)
        assert "MaxSubscriptionsReachedError" in str(error)
        await asyncio.to_thread(server.execute, CREATE)  # the others are alive
        answers = await asyncio.gather(*running, return_exceptions=True)
        assert sorted(isinstance(answer, dict) for answer in answers) == [False, True, True]


async def test_our_client_understands_it_too(server: LocalServer):
    connection = RealtimeConnection(Endpoint.parse(server.url), auth_for("API_KEY", api_key=server.api_key))
    async with connection:
        for _ in range(2):
            await connection.subscribe(ON_CREATE)
        with pytest.raises(SyncError, match="Max number of 2 subscriptions reached"):
            await connection.subscribe(ON_CREATE)
