"""Who gets into the local server, and what they see there: over HTTP, by sync, and on the socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_datastore.appsync_local.conf import AUTH_MODES
from django_datastore.appsync_local.server import LocalServer
from django_datastore.testing.issuer import Issuer
from tests.integration.auth_tools import Caller, Headers, with_key, with_token
from tests.integration.local_server_tools import local_server, unique

SDL = """
type Note @model @auth(rules: [{ allow: owner }, { allow: groups, groups: ["Staff"], operations: [read] }]) {
  id: ID!
  text: String
  owner: String
  folder: Folder @belongsTo
}

type Folder @model @auth(rules: [{ allow: owner }]) {
  id: ID!
  name: String
  owner: String
  notes: [Note] @hasMany
}

type Shared @model @auth(rules: [
  { allow: owner, ownerField: "members" }
  { allow: groups, groupsField: "team" }
  { allow: private, operations: [create] }
]) {
  id: ID!
  text: String
  members: [String]
  team: String
}

type Person @model @auth(rules: [{ allow: owner }, { allow: private, operations: [read] }]) {
  id: ID!
  name: String
  owner: String
  salary: Int @auth(rules: [{ allow: owner }])
}

type Card @model @auth(rules: [{ allow: owner }, { allow: private }]) {
  id: ID!
  text: String
  owner: String
  pin: String @auth(rules: [{ allow: owner }]) @index(name: "byPin", queryField: "cardsByPin")
}

type Open @model @auth(rules: [
  { allow: public }, { allow: public, provider: iam }, { allow: private, provider: iam }, { allow: private }
  { allow: private, provider: oidc }, { allow: custom }
]) {
  id: ID!
  text: String
}

type Plain @model {
  id: ID!
}

