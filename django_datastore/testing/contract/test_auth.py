"""Auth modes and `@auth` rules: users with tokens, signed requests, keys that may only read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import httpx
import pytest
from gql.transport.appsync_auth import AppSyncAuthentication, AppSyncIAMAuthentication, AppSyncJWTAuthentication

from django_datastore.testing.contract.api import Record, Target, unique
from django_datastore.testing.contract.fixtures import People
from django_datastore.testing.contract.sockets import SECONDS, key_header, speaking

DIARY = "id text owner _version _lastChangedAt _deleted"
NOTICE = "id text _version _deleted"
ON_CREATE = "subscription { onCreateDiary { id text owner } }"


@dataclass
class Caller:
    """Someone with credentials."""

    target: Target
    headers: dict[str, str]
    made: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, query: str, **variables: Any) -> Record:
        """The answer to a document."""
        body = {"query": query, "variables": variables}
        found = httpx.post(self.target.endpoint, json=body, headers=self.headers, timeout=SECONDS)
        assert found.status_code == 200, found.text
        answer: Record = found.json()
        return answer

    def create(self, model: str = "Diary", selection: str = DIARY, **values: Any) -> Record:
        """The answer to a create."""
        values = {"id": unique(), "text": "x", **values}
        self.made.append((model, values["id"]))
        query = f"mutation($input: Create{model}Input!) {{ create{model}(input: $input) {{ {selection} }} }}"
        return self.answer(query, input=values)

    def created(self, model: str = "Diary", selection: str = DIARY, **values: Any) -> Record:
        """What was created."""
        answer = self.create(model, selection, **values)
        assert not answer.get("errors"), answer["errors"]
        found: Record = answer["data"][f"create{model}"]
        return found

    def get(self, record: Record) -> Record:
        """The answer to a get."""
        return self.answer(f"query($id: ID!) {{ getDiary(id: $id) {{ {DIARY} }} }}", id=record["id"])

    def seen(self, query: str, record: Record) -> bool:
        """Whether a list or a sync shows a diary to this caller."""
        token = None
        while True:
            page = self.answer(
                f"query($t: String) {{ {query}(limit: 1000, nextToken: $t) {{ items {{ id }} nextToken }} }}", t=token
            )
            assert not page.get("errors"), page["errors"]
            found = page["data"][query]
            if record["id"] in {item["id"] for item in found["items"]}:
                return True
            if (token := found["nextToken"]) is None:
                return False

    def clean(self) -> None:
        """Deletes what was created."""
        for model, found in self.made:
            item = self.answer(f"query($id: ID!) {{ get{model}(id: $id) {{ _version _deleted }} }}", id=found)["data"]
            record = (item or {}).get(f"get{model}")
            if record and not record["_deleted"]:
                query = f"mutation($input: Delete{model}Input!) {{ delete{model}(input: $input) {{ id }} }}"
                self.answer(query, input={"id": found, "_version": record["_version"]})


@pytest.fixture
def alice(people: People) -> Iterator[Caller]:
    """A user."""
    found = Caller(people.target, {"Authorization": people.token})
    yield found
    found.clean()


@pytest.fixture
def bob(people: People) -> Caller:
    """Another user."""
    return Caller(people.target, {"Authorization": people.other_token})


@pytest.fixture
def key(people: People) -> Caller:
    """Somebody with the API key only."""
    return Caller(people.target, {"x-api-key": people.target.api_key})


def refused(answer: Record, field_name: str) -> None:
    """The resolver refused with AppSync's words."""
    assert answer["data"] in ({field_name: None}, None)
    error = answer["errors"][0]
    assert error["errorType"] == "Unauthorized"
    assert error["message"].startswith(f"Not Authorized to access {field_name} on type ")


# -- HTTP --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "Bearer "])
def test_token_lets_in(people: People, alice: Caller, prefix: str) -> None:
    """Guide, "AMAZON_COGNITO_USER_POOLS authorization": the Authorization header, with Bearer or without."""
    alice.headers["Authorization"] = prefix + people.token
    assert alice.created()["text"] == "x"


