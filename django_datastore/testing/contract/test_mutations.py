"""Create, update, delete: versions, metadata, errors and the record in them."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from django_datastore.testing.contract.api import SELECTIONS, Api, picked, unique

CONDITION_FAILED = "ConditionalCheckFailedException"


def test_create_is_version_one_alive_and_stamped(api: Api) -> None:
    """Guide, "Versioning data sources"; amplify-android's AppSyncClientInstrumentationTest: `_deleted` is null."""
    before = time.time() * 1000
    made = api.thing()
    assert picked(made, "_version", "_deleted") == (1, None)
    assert abs(made["_lastChangedAt"] - before) < 10 * 60 * 1000  # milliseconds, give or take two clocks


def test_timestamps_are_the_servers_in_iso_8601_with_milliseconds(api: Api) -> None:
    """Amplify's transformer: `createdAt` and `updatedAt` of `$util.time.nowISO8601()`."""
    made = api.thing()
    assert made["createdAt"] == made["updatedAt"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made["createdAt"])
    changed = api.update(made, name="two")
    assert changed["createdAt"] == made["createdAt"]
    assert changed["updatedAt"] >= made["updatedAt"]


def test_versions_count_up_by_one(api: Api) -> None:
    """Guide: `_version` is raised by the service with every write, a delete included."""
    made = api.thing()
    two = api.update(made, name="two")
    three = api.update(two, name="three")
    four = api.delete(three)
    assert [item["_version"] for item in (made, two, three, four)] == [1, 2, 3, 4]
    stamps = [item["_lastChangedAt"] for item in (made, two, three, four)]
    assert stamps == sorted(stamps)


def test_update_keeps_what_it_does_not_name_and_clears_what_it_sets_to_null(api: Api) -> None:
    """Amplify's transformer: an update sets the attributes of its input, and no others."""
    made = api.thing(rank=1, note="n", words=["a"])
    changed = api.update(made, name="two", note=None)
    assert picked(changed, "name", "rank", "note", "words") == ("two", 1, None, ["a"])


def test_delete_answers_with_the_whole_record_and_leaves_a_tombstone(api: Api) -> None:
    """Guide, "Versioning": deleted items stay with `_deleted`; amplify-js reads the record of the answer."""
    made = api.thing(rank=1)
    gone = api.delete(made)
    assert picked(gone, "name", "rank", "_deleted", "_version") == ("one", 1, True, 2)
    found = api.eventually(lambda: api.get("Thing", id=made["id"]), lambda item: bool(item and item["_deleted"]))
    assert found == gone  # `getX` hands out tombstones


def test_create_without_an_id_gets_one(api: Api) -> None:
    """Amplify's transformer: `$util.autoId()`."""
    made = api.written("create", "Thing", {"run": api.run, "name": "x"})
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["id"])


def test_absent_fields_are_null_and_null_is_null(api: Api) -> None:
    """A record has every field of its type."""
    made = api.thing(note=None)
    empty = ("note", "rank", "weight", "live", "mood", "words", "points", "day", "json", "place", "places")
    assert picked(made, *empty) == (None,) * len(empty)


@pytest.mark.parametrize("given", [{}, {"grade": None}])
def test_default_fills_in_for_an_absent_value_and_for_null(api: Api, given: dict[str, Any]) -> None:
    """`@default` (Amplify's default value transformer): `$util.defaultIfNull` on create."""
    assert api.thing(**given)["grade"] == 3


def test_default_does_not_touch_what_is_given_nor_an_update(api: Api) -> None:
    """`@default` works on creates only."""
    made = api.thing(grade=7)
    assert made["grade"] == 7
    assert api.update(made, grade=None)["grade"] is None


def test_create_of_an_existing_key_fails_its_condition(api: Api) -> None:
    """amplify-js' fake service quotes AppSync: ConditionalCheckFailedException, "The conditional request failed …".

    Doubt: the quote has no record in `data`; other reports have one. If there is one, it must be the server's.
    """
    made = api.thing()
    error = api.refused("create", "Thing", api.thing_input(id=made["id"], name="again"))
    assert error["errorType"].removeprefix("DynamoDB:") == CONDITION_FAILED
    assert error["message"].startswith("The conditional request failed")
    assert error["data"] is None or picked(error["data"], "id", "name") == (made["id"], "one")


def test_create_on_a_tombstone_fails_its_condition(api: Api) -> None:
    """amplify-flutter #1506, amplify-swift #1391: the tombstone is an item like any other to `attribute_not_exists`."""
    made = api.thing()
    api.delete(made)
    error = api.refused("create", "Thing", api.thing_input(id=made["id"], name="again"))
    assert error["errorType"].removeprefix("DynamoDB:") == CONDITION_FAILED


@pytest.mark.parametrize("kind", ["update", "delete"])
def test_nothing_there_to_change_is_refused_without_data(api: Api, kind: str) -> None:
    """amplify-js' fake service quotes AppSync for a missing target: Unauthorized where `@auth` looks at the record.

    Doubt: with public rules only, the resolver's `attribute_exists` decides, which is a failed condition.
    """
    error = api.refused(kind, "Thing", {"id": unique(), "_version": 1})
    assert error["errorType"].removeprefix("DynamoDB:") in (CONDITION_FAILED, "Unauthorized")
    assert error["data"] is None


