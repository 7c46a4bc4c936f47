"""Which events a subscription wants, and which filters AppSync refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.errors import DocumentError
from django_datastore.appsync_local.filters import compile_filter
from django_datastore.appsync_local.graphql.subscription_filters import compile_arguments

PAYLOAD = {"id": "1", "title": "Hello", "rating": 3, "tags": ["a", "b"], "owner": "ann", "done": True, "note": None}

WANTED: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"filter": None}, True),
    ({"filter": {}}, True),
    # basic: equality, and a null that was given is a value
    ({"owner": "ann"}, True),
    ({"owner": "bob"}, False),
    ({"owner": None}, False),
    ({"note": None}, True),
    ({"missing": None}, True),  # what the mutation did not select is null
    ({"missing": "x"}, False),
    ({"owner": "ann", "rating": 4}, False),
    # enhanced: it wins, and the other arguments filter nothing
    ({"owner": "bob", "filter": {"rating": {"eq": 3}}}, True),
    ({"owner": "bob", "filter": {}}, False),
    ({"filter": {"rating": {"ne": 3}}}, False),
    ({"filter": {"rating": {"lt": 4}}}, True),
    ({"filter": {"rating": {"le": 2}}}, False),
    ({"filter": {"rating": {"gt": 3}}}, False),
    ({"filter": {"rating": {"ge": 3}}}, True),
    ({"filter": {"rating": {"between": [1, 3]}}}, True),
    ({"filter": {"rating": {"in": [1, 2, 3, 4, 5]}}}, True),
    ({"filter": {"rating": {"notIn": [1, 2, 3]}}}, False),
    ({"filter": {"title": {"beginsWith": "He"}}}, True),
    ({"filter": {"title": {"contains": "ell"}}}, True),
    ({"filter": {"title": {"notContains": "ell"}}}, False),
    ({"filter": {"tags": {"contains": "b"}}}, True),
    ({"filter": {"tags": {"notContains": "c"}}}, True),
    ({"filter": {"done": {"eq": True}}}, True),
    ({"filter": {"missing": {"eq": "x"}}}, False),
    ({"filter": {"missing": {"gt": 1}}}, False),
    ({"filter": {"title": {"gt": 1}}}, False),  # values of two types never match
    ({"filter": {"or": [{"rating": {"eq": 1}}, {"title": {"eq": "Hello"}}]}}, True),
    ({"filter": {"and": [{"rating": {"eq": 3}}, {"title": {"eq": "x"}}]}}, False),
    ({"filter": {"and": [{"or": [{"rating": {"eq": 3}}, {"id": {"eq": "2"}}]}, {"title": {"eq": "Hello"}}]}}, True),
    ({"filter": {"or": []}}, True),
    ({"filter": {"and": [None, {"rating": {"eq": 3}}]}}, True),
    ({"filter": {"and": [None, {"rating": None}], "or": None}}, True),
    ({"filter": {"or": [None, {"rating": {"eq": 4}}]}}, True),  # null asks for nothing, so everything is right
    ({"filter": {"rating": {"between": [1]}}}, False),
    ({"filter": {"rating": {"between": None}}}, False),
    ({"filter": {"rating": {"in": None}}}, False),
    ({"filter": {"title": {"beginsWith": None}}}, False),
]


@pytest.mark.parametrize(("arguments", "is_wanted"), WANTED)
def test_subscription_gets_what_its_arguments_say(arguments: dict[str, Any], is_wanted: bool):
    matches = compile_arguments(arguments)
    assert (matches is None or matches(PAYLOAD)) is is_wanted


def fields(count: int) -> list[dict[str, Any]]:
    return [{f"field{number}": {"eq": number}} for number in range(count)]


SIX_AND_TWO = {"and": [{"or": [{"a": {"eq": n}} for n in range(6)]}, {"or": [{"b": {"eq": n}} for n in range(2)]}]}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"and": fields(6)}, "Filters exceed maximum attributes limit 5 for subscription"),
    ({"or": fields(6)}, "Filters exceed maximum attributes limit 5 for subscription"),
    ({"or": [{"a": {"eq": n}} for n in range(11)]}, "Filters combination exceed maximum limit 10 for subscription"),
    (SIX_AND_TWO, "Filters combination exceed maximum limit 10 for subscription"),
    ({"a": {"gt": 1, "lt": 3}}, "subscription filter uses same fieldName multiple time"),
    ({"and": [{"a": {"gt": 1}}, {"a": {"lt": 3}}]}, "subscription filter uses same fieldName multiple time"),
    ({"a": {"eq": 1}, "or": [{"a": {"eq": 1}}]}, "subscription filter uses same fieldName multiple time"),
    ({"a": {"in": [1, 2, 3, 4, 5, 6]}}, "subscription exceeds maximum value limit 5 for operator `in`."),
    ({"a": {"notIn": [1, 2, 3, 4, 5, 6]}}, "subscription exceeds maximum value limit 5 for operator `notIn`."),
]


@pytest.mark.parametrize(("found", "message"), REFUSED)
def test_filter_beyond_the_limits_is_refused_in_appsyncs_words(found: dict[str, Any], message: str):
    with pytest.raises(DocumentError) as caught:
        compile_arguments({"filter": found})
    assert message in str(caught.value)


ALLOWED: list[dict[str, Any]] = [
    {"and": fields(5)},
    {"or": [{"a": {"eq": n}} for n in range(10)]},
    {"or": [{"a": {"gt": 3}}, {"a": {"lt": 1}}]},
    {"a": {"in": [1, 2, 3, 4, 5]}},
    {"a": None, "and": None, "or": [{"b": {"eq": 1}}]},
]


@pytest.mark.parametrize("found", ALLOWED)
def test_filter_at_the_limits_is_accepted(found: dict[str, Any]):
    assert compile_arguments({"filter": found}) is not None


def test_filter_that_would_explode_is_refused_at_once():
    explosive: dict[str, Any] = {"a": {"eq": 1}}
    for _ in range(60):  # 2 to the power of 60 combinations
        explosive = {"and": [{"or": [explosive, explosive]}]}
    with pytest.raises(DocumentError, match="combination exceed"):
        compile_arguments({"filter": {"and": [{"or": [{"a": {"eq": 1}}] * 10}] * 100}})
    with pytest.raises(DocumentError, match="combination exceed"):
        compile_arguments({"filter": explosive})
    with pytest.raises(DocumentError, match="maximum attributes"):
        compile_arguments({"filter": {"and": fields(100_000)}})


comparisons = st.fixed_dictionaries({}, optional={"eq": st.integers(0, 3), "gt": st.integers(0, 3)})
filters = st.recursive(
    st.none() | st.dictionaries(st.sampled_from("abc"), st.none() | comparisons, max_size=2),
    lambda inner: st.fixed_dictionaries(
        {}, optional={"and": st.lists(inner, max_size=3), "or": st.lists(inner, max_size=3)}
    ),
    max_leaves=8,
)
payloads = st.fixed_dictionaries({}, optional={name: st.integers(0, 3) for name in "abc"})


@given(filters, payloads)
def test_filter_is_refused_or_means_what_the_same_filter_of_a_query_means(
    found: dict[str, Any], payload: dict[str, Any]
):
    try:
        matches = compile_arguments({"filter": found})
    except DocumentError:
        return
    expected = compile_filter(found)
    assert (matches is None or matches(payload)) is (expected is None or expected(payload))
