"""Mutations over HTTP: versions, conflicts, conditions, errors, aliases."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_datastore.appsync_local.server import LocalServer
from tests.integration.local_server_tools import POST, SDL, Client, fresh_database, local_server, unique


@pytest.fixture(scope="module")
def automerge() -> Iterator[Client]:
    with local_server(conflict="automerge") as server:
        yield Client(server)


@pytest.fixture(scope="module")
def optimistic() -> Iterator[Client]:
    with local_server(conflict="optimistic") as server:
        yield Client(server)


@pytest.fixture(params=["automerge", "optimistic"])
def client(request: pytest.FixtureRequest) -> Client:
    found: Client = request.getfixturevalue(request.param)
    return found


def test_create_starts_at_version_one_with_the_servers_timestamps(client: Client):
    post = client.written("createPost", id=unique(), title="One")
    assert (post["_version"], post["_deleted"]) == (1, None)
    assert post["createdAt"] == post["updatedAt"]
    assert post["createdAt"].endswith("Z")
    assert post["_lastChangedAt"] > 2**32  # milliseconds


def test_create_without_id_gets_one(client: Client):
    post = client.written("createPost", title="One")
    assert client.data("query($id: ID!) { getPost(id: $id) { title } }", id=post["id"]) == {"title": "One"}


def test_update_changes_only_what_it_names(client: Client):
    post = client.written("createPost", title="One", rating=1, tags=["a"])
    found = client.written("updatePost", id=post["id"], title="Two", _version=1)
    assert (found["title"], found["rating"], found["tags"], found["_version"]) == ("Two", 1, ["a"], 2)
    assert found["createdAt"] == post["createdAt"]
    assert found["updatedAt"] >= post["updatedAt"]


def test_explicit_null_clears_a_field(client: Client):
    post = client.written("createPost", title="One", rating=1)
    assert client.written("updatePost", id=post["id"], rating=None, _version=1)["rating"] is None


def test_delete_leaves_a_tombstone(client: Client):
    post = client.written("createPost", title="One")
    gone = client.written("deletePost", id=post["id"], _version=1)
    assert (gone["_version"], gone["_deleted"], gone["title"]) == (2, True, "One")
    found = client.data(f"query($id: ID!) {{ getPost(id: $id) {{ {POST} }} }}", id=post["id"])
    assert found == gone  # `getX` returns tombstones too


def test_automerge_keeps_scalars_appends_lists_takes_new_fields(automerge: Client):
    post = automerge.written("createPost", title="One", tags=["a"])
    automerge.written("updatePost", id=post["id"], title="Two", _version=1)
    found = automerge.written("updatePost", id=post["id"], title="Stale", tags=["a", "b"], rating=5, _version=1)
    assert (found["title"], found["tags"], found["rating"]) == ("Two", ["a", "a", "b"], 5)
    assert found["_version"] == 3


def test_automerge_merges_the_map_in_a_json_text(automerge: Client):
    post = automerge.written("createPost", title="one", rating=1, metadata='{"lang": "en", "marks": ["a"]}')
    automerge.written("updatePost", id=post["id"], rating=2, _version=1)
    stale = '{"lang": "de", "marks": ["b"], "words": 7}'
    found = automerge.written("updatePost", id=post["id"], metadata=stale, _version=1)
    assert json.loads(found["metadata"]) == {"lang": "en", "marks": ["a", "b"], "words": 7}


def test_automerge_counts_a_version_even_if_it_rejects_everything(automerge: Client):
    post = automerge.written("createPost", title="One")
    automerge.written("updatePost", id=post["id"], title="Two", _version=1)
    found = automerge.written("updatePost", id=post["id"], title="Stale", _version=1)
    assert (found["title"], found["_version"]) == ("Two", 3)


def test_missing_version_counts_as_zero(automerge: Client, optimistic: Client):
    merged = automerge.written("createPost", title="One")
    assert automerge.written("updatePost", id=merged["id"], title="Two")["title"] == "One"
    refused = optimistic.written("createPost", title="One")
    assert optimistic.refused("updatePost", id=refused["id"], title="Two")["errorType"] == "ConflictUnhandled"


def test_optimistic_refuses_with_the_servers_record(optimistic: Client):
    post = optimistic.written("createPost", title="One", rating=1)
    error = optimistic.refused("updatePost", id=post["id"], title="Two", _version=7)
    assert error["errorType"] == "ConflictUnhandled"
    assert error["message"] == "Conflict resolver rejects mutation."
    # complete, whatever was selected and whatever never had a value
    assert {name: error["data"][name] for name in post} == post


def test_delete_with_an_old_version_is_refused_whatever_the_handler(client: Client):
    post = client.written("createPost", title="One")
    client.written("updatePost", id=post["id"], title="Two", _version=1)
    for version in ({"_version": 1}, {}):
        error = client.refused("deletePost", id=post["id"], **version)
        assert (error["errorType"], error["data"]["_version"]) == ("ConflictUnhandled", 2)
        assert error["data"]["title"] == "Two"


def test_create_of_an_existing_key_is_refused_with_its_record(client: Client):
    post = client.written("createPost", title="One")
    error = client.refused("createPost", id=post["id"], title="Again")
    assert (error["errorType"], error["data"]["title"]) == ("ConditionalCheckFailedException", "One")


def test_create_on_a_tombstone_is_refused(client: Client):
    post = client.written("createPost", title="One")
    client.written("deletePost", id=post["id"], _version=1)
    error = client.refused("createPost", id=post["id"], title="Again")
    assert (error["errorType"], error["data"]["_deleted"]) == ("ConditionalCheckFailedException", True)


@pytest.mark.parametrize("field", ["updatePost", "deletePost"])
def test_nothing_there_is_a_failed_condition_without_data(client: Client, field: str):
    error = client.refused(field, id=unique(), _version=1)
    assert (error["errorType"], error["data"]) == ("ConditionalCheckFailedException", None)


def test_edit_of_the_newest_tombstone_revives_it_and_an_outdated_one_does_not(automerge: Client):
    post = automerge.written("createPost", title="One")
    automerge.written("deletePost", id=post["id"], _version=1)
    stale = automerge.written("updatePost", id=post["id"], title="Stale", _version=1)
    assert (stale["_deleted"], stale["_version"]) == (True, 3)
    revived = automerge.written("updatePost", id=post["id"], title="Back", _version=3)
    assert (revived["_deleted"], revived["title"]) == (None, "Back")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"rating": {"lt": 5}}, True),
        ({"rating": {"gt": 5}}, False),
        ({"not": {"rating": {"eq": 3}}}, False),
        ({"or": [{"title": {"eq": "x"}}, {"rating": {"eq": 3}}]}, True),
        (None, True),
        ({}, True),
    ],
)
def test_condition_guards_an_update(client: Client, condition: object, holds: bool):
    post = client.written("createPost", title="One", rating=3)
    answer = client.post(
        "mutation operation($input: UpdatePostInput!, $condition: ModelPostConditionInput) "
        "{ updatePost(input: $input, condition: $condition) { title } }",
        input={"id": post["id"], "title": "Two", "_version": 1},
        condition=condition,
    )
    if holds:
        assert answer == {"data": {"updatePost": {"title": "Two"}}}
    else:
        assert answer["errors"][0]["errorType"] == "ConditionalCheckFailedException"
        assert answer["errors"][0]["data"]["title"] == "One"


def test_error_has_appsyncs_shape(client: Client):
    answer = client.post('mutation {\n  mine: updatePost(input: {id: "nowhere"}) { id }\n}')
    assert answer["data"] == {"mine": None}
    (error,) = answer["errors"]
    assert list(error) == ["path", "data", "errorType", "errorInfo", "locations", "message"]
    assert error["path"] == ["mine"]
    assert error["locations"] == [{"line": 2, "column": 3, "sourceName": None}]


def test_aliases_run_in_order_each_for_itself(client: Client):
    one, two = unique(), unique()
    answer = client.post(
        f"""mutation {{
          m0: createPost(input: {{ id: "{one}", title: "One" }}) {{ ...fields }}
          m1: createPost(input: {{ id: "{one}", title: "Again" }}) {{ ...fields }}
          m2: updatePost(input: {{ id: "{one}", title: "Two", _version: 1 }}) {{ ...fields }}
          m3: createPost(input: {{ id: "{two}", title: "Other" }}) {{ ...fields }}
        }}
        fragment fields on Post {{ title _version }}"""
    )
    assert answer["data"] == {
        "m0": {"title": "One", "_version": 1},
        "m1": None,
        "m2": {"title": "Two", "_version": 2},
        "m3": {"title": "Other", "_version": 1},
    }
    assert [error["path"] for error in answer["errors"]] == [["m1"]]


def test_composite_key(client: Client):
    sku = unique()
    client.written("createProduct", "sku", sku=sku, region="EU", name="one")
    client.written("createProduct", "sku", sku=sku, region="US", name="two")
    found = client.written("updateProduct", "region name _version", sku=sku, region="US", name="three", _version=1)
    assert found == {"region": "US", "name": "three", "_version": 2}
    query = "query($sku: ID!, $region: String!) { getProduct(sku: $sku, region: $region) { name } }"
    assert client.data(query, sku=sku, region="EU") == {"name": "one"}


@pytest.mark.parametrize(
    "value", ["", " ", "\x00", "\ud800", "é̂ \U0001f600", '"\\', "x" * 100_000, "\u2028"], ids=range(8)
)
def test_any_text_survives(client: Client, value: str):
    post = client.written("createPost", title=value)
    assert post["title"] == value
    assert client.data("query($id: ID!) { getPost(id: $id) { title } }", id=post["id"]) == {"title": value}


@pytest.mark.parametrize("found", ["", "x" * 5000])
def test_key_that_cannot_be_stored_is_refused(client: Client, found: str):
    assert client.refused("createPost", id=found, title="One")["errorType"] == "ValidationException"


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[tuple[Client, Client]]:
    """Two servers on one database, as two processes would be."""
    with fresh_database() as url:
        database = url or str(tmp_path / "appsync.sqlite3")
        with LocalServer(SDL, database=database) as one, LocalServer(SDL, database=database) as other:
            yield Client(one), Client(other)


def in_parallel(*works: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_versions_stay_monotonic_over_two_servers(twins: tuple[Client, Client]):
    twins[0].written("createPost", id="p", title="One", tags=[])
    seen: list[int] = []

    def write(client: Client) -> None:
        for _ in range(20):
            seen.append(client.written("updatePost", id="p", tags=["x"], _version=0)["_version"])

    in_parallel(*(lambda client=client: write(client) for client in twins))
    assert sorted(seen) == list(range(2, 42))


def test_of_two_creates_of_one_key_one_wins(twins: tuple[Client, Client]):
    answers: list[dict[str, Any]] = []

    def create(client: Client, name: str) -> None:
        answers.extend(client.write("createPost", id=f"p{number}", title=name) for number in range(20))

    in_parallel(lambda: create(twins[0], "one"), lambda: create(twins[1], "other"))
    refused = [answer["errors"][0] for answer in answers if "errors" in answer]
    assert len(refused) == 20
    assert {error["errorType"] for error in refused} == {"ConditionalCheckFailedException"}
    assert all(error["data"]["_version"] == 1 for error in refused)


def test_versions_stay_monotonic_under_concurrent_writers(automerge: Client):
    post = automerge.written("createPost", title="One", tags=[])
    seen: list[int] = []

    def write(number: int) -> None:
        client_version = 1
        for _ in range(10):
            found = automerge.written("updatePost", id=post["id"], tags=[str(number)], _version=client_version)
            client_version = found["_version"]
            seen.append(client_version)

    in_parallel(*(lambda number=number: write(number) for number in range(4)))
    assert sorted(seen) == list(range(2, 42))  # each write is a version of its own