type Diary @model @auth(rules: [{ allow: owner }, { allow: groups, groups: ["Staff"], operations: [read] }]) {
  id: ID!
  text: String
}
"""
NOTE = "id text owner _version _lastChangedAt _deleted"
REGION = "eu-west-1"
KEYS = {"access_key_id": "AKIDLOCAL", "secret_access_key": "secret", "session_token": "session"}
UNAUTHORIZED = "You are not authorized to make this call."


def signing(secret: str = "secret", host: str | None = None) -> Headers:
    """Credentials that sign, as botocore and gql do."""

    def headers(path: str, body: bytes) -> Mapping[str, str]:
        request = AWSRequest("POST", f"http://{host}{path}", headers={"accept": "application/json"}, data=body)
        SigV4Auth(Credentials("AKIDLOCAL", secret, "session"), "appsync", REGION).add_auth(request)
        return dict(request.headers)

    return headers


class World:
    """A server that takes every auth mode, and those who call it."""

    def __init__(self, server: LocalServer, pool: Issuer, provider: Issuer, key: str) -> None:
        self.server, self.pool, self.provider = server, pool, provider
        self.host = server.url.split("/")[2]
        self.headers: dict[str, Headers] = {
            "API_KEY": with_key(key),
            "AWS_IAM": signing(host=self.host),
            "AMAZON_COGNITO_USER_POOLS": with_token(pool.token("alice")),
            "OPENID_CONNECT": with_token(f"Bearer {provider.token('alice')}"),
            "AWS_LAMBDA": with_token("open sesame"),
        }
        self.wrong: dict[str, Headers] = {
            "API_KEY": with_key("wrong"),
            "AWS_IAM": signing(secret="wrong", host=self.host),
            "AMAZON_COGNITO_USER_POOLS": with_token(pool.token("alice", expires_in=-1)),
            "OPENID_CONNECT": with_token(provider.token("alice", aud="another")),
            "AWS_LAMBDA": with_token("open barley"),
        }

    def user(self, name: str, *groups: str) -> Caller:
        return Caller(self.server, with_token(self.pool.token(name, groups=groups)))


def authorizer(event: dict[str, Any]) -> dict[str, Any]:
    is_limited = event["authorizationToken"] == "open a little"
    return {
        "isAuthorized": is_limited or event["authorizationToken"] == "open sesame",
        "deniedFields": ["Open.text", "Mutation.deleteOpen"] if is_limited else [],
    }


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    pool, provider = Issuer(), Issuer(kind="openid", algorithm="ES256")
    with ExitStack() as stack:
        server = stack.enter_context(
            local_server(
                SDL,
                AUTH_MODE="AMAZON_COGNITO_USER_POOLS",
                ADDITIONAL_AUTH_MODES=AUTH_MODES,
                USER_POOL=pool,
                OPENID_PROVIDER=provider,
                IAM_CREDENTIALS=[KEYS],
                REGION=REGION,
                LAMBDA_AUTHORIZER=authorizer,
            )
        )
        yield World(server, pool, provider, server.api_key)


@pytest.fixture
def alice(world: World) -> Caller:
    return world.user("alice")


@pytest.fixture
def bob(world: World) -> Caller:
    return world.user("bob")


# -- the doors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", AUTH_MODES)
def test_each_mode_gets_in_over_http(world: World, mode: str):
    caller = Caller(world.server, world.headers[mode])
    record = caller.written("createOpen", "id text", text=mode)
    assert caller.data("query G($id: ID!) { getOpen(id: $id) { text } }", id=record["id"]) == {"text": mode}


@pytest.mark.parametrize("mode", AUTH_MODES)
async def test_each_mode_gets_in_on_the_socket(world: World, mode: str):
    caller = Caller(world.server, world.headers[mode])
    async with caller.acknowledged() as speaker:
        assert (await speaker.start("1", "subscription { onCreateOpen { id text } }"))["type"] == "start_ack"
        record = await asyncio.to_thread(caller.written, "createOpen", "id text", text="event")
        assert (await speaker.event())["data"] == {"onCreateOpen": record}


async def test_modes_mix_on_one_socket(world: World):
    async with Caller(world.server, world.headers["AWS_IAM"]).acknowledged() as speaker:
        for number, mode in enumerate(AUTH_MODES):
            answer = await speaker.start(
                str(number), "subscription { onCreateOpen { id } }", headers=world.headers[mode]
            )
            assert answer == {"id": str(number), "type": "start_ack"}
        answer = await speaker.start(
            "n", "subscription { onCreateNote { id owner } }", headers=world.headers["API_KEY"]
        )
        assert answer["payload"]["errors"] == [
            {"errorType": "Unauthorized", "message": "Not Authorized to access onCreateNote on type Subscription"}
        ]


_REFUSALS = {
    "API_KEY": (401, "UnauthorizedException", UNAUTHORIZED),
    "AWS_IAM": (403, "InvalidSignatureException", "The request signature we calculated does not match"),
    "AMAZON_COGNITO_USER_POOLS": (401, "UnauthorizedException", "Token has expired."),
    "OPENID_CONNECT": (401, "UnauthorizedException", UNAUTHORIZED),
    "AWS_LAMBDA": (401, "UnauthorizedException", UNAUTHORIZED),
}
_ON_SOCKETS = {"AWS_IAM": (400, "BadRequestException", "The request signature we calculated does not match")}


@pytest.mark.parametrize("mode", AUTH_MODES)
def test_wrong_credentials_stay_out_over_http(world: World, mode: str):
    status, error_type, message = _REFUSALS[mode]
    answer = Caller(world.server, world.wrong[mode]).answer("{ listOpens { items { id } } }")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (status, error_type)
    assert error["errorType"] == error_type
    assert error["message"].startswith(message)


@pytest.mark.parametrize("mode", AUTH_MODES)
async def test_wrong_credentials_stay_out_on_the_socket(world: World, mode: str):
    status, error_type, _ = _ON_SOCKETS.get(mode, _REFUSALS[mode])
    async with Caller(world.server, world.wrong[mode]).speaking() as speaker:
        await speaker.send("connection_init")
        message = await speaker.receive()
        assert message["type"] == "connection_error"
        (error,) = message["payload"]["errors"]
        assert (error["errorType"], error["errorCode"]) == (error_type, status)


@pytest.mark.parametrize("mode", AUTH_MODES)
async def test_wrong_credentials_start_nothing(world: World, mode: str):
    async with Caller(world.server, world.headers["API_KEY"]).acknowledged() as speaker:
        answer = await speaker.start("1", "subscription { onCreateOpen { id } }", headers=world.wrong[mode])
        assert (answer["type"], answer["id"]) == ("error", "1")
        _, error_type, text = _ON_SOCKETS.get(mode, _REFUSALS[mode])
        (error,) = answer["payload"]["errors"]
        assert error["errorType"] == error_type
        assert error["message"].startswith(text)


def test_no_credentials_stay_out(world: World):
    answer = Caller(world.server, lambda path, body: {}).answer("{ listOpens { items { id } } }")
    assert (answer.status_code, answer.json()) == (
        401,
        {"errors": [{"errorType": "UnauthorizedException", "message": "Valid authorization header not provided."}]},
    )


def test_a_signature_is_good_for_one_body(world: World):
    stolen = world.headers["AWS_IAM"]("/graphql", b"{}")
    answer = Caller(world.server, lambda path, body: stolen).answer("{ listOpens { items { id } } }")
    assert (answer.status_code, answer.json()["errors"][0]["errorType"]) == (403, "InvalidSignatureException")


async def test_the_opening_of_a_socket_starts_nothing(world: World):
    stolen = world.headers["AWS_IAM"]("/graphql/connect", b"{}")
    async with Caller(world.server, world.headers["AWS_IAM"]).acknowledged() as speaker:
        answer = await speaker.start("1", "subscription { onCreateOpen { id } }", headers=lambda path, body: stolen)
        assert answer["type"] == "error"


def test_keys_rotate_under_a_running_server():
    clock = [1_772_366_400_000]
    pool = Issuer(now=lambda: clock[0])
    sdl = "type Open @model @auth(rules: [{ allow: private }]) { id: ID! }"
    options: dict[str, Any] = {"AUTH_MODE": "AMAZON_COGNITO_USER_POOLS", "USER_POOL": pool, "now": lambda: clock[0]}
    with local_server(sdl, **options) as server:
        old = Caller(server, with_token(pool.token("alice")))
        assert old.answer("{ __typename }").status_code == 200
        pool.rotate(keep_old=False)
        assert Caller(server, with_token(pool.token("alice"))).answer("{ __typename }").status_code == 200
        assert old.answer("{ __typename }").status_code == 401
        clock[0] += 3_600_000
        assert (
            "Token has expired." in Caller(server, with_token(pool.token("alice", expires_in=0))).answer("{ a }").text
        )


def test_a_slow_authorizer_holds_up_nobody_else():
    asked, released = threading.Semaphore(0), threading.Event()

    def slowly(event: dict[str, Any]) -> dict[str, Any]:
        if event["authorizationToken"] == "slow":
            asked.release()
            released.wait(9)
        return {"isAuthorized": True}

    sdl = "type Open @model @auth(rules: [{ allow: custom }]) { id: ID! }"
    with local_server(sdl, AUTH_MODE="AWS_LAMBDA", LAMBDA_AUTHORIZER=slowly) as server:
        slow = Caller(server, with_token("slow"))
        waiting = [threading.Thread(target=slow.answer, args=("{ __typename }",)) for _ in range(40)]
        try:
            for thread in waiting:
                thread.start()
            for _ in waiting:
                assert asked.acquire(timeout=8)
            assert Caller(server, with_token("fast")).answer("{ __typename }").status_code == 200
            assert not released.is_set()
        finally:
            released.set()
            for thread in waiting:
                thread.join()


# -- two users ---------------------------------------------------------------------------------------------------------


def test_a_user_sees_only_his_own(alice: Caller, bob: Caller, world: World):
    mine = alice.written("createNote", NOTE, text="mine")
    theirs = bob.written("createNote", NOTE, text="theirs")
    assert (mine["owner"], theirs["owner"]) == ("alice", "bob")
    stored = world.server.record("Note", mine["id"])
    assert stored is not None
    assert stored["owner"] == f"{world.pool.sub('alice')}::alice"
    for caller, own, other in ((alice, mine, theirs), (bob, theirs, mine)):
        seen = {item["id"] for page in caller.pages("syncNotes", NOTE) for item in page["items"]}
        listed = {item["id"] for item in caller.data("{ listNotes(limit: 1000) { items { id } } }")["items"]}
        assert own["id"] in seen & listed
        assert other["id"] not in seen | listed


def test_getting_anothers_record_is_an_error(alice: Caller, bob: Caller):
    mine = alice.written("createNote", NOTE, text="mine")
    get = "query G($id: ID!) { getNote(id: $id) { id } }"
    answer = bob.post(get, id=mine["id"])
    assert answer["data"] == {"getNote": None}
    (error,) = answer["errors"]
    assert (error["errorType"], error["message"]) == ("Unauthorized", "Not Authorized to access getNote on type Query")
    assert (error["path"], error["data"], error["locations"][0]["line"]) == (["getNote"], None, 1)
    assert bob.data(get, id=unique()) is None


@pytest.mark.parametrize("version", [None, 1, 7])
def test_anothers_record_cannot_be_touched(alice: Caller, bob: Caller, world: World, version: int | None):
    mine = alice.written("createNote", NOTE, text="mine")
    before = world.server.record("Note", mine["id"])
    more = {} if version is None else {"_version": version}
    for mutation, values in (("updateNote", {"text": "stolen"}), ("deleteNote", {}), ("updateNote", {"owner": "bob"})):
        error = bob.refused(mutation, id=mine["id"], **values, **more)
        assert error["message"] == f"Not Authorized to access {mutation} on type Mutation"
        assert error["data"] is None
    assert world.server.record("Note", mine["id"]) == before


def test_a_create_on_anothers_record_tells_nothing(alice: Caller, bob: Caller):
    mine = alice.written("createNote", NOTE, text="mine")
    error = bob.refused("createNote", id=mine["id"], text="theirs")
    assert (error["errorType"], error["data"]) == ("ConditionalCheckFailedException", None)
    error = alice.refused("createNote", id=mine["id"], text="again")
    assert error["data"]["text"] == "mine"


def test_a_conflict_shows_its_owner_the_record(alice: Caller, bob: Caller):
    mine = alice.written("createNote", NOTE, text="mine")
    alice.written("updateNote", NOTE, id=mine["id"], text="newer", _version=1)
    assert alice.refused("deleteNote", id=mine["id"], _version=1)["data"]["text"] == "newer"
    assert bob.refused("deleteNote", id=mine["id"], _version=1)["data"] is None


def test_a_missing_record_is_refused_as_anothers(alice: Caller):
    for mutation in ("updateNote", "deleteNote"):
        error = alice.refused(mutation, id=unique(), _version=1)
        assert error["message"] == f"Not Authorized to access {mutation} on type Mutation"


def test_nobody_writes_in_anothers_name(alice: Caller):
    assert alice.refused("createNote", text="T", owner="bob")["errorType"] == "Unauthorized"


def test_given_away_is_gone(alice: Caller, bob: Caller):
    mine = alice.written("createNote", NOTE, text="mine")
    alice.written("updateNote", NOTE, id=mine["id"], owner="bob", _version=1)
    assert alice.refused("updateNote", id=mine["id"], text="still mine?", _version=2)["errorType"] == "Unauthorized"
    assert bob.written("updateNote", NOTE, id=mine["id"], text="mine now", _version=2)["owner"] == "bob"


def test_deletes_stay_private(alice: Caller, bob: Caller):
    mine = alice.written("createNote", NOTE, text="mine")
    alice.written("deleteNote", NOTE, id=mine["id"], _version=1)
    tombstones = [item for item in alice.sync("syncNotes", NOTE, limit=1000)["items"] if item["_deleted"]]
    assert mine["id"] in {item["id"] for item in tombstones}
    assert mine["id"] not in {item["id"] for item in bob.sync("syncNotes", NOTE, limit=1000)["items"]}


def test_groups_read_what_they_may_not_write(alice: Caller, world: World):
    mine = alice.written("createNote", NOTE, text="mine")
    carol = world.user("carol", "Staff")
    assert carol.data("query G($id: ID!) { getNote(id: $id) { owner } }", id=mine["id"]) == {"owner": "alice"}
    assert carol.refused("updateNote", id=mine["id"], text="x", _version=1)["errorType"] == "Unauthorized"
    assert world.user("carol", "staff", "Staff2").data("{ listNotes(limit: 1000) { items { id } } }")["items"] == []


def test_records_of_several_owners_and_of_groups(alice: Caller, bob: Caller, world: World):
    selection, get = "id text members team", "query G($id: ID!) { getShared(id: $id) { id } }"
    record = alice.written("createShared", selection, text="T", members=["alice", "bob"], team="Staff")
    carol, dave = world.user("carol", "Staff"), world.user("dave", "Other")
    for caller in (alice, bob, carol):
        assert caller.data(get, id=record["id"]) == {"id": record["id"]}
    assert dave.error(get, id=record["id"])["errorType"] == "Unauthorized"
    assert dave.data("{ listShareds(limit: 1000) { items { id } } }")["items"] == []


@pytest.mark.parametrize("mode", ["API_KEY", "AWS_IAM", "OPENID_CONNECT", "AWS_LAMBDA"])
def test_a_model_is_closed_to_modes_its_rules_do_not_name(world: World, mode: str):
    caller = Caller(world.server, world.headers[mode])
    for field in ("listNotes", "syncNotes", "listPlains"):
        error = caller.error(f"{{ {field} {{ items {{ id }} }} }}")
        assert error["message"] == f"Not Authorized to access {field} on type Query"
    assert caller.refused("createNote", text="T")["errorType"] == "Unauthorized"


def test_a_model_without_rules_is_open_to_the_default_mode(alice: Caller):
    assert alice.data("{ listPlains { items { id } } }") == {"items": []}


def test_refusals_are_each_fields_own(alice: Caller, bob: Caller):
    mine = alice.written("createNote", NOTE, text="mine")
    answer = bob.post(f'{{ a: getNote(id: "{mine["id"]}") {{ id }} b: listPlains {{ items {{ id }} }} }}')
    assert answer["data"] == {"a": None, "b": {"items": []}}
    assert [error["path"] for error in answer["errors"]] == [["a"]]


# -- fields and relations ----------------------------------------------------------------------------------------------


def test_a_field_of_its_own_rules(alice: Caller, bob: Caller):
    selection = "id name salary _version"
    mine = alice.written("createPerson", selection, name="Alice", salary=3)
    assert mine["salary"] is None  # subscribers see what mutations answer
    get = "query G($id: ID!) { getPerson(id: $id) { name salary } }"
    assert alice.data(get, id=mine["id"]) == {"name": "Alice", "salary": 3}
    answer = bob.post(get, id=mine["id"])
    assert answer["data"] == {"getPerson": {"name": "Alice", "salary": None}}
    (error,) = answer["errors"]
    assert (error["errorType"], error["path"]) == ("Unauthorized", ["getPerson", "salary"])
    assert error["message"] == "Not Authorized to access salary on type Person"


def test_a_field_nobody_else_may_see_cannot_be_guessed(alice: Caller, bob: Caller):
    pin = unique()
    card = alice.written("createCard", "id pin", text="x", pin=pin)
    update = (
        "mutation M($input: UpdateCardInput!, $condition: ModelCardConditionInput) "
        "{ updateCard(input: $input, condition: $condition) { text } }"
    )

    def finds(caller: Caller) -> list[bool]:
        found = [{"pin": {"beginsWith": pin[:8]}}, {"not": {"pin": {"ne": pin}}}, {"pin": {"attributeExists": True}}]
        lists = [
            caller.data(f"query Q($f: ModelCardFilterInput) {{ {field}(filter: $f) {{ items {{ id }} }} }}", f=item)
            for item in found
            for field in ("listCards", "syncCards")
        ]
        lists.append(caller.data("query Q($p: String!) { cardsByPin(pin: $p) { items { id } } }", p=pin))
        is_updated = "errors" not in caller.post(
            update, input={"id": card["id"], "text": "y"}, condition={"pin": {"eq": pin}}
        )
        return [{"id": card["id"]} in page["items"] for page in lists] + [is_updated]

    assert finds(alice) == [True] * 8
    assert finds(bob) == [False] * 8
    assert bob.written("updateCard", "text", id=card["id"], text="z", _version=2) == {"text": "z"}


def test_relations_show_what_the_caller_may_see(alice: Caller, bob: Caller, world: World):
    folder = alice.written("createFolder", "id", name="mine")
    note = alice.written("createNote", "id folder { id }", text="in it", folderNotesId=folder["id"])
    assert note["folder"] is None  # as Amplify: events must not carry what some listeners may not see
    update = alice.written(
        "updateFolder", "name notes { items { id } nextToken }", id=folder["id"], name="M", _version=1
    )
    assert update == {"name": "M", "notes": {"items": [], "nextToken": None}}
    world.server.execute(
        "mutation M($input: CreateNoteInput!) { createNote(input: $input) { id } }",
        {"input": {"text": "bob's", "owner": "bob", "folderNotesId": folder["id"]}},
    )
    get = "query G($id: ID!) { getFolder(id: $id) { notes { items { text } } } }"
    assert alice.data(get, id=folder["id"]) == {"notes": {"items": [{"text": "in it"}]}}
    answer = bob.post("{ listNotes(limit: 1000) { items { text folder { name } } } }")
    (item,) = [item for item in answer["data"]["listNotes"]["items"] if item["text"] == "bob's"]
    assert item["folder"] is None
    assert answer["errors"][0]["message"] == "Not Authorized to access folder on type Note"
    assert answer["errors"][0]["path"][-1] == "folder"


def test_keys_of_relations_are_kept_back_too(alice: Caller, bob: Caller, world: World):
    """Amplify's client selects just `id _deleted` of a parent: that must not go past the rules."""
    folder = alice.written("createFolder", "id", name="mine")
    world.server.execute(
        "mutation M($input: CreateNoteInput!) { createNote(input: $input) { id } }",
        {"input": {"id": (note_id := unique()), "owner": "bob", "folderNotesId": folder["id"]}},
    )
    answer = bob.post("query G($id: ID!) { getNote(id: $id) { id folder { id _deleted } } }", id=note_id)
    assert answer["data"] == {"getNote": {"id": note_id, "folder": None}}
    assert answer["errors"][0]["errorType"] == "Unauthorized"
    note = alice.written("createNote", "id", text="mine", folderNotesId=folder["id"])
    found = alice.data("query G($id: ID!) { getNote(id: $id) { folder { id _deleted } } }", id=note["id"])
    assert found == {"folder": {"id": folder["id"], "_deleted": None}}


