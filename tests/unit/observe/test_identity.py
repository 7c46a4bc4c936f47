"""Statements with other values are never one; live queries would be shared by those who may not see the same."""

from __future__ import annotations

import datetime
import decimal
import itertools
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, models
from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL
from django.test.utils import isolate_apps
from django.utils.safestring import mark_safe

from django_datastore import ModelSync
from django_datastore.observe import identity
from django_datastore.observe.live_query import Selection
from testproject.blog.models import Post
from tests.shop.models import Article

pytestmark = pytest.mark.django_db
LONG = "somebody with a name that is longer than any repr shows"
UTC = datetime.UTC


def of(q: Q, model: type[models.Model] = Article) -> tuple[Any, ...]:
    return Selection(ModelSync(model), q, "default").identity()


PAIRS: list[Callable[[str], Q]] = [
    lambda end: Q(facts={"readers": [LONG, end]}),
    lambda end: Q(facts__readers=[LONG, end]),
    lambda end: Q(facts__in=[{"readers": [LONG, end]}]),
    lambda end: Q(facts__readers__icontains=LONG + end),
    lambda end: ~Q(facts={"readers": [LONG, end]}),
    lambda end: Q(name=LONG * 100 + end),
    lambda end: Q(name__in=[LONG, LONG + end]),
    lambda end: Q(price=decimal.Decimal(f"1.{ord(end)}")),
    lambda end: Q(available_on=datetime.date(2026, 1, ord(end) - 96)),
    lambda end: Q(checked_at=datetime.datetime(2026, 1, 1, tzinfo=UTC) + datetime.timedelta(microseconds=ord(end))),
    lambda end: Q(pk=uuid.UUID(int=ord(end))),
]


@pytest.mark.parametrize("make", PAIRS)
def test_predicates_are_one_if_all_of_their_values_are(make: Callable[[str], Q]) -> None:
    assert of(make("a")) == of(make("a"))
    assert of(make("a")) != of(make("b"))


@pytest.mark.skipif(connection.vendor != "postgresql", reason="lookups and columns of PostgreSQL")
@isolate_apps("tests.shop")
@pytest.mark.parametrize(
    "make",
    [
        lambda end: Q(acl__contains=[LONG, end]),
        lambda end: Q(acl__contains={"readers": [LONG, end]}),
        lambda end: Q(acl__contained_by=[LONG, end]),
        lambda end: Q(acl={"readers": [LONG, end]}),
        lambda end: Q(acl__has_any_keys=[LONG, end]),
        lambda end: Q(secret=(LONG + end).encode()),
        lambda end: Q(secret__in=[memoryview((LONG + end).encode())]),
        lambda end: Q(readers__contains=[LONG, end]),
        lambda end: Q(readers__overlap=[LONG, end]),
        lambda end: Q(readers=[LONG, end]),
        lambda end: Q(pages__contains=(1, ord(end))),
        lambda end: Q(pages__overlap=(1, ord(end))),
        lambda end: Q(days=(datetime.date(2026, 1, 1), datetime.date(2026, 1, ord(end) - 90))),
        lambda end: Q(address=f"10.0.0.{ord(end)}"),
    ],
)
def test_wrapped_values_of_postgresql_are_told_apart(make: Callable[[str], Q]) -> None:
    from django.contrib.postgres.fields import ArrayField, DateRangeField, IntegerRangeField

    class Sheet(models.Model):
        acl = models.JSONField()
        secret = models.BinaryField()
        readers = ArrayField(models.TextField())
        pages = IntegerRangeField()
        days = DateRangeField()
        address = models.GenericIPAddressField()

        class Meta:
            app_label = "shop"

    assert of(make("a"), Sheet) == of(make("a"), Sheet)
    assert of(make("a"), Sheet) != of(make("b"), Sheet)


class Opaque:
    """A parameter only its driver knows; Python takes all of them for one."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __conform__(self, protocol: Any) -> str:
        return self.text

    def __repr__(self) -> str:
        return "Opaque(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque)

    def __hash__(self) -> int:
        return 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="other drivers know no __conform__")
def test_a_parameter_of_unknown_kind_is_never_shared() -> None:
    def compared_with(value: Opaque) -> Q:
        return Q(RawSQL("title = %s", [value], output_field=BooleanField()))

    Post.objects.create(title="a")
    selection = Selection(ModelSync(Post), compared_with(Opaque("a")), "default")
    assert len(selection.rows()) == 1
    assert selection.identity() != of(compared_with(Opaque("b")), Post)
    assert selection.identity() != selection.identity()


VALUES = [
    *(None, True, False, 0, 1, 0.0, -0.0, 1.0, float("inf"), "", "1", "None", b"", b"1", decimal.Decimal(1)),
    *(decimal.Decimal("1.0"), uuid.UUID(int=1), datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1)),
    *(datetime.datetime(2026, 1, 1, tzinfo=UTC), datetime.datetime(2026, 1, 1, fold=1), datetime.time(1)),
    *(datetime.timedelta(1), [], [1], [True], ["1"], [[1]], (), (1,), {}, {"a": 1}, {"a": True}, {1: "a"}),
    *(Article.Size.SMALL, "small", [None], [[]], [["a"], "b"], [["a", "b"]]),
]


def test_values_of_different_kinds_are_told_apart() -> None:
    for one, other in itertools.combinations(VALUES, 2):
        assert identity.of_value(one) != identity.of_value(other), (one, other)


def test_equal_values_are_one() -> None:
    for value in VALUES:
        assert identity.of_value(value) == identity.of_value(value)
        hash(identity.of_value(value))
    assert identity.of_value(mark_safe("a")) == identity.of_value("a")
    assert identity.of_value(memoryview(b"a")) == identity.of_value(bytearray(b"a")) == identity.of_value(b"a")


@pytest.mark.parametrize("value", [object(), Opaque("a"), [Opaque("a")], {"a": {Opaque("a")}}, models.F("a"), range(2)])
def test_a_value_of_unknown_kind_equals_nothing(value: Any) -> None:
    assert identity.of_value(value) != identity.of_value(value)
