"""API keys, and the header object that comes over a socket in many spellings."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.auth.api_keys import ApiKeys
from django_datastore.appsync_local.auth.identity import Presented
from django_datastore.appsync_local.errors import RequestError
from django_datastore.appsync_local.realtime import decode_header


@pytest.mark.parametrize("header", ["x-api-key", "X-Api-Key"])
@pytest.mark.parametrize("key", ["one", "two"])
def test_any_of_the_keys_lets_in(header: str, key: str):
    ApiKeys(["one", "two"]).authenticate(Presented({header: key}))


@pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"x-api-key": "three"}, {"authorization": "one"}])
def test_everything_else_is_a_401(headers: dict[str, str]):
    with pytest.raises(RequestError) as caught:
        ApiKeys(["one", "two"]).authenticate(Presented(headers))
    assert (caught.value.status, caught.value.error_type) == (401, "UnauthorizedException")


def test_without_keys_nobody_gets_in():
    with pytest.raises(RequestError):
        ApiKeys([]).authenticate(Presented({"x-api-key": ""}))


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=30), max_size=4))
def test_header_is_read_in_every_spelling(header: dict[str, str]):
    text = json.dumps(header).encode()
    standard, urlsafe = base64.b64encode(text).decode(), base64.urlsafe_b64encode(text).decode()
    for spelling in (standard, urlsafe, standard.rstrip("="), urlsafe.rstrip("="), standard.replace("+", " ")):
        assert decode_header(spelling) == header


@pytest.mark.parametrize("text", ["", "!", "a", "W10=", "bnVsbA==", "/w=="])
def test_nonsense_is_no_header(text: str):
    assert decode_header(text) is None