def test_an_authorizer_denies_fields(world: World):
    limited = Caller(world.server, with_token("open a little"))
    record = Caller(world.server, world.headers["AWS_LAMBDA"]).written("createOpen", "id text", text="T")
    answer = limited.post("query G($id: ID!) { getOpen(id: $id) { id text } }", id=record["id"])
    assert answer["data"] == {"getOpen": {"id": record["id"], "text": None}}
    assert answer["errors"][0]["message"] == "Not Authorized to access text on type Open"
    error = limited.refused("deleteOpen", id=record["id"], _version=1)
    assert error["message"] == "Not Authorized to access deleteOpen on type Mutation"


# -- events ------------------------------------------------------------------------------------------------------------


async def test_events_reach_their_owner_alone(world: World, alice: Caller, bob: Caller):
    carol = world.user("carol", "Staff")
    async with alice.acknowledged() as to_alice, bob.acknowledged() as to_bob, carol.acknowledged() as to_carol:
        for speaker in (to_alice, to_bob, to_carol):
            for action in ("Create", "Update", "Delete"):
                answer = await speaker.start(action, f"subscription {{ on{action}Note {{ id text owner }} }}")
                assert answer["type"] == "start_ack"
        mine = await asyncio.to_thread(alice.written, "createNote", NOTE, text="a")
        await asyncio.to_thread(alice.written, "updateNote", NOTE, id=mine["id"], text="b", _version=1)
        await asyncio.to_thread(alice.written, "deleteNote", NOTE, id=mine["id"], _version=2)
        theirs = await asyncio.to_thread(bob.written, "createNote", NOTE, text="c")
        expected = [("onCreateNote", "a"), ("onUpdateNote", "b"), ("onDeleteNote", "b")]
        for speaker in (to_alice, to_carol):
            for field, text in expected:
                assert (await speaker.event())["data"] == {field: {"id": mine["id"], "text": text, "owner": "alice"}}
        # bob's first event is his own: nothing came before it
        assert (await to_bob.event())["data"]["onCreateNote"]["id"] == theirs["id"]


