"""What the checks say of types, keys and fields that travel together."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import isolate_apps

from django_datastore import ModelSync
from django_datastore.introspection import SyncedModel
from tests.kinds.models import Lists, LongKey, Thing
from tests.shop.models import Supplier
from tests.unit.introspection.tools import introspected, problems


def codes(model: type[models.Model] = Thing, **declared: Any) -> list[str]:
    return [item.code for item in problems(model, exclude=["big", "positive_big"], **declared)]


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ({"exact": "String"}, []),
        ({"price": "String"}, []),
        ({"span": "Float"}, []),
        ({"facts": "[AWSDateTime]"}, []),
        ({"moment": "AWSTimestamp"}, ["W011"]),  # whole seconds
        ({"moment": "Int"}, ["E020"]),
        ({"text": "Int"}, ["E020"]),
        ({"number": "[Int]"}, ["E020"]),
        ({"text": "[String]"}, ["E020"]),
        ({"flag": "String"}, ["E020"]),
        ({"text": "Status"}, []),  # perhaps an enum of the API's own
    ],
)
def test_types_that_values_cannot_cross_as_are_errors(types: dict[str, str], expected: list[str]) -> None:
    assert codes(types=types) == expected


def test_error_of_a_type_lists_those_that_do() -> None:
    (problem,) = problems(exclude=["big", "positive_big"], types={"span": "AWSTime"})
    assert "Thing.span the type 'AWSTime'" in problem.message
    assert problem.hint == "Types for it: String, Int, Float. Or exclude 'span'."


def test_big_integers_are_warned_of_unless_their_type_is_declared() -> None:
    found = problems()
    assert [(item.code, item.message.split()[0]) for item in found] == [
        ("W010", "kinds.Thing.big"),
        ("W010", "kinds.Thing.positive_big"),
    ]
    assert "'String'" in found[0].hint
    assert problems(types={"big": "AWSTimestamp", "positive_big": "Int"}) == []


@pytest.mark.parametrize(
    ("model", "name"), [(Thing, "blob"), (Thing, "exact"), (Thing, "point"), (Lists, "matrix"), (Lists, "period")]
)
def test_fields_without_a_scalar_of_their_own_say_which_to_name(model: type[models.Model], name: str) -> None:
    found = [item for item in SyncedModel(model).problems if f".{name} " in item.message]
    assert [item.code for item in found] == ["E002"]
    assert name in found[0].hint


def test_keys_that_may_be_too_long_are_warned_of() -> None:
    (problem,) = SyncedModel(LongKey).problems
    assert problem.code == "W012"
    assert ("600" if connection.vendor == "mysql" else "2200") in problem.message
    assert SyncedModel(Supplier).problems == ()


@isolate_apps("tests.kinds")
def test_key_without_a_length_may_be_too_long() -> None:
    class Note(models.Model):
        name = models.TextField(primary_key=True)

        class Meta:
            app_label = "kinds"

    assert [item.code for item in SyncedModel(Note).problems] == ["W012"]


# -- together ------------------------------------------------------------------------------------------------------


def test_fields_that_travel_together_are_told_by_wire_name() -> None:
    class ThingSync(ModelSync):
        together = [("positive_big", "text"), ["day", "time"]]
        names = {"text": "label"}

    assert ThingSync(Thing).together == (("positiveBig", "label"), ("day", "time"))
    assert introspected().together == ()


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        (("text", "bodi"), "'bodi', which is no synced field"),
        (("text", "id"), "'id', which is part of the key"),
        (("text", "doubled"), "'doubled', which is no synced field"),
        (("text", "number"), "'number', which is never sent"),
        (("text",), "fewer than two fields"),
        ("text", "fewer than two fields"),
    ],
)
def test_fields_that_cannot_travel_together_are_errors(group: Any, reason: str) -> None:
    found = problems(exclude=["big", "positive_big"], together=[group], read_only=["number"])
    assert [item.code for item in found] == ["E021"]
    assert reason in found[0].message
