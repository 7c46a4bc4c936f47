"""Runs of the sync processor: interrupted, with holes, in another shape, from another API."""

from __future__ import annotations

from typing import Any

import pytest

from django_datastore import registry
from django_datastore.exceptions import SyncError
from django_datastore.sync import engine
from django_datastore.sync.engine import Engine
from django_datastore.testing.appsync import AppSyncForTests
from testproject.blog.models import Post


def test_interrupted_sync_goes_on_at_its_page(site: Engine, appsync: AppSyncForTests, settings: Any) -> None:
    settings.DATASTORE = {**settings.DATASTORE, "SYNC_PAGE_SIZE": 10}
    appsync.load("Post", [{"title": str(number)} for number in range(25)])
    posts = [registry.get(Post)]
    with appsync.faults.internal_failure("syncPosts", after=2), pytest.raises(SyncError):
        engine.current().sync(posts)
    assert Post.objects.count() == 20
    done = engine.current().sync(posts)
    assert done is not None
    assert done["blog.post"].new == 5
