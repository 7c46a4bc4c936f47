"""What surrounds writes in a project: requests that are one transaction, fixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.utils.module_loading import import_string

from django_datastore.models import Change
from testproject.blog.models import Blog, Post
from tests.shop.mirror import Mirror, outbox
from tests.shop.models import Place, Restaurant

pytestmark = pytest.mark.django_db(transaction=True)


def _write(request: HttpRequest) -> HttpResponse:
    Post.objects.create(title=request.GET["title"])
    Post.objects.filter(title="stored").update(rating=5)
    if "fail" in request.GET:
        raise LookupError("after the writes")
    return HttpResponse()


urlpatterns = [path("write/", _write)]


@pytest.fixture
def client(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A browser of a site whose requests are one transaction each."""
    settings.ROOT_URLCONF = __name__
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    return Client(raise_request_exception=False)


def test_a_request_that_fails_tells_nothing(mirror: Mirror, client: Client) -> None:
    Post.objects.create(title="stored")
    mirror.acknowledge_all()
    Change.objects.all().delete()
    assert client.get("/write/", {"title": "T", "fail": ""}).status_code == 500
    assert (outbox(), Change.objects.count()) == ([], 0)
    mirror.check()


def test_a_request_that_succeeds_tells_all(mirror: Mirror, client: Client) -> None:
    Post.objects.create(title="stored")
    mirror.acknowledge_all()
    assert client.get("/write/", {"title": "T"}).status_code == 200
    assert [operation for operation, *_ in outbox()] == ["create", "update"]
    mirror.check()


def test_fixtures_are_captured_children_before_parents_and_in_several_tables(mirror: Mirror, tmp_path: Path) -> None:
    post = Post.objects.create(title="T", blog=Blog.objects.create(name="B"), rating=3)
    restaurant = Restaurant.objects.create(name="R")
    fixture = tmp_path / "site.json"
    call_command("dumpdata", "blog.post", "blog.blog", "shop.place", "shop.restaurant", output=str(fixture))
    post.delete()
    Blog.objects.all().delete()
    Place.objects.all().delete()
    mirror.acknowledge_all()
    call_command("loaddata", str(fixture), verbosity=0)
    assert Post.objects.get().rating == 3
    assert Restaurant.objects.get().pk == restaurant.pk
    assert {(operation, model) for operation, model, *_ in outbox()} >= {
        ("create", "blog.post"),
        ("create", "blog.blog"),
    }
    mirror.check()
    mirror.acknowledge_all()
    call_command("loaddata", str(fixture), verbosity=0)
    assert outbox() == [], "the same once more is no news"


def test_a_fixture_over_rows_that_wait_is_told(mirror: Mirror, tmp_path: Path) -> None:
    post = Post.objects.create(title="T")
    fixture = tmp_path / "posts.json"
    call_command("dumpdata", "blog.post", output=str(fixture))
    mirror.acknowledge_all()
    Post.objects.filter(pk=post.pk).update(title="changed")
    call_command("loaddata", str(fixture), verbosity=0)
    mirror.check()


_SERVERS_CURSOR = "django.db.backends.postgresql.base.ServerBindingCursor"


@pytest.mark.postgres
@pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's driver can leave parameters to the server")
@pytest.mark.parametrize("option", ["server_side_binding", "cursor_factory"])
def test_parameters_bound_by_the_server(option: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    value = True if option == "server_side_binding" else import_string(_SERVERS_CURSOR)
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], option, value)
    monkeypatch.delitem(connections["default"].__dict__, "_datastore_compiled", raising=False)
    connection.close()
    try:
        post = Post.objects.create(title="T", blog=Blog.objects.create(name="B"))
        Post.objects.bulk_create([Post(title="U"), Post(title="V")])
        mirror.check()
        mirror.acknowledge_all()
        Post.objects.update(rating=4)
        post.title = "W"
        post.save()
        mirror.check()
        Post.objects.all().delete()
        mirror.check()
    finally:
        connection.close()
