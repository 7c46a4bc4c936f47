"""The unmodified npm client with signed-in users: everybody syncs what is his own, and nobody hears of the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from django_datastore.testing.issuer import Issuer
from tests.e2e.amplify_js.programs import covers
from tests.e2e.amplify_js.stage import Phone, Stage

pytestmark = [pytest.mark.e2e, pytest.mark.on_each_database]

POOL = Issuer()
USER_POOLS = "AMAZON_COGNITO_USER_POOLS"


@pytest.fixture(scope="module")
def diary(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    settings = {"AUTH_MODE": USER_POOLS, "USER_POOL": POOL}
    with Stage(tmp_path_factory.mktemp("diary"), node, "diary", **settings) as stage:
        yield stage


@pytest.fixture(scope="module")
def signed_in_alice(diary: Stage) -> Phone:
    return diary.sign_in("alice", "phone of alice", groups=["editors"])


@pytest.fixture(scope="module")
def signed_in_bob(diary: Stage) -> Phone:
    return diary.sign_in("bob", "phone of bob")


@pytest.fixture
def alice(signed_in_alice: Phone) -> Iterator[Phone]:
    yield signed_in_alice
    assert signed_in_alice.complaints() == []


@pytest.fixture
def bob(signed_in_bob: Phone) -> Phone:
    return signed_in_bob


def heard(phone: Phone) -> str:
    """Everything that came to a client, as text."""
    return json.dumps([phone.line.received, [request.answer for request in phone.line.requests]])


def test_users_never_see_each_others_rows(diary: Stage, alice: Phone, bob: Phone) -> None:
    entry = alice.create("Entry", title="Dear diary")["id"]
    photo = alice.create("Photo", url="https://example.com/a.png", entry=entry)["id"]
    alice.has("Photo", photo, _version=1)
    alice.update("Entry", entry, mood="good")
    alice.has("Entry", entry, title="Dear diary", mood="good", _version=2)
    owner = f"{POOL.sub('alice')}::alice"
    stored = {"title": "Dear diary", "mood": "good", "owner": owner, "_version": 2}
    assert covers(diary.server.record("Entry", entry), stored)

    of_bob = bob.create("Entry", title="Bob's")["id"]
    bob.has("Entry", of_bob, title="Bob's", _version=1)  # what was said to him before has come by now
    bob.go_offline()
    bob.go_online()
    other_device = diary.sign_in("bob", "tablet of bob")
    assert [post["id"] for post in other_device.list("Entry")] == [of_bob]
    for phone in (bob, other_device):
        assert [found["id"] for found in phone.list("Entry")] == [of_bob]
        assert phone.list("Photo") == []
        assert entry not in heard(phone)
        assert photo not in heard(phone)
        assert "Dear diary" not in heard(phone)
    assert of_bob in heard(other_device)
    assert of_bob not in heard(alice)


def test_devices_of_one_user_share_what_is_his(diary: Stage, alice: Phone) -> None:
    tablet = diary.sign_in("alice", "tablet of alice", groups=["editors"])
    asked = len(tablet.line.requests)
    entry = alice.create("Entry", title="From the phone")["id"]
    for phone in (alice, tablet):  # a client drops what others change while its own change is not answered yet
        phone.has("Entry", entry, title="From the phone", _version=1)
    tablet.update("Entry", entry, title="From the tablet")
    for phone in (alice, tablet):
        phone.has("Entry", entry, title="From the tablet", _version=2)
    alice.delete("Entry", entry)
    tablet.event("observed", model="Entry", opType="DELETE", element={"id": entry})
    assert set(tablet.line.fields(since=asked)) == {"updateEntry"}  # the rest came through the socket
    assert tablet.complaints() == []


def test_client_subscribes_as_owner(diary: Stage, bob: Phone) -> None:
    started = [json.loads(message["payload"]["data"]) for message in bob.line.sent if message["type"] == "start"]
    owners = {start["query"].split("{")[1].split("(")[0].strip(): start["variables"] for start in started}
    assert {variables.get("owner") for field, variables in owners.items() if "Notice" not in field} == {"bob"}
    assert {field for field, variables in owners.items() if not variables} == {
        "onCreateNotice",
        "onUpdateNotice",
        "onDeleteNotice",
    }


@pytest.mark.parametrize("field", ["updateEntry", "deleteEntry"])
def test_stranger_cannot_write_what_he_cannot_see(diary: Stage, alice: Phone, field: str) -> None:
    entry = alice.create("Entry", title="Mine")["id"]
    alice.has("Entry", entry, _version=1)
    past = len(alice.line.received)
    kind = field[0].upper() + field[1:]
    document = f"mutation ($input: {kind}Input!) {{ {field}(input: $input) {{ id title owner _version }} }}"
    for version in (1, 7):  # a conflict would carry the record
        answer = _post(diary, "bob", document, input={"id": entry, "_version": version})
        assert answer["data"] == {field: None}
        (error,) = answer["errors"]
        assert error["errorType"] == "Unauthorized"
        assert "Mine" not in json.dumps(answer)
    assert covers(diary.server.record("Entry", entry), {"title": "Mine", "_version": 1, "_deleted": None})
    assert not any(
        message["type"] == "data" and "Mine" in json.dumps(message) for message in alice.line.received[past:]
    )


def test_group_writes_what_everybody_reads(diary: Stage, alice: Phone, bob: Phone) -> None:
    notice = alice.create("Notice", text="For all")["id"]
    bob.has("Notice", notice, text="For all", _version=1)

    refused = bob.create("Notice", text="Bob is no editor")["id"]
    (request,) = bob.sends("createNotice")
    assert [error["errorType"] for error in request.answer["errors"]] == ["Unauthorized"]
    assert diary.server.record("Notice", refused) is None
    alice.settles("Notice", text="The last")
    assert refused not in heard(alice)


@pytest.fixture
def pages(node: str, tmp_path: Path) -> Iterator[Stage]:
    settings = {"AUTH_MODE": USER_POOLS, "ADDITIONAL_AUTH_MODES": ["API_KEY"], "USER_POOL": POOL}
    with Stage(tmp_path, node, "pages", **settings) as stage:
        yield stage


def test_client_falls_back_to_the_auth_mode_of_another_rule(pages: Stage) -> None:
    editor = pages.sign_in("alice", "phone of alice", groups=["editors"], modes="MULTI_AUTH")
    page = editor.create("Page", text="For all")["id"]
    draft = editor.create("Draft", text="For me")["id"]
    editor.has("Draft", draft, _version=1)
    assert all("x-api-key" not in request.headers for request in editor.line.requests)
    assert editor.complaints() == []

    reader = pages.sign_in("bob", "phone of bob", modes="MULTI_AUTH", is_ready=False)
    reader.ask("start")
    refused, admitted = reader.sends("syncPages", count=2)
    assert "authorization" in refused.headers
    assert [error["errorType"] for error in refused.answer["errors"]] == ["Unauthorized"]
    assert refused.answer["data"] == {"syncPages": None}
    assert "authorization" not in admitted.headers
    assert admitted.headers["x-api-key"] == pages.server.api_key
    reader.has("Page", page, text="For all", _version=1)
    assert reader.list("Draft") == []
    assert draft not in heard(reader)

    def has_both_modes() -> bool:
        acknowledged = {message["id"] for message in list(reader.line.received) if message["type"] == "start_ack"}
        starts = [message for message in list(reader.line.sent) if message["type"] == "start"]
        headers = [start["payload"]["extensions"]["authorization"] for start in starts if start["id"] in acknowledged]
        return all(any(name in header for header in headers) for name in ("x-api-key", "Authorization"))

    reader.wait_for(has_both_modes, "subscriptions with its token, and others with the API key")


def _post(diary: Stage, user: str, document: str, **variables: Any) -> dict[str, Any]:
    headers = {"Authorization": POOL.token(user)}
    answer = httpx.post(diary.server.url, json={"query": document, "variables": variables}, headers=headers)
    found: dict[str, Any] = answer.json()
    return found
