"""The unmodified npm client against the local server alone: what AppSync would do for it, the server does.

    phone (Node, store) ◀─▶ line ◀─▶ LocalServer (thread, SQLite or PostgreSQL)      "foreign": somebody else who writes

The line remembers every request and frame; the server's records are looked at directly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from django_datastore.appsync_local.transfer import load_records
from tests.e2e.amplify_js.programs import covers
from tests.e2e.amplify_js.stage import Phone, Stage
from tests.integration.local_server_tools import POST, unique

pytestmark = [pytest.mark.e2e, pytest.mark.on_each_database]

SELECTION = f"{POST} blog {{ id _deleted }}"
"""What the client itself selects of a post: a foreign writer that selects less sends it holes."""


@pytest.fixture(scope="module")
def automerge(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("automerge"), node, "example") as stage:
        yield stage


@pytest.fixture(scope="module")
def shared_phone(automerge: Stage) -> Phone:
    return automerge.client("phone", store=automerge.store("phone"))


@pytest.fixture
def phone(shared_phone: Phone) -> Iterator[Phone]:
    """A client that is in sync; what it gets it must be able to use."""
    yield shared_phone
    assert shared_phone.complaints() == []


@pytest.fixture
def stage(node: str, tmp_path: Path) -> Iterator[Stage]:
    """A server of the test's own."""
    with Stage(tmp_path, node, "example") as stage:
        yield stage


# -- Sync -------------------------------------------------------------------------------------------------------------


def test_base_sync_comes_in_pages_of_one_sync(stage: Stage) -> None:
    load_records(stage.server.service, ({"model": "Post", "title": f"{n}", "id": f"{n:04}"} for n in range(2_500)))
    phone = stage.client("phone")
    pages = phone.line.asked("syncPosts")
    assert [page.variables["limit"] for page in pages] == [1000, 1000, 1000]
    assert [page.variables["lastSync"] for page in pages] == [0, 0, 0]
    assert [page.variables["nextToken"] for page in pages] == [None, *(page.value["nextToken"] for page in pages[:-1])]
    assert [len(page.value["items"]) for page in pages] == [1000, 1000, 500]
    assert pages[-1].value["nextToken"] is None
    assert len({page.value["startedAt"] for page in pages}) == 1
    counts = {"new": 2500, "updated": 0, "deleted": 0}
    phone.event("modelSynced", model="Post", isFullSync=True, counts=counts)
    assert sorted(post["id"] for post in phone.list("Post")) == [f"{n:04}" for n in range(2_500)]


def test_delta_sync_after_a_restart_brings_deletes_too(stage: Stage) -> None:
    same, edited, deleted = (stage.foreign.written("createPost", SELECTION, title="Before")["id"] for _ in range(3))
    phone = stage.client("phone", store=stage.store("phone"))
    last_sync = phone.line.asked("syncPosts")[0].value["startedAt"]
    phone.restart()
    stage.foreign.written("updatePost", SELECTION, id=edited, title="After", _version=1)
    stage.foreign.written("deletePost", SELECTION, id=deleted, _version=1)
    new = stage.foreign.written("createPost", SELECTION, title="New")["id"]

    phone = stage.client("phone again", store=stage.store("phone"))
    (page,) = phone.line.asked("syncPosts")
    assert page.variables["lastSync"] == last_sync
    found = {post["id"]: (post["_version"], post["_deleted"]) for post in page.value["items"]}
    assert found == {edited: (2, None), deleted: (2, True), new: (1, None)}
    phone.event("modelSynced", model="Post", isFullSync=False, counts={"new": 1, "updated": 1, "deleted": 1})
    titles = {post["id"]: (post["title"], post["_version"]) for post in phone.list("Post")}
    assert titles == {same: ("Before", 1), edited: ("After", 2), new: ("New", 1)}


def test_client_away_for_too_long_gets_everything(stage: Stage) -> None:
    same, deleted = (stage.foreign.written("createPost", SELECTION, title="Before")["id"] for _ in range(2))
    phone = stage.client("phone", store=stage.store("phone"))
    last_sync = phone.line.asked("syncPosts")[0].value["startedAt"]
    phone.restart()
    stage.foreign.written("deletePost", SELECTION, id=deleted, _version=1)
    stage.pass_time(minutes=31)

    phone = stage.client("phone again", store=stage.store("phone"))
    (page,) = phone.line.asked("syncPosts")
    assert page.variables["lastSync"] == last_sync
    assert {post["id"]: post["_deleted"] for post in page.value["items"]} == {same: None, deleted: True}
    assert [post["id"] for post in phone.list("Post")] == [same]


