"""JSON Web Tokens: whose they are, and everything that makes one worthless."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.auth.key_sets import KEEP_SECONDS, MAX_REFETCHES, REFETCH_SECONDS, KeySet
from django_datastore.appsync_local.auth.tokens import MAX_LENGTH, Provider, Tokens, parse
from django_datastore.appsync_local.errors import RequestError
from django_datastore.exceptions import ConfigurationError
from django_datastore.schema.auth_modes import AMAZON_COGNITO_USER_POOLS, OPENID_CONNECT
from django_datastore.testing.issuer import Issuer

UNAUTHORIZED = "You are not authorized to make this call."
UNPARSABLE = "Unable to parse JWT token."
FOREIGN = "Token is not from a supported provider of this graphql api."


class Clock:
    """Milliseconds that stand still until told."""

    def __init__(self) -> None:
        self.ms = 1_772_366_400_000

    def __call__(self) -> int:
        return self.ms

    def move(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def pool(clock: Clock) -> Issuer:
    return Issuer(now=clock)


def tokens(pool: Issuer, clock: Clock, mode: str = AMAZON_COGNITO_USER_POOLS) -> Tokens:
    return Tokens(mode, [Provider.parse("USER_POOL", pool)], now=clock)


def refusal(verifier: Tokens, token: str) -> str:
    with pytest.raises(RequestError) as caught:
        verifier.authenticate(token)
    assert (caught.value.status, caught.value.error_type) == (401, "UnauthorizedException")
    return caught.value.message


@pytest.mark.parametrize("use", ["id", "access"])
def test_tokens_of_the_pool_let_in(pool: Issuer, clock: Clock, use: str):
    identity = tokens(pool, clock).authenticate(pool.token("alice", use=use, groups=["Staff"]))
    assert (identity.auth_mode, identity.username) == (AMAZON_COGNITO_USER_POOLS, "alice")
    assert identity.claims["cognito:groups"] == ["Staff"]
    assert identity.claims["sub"] == pool.sub("alice")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_openid_tokens_let_in(clock: Clock, algorithm: str):
    provider = Issuer(kind="openid", algorithm=algorithm, now=clock)
    identity = tokens(provider, clock, OPENID_CONNECT).authenticate(provider.token("bob", email="b@example.com"))
    assert (identity.auth_mode, identity.claims["email"]) == (OPENID_CONNECT, "b@example.com")


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"iss": "https://elsewhere.example/"}, FOREIGN),
        ({"iss": None}, FOREIGN),
        ({"client_id": "another"}, UNAUTHORIZED),
        ({"client_id": {"id": "local-client"}}, UNAUTHORIZED),
        ({"client_id": None, "aud": "local-client"}, UNAUTHORIZED),  # an access token is judged by its client
        ({"token_use": "refresh"}, UNAUTHORIZED),
        ({"token_use": None}, UNAUTHORIZED),
        ({"exp": None}, UNPARSABLE),
        ({"exp": "tomorrow"}, UNPARSABLE),
        ({"nbf": 99_999_999_999}, "Token is not valid yet."),
        ({"nbf": "now"}, "Token is not valid yet."),
    ],
)
def test_wrong_claims_are_refused(pool: Issuer, clock: Clock, claims: dict[str, Any], message: str):
    assert refusal(tokens(pool, clock), pool.token("alice", **claims)) == message


def test_id_tokens_are_judged_by_their_audience(pool: Issuer, clock: Clock):
    assert refusal(tokens(pool, clock), pool.token("alice", use="id", aud="another")) == UNAUTHORIZED
    assert tokens(pool, clock).authenticate(pool.token("alice", use="id", aud=["another", "local-client"]))


def test_tokens_expire_by_the_servers_clock(pool: Issuer):
    clock = Clock()
    verifier = tokens(pool, clock)
    token = pool.token("alice", expires_in=60)
    clock.move(59)
    assert verifier.authenticate(token)
    clock.move(1)
    with pytest.raises(RequestError, match="expired"):
        verifier.recall(token)
    assert refusal(verifier, token) == "Token has expired."
    assert refusal(tokens(pool, clock), token) == "Token has expired."


def test_alg_none_is_refused(pool: Issuer, clock: Clock):
    claims = jwt.decode(pool.token("alice"), options={"verify_signature": False})
    forged = jwt.encode(claims, None, algorithm="none", headers={"kid": pool.key_id})
    assert refusal(tokens(pool, clock), forged) == UNAUTHORIZED


def test_a_public_key_is_no_shared_secret(pool: Issuer, clock: Clock):
    """The old confusion: HS256 signed with the public key, which everyone has."""
    _, body, _ = pool.token("alice").split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": pool.key_id}).encode()).decode().rstrip("=")
    public = jwt.PyJWK(pool.jwks()["keys"][0]).key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = base64.urlsafe_b64encode(hmac.digest(pem, f"{head}.{body}".encode(), "sha256")).decode().rstrip("=")
    assert refusal(tokens(pool, clock), f"{head}.{body}.{signature}") == UNAUTHORIZED


def test_shared_secrets_are_no_keys(pool: Issuer, clock: Clock):
    """Not even where the key set has one: everyone who verifies could sign."""
    secret = b"s" * 32
    key = {"kty": "oct", "kid": "shared", "k": base64.urlsafe_b64encode(secret).decode().rstrip("=")}
    claims = jwt.decode(pool.token("alice"), options={"verify_signature": False})
    token = jwt.encode(claims, secret, algorithm="HS256", headers={"kid": "shared"})
    provider = Provider.parse("USER_POOL", {"issuer": pool.issuer, "jwks": {"keys": [key]}})
    assert refusal(Tokens(AMAZON_COGNITO_USER_POOLS, [provider], now=clock), token) == UNAUTHORIZED


@pytest.mark.parametrize("header", [{"alg": "ES256"}, {"alg": "RS512"}, {"kid": "unknown"}, {"kid": 7}])
def test_a_header_that_does_not_fit_the_key_is_refused(pool: Issuer, clock: Clock, header: dict[str, Any]):
    head, body, signature = pool.token("alice").split(".")
    decoded = json.loads(base64.urlsafe_b64decode(head + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**decoded, **header}).encode()).decode().rstrip("=")
    assert refusal(tokens(pool, clock), f"{forged}.{body}.{signature}") == UNAUTHORIZED


def test_a_foreign_key_is_refused(pool: Issuer, clock: Clock):
    thief = Issuer(pool.issuer, now=clock)
    thief.key_id, thief._keys = pool.key_id, {pool.key_id: thief._keys[thief.key_id]}
    assert refusal(tokens(pool, clock), thief.token("alice")) == UNAUTHORIZED


@pytest.mark.parametrize("part", [0, 1, 2])
def test_each_part_is_covered_by_the_signature(pool: Issuer, clock: Clock, part: int):
    parts = pool.token("alice").split(".")
    if part == 1:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
        changed = json.dumps({**claims, "username": "bob"}).encode()
        parts[1] = base64.urlsafe_b64encode(changed).decode().rstrip("=")
    else:
        middle = len(parts[part]) // 2
        swapped = "A" if parts[part][middle] != "A" else "B"
        parts[part] = parts[part][:middle] + swapped + parts[part][middle + 1 :]
    assert refusal(tokens(pool, clock), ".".join(parts)) in (UNAUTHORIZED, UNPARSABLE)


def test_a_remembered_token_is_forgotten_with_its_key(clock: Clock):
    pool = Issuer(now=clock)
    verifier = Tokens(AMAZON_COGNITO_USER_POOLS, [Provider.parse("USER_POOL", pool)], now=clock)
    old = pool.token("alice")
    assert verifier.recall(old) is None
    assert verifier.authenticate(old) is verifier.recall(old)
    pool.rotate(keep_old=False)
    assert verifier.authenticate(pool.token("alice"))  # makes the verifier read the keys again
    assert verifier.recall(old) is None
    assert refusal(verifier, old) == UNAUTHORIZED


def test_a_key_its_issuer_gave_up_is_forgotten_in_time(clock: Clock):
    pool = Issuer(now=clock)
    verifier = tokens(pool, clock)
    old = pool.token("alice")
    assert verifier.authenticate(old) is verifier.recall(old)
    pool.rotate(keep_old=False)
    clock.move(KEEP_SECONDS)  # nobody has come with the new key, by which it would have been noticed
    assert verifier.recall(old) is None
    assert refusal(verifier, old) == UNAUTHORIZED


def test_keys_outlive_an_issuer_that_does_not_answer(clock: Clock):
    pool = Issuer(now=clock)
    answers = [pool.jwks()]

    def jwks() -> dict[str, Any]:
        if not answers:
            raise OSError("no route")
        return answers.pop()

    keys = KeySet(jwks, now=clock)
    assert keys.find(pool.key_id)
    clock.move(KEEP_SECONDS)
    assert keys.find(pool.key_id)


def test_both_keys_are_good_while_both_are_published(clock: Clock):
    pool = Issuer(now=clock)
    verifier = tokens(pool, clock)
    old = pool.token("alice")
    verifier.authenticate(old)
    pool.rotate()
    assert verifier.authenticate(pool.token("bob"))
    assert verifier.authenticate(old)


def test_unknown_key_ids_do_not_flood_the_issuer():
    clock, asked = Clock(), []
    pool = Issuer(now=clock)

    def jwks() -> dict[str, Any]:
        asked.append(clock())
        return pool.jwks()

    keys = KeySet(jwks, now=clock)
    assert keys.find(pool.key_id)
    for number in range(50):
        assert keys.find(f"forged-{number}") is None
    assert len(asked) == MAX_REFETCHES
    clock.move(REFETCH_SECONDS)
    assert keys.find("forged") is None
    assert len(asked) == MAX_REFETCHES + 1


def test_keys_come_from_a_url(clock: Clock):
    pool = Issuer(now=clock)
    with pool.serving() as url:
        verifier = Tokens(
            AMAZON_COGNITO_USER_POOLS,
            [Provider.parse("USER_POOL", {"issuer": pool.issuer, "jwks": url, "client_ids": [pool.client_id]})],
            now=clock,
        )
        assert verifier.may_wait
        assert verifier.authenticate(pool.token("alice"))
        pool.rotate()
        assert verifier.authenticate(pool.token("alice"))


def test_keys_come_from_a_file(clock: Clock, tmp_path: Any):
    pool = Issuer(now=clock)
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(pool.jwks()))
    verifier = Tokens(
        OPENID_CONNECT, [Provider.parse("OPENID_PROVIDER", {"issuer": pool.issuer, "jwks": path})], now=clock
    )
    assert not verifier.may_wait
    assert verifier.authenticate(pool.token("alice"))


@pytest.mark.parametrize("source", ["http://127.0.0.1:9/jwks.json", "/nowhere/jwks.json", lambda: {"keys": 5}, list])
def test_keys_that_cannot_be_read_let_nobody_in(pool: Issuer, clock: Clock, source: Any):
    verifier = Tokens(
        AMAZON_COGNITO_USER_POOLS,
        [Provider.parse("USER_POOL", {"issuer": pool.issuer, "jwks": source})],
        now=clock,
    )
    assert refusal(verifier, pool.token("alice")) == UNAUTHORIZED


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "W10.W10.x", "..", "é.é.é", "a" * (MAX_LENGTH + 1)])
def test_nonsense_is_no_token(pool: Issuer, clock: Clock, token: str):
    assert refusal(tokens(pool, clock), token) == UNPARSABLE


@given(st.text(max_size=100))
def test_any_text_is_parsed_or_refused(text: str):
    header, claims = parse(text)
    assert (header is None) is (claims is None)


def test_a_huge_token_is_not_looked_at(pool: Issuer, clock: Clock):
    assert refusal(tokens(pool, clock), pool.token("alice", note="x" * MAX_LENGTH)) == UNPARSABLE


@pytest.mark.parametrize(
    "found", [{}, {"issuer": ""}, {"issuer": "i", "jwks": 5}, {"issuer": "i", "client": 1}, {"issuer": "i", "jwks": {}}]
)
def test_incomplete_providers_are_a_mistake(found: dict[str, Any]):
    with pytest.raises(ConfigurationError, match="USER_POOL"):
        Provider.parse("USER_POOL", found)


def test_a_cognito_issuer_tells_where_its_keys_are():
    issuer = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc"
    assert Provider.parse("USER_POOL", {"issuer": issuer}).jwks == f"{issuer}/.well-known/jwks.json"
