"""The contract suite against the local server: on SQLite, or on PostgreSQL where TEST_DATABASE_URL names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files

import pytest
from botocore.credentials import Credentials

from django_datastore.testing.contract.api import Api, Target
from django_datastore.testing.contract.fixtures import *  # noqa: F403
from django_datastore.testing.contract.fixtures import People
from django_datastore.testing.issuer import Issuer
from tests.integration.local_server_tools import local_server

SDL = (files("django_datastore.testing.contract") / "schema.graphql").read_text()
AUTH_SDL = (files("django_datastore.testing.contract") / "auth.graphql").read_text()
MINUTE = 60_000


def running(conflict: str) -> Iterator[Target]:
    with local_server(SDL, conflict=conflict) as server:
        yield Target(server.url, server.api_key, patience=2)


@pytest.fixture(scope="package")
def automerge_target() -> Iterator[Target]:
    yield from running("automerge")


@pytest.fixture(scope="package")
def optimistic_target() -> Iterator[Target]:
    yield from running("optimistic")


@pytest.fixture
def timeline() -> Iterator[tuple[Api, Callable[[float], None]]]:
    """A server whose clock stands still until it is moved."""
    now = 1_700_000_000_000

    def pass_minutes(minutes: float) -> None:
        nonlocal now
        now += int(minutes * MINUTE)

    with local_server(SDL, now=lambda: now) as server:
        yield Api(Target(server.url, server.api_key, patience=0)), pass_minutes


@pytest.fixture(scope="package")
def people() -> Iterator[People]:
    """A server with two users of a pool, and somebody who signs."""
    pool = Issuer()
    with local_server(
        AUTH_SDL,
        AUTH_MODE="AMAZON_COGNITO_USER_POOLS",
        ADDITIONAL_AUTH_MODES=["API_KEY", "AWS_IAM"],
        USER_POOL=pool,
        IAM_CREDENTIALS=[{"access_key_id": "AKIDCONTRACT", "secret_access_key": "secret"}],
        REGION="eu-west-1",
    ) as server:
        yield People(
            Target(server.url, server.api_key, patience=2),
            pool.token("alice"),
            pool.token("bob"),
            "eu-west-1",
            Credentials("AKIDCONTRACT", "secret"),
        )
