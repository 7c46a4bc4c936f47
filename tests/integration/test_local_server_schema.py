"""What the directives of a data model make the server do, beyond the fields they put into its API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_datastore.appsync_local.transform import api_of
from django_datastore.schema.sdl import parse_sdl
from tests.integration.local_server_tools import Client, local_server, speaking

SDL = """
    type Team @model(mutations: { create: "found" }, subscriptions: { onCreate: ["founded", "news"] }) {
      id: ID!
      city: String
      members: [Member] @hasMany(references: ["teamId"])
      mascot: Mascot @hasOne(references: ["teamId"])
      neighbours: [Shop] @hasMany(indexName: "byCity", fields: ["city"])
      fans: [Fan] @manyToMany(relationName: "TeamFans")
    }
    type Member @model { id: ID! name: String teamId: ID team: Team @belongsTo(references: ["teamId"]) }
    type Mascot @model { id: ID! animal: String! @default(value: "cat") teamId: ID }
    type Shop @model(queries: { get: "shop", list: null }) {
      id: ID!
      city: String! @index(name: "byCity", sortKeyFields: ["floor"], queryField: "shopsOf")
      floor: Int!
    }
    type Fan @model {
      name: String! @primaryKey(sortKeyFields: ["id"])
      id: ID!
      loud: Boolean @default(value: "true")
      teams: [Team] @manyToMany(relationName: "TeamFans")
    }
"""


@pytest.fixture(scope="module", params=["data model", "API"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """Talks to a server of the data model, and to one that knows only the API made of it."""
    sdl = SDL if request.param == "data model" else api_of(parse_sdl(SDL)).sdl
    with local_server(sdl) as server:
        yield Client(server)


def found(client: Client, **values: object) -> str:
    """The id of a new team."""
    mutation = "mutation operation($input: CreateTeamInput!) { found(input: $input) { id } }"
    return str(client.data(mutation, input=values)["id"])


def test_references_join_records_on_both_sides(client: Client):
    team = found(client)
    member = client.written("createMember", "id", name="Ada", teamId=team)
    mascot = client.written("createMascot", "id animal", teamId=team, animal="dog")
    answer = client.data(
        "query q($id: ID!) { getTeam(id: $id) { members { items { id team { id } } } mascot { animal id } } }", id=team
    )
    assert answer["members"]["items"] == [{"id": member["id"], "team": {"id": team}}]
    assert answer["mascot"] == mascot


def test_has_one_without_the_other_record_is_null(client: Client):
    assert client.data("query q($id: ID!) { getTeam(id: $id) { mascot { id } } }", id=found(client)) == {"mascot": None}


def test_has_many_joins_by_any_field_and_takes_a_condition(client: Client):
    for floor in (3, 1, 2):
        client.written("createShop", "id", city="Rome", floor=floor)
    team, nowhere = found(client, city="Rome"), found(client)
    query = "query q($id: ID!) { getTeam(id: $id) { neighbours(floor: {ge: 2}) { items { floor } } } }"
    assert client.data(query, id=team) == {"neighbours": {"items": [{"floor": 2}, {"floor": 3}]}}
    assert client.data(query, id=nowhere) == {"neighbours": {"items": []}}


def test_index_query_reads_its_partition_in_order(client: Client):
    for floor in (30, 10, 20):
        client.written("createShop", "id", city="Oslo", floor=floor)
    query = """query { shopsOf(city: "Oslo", floor: {lt: 30}, sortDirection: DESC) { items { floor } } }"""
    assert client.data(query) == {"items": [{"floor": 20}, {"floor": 10}]}


def test_renamed_and_missing_root_fields(client: Client):
    shop = client.written("createShop", "id", city="Bonn", floor=1)
    assert client.data("query q($id: ID!) { shop(id: $id) { city } }", id=shop["id"]) == {"city": "Bonn"}
    assert "FieldUndefined" in client.error("query { listShops { items { id } } }")["message"]
    assert "FieldUndefined" in client.error("query { getShop(id: 1) { id } }")["message"]


def test_many_to_many_is_read_from_both_sides(client: Client):
    team = found(client)
    fan = client.written("createFan", "id name", name="Bo")
    join = {"teamId": team, "fanName": fan["name"], "fanid": fan["id"]}
    client.written("createTeamFans", "id", **join)
    query = "query q($id: ID!) { getTeam(id: $id) { fans { items { fan { name } } } } }"
    assert client.data(query, id=team) == {"fans": {"items": [{"fan": {"name": "Bo"}}]}}
    query = 'query q($id: ID!) { getFan(name: "Bo", id: $id) { teams { items { team { id } } } } }'
    assert client.data(query, id=fan["id"]) == {"teams": {"items": [{"team": {"id": team}}]}}


def test_id_is_made_even_as_a_part_of_a_key(client: Client):
    assert client.written("createFan", "id", name="Cy")["id"]


async def test_every_subscription_that_names_a_mutation_hears_of_it():
    with local_server(SDL) as server:
        client = Client(server)
        async with speaking(server) as speaker:
            for name in ("founded", "news"):
                started = await speaker.start(name, f"subscription {{ {name} {{ id }} }}")
                assert started["type"] == "start_ack"
            team = found(client)
            events = [await speaker.event() for _ in range(2)]
    assert {"data": {"founded": {"id": team}}} in events
    assert {"data": {"news": {"id": team}}} in events
