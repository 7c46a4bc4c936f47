"""Old versions: AUTOMERGE type by type, OPTIMISTIC_CONCURRENCY, deletes."""

from __future__ import annotations

from typing import Any

import pytest

from django_datastore.testing.contract.api import SELECTIONS, Api, Record, picked

CONFLICT = "ConflictUnhandled"
MESSAGE = "Conflict resolver rejects mutation."


def aged(api: Api, **values: Any) -> Record:
    """A thing at version 2, so that version 1 is old."""
    return api.update(api.thing(**values), name="two")


# -- AUTOMERGE ---------------------------------------------------------------------------------------------------------


def test_automerge_keeps_the_servers_scalar_and_counts_a_version(automerge: Api) -> None:
    """Guide, "Conflict detection and resolution": the first example (`jersey`)."""
    found = automerge.update(aged(automerge, rank=5), version=1, name="stale", rank=55)
    assert picked(found, "name", "rank", "_version", "_deleted") == ("two", 5, 3, None)


def test_automerge_takes_fields_the_server_does_not_have(automerge: Api) -> None:
    """Guide, the second example: new fields are added on, the scalar that is there stays."""
    found = automerge.update(
        aged(automerge, rank=5),
        version=1,
        name="Shaggy",
        words=["breakfast", "lunch", "dinner"],
        points=[24, 30, 27],
        mood="GLAD",
    )
    assert picked(found, "name", "rank", "mood", "_version") == ("two", 5, "GLAD", 3)
    assert picked(found, "words", "points") == (["breakfast", "lunch", "dinner"], [24, 30, 27])


def test_automerge_appends_lists_with_their_duplicates(automerge: Api) -> None:
    """Guide, the third example, for database lists. Amplify stores lists as lists, never as sets."""
    found = automerge.update(aged(automerge, points=[24, 30, 27], words=["a"]), version=1, points=[30, 35], words=["a"])
    assert picked(found, "points", "words", "_version") == ([24, 30, 27, 30, 35], ["a", "a"], 3)


def test_automerge_merges_maps_key_by_key(automerge: Api) -> None:
    """Guide, the fourth example (`stats`): a key that is there stays, an omitted one stays, a new one is added."""
    made = aged(automerge, place={"city": "35.4", "zip": "6.3"}, rank=5, points=[24])
    found = automerge.update(made, version=1, place={"city": "25.7", "spot": {"lat": 6.9, "lng": 1.5}})
    assert picked(found["place"], "city", "zip", "spot") == ("35.4", "6.3", {"lat": 6.9, "lng": 1.5})
    assert picked(found, "rank", "points", "_version") == (5, [24], 3)


def test_automerge_appends_lists_inside_maps(automerge: Api) -> None:
    """Guide: the rules hold for each property of a map."""
    made = aged(automerge, place={"city": "Ulm", "marks": ["a"], "spot": {"lat": 1.5, "lng": 2.5}})
    found = automerge.update(made, version=1, place={"city": "x", "marks": ["b"], "spot": {"lat": 8.5, "lng": 9.5}})
    assert picked(found["place"], "city", "marks", "spot") == ("Ulm", ["a", "b"], {"lat": 1.5, "lng": 2.5})


def test_automerge_appends_lists_of_maps(automerge: Api) -> None:
    """Guide: a list is appended, whatever it is a list of."""
    made = aged(automerge, places=[{"city": "Ulm"}])
    found = automerge.update(made, version=1, places=[{"city": "Bern"}])
    assert [item["city"] for item in found["places"]] == ["Ulm", "Bern"]


def test_automerge_replaces_null(automerge: Api) -> None:
    """Guide: a mutation "made against a field with the value of null" is merged."""
    found = automerge.update(aged(automerge, note=None, words=None), version=1, note="n", words=["w"])
    assert picked(found, "note", "words") == ("n", ["w"])


def test_automerge_does_not_let_null_remove_a_scalar(automerge: Api) -> None:
    """Guide: "if fields are intended to be removed, then the request must be tried again with the matching version"."""
    assert automerge.update(aged(automerge, rank=5), version=1, rank=None)["rank"] == 5


@pytest.mark.parametrize(
    ("field", "kept", "stale"),
    [
        ("live", True, False),
        ("weight", 1.5, 2.5),
        ("mood", "CALM", "CROSS"),
        ("day", "2024-02-29", "2024-03-01"),
        ("stamp", 1, 2),
        ("rank", 0, 9),
        ("note", "", "stale"),
        ("live", False, True),
    ],
)
def test_automerge_counts_every_scalar_as_one(automerge: Api, field: str, kept: object, stale: object) -> None:
    """Guide: whatever is no list, set or map is a scalar. False, 0 and the empty text are values."""
    assert automerge.update(aged(automerge, **{field: kept}), version=1, **{field: stale})[field] == kept


