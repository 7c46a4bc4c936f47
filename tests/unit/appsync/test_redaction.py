from __future__ import annotations

import pytest

from django_datastore.appsync import redaction


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # graphql-core quotes the whole input
        (
            "Variable '$input' got invalid value {'id': 'x', 'title': 'a; b'}; Field 'title' is too long.",
            "Variable '$input' got an invalid value; Field 'title' is too long.",
        ),
        # or one value, with its place
        (
            "Variable '$input' got invalid value 'Alice' at 'input.rating'; Int cannot represent non-integer: 'Alice'",
            "Variable '$input' got an invalid value at 'input.rating'; Int cannot represent non-integer",
        ),
        # values anywhere else are known from the variables
        ("Alice Smith is no valid AWSDateTime", "… is no valid AWSDateTime"),
        # short ones are too common to be hidden
        ("Field 'ab' is undefined", "Field 'ab' is undefined"),
        # the longer of two overlapping values goes whole
        ("Alice Smith-Jones", "…"),
        ("the key da2-secret is unknown", "the key … is unknown"),
    ],
)
def test_message_shows_no_values(text: str, shown: str) -> None:
    variables = {"input0": {"name": "Alice Smith", "tags": ["Alice Smith-Jones", "ab"], "rating": 3}}

    assert redaction.message(text, secrets=["da2-secret"], variables=variables) == shown


def test_message_is_cut() -> None:
    assert len(redaction.message("x" * 10_000)) == 400


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<html><head><style>a {}</style></head>\n<h1>502 Bad\nGateway</h1></html>", "502 Bad Gateway"),
        ("upstream died", "upstream died"),
        ("<p>x-api-key: da2-secret</p>", "x-api-key: …"),
        # half an answer may hold records
        ('{"data": {"syncPosts": {"items": [{"title": "Alice', ""),
        ('[{"title": "Alice"}]', ""),
        ("", ""),
    ],
)
def test_excerpt_shows_pages_but_no_records(body: str, shown: str) -> None:
    assert redaction.excerpt(body, secrets=["da2-secret"]) == shown