@pytest.mark.parametrize("damage", [lambda token: token[:-4] + "AAAA", lambda token: "a.b.c", lambda token: "x"])
def test_broken_token_is_a_401(people: People, damage: Callable[[str], str]) -> None:
    """amplify-js #2645 and others: 401, UnauthorizedException. Doubt: which of several messages."""
    headers = {"Authorization": damage(people.token)}
    found = httpx.post(people.target.endpoint, json={"query": "{ __typename }"}, headers=headers, timeout=SECONDS)
    assert found.status_code == 401
    assert found.json()["errors"][0]["errorType"] == "UnauthorizedException"


def test_create_fills_in_the_owner(alice: Caller) -> None:
    """Amplify's auth transformer: a missing owner becomes the caller."""
    assert alice.created()["owner"]


def test_nobody_else_sees_a_diary(alice: Caller, bob: Caller) -> None:
    """Amplify's auth transformer: get refuses, list and sync filter."""
    made = alice.created()
    assert alice.get(made)["data"]["getDiary"]["text"] == "x"
    refused(bob.get(made), "getDiary")
    for query in ("listDiaries", "syncDiaries"):
        assert (alice.seen(query, made), bob.seen(query, made)) == (True, False)


@pytest.mark.parametrize("kind", ["update", "delete"])
def test_nobody_else_changes_a_diary(alice: Caller, bob: Caller, kind: str) -> None:
    """amplify-js' fake service quotes "Not Authorized to access updateX on type Mutation"; the record stays unseen."""
    made = alice.created()
    query = f"mutation($input: {kind.title()}DiaryInput!) {{ {kind}Diary(input: $input) {{ {DIARY} }} }}"
    values = {"id": made["id"], "_version": made["_version"]}
    answer = bob.answer(query, input=values)
    refused(answer, f"{kind}Diary")
    assert not answer["errors"][0].get("data")
    assert alice.get(made)["data"]["getDiary"]["_version"] == 1
    assert not alice.answer(query, input=values).get("errors")


def test_nobody_creates_a_diary_for_another(alice: Caller, bob: Caller) -> None:
    """Amplify's auth transformer: an owner that is given must be the caller."""
    refused(bob.create(owner=alice.created()["owner"]), "createDiary")


def test_key_is_no_way_to_a_diary(alice: Caller, key: Caller) -> None:
    """A model admits the modes its rules name."""
    made = alice.created()
    refused(key.get(made), "getDiary")
    refused(key.answer("{ syncDiaries { nextToken } }"), "syncDiaries")
    refused(key.create(selection="id"), "createDiary")


def test_key_may_do_what_its_rule_says(alice: Caller, key: Caller) -> None:
    """`operations: [read]`: the same API, another mode, less rights."""
    made = alice.created("Notice", NOTICE)
    assert key.answer("query($id: ID!) { getNotice(id: $id) { text } }", id=made["id"])["data"]["getNotice"] == {
        "text": "x"
    }
    refused(key.create("Notice", NOTICE), "createNotice")


# -- sockets -----------------------------------------------------------------------------------------------------------


def token_header(people: People, token: str) -> dict[str, str]:
    """What authorises with a token."""
    return {"host": people.target.host, "Authorization": token}


def test_owner_gets_events_of_his_own(people: People, alice: Caller, bob: Caller) -> None:
    """Amplify's auth transformer: without an argument the events are those the caller may read."""
    with (
        speaking(people.target, header=token_header(people, people.token)) as one,
        speaking(people.target, header=token_header(people, people.other_token)) as other,
    ):
        for speaker, token in ((one, people.token), (other, people.other_token)):
            answer = speaker.start("1", ON_CREATE, authorization=token_header(people, token))
            assert answer["type"] == "start_ack", answer
        hers, his = alice.created(text="hers"), bob.created(text="his")
        assert one.event()["payload"]["data"]["onCreateDiary"]["id"] == hers["id"]
        assert other.event()["payload"]["data"]["onCreateDiary"]["id"] == his["id"]
    bob.clean()