def test_unsent_edit_survives_a_restart_and_is_merged(stage: Stage) -> None:
    key = stage.foreign.written("createPost", SELECTION, title="Before")["id"]
    phone = stage.client("phone", store=stage.store("phone"))
    phone.go_offline()
    phone.update("Post", key, rating=5)
    phone.restart()
    stage.foreign.written("updatePost", SELECTION, id=key, title="Foreign", _version=1)

    phone = stage.client("phone again", store=stage.store("phone"))
    (update,) = phone.sends("updatePost")
    assert update.variables["input"] == {"id": key, "rating": 5, "_version": 1}
    phone.has("Post", key, title="Foreign", rating=5, _version=3)
    assert covers(stage.server.record("Post", key), {"title": "Foreign", "rating": 5, "_version": 3})


def test_sync_expression_selects_pages_and_events(automerge: Stage) -> None:
    many, few = (automerge.foreign.written("createPost", SELECTION, title="T", rating=n)["id"] for n in (5, 3))
    phone = automerge.client("selective phone", expressions={"Post": [["rating", "gt", 3]]})
    (page,) = phone.line.asked("syncPosts")
    assert page.variables["filter"] == {"and": [{"rating": {"gt": 3}}]}
    assert all(post["rating"] > 3 for post in page.value["items"])
    assert phone.get("Post", many)
    assert phone.get("Post", few) is None
    started = [json.loads(message["payload"]["data"]) for message in phone.line.sent if message["type"] == "start"]
    filters = [start["variables"].get("filter") for start in started if "Post" in start["query"]]
    assert filters == [{"and": [{"rating": {"gt": 3}}]}] * 3

    unwanted = automerge.foreign.written("createPost", SELECTION, title="Unwanted", rating=3)["id"]
    wanted = automerge.foreign.written("createPost", SELECTION, title="Wanted", rating=4)["id"]
    phone.has("Post", wanted, title="Wanted", rating=4, _version=1)
    assert unwanted not in json.dumps(phone.line.received)
    assert phone.complaints() == []


# -- Mutations --------------------------------------------------------------------------------------------------------


def test_writes_carry_the_versions_the_server_gave(automerge: Stage, phone: Phone) -> None:
    past = len(phone.line.requests)
    key = phone.create("Post", title="One", rating=1)["id"]
    phone.has("Post", key, _version=1)
    phone.update("Post", key, title="Two")
    phone.has("Post", key, title="Two", _version=2)
    phone.delete("Post", key)
    phone.sends("deletePost", since=past)

    create, update, delete = phone.line.requests[past:]
    assert (create.field, update.field, delete.field) == ("createPost", "updatePost", "deletePost")
    assert create.variables["input"] == {"id": key, "title": "One", "rating": 1}
    assert update.variables["input"] == {"id": key, "title": "Two", "_version": 1}
    assert delete.variables["input"] == {"id": key, "_version": 2}
    assert [request.value["_version"] for request in (create, update, delete)] == [1, 2, 3]
    assert covers(automerge.server.record("Post", key), {"title": "Two", "rating": 1, "_version": 3, "_deleted": True})
    phone.settles("Post", title="The last")
    assert phone.get("Post", key) is None


def test_refused_condition_of_a_foreign_writer_reaches_nobody(automerge: Stage, phone: Phone) -> None:
    key = phone.create("Post", title="Mine", rating=1)["id"]
    phone.has("Post", key, _version=1)
    past = len(phone.line.received)
    refused = automerge.foreign.post(
        "mutation ($input: UpdatePostInput!) { updatePost(input: $input, condition: {rating: {gt: 1}}) { id } }",
        input={"id": key, "title": "Theirs", "_version": 1},
    )
    assert refused["errors"][0]["errorType"] == "ConditionalCheckFailedException"
    automerge.foreign.written("updatePost", SELECTION, id=key, rating=2, _version=1)
    phone.has("Post", key, title="Mine", rating=2, _version=2)
    events = [message for message in phone.line.received[past:] if message["type"] == "data"]
    assert [event["payload"]["data"]["onUpdatePost"]["_version"] for event in events] == [2]


