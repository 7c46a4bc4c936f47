"""Fixtures for the tests of projects that use this package. pytest finds them once the package is installed.

@pytest.mark.appsync_local(conflict="optimistic")
def test_post_arrives(connected_site, appsync_local):
    post = Post.objects.create(title="T")
    connected_site.drain()
    assert appsync_local.record("Post", str(post.pk))["title"] == "T"
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django_datastore.sync.engine import Engine
    from django_datastore.testing.appsync import AppSyncForTests

_MARKER = (
    "appsync_local(schema=None, conflict=None, process=False, **options): "
    "how the fixture appsync_local starts its server; options are those of LocalAppSync"
)
_APP = "django_datastore.appsync_local"


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Gives real transactions to every test with a connected site, as early as pytest-django wants to know it."""
    if not config.pluginmanager.hasplugin("django"):
        return
    for item in items:
        if "connected_site" in getattr(item, "fixturenames", ()):
            found = item.get_closest_marker("django_db")
            options = {**(found.kwargs if found else {}), "transaction": True}
            item.add_marker(pytest.mark.django_db(**options), append=False)


@pytest.fixture
def appsync_local(request: pytest.FixtureRequest) -> Iterator[AppSyncForTests]:
    """A local AppSync of this test's own, running, with the registered models or what the marker says."""
    _set_up_django()
    from django_datastore.testing.appsync import LocalAppSync, LocalAppSyncProcess

    options = _options(request.node)
    form = LocalAppSyncProcess if options.pop("process", False) else LocalAppSync
    with form(**options) as server:
        yield server


@pytest.fixture
def datastore_settings() -> dict[str, Any]:
    """Keys of `DATASTORE` for `connected_site`. Override it."""
    return {}


@pytest.fixture
def connected_site(
    request: pytest.FixtureRequest, appsync_local: AppSyncForTests, datastore_settings: dict[str, Any]
) -> Iterator[Engine]:
    """This site's engine, connected to `appsync_local`; needs pytest-django, and brings real transactions."""
    from django_datastore.testing import connected

    if not request.config.pluginmanager.hasplugin("django"):
        raise pytest.UsageError("The fixture connected_site needs pytest-django: it writes to the site's database.")
    with connected(appsync_local, **datastore_settings) as engine:
        yield engine


def _options(item: pytest.Item) -> dict[str, Any]:
    """What the markers say, the nearest last."""
    found: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("appsync_local"))):
        if marker.args:
            raise pytest.UsageError("The marker appsync_local takes keywords only, such as schema=... and conflict=...")
        found.update(marker.kwargs)
    return found


def _set_up_django() -> None:
    """Lets Django be ready, whoever cares for it; says what is missing."""
    import django
    from django.apps import apps
    from django.conf import settings

    if not settings.configured and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise pytest.UsageError(
            "The fixture appsync_local needs Django's settings. Set DJANGO_SETTINGS_MODULE, "
            "with pytest-django in pytest's configuration."
        )
    if not apps.ready:
        django.setup()
    if not apps.is_installed(_APP):
        raise pytest.UsageError(f"The fixture appsync_local needs {_APP!r} in INSTALLED_APPS.")
