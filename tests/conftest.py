"""Fixtures every room uses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from django_datastore.sync.engine import Engine
from django_datastore.testing.appsync import AppSyncForTests

# How fast examples run and are made depends on what else the machine does.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

pytest_plugins = ["django_datastore.testing.pytest_plugin", "pytester"]


@pytest.fixture
def appsync(appsync_local: AppSyncForTests) -> AppSyncForTests:
    """A local server of its own, serving the registered models."""
    return appsync_local


@pytest.fixture
def datastore_settings() -> dict[str, Any]:
    """Patience: a machine that is busy with something else fails no test."""
    return {"REQUEST_TIMEOUT_SECONDS": 20.0, "LEASE_SECONDS": 40.0}


@pytest.fixture
def site(connected_site: Engine) -> Engine:
    """This site's engine, connected to `appsync`."""
    return connected_site
