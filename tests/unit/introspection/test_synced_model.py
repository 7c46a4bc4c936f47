"""From Django models to schema, wire values and record keys."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest
from django.db import models
from django.test.utils import isolate_apps

from django_datastore import registry
from django_datastore.exceptions import InvalidPredicate, ModelNotRegistered
from django_datastore.introspection import Declarations, SyncedModel
from django_datastore.schema.sdl import parse_sdl
from django_datastore.schema.sdl_printer import print_sdl
from django_datastore.schema.types import Schema
from django_datastore.storage import captured
from testproject.blog.models import Blog, Comment, Post
from tests.shop.models import Article, Supplier


def types_of(model: type[models.Model]) -> dict[str, str]:
    return {item.name: item.graphql_type for item in registry.get(model).schema.fields}


def problems(model: type[models.Model], **declared: Any) -> list[str]:
    sync = SyncedModel(model, related=registry.find, declarations=Declarations(**declared))
    return [problem.code for problem in sync.problems]


def test_post_has_amplifys_fields_under_amplifys_names() -> None:
    assert types_of(Post) == {
        "id": "ID!",
        "title": "String!",
        "rating": "Int",
        "status": "PostStatus",
        "tags": "[String]",
        "metadata": "AWSJSON",
        "publishedAt": "AWSDateTime",
        "blogPostsId": "ID",
        "blog": "Blog",
    }
    assert registry.get(Post).schema.plural_name == "Posts"


def test_every_scalar_of_django_has_its_appsync_type() -> None:
    assert types_of(Article) == {
        "id": "ID!",
        "name": "String!",
        "supplierId": "ID",
        "supplier": "Supplier",
        "partOfId": "ID",
        "partOf": "Article",
        "size": "ArticleSize",
        "price": "Float",
        "weight": "Float",
        "inStock": "Boolean",
        "email": "AWSEmail",
        "url": "AWSURL",
        "availableOn": "AWSDate",
        "opensAt": "AWSTime",
        "checkedAt": "AWSDateTime",
        "address": "AWSIPAddress",
        "labels": "[String]",
        "facts": "AWSJSON",
        "createdAt": "AWSDateTime",
        "updatedAt": "AWSDateTime",
    }


def test_automatic_timestamps_are_read_only() -> None:
    schema = registry.get(Article).schema
    assert [item.name for item in schema.fields if item.is_read_only] == ["createdAt", "updatedAt"]


@pytest.mark.parametrize(
    ("timestamps", "expected"),
    [
        ({"createdAt": "madeAt"}, ["madeAt", "updatedAt"]),
        ({"createdAt": None}, ["updatedAt"]),  # the API keeps no such time: the field is one like any other
        (None, []),
    ],
)
def test_automatic_timestamps_are_read_only_by_the_names_the_api_gives_them(
    timestamps: dict[str, str | None] | None, expected: list[str]
) -> None:
    names = {"created_at": (timestamps or {}).get("createdAt") or "createdAt"}
    declared = Declarations(fields=["created_at", "updated_at"], names=names, timestamps=timestamps)
    fields = SyncedModel(Article, declarations=declared).schema.fields
    assert [item.name for item in fields if item.is_read_only] == expected


def test_timestamps_of_the_api_are_as_declared() -> None:
    def timestamps(**declared: Any) -> tuple[str, ...]:
        return SyncedModel(Blog, declarations=Declarations(**declared)).schema.timestamps

    assert timestamps() == ("createdAt", "updatedAt")
    assert timestamps(timestamps={"createdAt": "madeAt", "updatedAt": None}) == ("madeAt",)
    assert timestamps(timestamps=None) == ()


def test_choices_that_are_no_graphql_names_are_translated_both_ways() -> None:
    size = registry.get(Article).binding("size")
    assert (size.to_wire("extra-large"), size.to_python("extra_large")) == ("extra_large", "extra-large")
    assert (size.to_wire(""), size.to_python(None)) == (None, "")


@pytest.mark.parametrize(
    ("name", "value", "wire"),
    [
        ("price", decimal.Decimal("12.50"), 12.5),
        ("availableOn", datetime.date(2026, 2, 3), "2026-02-03"),
        ("opensAt", datetime.time(8, 30), "08:30:00"),
        ("checkedAt", datetime.datetime(2026, 2, 3, 4, 5, tzinfo=datetime.UTC), "2026-02-03T04:05:00.000Z"),
        ("checkedAt", datetime.datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=datetime.UTC), "2026-02-03T04:05:06.000007Z"),
        ("facts", {"a": [1, None]}, '{"a": [1, null]}'),
        ("labels", ["a", "b"], ["a", "b"]),
        ("inStock", False, False),
    ],
)
def test_values_cross_both_ways(name: str, value: object, wire: object) -> None:
    binding = registry.get(Article).binding(name)
    assert binding.to_wire(value) == wire
    assert binding.to_python(wire) == value


@pytest.mark.parametrize(
    ("one", "other"),
    [("2026-02-03T04:05:00Z", "2026-02-03T05:05:00.000+01:00"), ("2026-02-03T04:05:00.000Z", "2026-02-03T04:05:00Z")],
)
def test_spellings_of_one_moment_are_the_same(one: str, other: str) -> None:
    assert registry.get(Article).binding("checkedAt").same(one, other)


def test_json_texts_are_compared_by_meaning() -> None:
    assert registry.get(Article).binding("facts").same('{"a":1,"b":2}', '{"b": 2, "a": 1}')


def test_record_key_is_the_same_for_every_spelling_of_it() -> None:
    sync, key = registry.get(Post), uuid.uuid4()
    text = f'["{key}"]'
    assert sync.key_of(Post(id=key)) == sync.key_of_pk(str(key)) == sync.key_of_record({"id": str(key).upper()}) == text
    assert sync.pk_of(text) == key
    assert sync.key_input(text) == {"id": str(key)}


def test_record_key_of_a_text_key_keeps_what_json_would_trip_over() -> None:
    sync = registry.get(Supplier)
    assert sync.pk_of(sync.key_of_pk('a"b-c ü')) == 'a"b-c ü'


def test_unknown_field_is_named_with_those_that_exist() -> None:
    with pytest.raises(InvalidPredicate, match=r"no synced field 'draft_notes'.*title"):
        registry.get(Post).binding("draft_notes")


def test_unregistered_model_is_named_with_the_way_out() -> None:
    with pytest.raises(ModelNotRegistered, match="Did you mean 'Post'"):
        registry.get("Posst")
    with pytest.raises(ModelNotRegistered, match=r"datastore\.register\(LogEntry\)"):
        from django.contrib.admin.models import LogEntry

        registry.get(LogEntry)


def test_parents_come_before_children() -> None:
    names = [sync.name for sync in registry.in_topological_order([registry.get(m) for m in (Comment, Post, Blog)])]
    assert names == ["Blog", "Post", "Comment"]


def test_model_that_is_registered_anew_is_found_by_the_others() -> None:
    comment, former = registry.get(Comment), registry.get(Post)
    assert [target for _, target in comment.foreign_keys] == [former]
    registry.unregister(Post)
    try:
        assert comment.foreign_keys == ()
        assert captured.find(Comment).foreign_keys == ()  # type: ignore[union-attr]
    finally:
        anew = registry.register(Post, type(former))
    assert [target for _, target in comment.foreign_keys] == [anew]
    assert [column.parent for column in captured.find(Comment).foreign_keys] == [anew]  # type: ignore[union-attr]


@isolate_apps("tests.shop")
def test_keys_of_numbers_and_of_many_fields_are_what_a_data_model_takes() -> None:
    class Shelf(models.Model):
        number = models.IntegerField(primary_key=True)

        class Meta:
            app_label = "shop"

    class Plate(models.Model):
        shelf = models.OneToOneField(Shelf, models.CASCADE, primary_key=True)

        class Meta:
            app_label = "shop"

    class Slot(models.Model):
        pk = models.CompositePrimaryKey("plate", "code")
        plate = models.ForeignKey(Plate, models.CASCADE)
        code = models.UUIDField(default=uuid.uuid4)

        class Meta:
            app_label = "shop"

    syncs: dict[type[models.Model], SyncedModel] = {}
    for model in (Shelf, Plate, Slot):
        syncs[model] = SyncedModel(model, related=syncs.get)
    schema = Schema(models={sync.name: sync.schema for sync in syncs.values()})
    read = parse_sdl(print_sdl(schema))  # it refuses keys that may be null, and relations of two types
    assert read.models["Slot"].primary_key == ("plateId", "code")
    for name, field in (("Plate", "shelfId"), ("Slot", "plateId")):
        assert schema.models[name].field(field).graphql_type == "Int!"
    assert syncs[Slot].binding("plate").to_wire(8) == 8


# -- what cannot be synced ----------------------------------------------------------------------------------------


def test_models_that_cannot_be_synced_are_problems_with_a_way_out() -> None:
    from django.contrib.auth.models import Group, User

    assert "E001" in problems(User)  # auto-increment key
    assert "E002" in problems(Group)  # many-to-many with an implicit join table
    assert problems(Post, names={"title": "rating"}) == ["E007"]
    assert problems(Post, names={"title": "a title"}) == ["E007"]
    assert problems(Post, exclude=["title"]) == ["W001"]


def test_foreign_key_to_an_unregistered_model_is_a_problem() -> None:
    assert [item.code for item in SyncedModel(Comment).problems] == ["E005"]


@isolate_apps("tests.shop")
def test_foreign_key_to_a_field_that_is_no_key_is_a_problem() -> None:
    class Shelf(models.Model):
        id = models.UUIDField(primary_key=True)
        label = models.CharField(max_length=10, unique=True)

        class Meta:
            app_label = "shop"

    class Plate(models.Model):
        id = models.UUIDField(primary_key=True)
        shelf = models.ForeignKey(Shelf, models.CASCADE, to_field="label")

        class Meta:
            app_label = "shop"

    sync = SyncedModel(Plate, related={Shelf: SyncedModel(Shelf)}.get)
    assert [item.code for item in sync.problems] == ["E010"]


def test_every_problem_says_what_to_do() -> None:
    from django.contrib.auth.models import User

    for problem in SyncedModel(User).problems:
        assert problem.message.startswith("auth.User")
        assert problem.hint.endswith(".")
