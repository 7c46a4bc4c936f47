"""A registration that is not understood is refused at once: web servers and workers run no system checks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any

import pytest
from django.db.models import Q

import django_datastore as datastore
from django_datastore import ModelSync, checks, registry
from django_datastore.exceptions import ConfigurationError
from testproject.blog.models import Post
from tests.shop.models import Article, Supplier


@pytest.fixture(autouse=True)
def _registrations() -> Iterator[None]:
    """Puts back what a test registers otherwise."""
    models = (Post, Article, Supplier)
    before = {model: type(registry.get(model)) for model in models}
    yield
    for model, declared in before.items():
        if type(registry.find(model)) is not declared:
            if registry.is_registered(model):
                registry.unregister(model)
            registry.register(model, declared)


def declared(**attributes: Any) -> type[ModelSync]:
    return type("PostSync", (ModelSync,), attributes)


def register(**attributes: Any) -> None:
    datastore.register(Post, declared(**attributes))


@pytest.fixture(autouse=True)
def _unregistered(_registrations: None) -> None:
    registry.unregister(Post)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"exlude": ["draft_notes"]}, r"PostSync\.exlude is no option\. Did you mean 'exclude'\?"),
        ({"Exclude": ["draft_notes"]}, "Did you mean 'exclude'"),
        ({"EXCLUDED": ["draft_notes"]}, "Did you mean 'exclude'"),
        ({"sync_expresion": Q(rating=1)}, "Did you mean 'sync_expression'"),
        ({"sync_expresion": lambda self: Q(rating=1)}, "Did you mean 'sync_expression'"),  # a method that is a slip
        ({"observeable_by": lambda self, user: Q()}, "Did you mean 'observable_by'"),
        ({"observable_for": lambda self, user: Q()}, "Did you mean 'observable_by'"),
        ({"resolve_conflicts": lambda self, conflict: None}, "Did you mean 'resolve_conflict'"),
        ({"readonly": ["title"]}, "Did you mean 'read_only'"),
        ({"colour": "red"}, "is no option. Options: fields, exclude.*start with '_'"),  # nothing near
        ({"Meta": type("Meta", (), {"exclude": ["draft_notes"]})}, "Options are attributes of PostSync itself"),
        ({"schema": None}, "is used by the engine itself"),
        ({"key_of": lambda self, instance: "x"}, "is used by the engine itself"),
        ({"model": Post}, "is used by the engine itself"),
        ({"__annotations__": {"exclude": ["draft_notes"]}}, "PostSync.exclude has a type and no value"),  # : for =
    ],
)
def test_attribute_that_is_no_option_is_refused_with_the_nearest(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"Cannot register 'blog\.Post' as PostSync says: .*{message}"):
        register(**attributes)
    assert not registry.is_registered(Post)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"exclude": "draft_notes"}, r"exclude is 'draft_notes'; it must be a list of field names"),
        ({"exclude": ("draft_notes")}, "it must be a list"),  # a comma is missing
        ({"exclude": None}, "it must be a list"),
        ({"exclude": {"draft_notes": True}}, "it must be a list"),
        ({"exclude": [Post._meta.get_field("title")]}, "it must be a list"),
        ({"exclude": (name for name in ["draft_notes"])}, "it must be a list"),  # read once only
        ({"fields": "__all__"}, "or be left out for all of them"),
        ({"read_only": "title"}, "it must be a list"),
        ({"names": ["title"]}, "it must be a dict of wire names"),
        ({"names": {"title": None}}, "it must be a dict of wire names"),
        ({"types": {"tags": str}}, "it must be a dict of GraphQL types"),
        ({"types": {"tags": "[[String]]"}}, "it must be a dict of GraphQL types"),
        ({"types": {"tags": "[String"}}, "it must be a dict of GraphQL types"),
        ({"timestamps": {"created_at": "madeAt"}}, "'createdAt' and 'updatedAt'"),
        ({"timestamps": "createdAt"}, "'createdAt' and 'updatedAt'"),
        ({"model_name": Post}, "model_name is .* it must be a text"),
        ({"plural_name": ""}, "it must be a text"),
        ({"sync_expression": {"rating": 1}}, "it must be a Q"),
        ({"observable_by": Q(status="PUBLISHED")}, "it must be a method"),
        ({"resolve_conflict": "DISCARD"}, "it must be a method"),
    ],
)
def test_value_of_the_wrong_kind_is_refused(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        register(**attributes)
    assert not registry.is_registered(Post)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"exclude": ["draft_note"]}, r"exclude names 'draft_note', .* Did you mean 'draft_notes'\?"),
        ({"exclude": ["blog_id"]}, "Did you mean 'blog'"),
        ({"exclude": ["comment"]}, "is no field of blog.Post"),  # the other side of a foreign key
        ({"exclude": ["id"]}, "the key of blog.Post: it is always synced"),
        ({"fields": ["titel"]}, "Did you mean 'title'"),
        ({"names": {"blogg": "x"}}, "Did you mean 'blog'"),
        ({"types": {"x": "String"}}, "Its fields: .*title"),
        ({"read_only": ["creatd"]}, "is no field of blog.Post"),
    ],
)
def test_unknown_field_is_refused_with_the_nearest(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        register(**attributes)
    assert not registry.is_registered(Post)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"exlude.*read_only is 'x'.*names 'titel'"):
        register(exlude=[], read_only="x", fields=["titel"])


def test_decorated_registration_that_is_not_understood_leaves_nothing_registered() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'exclude'"):
        datastore.register(Post)(declared(exlude=["draft_notes"]))
    assert not registry.is_registered(Post)


def test_parents_and_mixins_are_read_too() -> None:
    mixin = type("Private", (), {"exlude": ["draft_notes"]})
    with pytest.raises(ConfigurationError, match=r"Private\.exlude is no option"):
        datastore.register(Post, type("PostSync", (mixin, ModelSync), {}))
    with pytest.raises(ConfigurationError, match=r"PostSync\.exlude is no option"):
        datastore.register(Post, type("Child", (declared(exlude=["draft_notes"]),), {}))


def test_helpers_of_a_persons_own_are_welcome() -> None:
    class Published:
        def is_published(self) -> bool:
            return True

    class PostSync(Published, ModelSync):
        _tenant = "north"
        exclude = ("draft_notes",)
        sync_expression = Q(rating__gte=3)

        @property
        def tenant(self) -> str:
            return self._tenant

        @cached_property
        def tenants(self) -> list[str]:
            return [self._tenant]

        @staticmethod
        def about(text: str) -> str:
            return text

        @classmethod
        def made(cls) -> str:
            return cls.__name__

        shorter = partial(str.strip)

        def observable_by(self, user: Any) -> Q:
            return Q(status="PUBLISHED") if self.is_published() else Q(pk=None)

    datastore.register(Post, PostSync)
    assert "draftNotes" not in registry.get(Post).by_wire_name


def test_every_option_may_be_said() -> None:
    register(
        fields=["title", "tags", "blog"],
        exclude={"draft_notes"},
        names={"blog": "blogPostsId"},
        types={"tags": "[String!]!"},
        read_only=("title",),
        timestamps={"createdAt": "madeAt", "updatedAt": None},
        model_name="Entry",
        plural_name="Entries",
        sync_expression=lambda self: Q(title="x"),
        resolve_conflict=lambda self, conflict: conflict.keep_remote(),
    )
    assert list(registry.get(Post).by_wire_name) == ["id", "title", "tags", "blogPostsId"]


# -- what needs all registrations: system checks -------------------------------------------------------------------


def told(**attributes: Any) -> list[tuple[str, str]]:
    register(**{"exclude": ["draft_notes"], "names": {"blog": "blogPostsId"}, **attributes})
    found = [message for message in checks.check_models() if message.obj is Post]
    return [(str(message.id).removeprefix("django_datastore."), f"{message.msg} {message.hint}") for message in found]


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        ("Strng", "gives 'metadata' the type 'Strng'.*Did you mean 'String'"),
        ("[awsjson!]", "Did you mean 'AWSJSON'"),
        ("Xyz", "Types: AWSDate, "),
    ],
)
def test_unknown_type_is_told_with_the_nearest(type_: str, message: str) -> None:
    ((code, text),) = told(types={"metadata": type_})
    assert code == "E011"
    assert re.search(message, text)


@pytest.mark.parametrize("type_", ["String", "[Int]", "AWSPhone", "ArticleSize"])
def test_scalars_and_enums_of_registered_models_are_types(type_: str) -> None:
    assert told(types={"metadata": type_}) == []


@pytest.mark.parametrize("expression", [Q(nonsense=1), Q(draft_notes="x"), Q(title__iregex="x")])
def test_sync_expression_appsync_cannot_filter_by_is_told(expression: Q) -> None:
    assert [code for code, _ in told(sync_expression=expression)] == ["E012"]


def test_registrations_of_this_project_are_understood() -> None:
    register(exclude=["draft_notes"], names={"blog": "blogPostsId"}, types={"tags": "[String]"})
    assert [message for message in checks.check_models() if message.is_serious()] == []
