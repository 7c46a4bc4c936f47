"""Filter inputs against records."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.filters import compile_filter

RECORD = {
    "title": "Hello",
    "rating": 3,
    "tags": ["a", "b"],
    "draft": False,
    "none": None,
    "_deleted": None,
    "map": {"key": 1},
    "flags": [True],
}

CASES: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"title": {"eq": "Hello"}}, True),
    ({"title": {"ne": "Hello"}}, False),
    ({"missing": {"ne": "x"}}, True),  # as in DynamoDB: an absent value is unequal to everything
    ({"missing": {"eq": "x"}}, False),
    ({"missing": {"gt": 1}}, False),
    ({"missing": {"eq": None}}, True),
    ({"none": {"eq": None}}, True),
    ({"rating": {"gt": 2, "lt": 4}}, True),  # several comparisons of one field: all of them
    ({"rating": {"ge": 3}}, True),
    ({"rating": {"le": 2}}, False),
    ({"rating": {"between": [3, 5]}}, True),
    ({"rating": {"between": [4, 5]}}, False),
    ({"rating": {"between": [4]}}, False),
    ({"rating": {"lt": "x"}}, False),  # other types never match
    ({"rating": {"gt": None}}, False),
    ({"title": {"beginsWith": "He"}}, True),
    ({"rating": {"beginsWith": "3"}}, False),
    ({"title": {"contains": "ell"}}, True),
    ({"tags": {"contains": "a"}}, True),
    ({"tags": {"notContains": "a"}}, False),
    ({"missing": {"notContains": "a"}}, True),
    ({"rating": {"in": [1, 3]}}, True),
    ({"rating": {"notIn": [1, 3]}}, False),
    ({"draft": {"eq": False}}, True),
    ({"_deleted": {"ne": True}}, True),  # how everyone asks for living records
    ({"title": {"attributeExists": True}}, True),
    ({"none": {"attributeExists": False}}, True),
    ({"missing": {"attributeExists": True}}, False),
    ({"title": {"attributeType": "string"}}, True),
    ({"draft": {"attributeType": "number"}}, False),
    ({"missing": {"attributeType": "_null"}}, False),
    ({"title": {"size": {"gt": 4, "le": 5}}}, True),
    ({"rating": {"size": {"gt": 0}}}, False),
    ({"title": {"eq": "Hello"}, "rating": {"eq": 9}}, False),  # several fields: all of them
    ({"and": [{"rating": {"eq": 3}}, {"draft": {"eq": False}}]}, True),
    ({"or": [{"rating": {"eq": 9}}, {"title": {"eq": "Hello"}}]}, True),
    ({"or": [{"rating": {"eq": 9}}]}, False),
    ({"or": []}, True),  # empty groups ask for nothing
    ({"and": []}, True),
    ({"not": {"rating": {"eq": 3}}}, False),
    ({"not": {}}, True),
    # notContains is the negation of contains, whatever the value is
    ({"rating": {"notContains": "3"}}, True),
    ({"rating": {"contains": "3"}}, False),
    ({"none": {"notContains": "a"}}, True),
    ({"title": {"contains": ""}}, True),
    ({"tags": {"contains": "ab"}}, False),  # of a list whole elements, of a text any part
    ({"map": {"contains": "key"}}, False),
    ({"flags": {"contains": 1}}, False),  # true is no number
    ({"flags": {"contains": True}}, True),
    ({"draft": {"eq": 0}}, False),
    ({"draft": {"ne": 0}}, True),
    ({"draft": {"lt": 1}}, False),  # nor has it an order
    ({"tags": {"gt": ["a"]}}, False),  # nor has a list
    ({"tags": {"eq": ["a", "b"]}}, True),
    ({"tags": {"eq": ["b", "a"]}}, False),
    ({"rating": {"eq": 3.0}}, True),
    ({"rating": {"between": [1, "5"]}}, False),
    ({"rating": {"between": None}}, False),
    ({"title": {"between": ["A", "I"]}}, True),
    ({"missing": {"between": [1, 5]}}, False),
    ({"missing": {"beginsWith": ""}}, False),
    ({"title": {"beginsWith": None}}, False),
    ({"missing": {"le": 1}}, False),
    ({"none": {"ge": None}}, False),
    ({"tags": {"size": {"eq": 2}}}, True),
    ({"map": {"size": {"between": [1, 2]}}}, True),
    ({"missing": {"size": {"ne": 7}}}, False),  # what is missing has no size, not even another one
    ({"none": {"size": {"eq": 0}}}, False),
    ({"tags": {"attributeType": "list"}}, True),
    ({"map": {"attributeType": "map"}}, True),
    ({"rating": {"attributeType": "number"}}, True),
    ({"draft": {"attributeType": "bool"}}, True),
    ({"none": {"attributeType": "_null"}}, True),
    ({"tags": {"attributeType": "stringSet"}}, False),
    ({"title": {"attributeExists": None}}, True),  # null asks for nothing
    ({"title": {"attributeType": None}}, True),
    ({"not": {"or": [{"rating": {"eq": 3}}, {"rating": {"eq": 4}}]}}, False),
    ({"not": {"and": [{"rating": {"eq": 3}}, {"not": {"draft": {"eq": False}}}]}}, True),
    ({"rating": {"eq": 3}, "or": [{"draft": {"eq": True}}, {"not": {"draft": {"eq": True}}}]}, True),
    ({"title": None, "or": [{"rating": {"eq": 9}}, {}]}, True),
    ({"title": {}}, True),
]


@pytest.mark.parametrize(("found", "expected"), CASES)
def test_filter(found: dict[str, Any], expected: bool):
    matches = compile_filter(found)
    assert (matches is None or matches(RECORD)) is expected


def test_no_filter_compiles_to_nothing():
    assert compile_filter(None) is None
    assert compile_filter({"and": [{}, {"or": []}]}) is None


leaves = st.fixed_dictionaries(
    {"rating": st.dictionaries(st.sampled_from(["eq", "ne", "lt", "ge"]), st.integers(0, 5), min_size=1, max_size=1)}
)


@given(leaves, leaves, st.integers(0, 5))
def test_groups_mean_what_python_means(one: dict[str, Any], other: dict[str, Any], rating: int):
    record = {"rating": rating}

    def holds(found: dict[str, Any]) -> bool:
        matches = compile_filter(found)
        assert matches is not None
        return matches(record)

    assert holds({"and": [one, other]}) is (holds(one) and holds(other))
    assert holds({"or": [one, other]}) is (holds(one) or holds(other))
    assert holds({"not": one}) is not holds(one)


def test_a_size_of_null_asks_for_nothing():
    assert compile_filter({"content": {"size": None}}) is None