# -- Realtime ---------------------------------------------------------------------------------------------------------


def test_foreign_mutations_arrive_without_asking(automerge: Stage, phone: Phone) -> None:
    asked, heard = len(phone.line.requests), len(phone.line.received)
    key = automerge.foreign.written("createPost", SELECTION, title="Foreign", tags=["a", None])["id"]
    element = {"id": key, "title": "Foreign", "tags": ["a", None], "_version": 1}
    phone.event("observed", model="Post", opType="INSERT", element=element)
    automerge.foreign.written("updatePost", SELECTION, id=key, title="Edited", _version=1)
    phone.has("Post", key, title="Edited", tags=["a", None], _version=2)
    automerge.foreign.written("deletePost", SELECTION, id=key, _version=2)
    phone.event("observed", model="Post", opType="DELETE", element={"id": key})
    assert phone.get("Post", key) is None

    assert phone.line.fields(since=asked) == []
    events = [message["payload"]["data"] for message in phone.line.received[heard:] if message["type"] == "data"]
    assert [(field, record["_version"]) for event in events for field, record in event.items()] == [
        ("onCreatePost", 1),
        ("onUpdatePost", 2),
        ("onDeletePost", 3),
    ]


def test_observe_query_follows_the_server(automerge: Stage, phone: Phone) -> None:
    title = unique()
    first = automerge.foreign.written("createPost", SELECTION, title=title, rating=1)["id"]
    phone.has("Post", first)
    phone.ask("observeQuery", model="Post", criteria=[["title", "eq", title]])

    def snapshot(*keys: str) -> None:
        def came() -> bool:
            snapshots = [event for event in list(phone.events) if event["event"] == "snapshot" and event["isSynced"]]
            return any([post["id"] for post in event["items"]] == [*keys] for event in snapshots)

        phone.wait_for(came, f"a snapshot of {keys}")

    snapshot(first)
    second = automerge.foreign.written("createPost", SELECTION, title=title)["id"]
    snapshot(first, second)
    automerge.foreign.written("updatePost", SELECTION, id=first, title="Another", _version=1)
    snapshot(second)
    automerge.foreign.written("deletePost", SELECTION, id=second, _version=1)
    snapshot()


def _cut(stage: Stage, phone: Phone) -> None:
    assert phone.line.cut() == 1


def _restart(stage: Stage, phone: Phone) -> None:
    stage.server.stop()
    stage.server.start()


@pytest.mark.parametrize("interrupt", [_cut, _restart])
def test_client_reconnects_and_misses_nothing(stage: Stage, interrupt: Callable[[Stage, Phone], None]) -> None:
    phone = stage.client("phone")
    gone = stage.foreign.written("createPost", SELECTION, title="Before")["id"]
    phone.has("Post", gone, _version=1)
    last_sync = phone.line.asked("syncPosts")[0].value["startedAt"]
    events, requests = len(phone.events), len(phone.line.requests)
    interrupt(stage, phone)
    missed = stage.foreign.written("createPost", SELECTION, title="Missed")["id"]
    stage.foreign.written("deletePost", SELECTION, id=gone, _version=1)

    phone.event("ready", since=events)
    assert [message["type"] for message in phone.line.sent].count("connection_init") == 2
    assert [page.variables["lastSync"] for page in phone.line.asked("syncPosts", since=requests)] == [last_sync]
    phone.has("Post", missed, title="Missed", _version=1)
    phone.lacks("Post", gone)
    later = stage.foreign.written("createPost", SELECTION, title="Heard again")["id"]
    phone.has("Post", later, title="Heard again")
    assert phone.line.asked("syncPosts", since=requests)[1:] == []


# -- Both sides edit --------------------------------------------------------------------------------------------------


