"""A server that is called without a network, as often as wanted.

`make test` runs a few hundred cases of each kind; `make fuzz` as many as FUZZ_CASES says.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from django_datastore.appsync_local.server import LocalServer
from django_datastore.appsync_local.views import Reply, answer
from tests.integration.local_server_tools import SDL, local_server

CASES = int(os.environ.get("FUZZ_CASES", "80"))
fuzzing = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    """A server of the example's data model."""
    with local_server(SDL) as found:
        yield found


@pytest.fixture(scope="module")
def post(server: LocalServer) -> Iterator[Callable[[bytes], Reply]]:
    """Posts a body, as a client with a key does."""
    with asyncio.Runner() as runner:
        headers = {"x-api-key": server.api_key}
        yield lambda body: runner.run(answer(server.service, "POST", headers, body))


def check(reply: Reply) -> dict[str, Any]:
    """The answer, which must be one AppSync could have given."""
    found: dict[str, Any] = json.loads(reply.body)
    assert reply.status in (200, 400, 413), found
    assert found.keys() <= {"data", "errors"}, found
    for error in found.get("errors", ()):
        assert isinstance(error["message"], str)
        assert "Traceback" not in error["message"]
        if reply.status == 200:
            assert {"path", "locations", "message"} <= error.keys(), error
        else:
            assert error["errorType"] == reply.headers["x-amzn-ErrorType"]
    if reply.status == 200 and found.get("data") is None:
        assert found["errors"], found
    return found
