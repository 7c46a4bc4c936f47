"""Index keys: their order is DynamoDB's, and key conditions mean what they say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.errors import FieldError
from django_datastore.appsync_local.tables.indexes import Index, Range, indexes_of, number_key
from django_datastore.appsync_local.transform import api_of
from django_datastore.schema.sdl import parse_sdl

TEXT = Index("M", ("p", "s"))
NUMBER = Index("M", ("p", "n"), frozenset({"n"}))
COMPOSITE = Index("M", ("p", "a", "b"))

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec=None), max_size=5)  # lone surrogates, too: JavaScript can send them


@given(numbers, numbers)
def test_numbers_are_in_order(one: float, other: float):
    assert (number_key(one) < number_key(other)) is (float(one) < float(other))
    assert (number_key(one) == number_key(other)) is (float(one) == float(other))


@given(texts, texts)
def test_texts_are_in_the_order_of_their_characters(one: str, other: str):
    assert (TEXT.sort_key([one]) < TEXT.sort_key([other])) is (one < other)


def lies_in(key: bytes, span: Range) -> bool:
    if key < span.lower:
        return False
    return span.upper is None or key < span.upper or (span.includes_upper and key == span.upper)


OPERATORS: dict[str, Any] = {
    "eq": lambda value, operand: value == operand,
    "lt": lambda value, operand: value < operand,
    "le": lambda value, operand: value <= operand,
    "gt": lambda value, operand: value > operand,
    "ge": lambda value, operand: value >= operand,
}


@given(st.sampled_from(sorted(OPERATORS)), st.integers(-3, 3), st.integers(-3, 3))
def test_comparisons_of_numbers(operator: str, value: int, operand: int):
    span = NUMBER.condition({operator: operand})
    assert lies_in(NUMBER.sort_key([value]), span) is OPERATORS[operator](value, operand)


@given(st.sampled_from(sorted(OPERATORS)), texts, texts)
def test_comparisons_of_texts(operator: str, value: str, operand: str):
    span = TEXT.condition({operator: operand})
    assert lies_in(TEXT.sort_key([value]), span) is OPERATORS[operator](value, operand)


@given(texts, texts)
def test_begins_with(value: str, operand: str):
    assert lies_in(TEXT.sort_key([value]), TEXT.condition({"beginsWith": operand})) is value.startswith(operand)


@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3))
def test_between_includes_both_ends(value: int, low: int, high: int):
    if low > high:
        with pytest.raises(FieldError, match="in order"):
            NUMBER.condition({"between": [low, high]})
        return
    assert lies_in(NUMBER.sort_key([value]), NUMBER.condition({"between": [low, high]})) is (low <= value <= high)


@given(texts, texts, texts)
def test_several_comparisons_all_hold(value: str, low: str, high: str):
    span = TEXT.condition({"ge": low, "lt": high})
    assert lies_in(TEXT.sort_key([value]), span) is (low <= value < high)
    assert not (span.is_empty and low <= value < high)


CONDITIONS: list[tuple[dict[str, Any], list[str], list[str]]] = [
    # several fields compare as one text; an operand with the first of them is the text's beginning
    ({"eq": {"a": "x", "b": "y"}}, ["x", "y"], []),
    ({"beginsWith": {"a": "x"}}, ["x", "y"], []),
    ({"beginsWith": {"a": "x", "b": "y"}}, ["x", "yes"], []),
    ({"ge": {"a": "x"}}, ["x", "y"], []),
    ({"between": [{"a": "a"}, {"a": "y"}]}, ["x", "z"], []),
    # after a value that is given by the parent only the other field is compared
    ({"eq": "y"}, ["x", "y"], ["x"]),
    ({"gt": "a"}, ["x", "y"], ["x"]),
    ({"lt": "z"}, ["x", "y"], ["x"]),
    ({}, ["x", "y"], ["x"]),
    ({"eq": None}, ["x", "y"], []),
]


@pytest.mark.parametrize(("condition", "values", "before"), CONDITIONS)
def test_composite_condition_holds(condition: dict[str, Any], values: list[str], before: list[str]):
    assert lies_in(COMPOSITE.sort_key(values), COMPOSITE.condition(condition, before=before))


@pytest.mark.parametrize(
    ("condition", "values", "before"),
    [
        ({"eq": {"a": "x", "b": "y"}}, ["x", "z"], []),
        ({"beginsWith": {"a": "y"}}, ["x", "y"], []),
        ({"gt": "a"}, ["y", "z"], ["x"]),  # another parent's
        ({"lt": "z"}, ["w", "y"], ["x"]),
        ({}, ["xx", "y"], ["x"]),
    ],
)
def test_composite_condition_does_not_hold(condition: dict[str, Any], values: list[str], before: list[str]):
    assert not lies_in(COMPOSITE.sort_key(values), COMPOSITE.condition(condition, before=before))


@pytest.mark.parametrize("operands", [[], ["a"], ["a", "b", "c"], ["b", "a"]])
def test_between_needs_two_bounds_in_order(operands: list[str]):
    with pytest.raises(FieldError, match="lower and an upper bound"):
        TEXT.condition({"between": operands})


def test_record_without_a_key_field_is_not_in_the_index():
    assert TEXT.entry({"p": "x"}) is None
    assert TEXT.entry({"p": "x", "s": None}) is None
    assert TEXT.entry({"p": "x", "s": ""}) is not None


def test_keys_as_large_as_dynamodb_takes():
    TEXT.entry({"p": "x" * 2048, "s": "y" * 1024})
    with pytest.raises(FieldError, match="hashkey"):
        TEXT.entry({"p": "x" * 2049, "s": ""})
    with pytest.raises(FieldError, match="sortkey"):
        TEXT.entry({"p": "x", "s": "é" * 513})


@given(texts, texts)
def test_partitions_are_told_apart(one: str, other: str):
    assert (TEXT.partition(one * 100) == TEXT.partition(other * 100)) is (one * 100 == other * 100)


def test_lists_and_relations_need_indexes_and_nothing_else_does():
    schema = parse_sdl("""
      type Note @model { id: ID! text: String }
      type Blog @model { id: ID! posts: [Post] @hasMany }
      type Post @model {
        id: ID!
        rating: Int @index(name: "byRating", sortKeyFields: ["title"], queryField: "postsByRating")
        title: String
      }
      type Product @model { sku: ID! @primaryKey(sortKeyFields: ["region", "number"]) region: String! number: Int! }
    """)
    api = api_of(schema)
    found = indexes_of((*api.queries.values(), *api.children.values()))
    names = {model: sorted(index.name for index in indexes) for model, indexes in found.items()}
    assert names == {
        "Post": ["Post(blogPostsId)", "Post(rating:n,title)"],
        "Product": ["Product(sku,region,number:n)"],
    }
