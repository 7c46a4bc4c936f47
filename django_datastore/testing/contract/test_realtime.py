"""Subscriptions over real sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from django_datastore.testing.contract.api import METADATA, Api, unique
from django_datastore.testing.contract.sockets import Way, connected, key_header, speaking

ON_CREATE = "subscription operation { onCreateThing { id name rank _version } }"
FILTERED = """subscription operation($filter: ModelSubscriptionThingFilterInput) {
    onCreateThing(filter: $filter) { id name } }"""
WAYS = ["query", "subprotocol", "headers"]

# -- connecting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_connection_is_acknowledged_with_its_timeout_and_kept_alive(api: Api, way: Way) -> None:
    """Guide, "Building a real-time WebSocket client"; the guide says 5 minutes. A `ka` follows at once."""
    with connected(api.target, way=way) as speaker:
        assert speaker.socket.subprotocol == "graphql-ws"
        speaker.send("connection_init")
        answer = speaker.receive_any()
        assert (answer["type"], answer["payload"]) == ("connection_ack", {"connectionTimeoutMs": 300_000})
        assert speaker.receive_any() == {"type": "ka"}


def test_every_path_carries_subscriptions(api: Api) -> None:
    """Guide: AWS's realtime host, or `/graphql/realtime` of a custom domain; gql stays on `/graphql`."""
    for url in api.target.socket_urls:
        with speaking(api.target, url=url) as speaker:
            speaker.started("1", ON_CREATE)
            made = api.thing()
            assert speaker.event(made["id"])["payload"]["data"]["onCreateThing"]["id"] == made["id"]


@pytest.mark.parametrize("way", WAYS)
def test_wrong_key_is_a_connection_error(api: Api, way: Way) -> None:
    """amplify-flutter #2763 quotes it. Doubt: older reports have a longer errorType and errorCode 400."""
    with connected(api.target, way=way, header=key_header(api.target, "da2-wrongwrongwrongwrongwrong")) as speaker:
        speaker.send("connection_init")
        message = speaker.receive()
        assert message["type"] == "connection_error"
        (error,) = message["payload"]["errors"]
        assert error["errorType"].endswith("UnauthorizedException")
        assert error["message"] == "You are not authorized to make this call."
        assert error["errorCode"] in (400, 401)
        with pytest.raises(ConnectionClosed):
            speaker.receive()


# -- events ------------------------------------------------------------------------------------------------------------


def test_event_has_what_was_subscribed_to(api: Api) -> None:
    """Guide: `{"type": "data", "id", "payload": {"data": …}}`."""
    with speaking(api.target) as speaker:
        speaker.started("one", ON_CREATE)
        made = api.thing(rank=7)
        message = speaker.event(made["id"])
        assert message["id"] == "one"
        assert message["payload"]["data"] == {
            "onCreateThing": {"id": made["id"], "name": "one", "rank": 7, "_version": 1}
        }


def test_each_kind_of_mutation_has_its_subscription(api: Api) -> None:
    """Amplify's transformer: onCreateX, onUpdateX, onDeleteX; a delete carries the record with `_deleted`."""
    with speaking(api.target) as speaker:
        for kind in ("Create", "Update", "Delete"):
            speaker.started(kind, f"subscription {{ on{kind}Thing {{ id name {METADATA} }} }}")
        made = api.thing()
        changed = api.update(made, name="two")
        gone = api.delete(changed)
        events = [speaker.event(made["id"]) for _ in range(3)]
        assert [event["id"] for event in events] == ["Create", "Update", "Delete"]
        records = [next(iter(event["payload"]["data"].values())) for event in events]
        for record, wanted in zip(records, (made, changed, gone), strict=True):
            assert record == {name: wanted[name] for name in ("id", "name", *METADATA.split())}


def test_subscriber_gets_only_what_the_mutation_selected(api: Api) -> None:
    """Guide, "Using subscriptions": fields the mutation did not select are null, whatever they are in the table."""
    with speaking(api.target) as speaker:
        speaker.started("1", "subscription { onCreateThing { id rank note } }")
        values = api.thing_input(rank=5, note="n")
        api.written("create", "Thing", values, selection="id rank")
        assert speaker.event(values["id"])["payload"]["data"]["onCreateThing"] == {
            "id": values["id"],
            "rank": 5,
            "note": None,
        }


