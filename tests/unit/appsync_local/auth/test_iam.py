"""Signature Version 4, with botocore as the one who signs: every signed part is tampered with."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import time_machine
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from gql.transport.appsync_auth import AppSyncIAMAuthentication
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.auth.iam import Iam, Signature, canonical_request, sign
from django_datastore.appsync_local.auth.identity import Presented
from django_datastore.appsync_local.errors import RequestError
from django_datastore.exceptions import ConfigurationError

NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
KEY, SECRET, TOKEN = "AKIDLOCAL", "a-secret", "a-session-token"
HOST = "127.0.0.1:8001"
BODY = b'{"query":"{ __typename }"}'
TEXT = st.text(st.characters(exclude_categories=()), max_size=80)
"""Lone surrogates too: JSON on a socket can bring them."""


def iam(*, seconds: float = 0, token: str | None = TOKEN, region: str = "eu-west-1", **more: Any) -> Iam:
    credentials = {"access_key_id": KEY, "secret_access_key": SECRET, "session_token": token, **more}
    return Iam([credentials], region=region, now=lambda: int((NOW.timestamp() + seconds) * 1000))


def signed(
    *,
    secret: str = SECRET,
    token: str | None = TOKEN,
    key: str = KEY,
    service: str = "appsync",
    region: str = "eu-west-1",
    path: str = "/graphql",
    query: str = "",
    body: bytes = BODY,
) -> Presented:
    """A request as botocore signs it."""
    url = f"https://{HOST}{path}{'?' + query if query else ''}"
    request = AWSRequest("POST", url, headers={"content-type": "application/json"}, data=body)
    with time_machine.travel(NOW, tick=False):
        SigV4Auth(Credentials(key, secret, token), service, region).add_auth(request)
    return Presented({**dict(request.headers), "Host": HOST}, path, body, query_string=query)


def refusal(presented: Presented, verifier: Iam | None = None) -> tuple[int, str]:
    with pytest.raises(RequestError) as caught:
        (verifier or iam()).authenticate(presented)
    return caught.value.status, caught.value.error_type


def changed(presented: Presented, **headers: str | None) -> Presented:
    found = {name: value for name, value in presented.headers.items() if name.lower().replace("-", "_") not in headers}
    found |= {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    return replace(presented, headers=found)


def test_what_botocore_signs_is_let_in():
    identity = iam(username="worker").authenticate(signed())
    assert (identity.auth_mode, identity.role, identity.username) == ("AWS_IAM", "authenticated", "worker")


@pytest.mark.parametrize("query", ["a=1&b=2", "b=2&a=1", "a=%2B+x&a=", "q=%C3%A4"])
@pytest.mark.parametrize("path", ["/graphql", "/api/v1/graphql", "/a%20b/graphql"])
def test_path_and_query_are_canonical(path: str, query: str):
    from urllib.parse import unquote

    presented = signed(path=path, query=query.replace("+", "%20"))
    assert iam().authenticate(replace(presented, path=unquote(path)))


@given(st.binary(max_size=200))
def test_any_body_is_covered(body: bytes):
    presented = signed(body=body)
    assert iam().authenticate(presented)
    assert refusal(replace(presented, body=body + b" ")) == (403, "InvalidSignatureException")


_TAMPERED: Mapping[str, tuple[Callable[[Presented], Presented], str]] = {
    "the body": (lambda it: replace(it, body=it.body.replace(b"__typename", b"listPosts")), "InvalidSignature"),
    "the path": (lambda it: replace(it, path="/graphql/connect"), "InvalidSignature"),
    "the method": (lambda it: replace(it, method="GET"), "InvalidSignature"),
    "the query": (lambda it: replace(it, query_string="a=1"), "InvalidSignature"),
    "the host": (lambda it: changed(it, host="other.example"), "InvalidSignature"),
    "the content type": (lambda it: changed(it, content_type="text/plain"), "InvalidSignature"),
    "the moment": (lambda it: changed(it, x_amz_date="20260301T120001Z"), "InvalidSignature"),
    "the day": (lambda it: changed(it, x_amz_date="20260302T120000Z"), "InvalidSignature"),
    "no moment": (lambda it: changed(it, x_amz_date=None), "IncompleteSignature"),
    "the session token": (lambda it: changed(it, x_amz_security_token="other"), "UnrecognizedClient"),
    "no session token": (lambda it: changed(it, x_amz_security_token=None), "UnrecognizedClient"),
    "a header that was signed": (lambda it: changed(it, content_type=None), "InvalidSignature"),
}


@pytest.mark.parametrize("part", _TAMPERED)
def test_each_signed_part_counts(part: str):
    tamper, error_type = _TAMPERED[part]
    assert refusal(tamper(signed())) == (403, f"{error_type}Exception")


@pytest.mark.parametrize(
    ("pattern", "replacement", "error_type"),
    [
        ("eu-west-1", "us-east-1", "InvalidSignature"),  # the region of the scope
        ("/appsync/", "/execute-api/", "InvalidSignature"),
        ("20260301/", "20260302/", "InvalidSignature"),
        (KEY, "AKIDOTHER", "UnrecognizedClient"),
        ("host;", "", "InvalidSignature"),  # the host has to be signed
        (";x-amz-date", "", "InvalidSignature"),
        (";x-amz-security-token", "", "InvalidSignature"),
        ("SignedHeaders", "Headers", "IncompleteSignature"),
        ("aws4_request", "aws5_request", "IncompleteSignature"),
        ("Signature=", "Signature=z", "IncompleteSignature"),
    ],
)
def test_each_part_of_the_header_counts(pattern: str, replacement: str, error_type: str):
    presented = signed()
    text = presented.header("authorization") or ""
    assert pattern in text
    found = refusal(changed(presented, authorization=text.replace(pattern, replacement)))
    assert found == (403, f"{error_type}Exception")


@pytest.mark.parametrize("digit", [0, 31, 63])
def test_each_digit_of_the_signature_counts(digit: int):
    presented = signed()
    text = presented.header("authorization") or ""
    head, _, signature = text.rpartition("=")
    other = "0" if signature[digit] != "0" else "1"
    forged = f"{head}={signature[:digit]}{other}{signature[digit + 1 :]}"
    assert refusal(changed(presented, authorization=forged)) == (403, "InvalidSignatureException")


@pytest.mark.parametrize("other", [{"secret": "wrong"}, {"service": "s3"}, {"region": "us-east-1"}])
def test_signed_with_something_else_is_refused(other: Mapping[str, str]):
    assert refusal(signed(**other)) == (403, "InvalidSignatureException")


@pytest.mark.parametrize(
    ("names", "date", "is_let_in"),
    [
        ("host;x-amz-date;x-amz-security-token", "20260301", True),
        ("host;x-amz-date;x-amz-security-token", "20260228", False),  # the scope of another day
        ("x-amz-date;x-amz-security-token", "20260301", False),
        ("host;x-amz-security-token", "20260301", False),
        ("host;x-amz-date", "20260301", False),
        ("content-type", "20260301", False),
    ],
)
def test_a_right_signature_of_too_little_is_refused(names: str, date: str, is_let_in: bool):
    """Signed with the right secret, and still not what AppSync asks for."""
    moment, headers = (
        "20260301T120000Z",
        {"host": HOST, "x-amz-date": "20260301T120000Z", "x-amz-security-token": TOKEN},
    )
    scope = Signature(KEY, date, "eu-west-1", "appsync", tuple(names.split(";")), "")
    presented = Presented({**headers, "content-type": "text/plain"}, body=BODY)
    signature = sign(SECRET, scope, moment, canonical_request(presented, scope.signed_headers))
    text = f"AWS4-HMAC-SHA256 Credential={KEY}/{scope.scope}, SignedHeaders={names}, Signature={signature}"
    presented = changed(presented, authorization=text)
    if is_let_in:
        assert iam().authenticate(presented)
    else:
        assert refusal(presented) == (403, "InvalidSignatureException")


def test_an_unknown_key_is_refused():
    assert refusal(signed(key="AKIDOTHER")) == (403, "UnrecognizedClientException")


def test_a_token_that_nobody_asked_for_is_refused():
    assert refusal(signed(), iam(token=None)) == (403, "UnrecognizedClientException")
    assert iam(token=None).authenticate(signed(token=None))


@pytest.mark.parametrize(("seconds", "is_let_in"), [(-301, False), (-300, True), (300, True), (301, False)])
def test_signatures_are_good_for_five_minutes(seconds: int, is_let_in: bool):
    verifier = iam(seconds=seconds)
    if is_let_in:
        assert verifier.authenticate(signed())
    else:
        assert refusal(signed(), verifier) == (403, "InvalidSignatureException")


@pytest.mark.parametrize("data", [None, '{"query":"subscription { onCreatePost { id } }","variables":{}}'])
def test_gql_signs_the_socket_as_we_verify_it(data: str | None):
    auth = AppSyncIAMAuthentication(HOST, region_name="eu-west-1", credentials=Credentials(KEY, SECRET, TOKEN))
    with time_machine.travel(NOW, tick=False):
        headers = auth.get_headers(data)
    path = "/graphql" if data else "/graphql/connect"
    presented = Presented(headers, path, (data or "{}").encode())
    assert iam().authenticate(presented)
    other = "/graphql/connect" if data else "/graphql"
    assert refusal(replace(presented, path=other)) == (403, "InvalidSignatureException")


@pytest.mark.parametrize(
    "text", ["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 " + "a" * 50_000]
)
def test_nonsense_is_no_signature(text: str):
    assert refusal(Presented({"authorization": text, "x-amz-date": "x"})) == (403, "IncompleteSignatureException")


@given(st.dictionaries(st.sampled_from(["authorization", "x-amz-date", "host"]), TEXT))
def test_any_headers_are_refused_in_order(headers: dict[str, str]):
    assert refusal(Presented({**headers, "authorization": "AWS4-HMAC-SHA256 " + headers.get("authorization", "")}))


@given(TEXT)
def test_any_text_in_a_signed_header_is_refused_in_order(text: str):
    assert refusal(changed(signed(), content_type=text)) == (403, "InvalidSignatureException")


def test_ten_thousand_signed_headers_are_not_looked_for():
    presented = signed()
    names = ";".join(["host"] * 10_000)
    text = (presented.header("authorization") or "").replace("SignedHeaders=", f"SignedHeaders={names};")
    assert refusal(changed(presented, authorization=text)) == (403, "IncompleteSignatureException")


@pytest.mark.parametrize(
    "credentials",
    [{}, {"access_key_id": "a"}, {"access_key_id": "a", "secret_access_key": "b", "role": "king"}, {"x": 1}],
)
def test_incomplete_credentials_are_a_mistake(credentials: dict[str, str]):
    with pytest.raises(ConfigurationError, match="IAM_CREDENTIALS"):
        Iam([credentials], region="eu-west-1", now=lambda: 0)


def test_secrets_are_not_shown():
    from django_datastore.appsync_local.auth.iam import Credentials as Ours

    assert SECRET not in repr(Ours(KEY, SECRET, TOKEN))
    assert TOKEN not in repr(Ours(KEY, SECRET, TOKEN))