_DIARY = "subscription S($owner: String) { onCreateDiary(owner: $owner) { id owner } }"


@pytest.mark.parametrize("owner", [None, "", "alice"])
async def test_a_subscription_may_name_its_owner(world: World, alice: Caller, bob: Caller, owner: str | None):
    """As Amplify's clients do, for a model that does not even declare the field."""
    async with alice.acknowledged() as speaker:
        assert (await speaker.start("1", _DIARY, {"owner": owner}))["type"] == "start_ack"
        await asyncio.to_thread(bob.written, "createDiary", "id owner", text="not for you")
        mine = await asyncio.to_thread(alice.written, "createDiary", "id owner", text="mine")
        assert (await speaker.event())["data"] == {"onCreateDiary": {"id": mine["id"], "owner": "alice"}}


async def test_a_subscription_may_not_name_another(alice: Caller):
    async with alice.acknowledged() as speaker:
        answer = await speaker.start("1", _DIARY, {"owner": "bob"})
        assert answer == {
            "id": "1",
            "type": "error",
            "payload": {
                "errors": [
                    {
                        "errorType": "Unauthorized",
                        "message": "Not Authorized to access onCreateDiary on type Subscription",
                    }
                ]
            },
        }


async def test_whoever_sees_all_may_ask_for_some(world: World, alice: Caller, bob: Caller):
    async with world.user("carol", "Staff").acknowledged() as speaker:
        assert (await speaker.start("1", _DIARY, {"owner": "bob"}))["type"] == "start_ack"
        await asyncio.to_thread(alice.written, "createDiary", "id owner", text="a")
        wanted = await asyncio.to_thread(bob.written, "createDiary", "id owner", text="b")
        assert (await speaker.event())["data"]["onCreateDiary"] == {"id": wanted["id"], "owner": "bob"}


