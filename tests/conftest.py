"""Fixtures every room uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from django_datastore import registry
from django_datastore.appsync_local.server import LocalServer
from django_datastore.sync import engine
from django_datastore.sync.engine import Engine


@pytest.fixture
def appsync() -> Iterator[LocalServer]:
    """A local server of its own, serving the registered models."""
    with LocalServer(registry.as_schema()) as server:
        yield server


@pytest.fixture
def site(appsync: LocalServer, settings: Any, transactional_db: Any) -> Engine:
    """This site's engine, connected to `appsync`."""
    settings.DATASTORE = {
        "ENDPOINT": appsync.url,
        "API_KEY": appsync.api_key,
        "REQUEST_TIMEOUT_SECONDS": 5.0,
        "LEASE_SECONDS": 10.0,
    }
    return engine.current()