def test_edits_of_both_sides_are_merged(automerge: Stage, phone: Phone) -> None:
    key = automerge.foreign.written("createPost", SELECTION, title="Before", tags=["a"])["id"]
    phone.has("Post", key, _version=1)
    phone.go_offline()
    past = len(phone.line.requests)
    phone.update("Post", key, title="Phone", tags=["a", "phone"], rating=5)
    values = {"title": "Foreign", "tags": ["a", "foreign"], "status": "DRAFT"}
    automerge.foreign.written("updatePost", SELECTION, id=key, _version=1, **values)
    phone.go_online()

    (update,) = phone.sends("updatePost", since=past)
    edited = {"id": key, "title": "Phone", "tags": ["a", "phone"], "rating": 5, "_version": 1}
    assert update.variables["input"] == edited
    tags = ["a", "foreign", "a", "phone"]
    merged = {"title": "Foreign", "tags": tags, "status": "DRAFT", "rating": 5, "_version": 3}
    assert covers(automerge.server.record("Post", key), merged)
    phone.has("Post", key, **merged)


def test_delete_of_what_somebody_edited_is_undone(automerge: Stage) -> None:
    phone = automerge.client("deleting phone")  # one of its own: it warns of the conflict
    key = automerge.foreign.written("createPost", SELECTION, title="Before")["id"]
    phone.has("Post", key, _version=1)
    phone.go_offline()
    past = len(phone.line.requests)
    phone.delete("Post", key)
    automerge.foreign.written("updatePost", SELECTION, id=key, _version=1, title="Foreign")
    phone.go_online()

    (error,) = phone.sends("deletePost", since=past)[0].answer["errors"]
    assert error["errorType"] == "ConflictUnhandled"
    assert covers(error["data"], {"id": key, "title": "Foreign", "_version": 2})
    phone.settles("Post", title="The last")
    phone.has("Post", key, title="Foreign", _version=2)
    assert covers(automerge.server.record("Post", key), {"title": "Foreign", "_version": 2, "_deleted": None})


@pytest.fixture(scope="module")
def optimistic(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("optimistic"), node, "example", conflict="optimistic") as stage:
        yield stage


@pytest.fixture(scope="module")
def strict_phone(optimistic: Stage) -> Phone:
    """A client with a conflict handler, of a server that merges nothing."""
    return optimistic.client("strict phone", conflict="DISCARD")


def _edit_on_both_sides(stage: Stage, phone: Phone) -> str:
    """The key of a post with an unsent title of the phone, and a foreign title and status on the server."""
    key: str = stage.foreign.written("createPost", SELECTION, title="Before", rating=1)["id"]
    phone.has("Post", key, _version=1)
    phone.go_offline()
    phone.update("Post", key, title="Phone")
    stage.foreign.written("updatePost", SELECTION, id=key, _version=1, title="Foreign", status="DRAFT")
    return key


def test_conflict_handler_discards(optimistic: Stage, strict_phone: Phone) -> None:
    strict_phone.ask("answerConflicts", answer="DISCARD")
    key = _edit_on_both_sides(optimistic, strict_phone)
    asked, told = len(strict_phone.line.requests), len(strict_phone.events)
    strict_phone.go_online()

    conflict = strict_phone.event("conflict", since=told, model="Post", operation="UPDATE", attempts=1)
    assert covers(conflict["local"], {"id": key, "title": "Phone", "status": None, "_version": 1})
    foreign = {"id": key, "title": "Foreign", "status": "DRAFT", "rating": 1, "_version": 2}
    assert covers(conflict["remote"], foreign)
    strict_phone.sends("getPost", since=asked)
    strict_phone.has("Post", key, **foreign)
    assert len(strict_phone.line.asked("updatePost", since=asked)) == 1
    assert covers(optimistic.server.record("Post", key), foreign)


def test_conflict_handler_merges(optimistic: Stage, strict_phone: Phone) -> None:
    strict_phone.ask("answerConflicts", answer={"title": "Both", "tags": ["merged"]})
    key = _edit_on_both_sides(optimistic, strict_phone)
    asked, told = len(strict_phone.line.requests), len(strict_phone.events)
    strict_phone.go_online()

    strict_phone.event("conflict", since=told, model="Post", remote={"id": key, "title": "Foreign", "_version": 2})
    refused, accepted = strict_phone.sends("updatePost", since=asked, count=2)
    assert refused.answer["data"] == {"updatePost": None}
    assert [error["errorType"] for error in refused.answer["errors"]] == ["ConflictUnhandled"]
    assert covers(accepted.variables["input"], {"id": key, "title": "Both", "tags": ["merged"], "_version": 2})
    merged = {"title": "Both", "tags": ["merged"], "status": "DRAFT", "rating": 1, "_version": 3}
    strict_phone.has("Post", key, **merged)
    assert covers(optimistic.server.record("Post", key), merged)


