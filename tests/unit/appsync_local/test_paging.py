"""Tokens that cannot be tampered with, and pages that end in time."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.errors import FieldError
from django_datastore.appsync_local.paging import Cursor, Tokens, read_page
from django_datastore.appsync_local.tables.records import Stored, item_size

CURSOR = Cursor("delta", 1_700_000_000_000, 1_600_000_000_000, 5, 6)
integers = st.integers(0, 2**62)
cursors = st.builds(Cursor, st.sampled_from(["base", "delta", "index"]), integers, integers, integers, integers)


@given(cursors, st.binary(max_size=8), st.text())
def test_token_brings_its_cursor_back(cursor: Cursor, sort: bytes, scope: str):
    tokens, cursor = Tokens(b"key"), replace(cursor, sort=sort.hex())
    assert tokens.read(tokens.issue(cursor, scope), scope) == cursor


@given(st.data())
def test_tampered_token_is_refused(data: st.DataObject):
    tokens = Tokens(b"key")
    raw = bytearray(base64.urlsafe_b64decode(tokens.issue(CURSOR, "sync Post")))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FieldError, match="Invalid pagination token"):
        tokens.read(base64.urlsafe_b64encode(bytes(raw)).decode(), "sync Post")


@given(st.text())
def test_any_other_text_is_refused(text: str):
    with pytest.raises(FieldError, match="Invalid pagination token"):
        Tokens(b"key").read(text, "sync Post")


def test_token_of_another_query_or_another_server_is_refused():
    token = Tokens(b"key").issue(CURSOR, "sync Post")
    for tokens, scope in ((Tokens(b"key"), "sync Blog"), (Tokens(b"other"), "sync Post"), (Tokens(), "sync Post")):
        with pytest.raises(FieldError, match="Invalid pagination token"):
            tokens.read(token, scope)


class Table:
    """Rows of these sizes; counts what is read of them."""

    def __init__(self, sizes: list[int]) -> None:
        self.rows = [Stored(number + 1, "k", "x" * size, 1, 1, False) for number, size in enumerate(sizes)]
        self.bytes_read = 0

    def read(self, last: Stored | None, count: int) -> list[Stored]:
        found = self.rows[last.position if last else 0 :][:count]
        self.bytes_read += sum(len(row.data) for row in found)
        return found

    def pages(self, *, limit: int, max_bytes: int) -> list[list[Stored]]:
        found: list[list[Stored]] = []
        has_more = True
        while has_more:
            last = found[-1][-1] if found else None
            rows, has_more = read_page(
                lambda seen, count, last=last: self.read(seen or last, count), limit=limit, max_bytes=max_bytes
            )
            found.append(rows)
        return found


@given(st.lists(st.integers(0, 50), max_size=400), st.integers(1, 120), st.sampled_from([0, 1, 60, 1000]))
def test_pages_hold_everything_once_and_keep_both_limits(sizes: list[int], limit: int, max_bytes: int):
    table = Table(sizes)
    pages = table.pages(limit=limit, max_bytes=max_bytes)
    assert [row for page in pages for row in page] == table.rows
    for page in pages:
        assert len(page) <= limit
        assert not max_bytes or len(page) == 1 or sum(len(row.data) for row in page) <= max_bytes
    assert all(pages[:-1])


def test_no_more_is_read_than_a_page_takes():
    table = Table([10_000] * 1000)
    rows, has_more = read_page(table.read, limit=1000, max_bytes=1_000_000)
    assert (len(rows), has_more) == (100, True)
    assert table.bytes_read <= 3_000_000


SIZES = [
    ({}, 3),
    ({"a": "é"}, 3 + 1 + 1 + 2),
    ({"a": None, "b": True}, 3 + 2 * (1 + 1 + 1)),
    ({"a": ["x"]}, 3 + 1 + 1 + (3 + 1 + 1)),
    ({"a": 1234}, 3 + 1 + 1 + 4),
]


@pytest.mark.parametrize(("value", "size"), SIZES)
def test_item_size(value: object, size: int):
    assert item_size(value) == size
