from __future__ import annotations

import json

import pytest

from django_datastore.observe import protocol
from django_datastore.observe.protocol import Observe, ObserveQuery, ProtocolError, Unsubscribe


@pytest.mark.parametrize(
    ("sent", "parsed"),
    [
        ({"type": "observe", "id": "1", "model": "Post"}, Observe("1", "Post")),
        ({"type": "observe", "id": "1", "model": "Post", "filter": None}, Observe("1", "Post")),
        (
            {"type": "observe", "id": "1", "model": "Post", "filter": {"rating": {"gt": 3}}},
            Observe("1", "Post", {"rating": {"gt": 3}}),
        ),
        (
            {"type": "observeQuery", "id": "1", "model": "Post", "sort": ["-rating"]},
            ObserveQuery("1", "Post", {}, ("-rating",)),
        ),
        ({"type": "unsubscribe", "id": "1"}, Unsubscribe("1")),
    ],
)
def test_parse_reads_what_browsers_say(sent: dict[str, object], parsed: object) -> None:
    assert protocol.parse(json.dumps(sent)) == parsed


@pytest.mark.parametrize(
    ("text", "code", "says", "subscription"),
    [
        ("", "bad_message", "not JSON", None),
        ("[1]", "bad_message", "JSON object", None),
        ("[" * 60_000, "bad_message", "not JSON", None),  # deeper than the parser goes
        ('"' + "x" * 70_000 + '"', "bad_message", "longer than", None),
        ('{"id": "1"}', "unknown_type", "observeQuery", "1"),
        ('{"type": ["observe"], "id": "1"}', "unknown_type", "Known", "1"),
        ('{"type": "observe", "model": "Post"}', "bad_message", "'id'", None),
        ('{"type": "observe", "id": 1, "model": "Post"}', "bad_message", "'id'", None),
        ('{"type": "observe", "id": "", "model": "Post"}', "bad_message", "'id'", None),
        ('{"type": "observe", "id": "1"}', "bad_message", "'model'", "1"),
        ('{"type": "observe", "id": "1", "model": "Post", "filter": []}', "bad_filter", "object", "1"),
        ('{"type": "observeQuery", "id": "1", "model": "Post", "sort": "rating"}', "bad_sort", "list", "1"),
        ('{"type": "observeQuery", "id": "1", "model": "Post", "sort": [1]}', "bad_sort", "list", "1"),
    ],
)
def test_parse_says_what_is_wrong(text: str, code: str, says: str, subscription: str | None) -> None:
    with pytest.raises(ProtocolError, match=says) as caught:
        protocol.parse(text)
    assert (caught.value.code, caught.value.subscription) == (code, subscription)


def test_a_frame_is_a_body_with_an_id() -> None:
    body = protocol.snapshot_body([{"id": "a"}], key_fields=["id"], is_synced=True, cursor=7)
    assert json.loads(protocol.frame('"quoted"', body)) == {
        "type": "snapshot",
        "id": '"quoted"',
        "items": [{"id": "a"}],
        "keyFields": ["id"],
        "isSynced": True,
        "cursor": 7,
    }


def test_changes_carry_positions_and_keys_as_values() -> None:
    body = protocol.changes_body([(2, {"id": "c"})], ['["a"]', '["x","y"]'], is_synced=False, cursor=9)
    found = json.loads(body)
    assert found["upserts"] == [{"id": "c"}]
    assert found["positions"] == [2]
    assert found["deletes"] == ["a", ["x", "y"]]  # the second key has two fields


@pytest.mark.parametrize("text", ["\ud800", "half \udfff é 😀", "é 😀", "\x00\u2028"])
def test_any_text_of_a_row_can_be_sent_and_read(text: str) -> None:
    body = protocol.change_body("UPDATE", "Post", {"tags": [text]})
    assert json.loads(body.encode())["element"] == {"tags": [text]}


def test_text_beyond_ascii_is_sent_as_short_as_it_is() -> None:
    assert "é😀" in protocol.change_body("UPDATE", "Post", {"title": "é😀"})


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_has_no_word_for_is_null(number: float) -> None:
    body = protocol.snapshot_body(
        [{"id": "\ud800", "weight": number, "more": [{"a": number}, 1.5]}],
        key_fields=["id"],
        is_synced=True,
        cursor=1,
    )
    read = json.loads(body.encode(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert read["items"] == [{"id": "\ud800", "weight": None, "more": [{"a": None}, 1.5]}]
