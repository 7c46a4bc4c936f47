"""What is captured and what is not: historical models in data migrations, registrations that come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import connection, migrations, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState

import django_datastore as datastore
from django_datastore import registry
from django_datastore.storage import capture
from testproject.blog.models import Blog, Post
from tests.shop.mirror import Mirror, outbox
from tests.shop.models import Account, Kiosk, Licence, Place
from tests.upserts import on

pytestmark = pytest.mark.django_db(transaction=True)


def migrate(code: Callable[[Apps, Any], None]) -> None:
    """Run a data migration as `migrate` does, with the models as the migrations tell them."""
    state: ProjectState = MigrationExecutor(connection).loader.project_state()
    assert state.apps.get_model("shop", "Place") is not Place
    with connection.schema_editor(atomic=True) as editor:
        migrations.RunPython(code).database_forwards("shop", editor, state, state)


def write_by_every_way(apps: Any) -> None:
    """With historical models: their managers are Django's, and their methods are gone."""
    Blog_, Post_, Kiosk_, Account_ = (
        apps.get_model(label) for label in ("blog.Blog", "blog.Post", "shop.Kiosk", "shop.Account")
    )
    blog = Blog_.objects.create(name="B")
    post = Post_(title="T", blog=blog)
    post.save()
    Post_.objects.bulk_create([Post_(title="U"), Post_(title="V", blog=blog)])
    Post_.objects.filter(blog__name="B").update(rating=models.F("rating"), title="W")
    Post_.objects.get(title="U").delete()
    kiosk = Kiosk_.objects.create(name="K", number="1")
    kiosk.holder = "me"
    kiosk.save()
    Kiosk_.objects.update(name="L")
    Account_._base_manager.bulk_create(
        [Account_(email="a@b.de", balance=3)], update_conflicts=True, update_fields=["balance"], **on("email")
    )
    blog.posts.all().delete()


def test_a_data_migration_that_captures_tells_what_it_wrote(mirror: Mirror) -> None:
    def fill(apps: Apps, schema_editor: Any) -> None:
        with datastore.capturing(apps):
            write_by_every_way(apps)

    migrate(fill)
    mirror.check()
    assert {model for _, model, _ in outbox()} == {"blog.blog", "shop.place", "shop.licence", "shop.account"}
    assert Account.objects.get().balance == 3


def test_a_data_migration_that_does_not_capture_tells_nothing(mirror: Mirror) -> None:
    migrate(lambda apps, schema_editor: write_by_every_way(apps))
    assert outbox() == []
    assert Kiosk.objects.get().name == "L"


def test_capturing_ends_with_its_block(mirror: Mirror) -> None:
    def fill(apps: Any, schema_editor: Any) -> None:
        with pytest.raises(KeyError), datastore.capturing(apps):
            raise KeyError
        apps.get_model("blog.Blog").objects.create(name="B")

    migrate(fill)
    assert outbox() == []
    Blog.objects.create(name="C")
    assert len(outbox()) == 1


def test_a_historical_model_without_a_field_leaves_it_alone(mirror: Mirror) -> None:
    post = Post.objects.create(title="T", rating=3)
    mirror.acknowledge_all()

    def fill(apps: Apps, schema_editor: Any) -> None:
        with datastore.capturing(_before_ratings()):
            _before_ratings().get_model("blog", "Post").objects.update(title="U")

    migrate(fill)
    mirror.check()
    assert Post.objects.get(pk=post.pk).rating == 3


_STATES: dict[str, Apps] = {}


def _before_ratings() -> Apps:
    if "apps" not in _STATES:
        state = MigrationExecutor(connection).loader.project_state()
        state.remove_field("blog", "post", "rating")
        _STATES["apps"] = state.apps
    return _STATES["apps"]


def test_writes_to_a_model_that_is_no_longer_registered_are_not_captured(mirror: Mirror) -> None:
    place = registry.get(Place)
    registry.unregister(Place)
    try:
        Kiosk.objects.create(name="K", number="1")
        assert [model for _, model, _ in outbox()] == ["shop.licence"]
    finally:
        registry.register(Place, type(place))
    Place.objects.update(name="L")
    assert [model for _, model, _ in outbox()] == ["shop.licence", "shop.place"]
    assert Licence.objects.count() == 1


def test_dispatching_twice_captures_once(mirror: Mirror) -> None:
    capture.install()
    Blog.objects.create(name="B")
    assert len(outbox()) == 1