def test_aliases_of_the_mutation_do_not_matter(api: Api) -> None:
    """What counts is the field, not what the writer called it."""
    with speaking(api.target) as speaker:
        speaker.started("1", "subscription { onCreateThing { id title: name note } }")
        values = api.thing_input(note="n")
        api.remember("Thing", values)
        query = "mutation($i: CreateThingInput!) { mine: createThing(input: $i) { id note: name key: note } }"
        api.answer(query, {"i": values})
        found = speaker.event(values["id"])["payload"]["data"]["onCreateThing"]
        assert found == {"id": values["id"], "title": "one", "note": "n"}


def test_required_field_that_was_not_selected_breaks_the_event(api: Api) -> None:
    """amplify-cli #5542 and amplify-category-api #1338 quote it: an error for each such field; amplify-js skips it."""
    with speaking(api.target) as speaker:
        speaker.started("1", "subscription { onCreateThing { id name createdAt } }")
        api.written("create", "Thing", api.thing_input(), selection="id rank")
        payload = speaker.receive()["payload"]
        assert payload["data"] == {"onCreateThing": None}
        start, parent = "Cannot return null for non-nullable type:", "within parent 'Thing'"
        assert [(error["path"], error["message"]) for error in payload["errors"]] == [
            (["onCreateThing", "name"], f"{start} 'String' {parent} (/onCreateThing/name)"),
            (["onCreateThing", "createdAt"], f"{start} 'AWSDateTime' {parent} (/onCreateThing/createdAt)"),
        ]


def test_events_come_in_the_order_of_the_mutations(api: Api) -> None:
    """amplify-js does not compare versions of events, so the order is what it relies on."""
    made = api.thing()
    with speaking(api.target) as speaker:
        speaker.started("1", "subscription { onUpdateThing { id rank _version } }")
        record = made
        for number in range(10):
            record = api.update(record, rank=number)
        found = [speaker.event(made["id"])["payload"]["data"]["onUpdateThing"] for _ in range(10)]
        assert [(item["rank"], item["_version"]) for item in found] == [(n, n + 2) for n in range(10)]


def test_aliased_mutations_are_an_event_each(api: Api) -> None:
    """A batch of aliases is as many mutations, refused ones excepted."""
    with speaking(api.target) as speaker:
        speaker.started("1", ON_CREATE)
        values = [api.thing_input(name=str(number)) for number in range(5)]
        api.create_many("Thing", values)
        ids = [item["id"] for item in values]
        found = [speaker.event(*ids)["payload"]["data"]["onCreateThing"]["name"] for _ in range(5)]
        assert found == ["0", "1", "2", "3", "4"]


def test_refused_mutation_is_no_event(api: Api) -> None:
    """Guide: a subscription is triggered by a successful mutation."""
    made = api.thing()
    with speaking(api.target) as speaker:
        speaker.started("1", ON_CREATE)
        api.refused("create", "Thing", api.thing_input(id=made["id"], name="again"))
        after = api.thing(name="after")
        assert speaker.event(made["id"], after["id"])["payload"]["data"]["onCreateThing"]["name"] == "after"


def test_two_subscriptions_each_get_their_event(api: Api) -> None:
    """Guide: one connection carries many subscriptions; each event names its own."""
    with speaking(api.target) as speaker:
        speaker.started("a", "subscription { onCreateThing { id } }")
        speaker.started("b", "subscription { onCreateThing { id name } }")
        made = api.thing()
        events = {
            event["id"]: event["payload"]["data"]["onCreateThing"]
            for event in (speaker.event(made["id"]) for _ in "ab")
        }
        assert events == {"a": {"id": made["id"]}, "b": {"id": made["id"], "name": "one"}}


def test_two_sockets_both_get_the_event(api: Api) -> None:
    """Every subscriber is told, on whatever connection."""
    with speaking(api.target) as one, speaking(api.target) as other:
        one.started("1", ON_CREATE)
        other.started("1", ON_CREATE)
        made = api.thing()
        assert one.event(made["id"])["payload"] == other.event(made["id"])["payload"]


def test_relation_comes_from_the_mutations_selection(api: Api) -> None:
    """amplify-js selects `board { id _deleted }` on both sides."""
    board = api.written("create", "Board", {"id": unique(), "title": "B"})
    with speaking(api.target) as speaker:
        speaker.started("1", "subscription { onCreateCard { id seat board { id _deleted } } }")
        values = {"id": unique(), "seat": 1, "boardId": board["id"]}
        api.written("create", "Card", values, selection="id seat board { id _deleted }")
        found = speaker.event(values["id"])["payload"]["data"]["onCreateCard"]
        assert found == {"id": values["id"], "seat": 1, "board": {"id": board["id"], "_deleted": None}}


# -- filters -----------------------------------------------------------------------------------------------------------

