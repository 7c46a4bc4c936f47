"""The whole flow with the site and the local server each on a database of the server TEST_DATABASE_URL names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_datastore.models import Conflict, MutationEvent
from django_datastore.sync.engine import Engine
from django_datastore.testing.appsync import AppSyncForTests, LocalAppSync
from testproject.blog.models import Blog, Post
from tests.integration.local_server_tools import fresh_database
from tests.integration.test_appsync_reaches_storage import device

TITLES = ["plain", "PLAIN", "trailing ", "naïve \U0001f600", "quote ' \" \\ % _"]
"""Some databases hold two of these for the same, or cannot keep them."""


@pytest.fixture
def appsync_local() -> Iterator[AppSyncForTests]:
    """A local server whose tables are not in a file of its own."""
    with fresh_database() as database, LocalAppSync(database=database) as server:
        yield server


def titles() -> dict[str, str]:
    return {str(key): title for key, title in Post.objects.values_list("pk", "title")}


def test_what_the_site_writes_arrives(site: Engine, appsync: AppSyncForTests) -> None:
    blog = Blog.objects.create(name="here")
    for title in TITLES:
        Post.objects.create(blog=blog, title=title, tags=[title], metadata={"t": title})
    Post.objects.filter(title=TITLES[0]).update(rating=5)
    site.drain()
    records = appsync.records("Post")
    assert {record["id"]: record["title"] for record in records} == titles()
    assert all(record["tags"] == [record["title"]] for record in records)
    Post.objects.all().delete()
    site.drain()
    assert all(record["_deleted"] for record in appsync.records("Post"))
    assert not MutationEvent.objects.exists()
    assert not Conflict.objects.exists()


def test_what_others_write_is_merged(site: Engine, appsync: AppSyncForTests) -> None:
    blog = device(appsync, "create", "Blog", name="there")
    made = [device(appsync, "create", "Post", title=title, blogPostsId=blog["id"]) for title in TITLES]
    site.sync()
    assert sorted(titles().values()) == sorted(TITLES)
    device(appsync, "update", "Post", id=made[0]["id"], title="changed", _version=1)
    device(appsync, "delete", "Post", id=made[1]["id"], _version=1)
    site.sync()
    assert sorted(titles().values()) == sorted(["changed", *TITLES[2:]])
    assert set(Post.objects.values_list("blog__name", flat=True)) == {"there"}