def test_refused_delete_brings_the_record_back(optimistic: Stage, strict_phone: Phone) -> None:
    strict_phone.ask("answerConflicts", answer="DISCARD")
    key = optimistic.foreign.written("createPost", SELECTION, title="Before")["id"]
    strict_phone.has("Post", key, _version=1)
    strict_phone.go_offline()
    strict_phone.delete("Post", key)
    optimistic.foreign.written("updatePost", SELECTION, id=key, _version=1, title="Foreign")
    told = len(strict_phone.events)
    strict_phone.go_online()

    strict_phone.event("conflict", since=told, operation="DELETE", remote={"id": key, "title": "Foreign"})
    strict_phone.has("Post", key, title="Foreign", _version=2)
    assert covers(optimistic.server.record("Post", key), {"title": "Foreign", "_version": 2, "_deleted": None})


# -- Keys of several fields, and relations through them ---------------------------------------------------------------


@pytest.fixture(scope="module")
def orders(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("orders"), node, "orders") as stage:
        yield stage


@pytest.fixture(scope="module")
def courier(orders: Stage) -> Phone:
    """A client of the orders."""
    return orders.client("courier")


CUSTOMER = (
    "country number name phone address { street city position { latitude longitude } } createdAt updatedAt "
    "_version _lastChangedAt _deleted"
)


def test_composite_key_identifies_a_record(orders: Stage, courier: Phone) -> None:
    past = len(courier.line.requests)
    key = {"country": "DE", "number": 7}
    address = {"street": "Ring 1", "city": None, "position": {"latitude": 52.5, "longitude": 13.4}}
    courier.create("Customer", **key, name="Ada", address=address)
    courier.has("Customer", key, name="Ada", address=address, _version=1)
    assert courier.sends("createCustomer", since=past)[0].variables["input"]["address"] == address
    courier.update("Customer", key, name="Ada L.")
    courier.has("Customer", key, name="Ada L.", _version=2)
    assert courier.sends("updateCustomer", since=past)[0].variables["input"] == {**key, "name": "Ada L.", "_version": 1}

    # of another key, though each value occurs in it
    orders.foreign.written("createCustomer", CUSTOMER, country="DE", number=8, name="Eight")
    orders.foreign.written("createCustomer", CUSTOMER, country="AT", number=7, name="Austrian")
    orders.foreign.written("updateCustomer", CUSTOMER, **key, address=None, _version=2)
    courier.has("Customer", key, name="Ada L.", address=None, _version=3)
    courier.has("Customer", {"country": "AT", "number": 7}, name="Austrian", _version=1)
    courier.delete("Customer", key)
    assert courier.sends("deleteCustomer", since=past)[0].variables["input"] == {**key, "_version": 3}
    courier.settles("Order", priority="LOW")
    assert courier.get("Customer", key) is None
    assert covers(orders.server.record("Customer", "DE", 7), {"_deleted": True, "_version": 4})
    assert covers(orders.server.record("Customer", "AT", 7), {"_deleted": None, "_version": 1})
    assert courier.get("Customer", {"country": "DE", "number": 8})["name"] == "Eight"


def test_parents_are_written_before_their_children(orders: Stage, courier: Phone) -> None:
    courier.go_offline()
    past = len(courier.line.requests)
    customer = {"country": "FR", "number": 1}
    courier.create("Customer", **customer, name="Blaise")
    visited = [{"latitude": 1.5, "longitude": -2.0}]
    order = courier.create("Order", customer=customer, priority="HIGH", due="2024-05-01", visited=visited)["id"]
    line = {"orderID": order, "position": 1}
    courier.create("Line", position=1, order=order, article="Calculator", price=2.5)
    assert orders.server.record("Customer", "FR", 1) is None
    courier.go_online()
    courier.has("Line", line, _version=1)

    written = [request for request in courier.line.requests[past:] if request.field.startswith("create")]
    assert [request.field for request in written] == ["createCustomer", "createOrder", "createLine"]
    assert covers(written[1].variables["input"], {"customerCountry": "FR", "customerNumber": 1, "visited": visited})
    assert covers(written[2].variables["input"], line)
    assert covers(orders.server.record("Order", order), {"customerCountry": "FR", "customerNumber": 1, "_version": 1})
    assert covers(orders.server.record("Line", order, 1), {"article": "Calculator", "price": 2.5, "_version": 1})