FILTERS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"rank": {"eq": 1}}, {"rank": 1}, {"rank": 2}),
    ({"rank": {"ne": 1}}, {"rank": 2}, {"rank": 1}),
    ({"rank": {"gt": 1}}, {"rank": 2}, {"rank": 1}),
    ({"rank": {"ge": 2}}, {"rank": 2}, {"rank": 1}),
    ({"rank": {"lt": 2}}, {"rank": 1}, {"rank": 2}),
    ({"rank": {"le": 1}}, {"rank": 1}, {"rank": 2}),
    ({"rank": {"between": [1, 3]}}, {"rank": 2}, {"rank": 4}),
    ({"rank": {"in": [1, 3]}}, {"rank": 3}, {"rank": 2}),
    ({"rank": {"notIn": [1, 3]}}, {"rank": 2}, {"rank": 3}),
    ({"note": {"beginsWith": "ab"}}, {"note": "abc"}, {"note": "cab"}),
    ({"note": {"contains": "b"}}, {"note": "abc"}, {"note": "x"}),
    ({"note": {"notContains": "b"}}, {"note": "x"}, {"note": "abc"}),
    ({"live": {"eq": True}}, {"live": True}, {"live": False}),
    ({"or": [{"rank": {"eq": 1}}, {"note": {"eq": "a"}}]}, {"rank": 2, "note": "a"}, {"rank": 2, "note": "b"}),
    ({"and": [{"rank": {"eq": 1}}, {"note": {"eq": "a"}}]}, {"rank": 1, "note": "a"}, {"rank": 1, "note": "b"}),
]
"""A filter, a record it lets through, and one it does not."""


@pytest.mark.parametrize(("condition", "wanted", "other"), FILTERS)
def test_filter_lets_through_what_matches(
    api: Api, condition: dict[str, Any], wanted: dict[str, Any], other: dict[str, Any]
) -> None:
    """Guide, "Enhanced subscriptions filters"; Amplify's transformer hands the `filter` argument to it."""
    with speaking(api.target) as speaker:
        speaker.started("1", FILTERED, {"filter": condition})
        hidden, shown = api.thing(name="hidden", **other), api.thing(name="shown", **wanted)
        found = speaker.event(hidden["id"], shown["id"])["payload"]["data"]["onCreateThing"]
        assert found["name"] == "shown"


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"not": {"rank": {"eq": 1}}}, "The variables input contains a field name 'not'"),
        ({"nope": {"eq": 1}}, "The variables input contains a field "),
    ],
)
def test_refused_filter_says_what_amplifys_client_listens_for(
    api: Api, condition: dict[str, Any], message: str
) -> None:
    """amplify-js subscribes again without the filter if the error has one of its known texts, else it gives up."""
    with speaking(api.target) as speaker:
        answer = speaker.start("1", FILTERED, {"filter": condition})
        assert (answer["id"], answer["type"]) == ("1", "error")
        assert message in answer["payload"]["errors"][0]["message"]
        speaker.started("2", FILTERED)


# -- starting and stopping ---------------------------------------------------------------------------------------------


def test_stop_is_answered_and_ends_the_events(api: Api) -> None:
    """Guide: `stop` is answered by `complete`."""
    with speaking(api.target) as speaker:
        speaker.started("a", ON_CREATE)
        speaker.started("b", ON_CREATE)
        speaker.send("stop", id="a")
        answer = speaker.receive()
        assert (answer["id"], answer["type"]) == ("a", "complete")
        made = api.thing()
        assert speaker.event(made["id"])["id"] == "b"


def test_id_is_free_again_after_stop(api: Api) -> None:
    """amplify-js starts again under the old id."""
    with speaking(api.target) as speaker:
        speaker.started("a", ON_CREATE)
        speaker.send("stop", id="a")
        speaker.receive()
        speaker.started("a", ON_CREATE)
        made = api.thing()
        assert speaker.event(made["id"])["id"] == "a"


def test_duplicate_id_is_refused_and_the_first_lives_on(api: Api) -> None:
    """amplify-js #12818 quotes it."""
    with speaking(api.target) as speaker:
        speaker.started("a", ON_CREATE)
        answer = speaker.start("a", ON_CREATE)
        assert (answer["id"], answer["type"]) == ("a", "error")
        (error,) = answer["payload"]["errors"]
        assert error == {"errorType": "DuplicatedOperationError", "message": "Duplicated operation with id a"}
        made = api.thing()
        assert speaker.event(made["id"])["id"] == "a"