async def test_a_filter_goes_with_the_rules(alice: Caller, bob: Caller):
    query = "subscription S($f: ModelSubscriptionNoteFilterInput) { onCreateNote(filter: $f) { id text owner } }"
    async with bob.acknowledged() as speaker:
        assert (await speaker.start("1", query, {"f": {"text": {"beginsWith": "w"}}}))["type"] == "start_ack"
        for caller, text in ((alice, "wrong owner"), (bob, "not wanted"), (bob, "wanted")):
            await asyncio.to_thread(caller.written, "createNote", "id text owner", text=text)
        assert (await speaker.event())["data"]["onCreateNote"]["text"] == "wanted"


async def test_denied_fields_cannot_be_guessed_by_a_filter(world: World):
    wanted = "subscription S($f: ModelSubscriptionOpenFilterInput) { onCreateOpen(filter: $f) { id } }"
    async with Caller(world.server, with_token("open a little")).acknowledged() as speaker:
        await speaker.start("guess", wanted, {"f": {"text": {"beginsWith": "se"}}})
        await speaker.start("all", "subscription { onCreateOpen { id text } }")
        async with Caller(world.server, with_token("open sesame")).acknowledged() as other:
            await other.start("same", wanted, {"f": {"text": {"beginsWith": "se"}}})
            caller = Caller(world.server, world.headers["API_KEY"])
            record = await asyncio.to_thread(caller.written, "createOpen", "id text", text="secret")
            assert (await other.event())["data"]["onCreateOpen"] == {"id": record["id"]}
            assert (await speaker.receive())["id"] == "all"


