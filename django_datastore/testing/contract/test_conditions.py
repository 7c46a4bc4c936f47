"""Conditions of mutations and filters of lists: every operator, with DynamoDB's meaning."""

from __future__ import annotations

from typing import Any

import pytest

from django_datastore.testing.contract.api import Api, picked

VALUES: dict[str, Any] = {
    "name": "Banana",
    "rank": 5,
    "weight": 2.5,
    "live": True,
    "mood": "CALM",
    "words": ["red", "green"],
    "day": "2024-02-29",
    "ref": "r-1",
}
OPERATORS: list[tuple[str, dict[str, Any], bool]] = [
    ("name", {"eq": "Banana"}, True),
    ("name", {"eq": "banana"}, False),
    ("name", {"ne": "Apple"}, True),
    ("name", {"ne": "Banana"}, False),
    ("name", {"lt": "Cherry"}, True),
    ("name", {"le": "Banana"}, True),
    ("name", {"gt": "Banana"}, False),
    ("name", {"ge": "Banana"}, True),
    ("name", {"contains": "nan"}, True),
    ("name", {"contains": "NAN"}, False),
    ("name", {"notContains": "x"}, True),
    ("name", {"notContains": "nan"}, False),
    ("name", {"beginsWith": "Ban"}, True),
    ("name", {"beginsWith": "an"}, False),
    ("name", {"between": ["Apple", "Cherry"]}, True),
    ("name", {"between": ["Cherry", "Date"]}, False),
    ("name", {"size": {"eq": 6}}, True),
    ("name", {"size": {"gt": 6}}, False),
    ("name", {"attributeExists": True}, True),
    ("name", {"attributeType": "string"}, True),
    ("name", {"attributeType": "number"}, False),
    ("ref", {"eq": "r-1"}, True),
    ("ref", {"beginsWith": "r-"}, True),
    ("rank", {"eq": 5}, True),
    ("rank", {"ne": 5}, False),
    ("rank", {"lt": 5}, False),
    ("rank", {"le": 5}, True),
    ("rank", {"gt": 4}, True),
    ("rank", {"ge": 6}, False),
    ("rank", {"between": [5, 5]}, True),
    ("rank", {"between": [6, 9]}, False),
    ("weight", {"gt": 2}, True),
    ("weight", {"eq": 2.5}, True),
    ("live", {"eq": True}, True),
    ("live", {"ne": True}, False),
    ("mood", {"eq": "CALM"}, True),
    ("mood", {"ne": "CALM"}, False),
    ("words", {"contains": "red"}, True),
    ("words", {"contains": "blue"}, False),
    ("words", {"notContains": "blue"}, True),
    ("day", {"gt": "2024-01-31"}, True),
    # two operators of one field are both meant
    ("rank", {"gt": 4, "lt": 6}, True),
    ("rank", {"gt": 4, "lt": 5}, False),
    # what is not there is not equal, contains nothing, and is neither less nor more
    ("note", {"ne": "x"}, True),
    ("note", {"eq": "x"}, False),
    ("note", {"lt": "x"}, False),
    ("note", {"notContains": "x"}, True),
    ("note", {"attributeExists": False}, True),
    ("note", {"attributeExists": True}, False),
    ("stamp", {"gt": 0}, False),
]
"""Field, comparison, and whether it holds for `VALUES`."""

GROUPS: list[tuple[dict[str, Any], bool]] = [
    ({"and": [{"rank": {"gt": 4}}, {"name": {"beginsWith": "B"}}]}, True),
    ({"and": [{"rank": {"gt": 4}}, {"name": {"beginsWith": "C"}}]}, False),
    ({"or": [{"rank": {"gt": 9}}, {"name": {"beginsWith": "B"}}]}, True),
    ({"or": [{"rank": {"gt": 9}}, {"name": {"beginsWith": "C"}}]}, False),
    ({"not": {"rank": {"eq": 5}}}, False),
    ({"not": {"rank": {"eq": 6}}}, True),
    ({"rank": {"eq": 5}, "name": {"eq": "Banana"}}, True),
    ({"rank": {"eq": 5}, "name": {"eq": "Apple"}}, False),
    ({"and": [{"or": [{"rank": {"eq": 1}}, {"rank": {"eq": 5}}]}, {"not": {"live": {"eq": False}}}]}, True),
]
"""Filters of several parts, and whether they hold."""


@pytest.mark.parametrize(("field", "comparison", "holds"), OPERATORS)
def test_condition_guards_an_update(api: Api, field: str, comparison: dict[str, Any], holds: bool) -> None:
    """Amplify's transformer: a condition becomes DynamoDB's condition expression (DynamoDB's guide, "Comparison")."""
    _check_condition(api, {field: comparison}, holds)


@pytest.mark.parametrize(("condition", "holds"), [*GROUPS, ({}, True)])
def test_condition_may_have_groups(api: Api, condition: dict[str, Any], holds: bool) -> None:
    """Amplify's transformer: `and`, `or`, `not`; the empty condition is none."""
    _check_condition(api, condition, holds)


def _check_condition(api: Api, condition: dict[str, Any], holds: bool) -> None:
    made = api.thing(**VALUES)
    change = api.change(made, grade=9)
    if holds:
        assert api.written("update", "Thing", change, condition=condition)["grade"] == 9
    else:
        error = api.refused("update", "Thing", change, condition=condition)
        assert error["errorType"].removeprefix("DynamoDB:") == "ConditionalCheckFailedException"
        assert error["message"].startswith("The conditional request failed")


def test_condition_that_fails_writes_nothing(api: Api) -> None:
    """The version stays, so the client may try again."""
    made = api.thing()
    api.refused("update", "Thing", api.change(made, name="two"), condition={"name": {"eq": "x"}})
    assert picked(api.update(made, name="two"), "name", "_version") == ("two", 2)


def test_condition_guards_a_delete(api: Api) -> None:
    """DataStore.delete(model, predicate) sends the predicate as condition."""
    made = api.thing(rank=1)
    key = {"id": made["id"], "_version": 1}
    error = api.refused("delete", "Thing", key, condition={"rank": {"gt": 1}})
    assert error["errorType"].removeprefix("DynamoDB:") == "ConditionalCheckFailedException"
    assert api.written("delete", "Thing", key, condition={"rank": {"le": 1}})["_deleted"] is True


def test_filter_of_a_list_has_the_same_operators(api: Api) -> None:
    """Amplify's transformer: `filter` becomes DynamoDB's filter expression. One record, every operator at once."""
    since = api.sync(limit=1, selection="id")["startedAt"]
    made = api.thing(**VALUES)
    filters = [{field: comparison} for field, comparison, _ in OPERATORS] + [group for group, _ in GROUPS]
    wanted = [holds for *_, holds in OPERATORS] + [holds for _, holds in GROUPS]

    def matches(condition: dict[str, Any]) -> bool:
        both = {"and": [{"id": {"eq": made["id"]}}, condition]}
        return bool(api.sync_all("Thing", lastSync=since, filter=both, selection="id"))

    api.eventually(lambda: matches(filters[0]), bool)
    assert [matches(item) for item in filters] == wanted