def test_parents_are_synced_before_their_children(orders: Stage, courier: Phone) -> None:
    customer = {"country": "IT", "number": 1}
    courier.create("Customer", **customer, name="Galileo")
    order = courier.create("Order", customer=customer, priority="LOW")["id"]
    courier.create("Line", position=1, order=order, article="Telescope")
    courier.has("Line", {"orderID": order, "position": 1}, _version=1)

    other = orders.client("other courier")
    customers, orders_page, lines = other.line.requests
    assert [page.field for page in (customers, orders_page, lines)] == ["syncCustomers", "syncOrders", "syncLines"]
    assert [page.after for page in (customers, orders_page, lines)] == [0, 1, 2]
    assert other.get("Order", order)["customer"]["name"] == "Galileo"
    assert other.get("Line", {"orderID": order, "position": 1})["order"]["id"] == order
    assert other.ask("children", model="Customer", key=customer, relation="orders") == [order]
    assert other.complaints() == []


# -- Many edits -------------------------------------------------------------------------------------------------------

STATUSES = [None, "DRAFT", "PUBLISHED"]


class Editing:
    """Random edits of two clients, and of which there is none both could not have made."""

    def __init__(self, clients: list[Phone], seed: int) -> None:
        self._clients = clients
        self._random = Random(seed)
        self._keys: list[str] = []
        self._is_online = {client.name: True for client in clients}

    def edit(self, times: int) -> None:
        """As many edits, some of them offline; ends online."""
        for number in range(times):
            client = self._random.choice(self._clients)
            change = self._random.choices([self._create, self._update, self._delete, self._switch], [3, 12, 1, 1])[0]
            change(client, f"{client.name} {number}")
        for client in self._clients:
            if not self._is_online[client.name]:
                self._switch(client)

    def _create(self, client: Phone, text: str) -> None:
        self._keys.append(client.create("Post", title=text, **self._values(text))["id"])

    def _update(self, client: Phone, text: str) -> None:
        if self._keys:
            values = self._values(text) or {"title": text}
            client.ask("updateIfThere", model="Post", key=self._recent(), values=values)

    def _delete(self, client: Phone, _text: str) -> None:
        if self._keys:
            client.ask("deleteIfThere", model="Post", key=self._recent())

    def _switch(self, client: Phone, _text: str = "") -> None:
        online = self._is_online[client.name] = not self._is_online[client.name]
        if online:
            client.go_online()
        else:
            client.settles("Post", title="Before the tunnel")  # an answer that comes after it would be lost to it
            client.go_offline()

    def _recent(self) -> str:
        """One of the newer records."""
        return self._random.choice(self._keys[-8:])

    def _values(self, text: str) -> dict[str, Any]:
        values = {"rating": self._random.randrange(5), "tags": [text], "status": self._random.choice(STATUSES)}
        return {name: value for name, value in values.items() if self._random.random() < 0.5}


@pytest.mark.parametrize("conflict", ["automerge", "optimistic"])
def test_two_clients_converge(node: str, tmp_path: Path, conflict: str) -> None:
    with Stage(tmp_path, node, "example", conflict=conflict) as stage:
        clients = [stage.client("left"), stage.client("right")]
        Editing(clients, seed=20).edit(300)
        for client in clients:
            client.settles("Post", title=f"The last of {client.name}")
        for client in clients:  # a client misses what comes while it has an unsent edit of the same record
            client.go_offline()
            client.go_online()
        stored = {post["id"]: _compared(post) for post in stage.server.records("Post") if not post["_deleted"]}
        assert len(stored) > 20
        for client in clients:
            assert {post["id"]: _compared(post) for post in client.list("Post")} == stored


def _compared(post: Mapping[str, Any]) -> dict[str, Any]:
    return {name: post.get(name) for name in ("title", "rating", "tags", "status", "_version")}
