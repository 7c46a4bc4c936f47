"""For the tests of projects that use this package: a local AppSync, and a site that is connected to it.

    from django_datastore.testing import LocalAppSync, connected

    with LocalAppSync(registry.as_schema()) as appsync, connected(appsync) as engine:
        post = Post.objects.create(title="T")
        engine.drain()
        assert appsync.record("Post", str(post.pk))["title"] == "T"

Use it with real transactions (`TransactionTestCase`, `django_db(transaction=True)`): the outbox is announced on commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_datastore.sync.engine import Engine
    from django_datastore.testing.appsync import AppSyncForTests, LocalAppSync, LocalAppSyncProcess

__all__ = ["LocalAppSync", "LocalAppSyncProcess", "connected"]

_HOMES = {
    "LocalAppSync": ("django_datastore.testing.appsync", "LocalAppSync"),
    "LocalAppSyncProcess": ("django_datastore.testing.appsync", "LocalAppSyncProcess"),
}
"""Imported when asked for: `django_datastore.testing.contract` runs without Django's settings."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


@contextmanager
def connected(appsync: AppSyncForTests, **datastore: Any) -> Iterator[Engine]:
    """Inside, this site syncs with `appsync`; yields its engine. `datastore` are further keys of `DATASTORE`."""
    from django.conf import settings
    from django.test import override_settings

    from django_datastore.sync import engine

    base = getattr(settings, "DATASTORE", {})
    with override_settings(
        DATASTORE={**base, "ENDPOINT": appsync.url, "AUTH_MODE": "API_KEY", "API_KEY": appsync.api_key, **datastore}
    ):
        yield engine.current()
