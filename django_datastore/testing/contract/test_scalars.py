"""Scalars: what each takes and refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from django_datastore.testing.contract.api import Api

ACCEPTED: list[tuple[str, Any]] = [
    ("name", "text"),
    ("ref", "any text"),
    ("rank", 0),
    ("rank", -(2**31)),
    ("rank", 2**31 - 1),
    ("weight", 1.25),
    ("weight", -3),
    ("weight", 1e100),
    ("live", True),
    ("live", False),
    ("mood", "GLAD"),
    # guide: "1970-01-01Z, 1970-01-01-07:00, and 1970-01-01+05:30 are all valid"
    ("day", "1970-01-01"),
    ("day", "1970-01-01Z"),
    ("day", "1970-01-01-07:00"),
    ("day", "1970-01-01+05:30"),
    ("day", "2024-02-29"),
    # the zone's seconds are "considered valid even though it's not part of the ISO 8601 standard"
    ("day", "1970-01-01+05:30:15"),
    ("clock", "12:30"),
    ("clock", "12:30:00"),
    ("clock", "12:30:00.000"),
    ("clock", "12:30:00.123456789"),
    ("clock", "12:30Z"),
    ("clock", "12:30:24-07:00"),
    ("clock", "12:30:24.500+05:30"),
    ("moment", "1970-01-01T12:30:00.000Z"),
    ("moment", "1970-01-01T12:30:00Z"),
    ("moment", "1970-01-01T12:30Z"),
    ("moment", "1970-01-01T12:30:00.000-07:00"),
    ("moment", "1970-01-01T12:30:00.5+05:30"),
    ("stamp", 0),
    ("stamp", -1),
    ("stamp", 1_700_000_000),
    ("mail", "local-part@domain-part.com"),
    ("mail", "a.b+c@example.org"),
    ("url", "https://www.amazon.com/dp/B000NZW3KC/"),
    ("url", "mailto:example@example.com"),
    ("url", "http://localhost"),
    ("phone", "+1 415-555-2671"),
    ("phone", "415-555-2671"),
    ("phone", "+44 20 7946 0958"),
    ("ip", "123.12.34.56"),
    ("ip", "1a2b:3c4b::1234:4567"),
    ("ip", "123.45.67.89/16"),
    ("ip", "::1"),
]
"""Values that come back as they were sent."""

REFUSED: list[tuple[str, Any]] = [
    ("rank", 2**31),
    ("rank", -(2**31) - 1),
    ("rank", 1.5),
    ("rank", "many"),
    ("weight", "heavy"),
    ("mood", "SAD"),
    ("mood", "calm"),
    ("day", "1970-1-1"),
    ("day", "01.01.1970"),
    ("day", "2023-02-29"),
    ("day", ""),
    ("clock", "25:00"),
    ("clock", "12"),
    ("clock", "noon"),
    ("moment", "1970-01-01"),
    ("moment", "1970-01-01T12:30:00"),  # "The time zone offset is compulsory"
    ("moment", "1970-13-01T12:30:00Z"),
    ("moment", "2020-05-19T11:5:29.000Z"),  # amplify-js #5963
    ("stamp", "now"),
    ("mail", "nobody"),
    ("mail", "a@b@c"),
    ("url", "no url"),
    ("url", "www.example.com"),  # "URLs must contain a schema"
    ("url", "http://example.com//twice"),  # "… and can't contain two forward slashes (//) in the path part"
    ("phone", "call me"),
    ("phone", ""),
    ("ip", "256.0.0.1"),
    ("ip", "[::1]"),  # "non-bracketed"
    ("ip", "home"),
    # guide: "{a: 1}, {'a': 1}, and unquoted strings throw GraphQL validation errors"
    ("json", "{a: 1}"),
    ("json", "{'a': 1}"),
    ("json", "unquoted string"),
    ("json", ""),
    ("json", {"a": 1}),  # an object, where the text of one is meant
    ("place", {"zip": "1"}),  # without the city, which is required
    ("place", "Ulm"),
    ("points", [1, None]),
    ("places", [None]),
]
"""Values that are refused before anything runs."""


@pytest.mark.parametrize(("field", "value"), ACCEPTED)
def test_scalar_takes_what_its_definition_allows(api: Api, field: str, value: object) -> None:
    """Guide, "Scalar types in GraphQL"."""
    assert api.thing(**{field: value})[field] == value


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_scalar_refuses_what_its_definition_excludes(api: Api, field: str, value: object) -> None:
    """Guide, "Scalar types in GraphQL"; the words are graphql-java's, which AppSync hands on."""
    answer = api.write("create", "Thing", api.thing_input(**{field: value}))
    assert answer["data"] is None
    (error,) = answer["errors"]
    assert error["path"] is None
    assert "has an invalid value" in error["message"] or "has coerced Null value for NonNull type" in error["message"]


@pytest.mark.parametrize(
    "text", ['{"upvotes": 10}', "[1,2,3]", '"AWSJSON example string"', "1", "true", '{"a": {"b": [null, 1.5, "é"]}}']
)
def test_json_keeps_its_meaning(api: Api, text: str) -> None:
    """Guide: maps, lists and scalars are valid; they are parsed and printed anew, so only the meaning stays."""
    found = api.thing(json=text)["json"]
    assert isinstance(found, str)
    assert json.loads(found) == json.loads(text)


def test_id_takes_a_number(api: Api) -> None:
    """GraphQL's ID: "serialized like a String", accepts integers."""
    assert api.thing(ref=7)["ref"] == "7"


@pytest.mark.parametrize(
    ("literal", "field", "expected"),
    [
        ("rank: 3", "rank", 3),
        ("weight: 2", "weight", 2),
        ("mood: CROSS", "mood", "CROSS"),
        ('words: ["a", null]', "words", ["a", None]),
        ('day: "1970-01-01"', "day", "1970-01-01"),
        ("stamp: 5", "stamp", 5),
        ("note: null", "note", None),
        ('place: {city: "Ulm", spot: {lat: 1, lng: 2.5}}', "place", {"city": "Ulm", "spot": {"lat": 1, "lng": 2.5}}),
    ],
)
def test_literal_means_the_same_as_a_variable(api: Api, literal: str, field: str, expected: object) -> None:
    """GraphQL: input values may stand in the document."""
    selection = "place { city spot { lat lng } }" if field == "place" else field
    arguments = f'input: {{run: $run, name: "x", {literal}}}'
    query = f"mutation($run: ID!) {{ createThing({arguments}) {{ id {selection} }} }}"
    found = api.data(query, {"run": api.run})
    api.remember("Thing", found)
    assert found[field] == expected


@pytest.mark.parametrize(
    "literal",
    ['rank: "3"', "rank: 1.5", "rank: 2147483648", "mood: SAD", 'mood: "CALM"', "name: 1", 'day: "soon"', "nope: 1"],
)
def test_literal_of_the_wrong_type_is_a_validation_error(api: Api, literal: str) -> None:
    """amplify-cli and amplify-js issues quote it: "Validation error of type WrongType: …"."""
    text = literal if literal.startswith("name") else f'name: "x", {literal}'
    query = f"mutation($run: ID!) {{ createThing(input: {{run: $run, {text}}}) {{ id }} }}"
    answer = api.answer(query, {"run": api.run})
    assert answer["data"] is None
    assert answer["errors"][0]["message"].startswith("Validation error of type WrongType: ")
    assert answer["errors"][0]["path"] is None