def test_error_has_six_members_and_says_where(api: Api) -> None:
    """amplify-js #4880 and many others quote them: path, data, errorType, errorInfo, locations, message."""
    answer = api.answer("mutation($id: ID!) {\n  mine: updateThing(input: {id: $id}) { id }\n}", {"id": unique()})
    assert answer["data"] == {"mine": None}
    (error,) = answer["errors"]
    assert set(error) == {"path", "data", "errorType", "errorInfo", "locations", "message"}
    assert error["path"] == ["mine"]
    assert error["errorInfo"] is None
    assert error["locations"] == [{"line": 2, "column": 3, "sourceName": None}]


def test_aliased_mutations_run_in_order_and_fail_each_for_itself(api: Api) -> None:
    """GraphQL runs mutation fields one after the other; AppSync has no other batch (aws-mobile-appsync-sdk-js #52)."""
    one, other = unique(), unique()
    api.remember("Thing", {"id": one})
    api.remember("Thing", {"id": other})
    answer = api.answer(
        """mutation($one: ID!, $other: ID!, $run: ID!) {
          a: createThing(input: { id: $one, run: $run, name: "one" }) { ...fields }
          b: createThing(input: { id: $one, run: $run, name: "again" }) { ...fields }
          c: updateThing(input: { id: $one, name: "two", _version: 1 }) { ...fields }
          d: createThing(input: { id: $other, run: $run, name: "other" }) { ...fields }
        }
        fragment fields on Thing { name _version }""",
        {"one": one, "other": other, "run": api.run},
    )
    assert answer["data"] == {
        "a": {"name": "one", "_version": 1},
        "b": None,
        "c": {"name": "two", "_version": 2},
        "d": {"name": "other", "_version": 1},
    }
    assert [error["path"] for error in answer["errors"]] == [["b"]]


def test_composite_key_is_one_record_for_each_combination(api: Api) -> None:
    """`@primaryKey(sortKeyFields: …)`: partition and sort key together are the identity."""
    hall = unique()
    for row, level in (("a", 1), ("a", 2), ("b", 1)):
        api.written("create", "Shelf", {"hall": hall, "row": row, "level": level, "label": f"{row}{level}"})
    changed = api.written("update", "Shelf", {"hall": hall, "row": "a", "level": 2, "label": "new", "_version": 1})
    assert picked(changed, "row", "level", "label", "_version") == ("a", 2, "new", 2)
    for key, label in ((("a", 1), "a1"), (("a", 2), "new"), (("b", 1), "b1")):
        found = api.eventually(
            lambda key=key: api.get("Shelf", hall=hall, row=key[0], level=key[1]),  # type: ignore[misc]
            lambda item, label=label: bool(item and item["label"] == label),  # type: ignore[misc]
        )
        assert found is not None
        assert found["label"] == label
    again = api.refused("create", "Shelf", {"hall": hall, "row": "b", "level": 1})
    assert again["errorType"].removeprefix("DynamoDB:") == CONDITION_FAILED


def test_selection_of_the_answer_is_the_documents(api: Api) -> None:
    """The answer has what was selected, in that order, under its aliases."""
    answer = api.write("create", "Thing", api.thing_input(rank=1), selection="rank title: name __typename id")
    assert list(answer["data"]["createThing"])[:3] == ["rank", "title", "__typename"]
    assert picked(answer["data"]["createThing"], "rank", "title", "__typename") == (1, "one", "Thing")


@pytest.mark.parametrize("text", ["", " ", "é̂ \U0001f600", '"\\', "\u2028", "{}", "null", "x" * 10_000], ids=range(8))
def test_any_text_survives(api: Api, text: str) -> None:
    """A String is any Unicode text; DynamoDB takes the empty one for attributes that are no keys."""
    assert api.thing(name=text)["name"] == text


def test_nested_types_and_lists_survive(api: Api) -> None:
    """Nested types are maps, lists are lists, with their nulls."""
    place = {"city": "Ulm", "zip": None, "marks": ["a", None], "spot": {"lat": 48.4, "lng": -9.5}}
    values: dict[str, Any] = {
        "place": place,
        "places": [place, place],
        "moods": ["CALM", None],
        "words": [],
        "points": [1],
    }
    made = api.thing(**values)
    assert {name: made[name] for name in values} == values
    assert json.dumps(made["places"]) == json.dumps([place, place])


def test_single_value_stands_for_a_list_of_it(api: Api) -> None:
    """GraphQL's input coercion of lists."""
    assert picked(api.thing(words="a", points=1), "words", "points") == (["a"], [1])


def test_created_record_can_be_got(api: Api) -> None:
    """`getX` gives what the mutation answered."""
    made = api.thing(rank=1, words=["a"], mood="GLAD")
    assert api.eventually(lambda: api.get("Thing", id=made["id"]), bool) == made


def test_get_of_nothing_is_null_without_an_error(api: Api) -> None:
    """amplify-swift's GraphQLWithUserPoolIntegrationTests: a missing record is null."""
    assert api.get("Thing", id=unique()) is None


def test_refused_mutation_changes_nothing(api: Api) -> None:
    """What a resolver refuses is not written."""
    made = api.thing()
    api.refused("delete", "Thing", {"id": made["id"], "_version": 7})
    assert api.eventually(lambda: api.get("Thing", id=made["id"]), bool) == made
    assert SELECTIONS["Thing"].endswith("_deleted")