def test_modes_mix_on_one_socket(people: People, alice: Caller) -> None:
    """Guide: one connection supports subscriptions "even if they are in different authorization modes"."""
    with speaking(people.target, header=key_header(people.target)) as speaker:
        by_token = token_header(people, people.token)
        assert speaker.start("1", ON_CREATE, authorization=by_token)["type"] == "start_ack"
        assert speaker.start("2", "subscription { onCreateNotice { id } }")["type"] == "start_ack"
        made = alice.created()
        assert speaker.event(made["id"])["id"] == "1"
        notice = alice.created("Notice", NOTICE)
        assert speaker.event(notice["id"])["id"] == "2"


def test_subscription_the_rules_do_not_admit_is_an_error(people: People) -> None:
    """amplify-js gives up quietly on errorType Unauthorized."""
    with speaking(people.target, header=key_header(people.target)) as speaker:
        answer = speaker.start("1", ON_CREATE)
        assert (answer["id"], answer["type"]) == ("1", "error")
        error = answer["payload"]["errors"][0]
        assert "Unauthorized" in json.dumps(error)
        assert "Not Authorized to access onCreateDiary on type " in error["message"]


# -- gql ---------------------------------------------------------------------------------------------------------------


def gqls_token(people: People) -> AppSyncAuthentication:
    """gql's authentication for user pools and OpenID providers."""
    return AppSyncJWTAuthentication(people.target.host, people.token)


def gqls_signature(people: People) -> AppSyncAuthentication:
    """gql's authentication for AWS_IAM, which signs with botocore."""
    if people.region is None or people.credentials is None:
        pytest.skip("no AWS credentials and APPSYNC_CONTRACT_REGION to sign with")
    pytest.importorskip("botocore")
    return AppSyncIAMAuthentication(people.target.host, region_name=people.region, credentials=people.credentials)


@pytest.mark.parametrize("authentication", [gqls_token, gqls_signature])
def test_gqls_http_transport_takes_the_mode(people: People, authentication: Callable[[People], Any]) -> None:
    """gql's documentation, "AppSync": AIOHTTPTransport with an authentication."""
    pytest.importorskip("aiohttp")
    gql = import_module("gql")
    transport = import_module("gql.transport.aiohttp").AIOHTTPTransport(
        url=people.target.endpoint, auth=authentication(people)
    )
    client = gql.Client(transport=transport, execute_timeout=SECONDS)
    document = gql.gql("query($id: ID!) { getNotice(id: $id) { id } }")
    document.variable_values = {"id": unique()}
    assert client.execute(document) == {"getNotice": None}


@pytest.mark.parametrize("authentication", [gqls_token, gqls_signature])
def test_gqls_socket_transport_takes_the_mode(
    people: People, alice: Caller, authentication: Callable[[People], Any]
) -> None:
    """gql's documentation, "AppSync": AppSyncWebsocketsTransport, unpatched."""
    gql = import_module("gql")
    transport_class = import_module("gql.transport.appsync_websockets").AppSyncWebsocketsTransport

    async def subscribed() -> Record:
        transport = transport_class(url=people.target.socket_urls[-1], auth=authentication(people))
        async with gql.Client(transport=transport) as session:
            events = session.subscribe(gql.gql("subscription { onCreateNotice { id text } }"))
            first = asyncio.ensure_future(anext(events))
            while not first.done():
                await asyncio.to_thread(alice.created, "Notice", NOTICE)
                await asyncio.wait([first], timeout=0.2)
            found: Record = await first
            await events.aclose()
            return found

    assert asyncio.run(subscribed())["onCreateNotice"]["text"] == "x"