def test_automerge_counts_a_version_even_if_it_takes_nothing(automerge: Api) -> None:
    """Guide: "version is incremented every time automerge performs a merge that is stored on the server"."""
    made = aged(automerge)
    assert [automerge.update(made, version=1, name="stale")["_version"] for _ in range(3)] == [3, 4, 5]


def test_automerge_takes_a_missing_version_for_an_old_one(automerge: Api) -> None:
    """amplify-js #11708: the resolver sends `$util.defaultIfNull($args.input._version, 0)`; amplify-studio #625."""
    made = automerge.thing(words=["a"])
    found = automerge.written("update", "Thing", {"id": made["id"], "name": "stale", "words": ["b"]})
    assert picked(found, "name", "words", "_version") == ("one", ["a", "b"], 2)


def test_automerge_lets_the_current_version_do_anything(automerge: Api) -> None:
    """Guide: without a conflict nothing is merged."""
    made = aged(automerge, rank=5, words=["a"], place={"city": "Ulm", "zip": "1"})
    found = automerge.update(made, rank=None, words=["b"], place={"city": "Bern"})
    assert picked(found, "rank", "words") == (None, ["b"])
    assert picked(found["place"], "city", "zip") == ("Bern", None)


# -- OPTIMISTIC_CONCURRENCY --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [{"_version": 1}, {"_version": 7}, {}, {"_version": None}])
def test_optimistic_refuses_any_other_version_with_the_servers_record(optimistic: Api, version: dict[str, Any]) -> None:
    """Guide: a version "that differs from the actual version" is rejected, with the latest item in the response.

    amplify-js adopts the record of the error, so it must have all that was selected.
    """
    made = aged(optimistic, rank=5)
    error = optimistic.refused("update", "Thing", {"id": made["id"], "name": "stale", **version})
    assert picked(error, "errorType", "message") == (CONFLICT, MESSAGE)
    assert {name: error["data"][name] for name in ("id", "name", "rank", "_version", "_lastChangedAt")} == {
        name: made[name] for name in ("id", "name", "rank", "_version", "_lastChangedAt")
    }
    assert not error["data"].get("_deleted")


def test_optimistic_leaves_the_record_alone(optimistic: Api) -> None:
    """A refused request writes nothing, so the version stays."""
    made = aged(optimistic)
    optimistic.refused("update", "Thing", {"id": made["id"], "name": "stale", "_version": 1})
    assert optimistic.update(made, name="three")["_version"] == 3


def test_optimistic_retry_with_the_version_of_the_error_succeeds(optimistic: Api) -> None:
    """Guide: the client is to "retry the mutation with the updated version of the item"; so does amplify-js."""
    made = aged(optimistic)
    error = optimistic.refused("update", "Thing", {"id": made["id"], "name": "mine", "_version": 1})
    assert optimistic.update(made, version=error["data"]["_version"], name="mine")["name"] == "mine"


# -- both --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [{"_version": 1}, {"_version": 7}, {}, {"_version": None}])
def test_delete_by_another_version_is_refused_whatever_the_handler(api: Api, version: dict[str, Any]) -> None:
    """amplify-android's AppSyncClientInstrumentationTest, amplify-studio #272, amplify-js #9109: no delete merges."""
    made = aged(api, rank=5)
    error = api.refused("delete", "Thing", {"id": made["id"], **version})
    assert picked(error, "errorType", "message") == (CONFLICT, MESSAGE)
    assert picked(error["data"], "id", "name", "rank", "_version") == (made["id"], "two", 5, 2)
    assert api.delete(made)["_deleted"] is True


def test_conflicts_of_aliases_stay_apart(api: Api) -> None:
    """Each aliased mutation has its own outcome, with its own record in its own error."""
    one, other = aged(api, rank=1), aged(api, rank=2)
    answer = api.answer(
        f"""mutation($one: DeleteThingInput!, $other: DeleteThingInput!) {{
          a: deleteThing(input: $one) {{ {SELECTIONS["Thing"]} }}
          b: deleteThing(input: $other) {{ {SELECTIONS["Thing"]} }}
        }}""",
        {"one": {"id": one["id"], "_version": 1}, "other": {"id": other["id"], "_version": 2}},
    )
    assert (answer["data"]["a"], answer["data"]["b"]["_deleted"]) == (None, True)
    (error,) = answer["errors"]
    assert (error["path"], error["data"]["rank"]) == (["a"], 1)
