"""The fixtures of the suite. Whoever runs it against a server of his own overrides the two targets and `timeline`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from django_datastore.testing.contract.api import Api, Target

_PREFIX = "APPSYNC_CONTRACT_"


def target_from(environ: os._Environ[str] | dict[str, str], group: str = "") -> Target | None:
    """The API that environment variables name; `group` is put before ENDPOINT and API_KEY."""
    endpoint, api_key = environ.get(f"{_PREFIX}{group}ENDPOINT"), environ.get(f"{_PREFIX}{group}API_KEY")
    if not endpoint or not api_key:
        return None
    is_near = any(host in endpoint for host in ("//127.0.0.1", "//localhost", "//[::1]"))
    return Target(
        endpoint,
        api_key,
        pace=float(environ.get(f"{_PREFIX}PACE") or (0 if is_near else 0.05)),
        patience=float(environ.get(f"{_PREFIX}PATIENCE") or 10),
    )


def _required(group: str, handler: str) -> Target:
    found = target_from(os.environ, group)
    if found is None:
        pytest.skip(
            f"{_PREFIX}{group}ENDPOINT and {_PREFIX}{group}API_KEY name no API with the conflict handler {handler}"
        )
    return found


@pytest.fixture(scope="package")
def automerge_target() -> Target:
    """The API with AUTOMERGE."""
    return _required("", "AUTOMERGE")


@pytest.fixture(scope="package")
def optimistic_target() -> Target:
    """The API with OPTIMISTIC_CONCURRENCY."""
    return _required("OPTIMISTIC_", "OPTIMISTIC_CONCURRENCY")


@pytest.fixture(scope="module")
def automerge(automerge_target: Target) -> Iterator[Api]:
    """A client of the API with AUTOMERGE."""
    found = Api(automerge_target)
    yield found
    found.close()


@pytest.fixture(scope="module")
def optimistic(optimistic_target: Target) -> Iterator[Api]:
    """A client of the API with OPTIMISTIC_CONCURRENCY."""
    found = Api(optimistic_target)
    yield found
    found.close()


@pytest.fixture(scope="module", params=["automerge", "optimistic"])
def api(request: pytest.FixtureRequest) -> Api:
    """A client of each API there is: for what the conflict handler does not change."""
    found: Api = request.getfixturevalue(request.param)
    return found


@dataclass(frozen=True)
class People:
    """An API with auth rules, and who calls it."""

    target: Target
    token: str
    """A user's token."""
    other_token: str
    """That of another user."""
    region: str | None = None
    credentials: Any = None
    """botocore's credentials of somebody the rules admit by `provider: iam`."""


@pytest.fixture(scope="package")
def people() -> People:
    """The API made of `auth.graphql`, with two users."""
    target = target_from(os.environ, "AUTH_")
    tokens = [os.environ.get(f"{_PREFIX}{name}") for name in ("TOKEN", "OTHER_TOKEN")]
    if target is None or not all(tokens):
        pytest.skip(f"{_PREFIX}AUTH_ENDPOINT, _AUTH_API_KEY, _TOKEN and _OTHER_TOKEN name no API with auth rules")
    region = os.environ.get(f"{_PREFIX}REGION")
    return People(target, str(tokens[0]), str(tokens[1]), region, _credentials() if region else None)


def _credentials() -> Any:
    """What botocore finds where it always looks; None where it finds nothing."""
    session = pytest.importorskip("botocore.session")
    return session.get_session().get_credentials()


@pytest.fixture
def timeline() -> tuple[Api, Callable[[float], None]]:
    """An API with the default TTLs whose time can be moved on by minutes; no such thing at AWS."""
    pytest.skip("takes hours by the service's clock; it is run where the clock can be moved")