def test_stop_of_an_unknown_id_is_an_error(api: Api) -> None:
    """AppSync Events' guide has UnknownOperationError, for the same service. Doubt: whether GraphQL's says it."""
    with speaking(api.target) as speaker:
        speaker.send("stop", id="nope")
        answer = speaker.receive()
        assert answer["type"] == "error"
        assert answer["payload"]["errors"][0]["errorType"] == "UnknownOperationError"
        speaker.started("1", ON_CREATE)


def test_unknown_message_is_an_error_without_an_end(api: Api) -> None:
    """graphql-ws #602, artillery #1567 quote it."""
    with speaking(api.target) as speaker:
        speaker.send("nonsense")
        answer = speaker.receive()
        assert answer["type"] == "error"
        assert answer["payload"]["errors"][0] == {
            "errorType": "UnsupportedOperation",
            "message": "unknown not supported through the realtime channel",
        }
        speaker.started("1", ON_CREATE)


def test_start_without_authorization_is_an_error_of_its_own(api: Api) -> None:
    """Guide: each `start` carries its authorisation in `extensions`."""
    with speaking(api.target) as speaker:
        payload = {"data": json.dumps({"query": ON_CREATE, "variables": {}})}
        speaker.send("start", id="1", payload=payload)
        assert speaker.receive()["type"] == "error"
        speaker.started("2", ON_CREATE)


def test_connection_takes_a_hundred_subscriptions(api: Api) -> None:
    """Service quotas; aws-appsync-realtime-client-ios #67 and amplify-cli #7427 quote the refusal of one more."""
    with speaking(api.target) as speaker:
        for number in range(100):
            speaker.started(str(number), "subscription { onDeleteBoard { id } }")
        answer = speaker.start("more", "subscription { onDeleteBoard { id } }")
        assert (answer.get("id"), answer["type"]) == ("more", "error")
        assert "MaxSubscriptionsReachedError" in json.dumps(answer["payload"])
        speaker.send("stop", id="7")
        assert speaker.receive()["type"] == "complete"
        speaker.started("more", ON_CREATE)
        made = api.thing()
        assert speaker.event(made["id"])["id"] == "more"


def test_wrong_key_of_a_start_is_an_error_of_its_own(api: Api) -> None:
    """Guide: an error of one subscription leaves the connection as it is."""
    with speaking(api.target) as speaker:
        answer = speaker.start("1", ON_CREATE, authorization=key_header(api.target, "da2-wrongwrongwrongwrongwrong"))
        assert (answer["id"], answer["type"]) == ("1", "error")
        assert answer["payload"]["errors"][0]["errorType"].endswith("UnauthorizedException")
        speaker.started("2", ON_CREATE)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("subscription { nope }", "FieldUndefined"),
        ("subscription { onCreateThing { nope } }", "FieldUndefined"),
        ("subscription { onCreateThing(x: 1) { id } }", "UnknownArgument: Unknown field argument x"),
        ("subscription { onCreateThing }", "SubSelectionRequired"),
    ],
)
def test_invalid_subscription_is_refused(api: Api, query: str, message: str) -> None:
    """amplify-js looks for "UnknownArgument: Unknown field argument filter" in such an error."""
    with speaking(api.target) as speaker:
        answer = speaker.start("1", query)
        assert (answer["id"], answer["type"]) == ("1", "error")
        assert message in answer["payload"]["errors"][0]["message"]
        speaker.started("1", ON_CREATE)


@pytest.mark.parametrize("query", ["{ __typename }", "mutation { deleteThing(input: {id: 1}) { id } }"])
def test_only_subscriptions_can_be_started(api: Api, query: str) -> None:
    """amplify-cli #4118, aws-mobile-appsync-sdk-ios #372 quote the type and the end of the message."""
    with speaking(api.target) as speaker:
        answer = speaker.start("1", query)
        assert answer["type"] == "error"
        (error,) = answer["payload"]["errors"]
        assert error["errorType"] == "UnsupportedOperation"
        assert error["message"].endswith(" not supported through the realtime channel")
        speaker.started("2", ON_CREATE)


def test_variables_and_fragments_work(api: Api) -> None:
    """A subscription is GraphQL like any other."""
    with speaking(api.target) as speaker:
        speaker.started(
            "1",
            """subscription s($flag: Boolean!) { mine: onCreateThing { ...f rank @skip(if: $flag) } }
            fragment f on Thing { id kind: __typename }""",
            {"flag": True},
        )
        made = api.thing(rank=1)
        assert speaker.event(made["id"])["payload"]["data"] == {"mine": {"id": made["id"], "kind": "Thing"}}
