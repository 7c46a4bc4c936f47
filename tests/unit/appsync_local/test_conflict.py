"""AUTOMERGE, rule by rule, with values such as the AppSync guide uses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.conflict import automerge, json_fields
from django_datastore.schema.sdl import parse_sdl

RULES = [
    # scalars: the server's value stays, the edit is lost without an error
    ({"jersey": 5}, {"jersey": 55}, {"jersey": 5}),
    # a field the server does not have yet is taken
    ({"name": "Nadia"}, {"points": 24}, {"name": "Nadia", "points": 24}),
    # as is one that is null there
    ({"points": None}, {"points": 24}, {"points": 24}),
    # an incoming null is a scalar edit like any other
    ({"points": 24}, {"points": None}, {"points": 24}),
    # lists are appended, duplicates stay
    ({"interests": ["a", "b"]}, {"interests": ["b", "c"]}, {"interests": ["a", "b", "b", "c"]}),
    ({"interests": ["a"]}, {"interests": None}, {"interests": ["a"]}),
    ({"interests": []}, {"interests": []}, {"interests": []}),
    # maps: the same rules, key by key; what is left out stays
    (
        {"stats": {"ppg": 35.4, "apg": 6.3, "moves": ["x"]}},
        {"stats": {"ppg": 10.0, "rpg": 1.2, "moves": ["y"]}},
        {"stats": {"ppg": 35.4, "apg": 6.3, "rpg": 1.2, "moves": ["x", "y"]}},
    ),
    # a text is a scalar, whatever it says
    ({"title": '{"a":1}'}, {"title": '{"b":2}'}, {"title": '{"a":1}'}),
    # values of two kinds cannot be merged: the server's stays
    ({"x": [1]}, {"x": 1}, {"x": [1]}),
    ({"x": {"a": 1}}, {"x": [1]}, {"x": {"a": 1}}),
    # false and 0 are values, not nulls
    ({"x": False, "y": 0}, {"x": True, "y": 1}, {"x": False, "y": 0}),
]


@pytest.mark.parametrize(("stored", "incoming", "merged"), RULES)
def test_automerge(stored: dict[str, Any], incoming: dict[str, Any], merged: dict[str, Any]):
    assert automerge(stored, incoming) == merged


JSON_RULES = [
    # what resolvers see of AWSJSON is what the text says: maps are merged, lists appended
    ('{"a": 1, "c": [1]}', '{"a": 2, "b": 2, "c": [1]}', {"a": 1, "b": 2, "c": [1, 1]}),
    ("[1]", "[1, {}]", [1, 1, {}]),
    # scalars stay the server's, as does what cannot be merged
    ("1", "2", 1),
    ('"a"', '{"a": 1}', "a"),
    ('{"a": 1}', "[1]", {"a": 1}),
    # null is nothing: the incoming value is taken
    ("null", '{"a": 1}', {"a": 1}),
    ('{"a": null}', '{"a": 1}', {"a": 1}),
    ('{"a": 1}', "null", {"a": 1}),
    # a text inside is one, not a text with JSON in it
    ('{"a": "[1]"}', '{"a": "[2]"}', {"a": "[1]"}),
]


@pytest.mark.parametrize(("stored", "incoming", "merged"), JSON_RULES)
def test_automerge_merges_what_json_texts_say(stored: str, incoming: str, merged: Any):
    schema = parse_sdl(
        """
        type Post @model { id: ID! title: String extra: AWSJSON extras: [AWSJSON] place: Place }
        type Place { name: String extra: AWSJSON within: Place }
        """
    )
    parsed = json_fields(schema, schema.models["Post"].fields)

    def record(text: str) -> dict[str, Any]:
        within = {"extra": text, "name": text}
        return {"extra": text, "title": text, "extras": [text], "place": {"within": {"within": within}}}

    found = automerge(record(stored), record(incoming), parsed=parsed)
    assert json.loads(found["extra"]) == merged
    assert json.loads(found["place"]["within"]["within"]["extra"]) == merged
    assert found["title"] == found["place"]["within"]["within"]["name"] == stored
    assert found["extras"] == [stored, incoming]


@pytest.mark.parametrize(("stored", "incoming"), [("{", "{}"), ("[1]", "[1e999]")])
def test_automerge_leaves_what_it_could_not_write_as_json(stored: str, incoming: str):
    assert automerge({"extra": stored}, {"extra": incoming}, parsed={"extra": None}) == {"extra": stored}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
records = st.dictionaries(st.sampled_from("abcd"), values)


@given(records, records)
def test_automerge_keeps_every_field_of_both_sides_and_changes_neither(
    stored: dict[str, Any], incoming: dict[str, Any]
):
    before = repr((stored, incoming))
    merged = automerge(stored, incoming)
    assert set(merged) == set(stored) | set(incoming)
    assert repr((stored, incoming)) == before


@given(records, records)
def test_automerge_keeps_the_servers_scalars(stored: dict[str, Any], incoming: dict[str, Any]):
    merged = automerge(stored, incoming)
    for name, value in stored.items():
        if value is not None and not isinstance(value, list | dict):
            assert merged[name] == value
