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
from typing import Any

from django.conf import settings
from django.test import override_settings

from django_datastore.appsync_local.server import LocalServer as LocalAppSync
from django_datastore.appsync_local.server import LocalServerProcess as LocalAppSyncProcess
from django_datastore.sync import engine
from django_datastore.sync.engine import Engine

__all__ = ["LocalAppSync", "LocalAppSyncProcess", "connected"]


@contextmanager
def connected(appsync: LocalAppSync, **datastore: Any) -> Iterator[Engine]:
    """Inside, this site syncs with `appsync`; yields its engine. `datastore` are further keys of `DATASTORE`."""
    base = getattr(settings, "DATASTORE", {})
    with override_settings(
        DATASTORE={**base, "ENDPOINT": appsync.url, "AUTH_MODE": "API_KEY", "API_KEY": appsync.api_key, **datastore}
    ):
        yield engine.current()
