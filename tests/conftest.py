"""Fixtures every room uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_datastore import registry
from django_datastore.sync.engine import Engine
from django_datastore.testing import LocalAppSync, connected


@pytest.fixture
def appsync() -> Iterator[LocalAppSync]:
    """A local server of its own, serving the registered models."""
    with LocalAppSync(registry.as_schema()) as server:
        yield server


@pytest.fixture
def site(appsync: LocalAppSync, transactional_db: Any) -> Iterator[Engine]:
    """This site's engine, connected to `appsync`."""
    with connected(appsync, REQUEST_TIMEOUT_SECONDS=5.0, LEASE_SECONDS=10.0) as engine:
        yield engine
