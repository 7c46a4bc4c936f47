"""The worked examples of AppSync's guide "Conflict detection and resolution": one record, from version 4 to 9."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.local_server_tools import Client, local_server

SDL = """
type Stats { ppg: String apg: String rpg: String }
type Player @model { id: ID! name: String jersey: Int interests: [String] points: [Int] stats: Stats }
"""
PLAYER = "id name jersey interests points stats { ppg apg rpg } _version"
MEALS = ["breakfast", "lunch", "dinner"]


@pytest.fixture
def client() -> Iterator[Client]:
    with local_server(SDL, conflict="AUTOMERGE", SET_FIELDS=["Player.interests"]) as server:
        yield Client(server)


def player(**values: Any) -> dict[str, Any]:
    """What the server answers: the fields that have no value yet are null."""
    return {"id": "1", "name": "Nadia", "jersey": 5, "interests": None, "points": None, "stats": None, **values}


def update(client: Client, **values: Any) -> dict[str, Any]:
    return client.written("updatePlayer", PLAYER, id="1", **values)


def test_the_four_examples_one_after_the_other(client: Client):
    client.written("createPlayer", PLAYER, id="1", name="Nadia", jersey=3)
    for version in (1, 2, 3):
        update(client, jersey=2 + version, _version=version)

    # a scalar: the edit is rejected, the version goes up
    assert update(client, name="Nadia", jersey=55, _version=2) == player(_version=5)

    # new fields are taken, the scalar is not
    found = update(client, name="Shaggy", jersey=5, interests=MEALS, points=[24, 30, 27], _version=3)
    assert found == player(interests=MEALS, points=[24, 30, 27], _version=6)

    # of the set the union, the list appended with its duplicates
    incoming: dict[str, Any] = {"interests": ["breakfast", "lunch", "brunch"], "points": [30, 35]}
    merged: dict[str, Any] = {"interests": [*MEALS, "brunch"], "points": [24, 30, 27, 30, 35]}
    assert update(client, name="Nadia", jersey=5, **incoming, _version=5) == player(**merged, _version=7)

    # a map: key by key; what is left out stays
    update(client, stats={"ppg": "35.4", "apg": "6.3"}, _version=7)
    found = update(client, name="Nadia", stats={"ppg": "25.7", "rpg": "6.9"}, _version=3)
    assert found == player(**merged, stats={"ppg": "35.4", "apg": "6.3", "rpg": "6.9"}, _version=9)


def test_a_set_has_no_duplicates_however_it_is_written(client: Client):
    found = client.written("createPlayer", PLAYER, id="2", interests=["a", "b", "a"], points=[1, 1])
    assert (found["interests"], found["points"]) == (["a", "b"], [1, 1])
    found = client.written("updatePlayer", PLAYER, id="2", interests=["c", "c"], _version=1)
    assert found["interests"] == ["c"]