async def test_denied_fields_are_kept_from_events(world: World):
    async with Caller(world.server, with_token("open a little")).acknowledged() as speaker:
        await speaker.start("1", "subscription { onCreateOpen { id text } }")
        await asyncio.to_thread(
            Caller(world.server, world.headers["API_KEY"]).written, "createOpen", "id text", text="T"
        )
        payload = await speaker.event()
        assert payload["data"]["onCreateOpen"]["text"] is None


def test_the_howto_works():
    page = Path(__file__).parents[2] / "docs" / "howto" / "auth-modes-of-the-local-server.md"
    snippet = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    found: dict[str, Any] = {}
    exec(compile(snippet, str(page), "exec"), found)
    found["test_bob_does_not_see_what_alice_wrote"]()


# -- a law -------------------------------------------------------------------------------------------------------------

_owners = st.sampled_from(["alice", "bob", "sub::alice", "x::bob", "", None])
_shared = st.fixed_dictionaries(
    {
        "members": st.lists(st.sampled_from(["alice", "bob", "carol"]), max_size=3) | st.none(),
        "team": st.sampled_from(["Staff", "Other", None]),
    }
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(notes=st.lists(_owners, max_size=6), shared=st.lists(_shared, max_size=6), limit=st.integers(1, 5))
async def test_nobody_gets_a_row_his_rules_do_not_admit(
    world: World, notes: list[str | None], shared: list[dict[str, Any]], limit: int
):
    """By query, sync, list, relation and event, against the rules written down once more as plain Python."""
    users = {"alice": (), "bob": ("Other",), "carol": ("Staff",)}

    def may_see_note(name: str, owner: str | None) -> bool:
        return owner in (name, f"{world.pool.sub(name)}::{name}", world.pool.sub(name)) or name == "carol"

    def may_see_shared(name: str, row: Mapping[str, Any]) -> bool:
        return name in (row["members"] or ()) or row["team"] in users[name]

    folder = unique()
    inputs = [{"id": unique(), "owner": owner, "folderNotesId": folder} for owner in notes]
    rows = [{"id": unique(), **row} for row in shared]
    expected = {
        name: {item["id"] for item in inputs if may_see_note(name, item["owner"])}
        | {row["id"] for row in rows if may_see_shared(name, row)}
        for name in users
    }
    everything = {item["id"] for item in [*inputs, *rows]}

    async with (
        world.user("alice").acknowledged() as to_alice,
        world.user("bob", "Other").acknowledged() as to_bob,
        world.user("carol", "Staff").acknowledged() as to_carol,
    ):
        speakers = {"alice": to_alice, "bob": to_bob, "carol": to_carol}
        for speaker in speakers.values():
            await speaker.start("n", "subscription { onCreateNote { id owner } }")
            await speaker.start("s", "subscription { onCreateShared { id members team } }")
            await speaker.start("last", "subscription { onCreatePlain { id } }")

        def write() -> None:
            execute, last = world.server.execute, {"input": {"id": unique()}}
            execute(_create("Folder", "id owner"), {"input": {"id": folder, "owner": "alice"}})
            for item in inputs:
                execute(_create("Note", "id owner"), {"input": item})
            for row in rows:
                execute(_create("Shared", "id members team"), {"input": row})
            execute(_create("Plain", "id"), last)

        await asyncio.to_thread(write)
        for name, speaker in speakers.items():
            heard = set()
            while "onCreatePlain" not in (data := (await speaker.event())["data"]):
                heard |= {record["id"] for record in data.values()}
            assert heard == expected[name]

    def check(name: str) -> None:
        caller = world.user(name, *users[name])
        for model in ("Note", "Shared"):
            wanted = {item["id"] for item in (inputs if model == "Note" else rows)} & expected[name]
            synced = [item for page in caller.pages(f"sync{model}s", "id", limit=1000) for item in page["items"]]
            delta = caller.pages(f"sync{model}s", "id", limit=limit * 100, lastSync=1)
            listed = caller.data(f"{{ list{model}s(limit: 1000) {{ items {{ id }} }} }}")["items"]
            for found in (synced, listed, [item for page in delta for item in page["items"]]):
                assert {item["id"] for item in found} & everything == wanted
            for key in everything - {row["id"] for row in (rows if model == "Note" else inputs)}:
                answer = caller.post(f"query G($id: ID!) {{ get{model}(id: $id) {{ id }} }}", id=key)
                assert (answer["data"][f"get{model}"] is not None) is (key in wanted)
        if name == "alice":
            found = caller.data("query G($id: ID!) { getFolder(id: $id) { notes { items { id } } } }", id=folder)
            assert {item["id"] for item in found["notes"]["items"]} == expected[name] & {it["id"] for it in inputs}

    for name in users:
        await asyncio.to_thread(check, name)


def _create(model: str, selection: str) -> str:
    return f"mutation M($input: Create{model}Input!) {{ create{model}(input: $input) {{ {selection} }} }}"
