"""Which mode a request uses, and that only what is configured lets in."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from django_datastore.appsync_local.auth.authentication import Authentication
from django_datastore.appsync_local.auth.identity import Presented
from django_datastore.appsync_local.conf import AUTH_MODES, Settings
from django_datastore.appsync_local.errors import RequestError
from django_datastore.exceptions import ConfigurationError
from django_datastore.testing.issuer import Issuer
from tests.unit.appsync_local.auth.test_iam import KEY, NOW, SECRET, TOKEN, signed


def now() -> int:
    return int(NOW.timestamp() * 1000)


POOL, PROVIDER = Issuer(now=now), Issuer(kind="openid", algorithm="ES256", now=now)
EVERYTHING: dict[str, Any] = {
    "API_KEY": "key",
    "REGION": "eu-west-1",
    "IAM_CREDENTIALS": [{"access_key_id": KEY, "secret_access_key": SECRET, "session_token": TOKEN}],
    "USER_POOL": POOL,
    "OPENID_PROVIDER": PROVIDER,
    "LAMBDA_AUTHORIZER": lambda event: {"isAuthorized": event["authorizationToken"] == "opaque"},
}


def authentication(default: str, *additional: str, **settings: Any) -> Authentication:
    values = {**EVERYTHING, "AUTH_MODE": default, "ADDITIONAL_AUTH_MODES": additional, **settings}
    return Authentication.from_settings(Settings.from_mapping(values), now=now)


PRESENTED: dict[str, Presented] = {
    "API_KEY": Presented({"x-api-key": "key"}),
    "AWS_IAM": signed(),
    "AMAZON_COGNITO_USER_POOLS": Presented({"Authorization": POOL.token("alice")}),
    "OPENID_CONNECT": Presented({"Authorization": f"Bearer {PROVIDER.token('alice')}"}),
    "AWS_LAMBDA": Presented({"Authorization": "opaque"}),
}


@pytest.mark.parametrize("mode", AUTH_MODES)
@pytest.mark.parametrize("default", AUTH_MODES)
def test_each_mode_is_told_by_what_is_presented(default: str, mode: str):
    additional = [item for item in AUTH_MODES if item != default]
    assert authentication(default, *additional).authenticate(PRESENTED[mode]).auth_mode == mode


@pytest.mark.parametrize("presented", AUTH_MODES)
@pytest.mark.parametrize("mode", AUTH_MODES)
def test_only_what_is_configured_lets_in(mode: str, presented: str):
    if mode == presented:
        assert authentication(mode).authenticate(PRESENTED[presented]).auth_mode == mode
        return
    with pytest.raises(RequestError) as caught:
        authentication(mode).authenticate(PRESENTED[presented])
    assert caught.value.status in (401, 403)


@pytest.mark.parametrize(
    ("default", "headers", "status", "error_type", "message"),
    [
        ("API_KEY", {}, 401, "UnauthorizedException", "Missing authorization header"),
        ("API_KEY", {"x-api-key": "x"}, 401, "UnauthorizedException", "You are not authorized to make this call."),
        ("AWS_IAM", {}, 403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
        ("AMAZON_COGNITO_USER_POOLS", {}, 401, "UnauthorizedException", "Valid authorization header not provided."),
        (
            "OPENID_CONNECT",
            {"authorization": " "},
            401,
            "UnauthorizedException",
            "Valid authorization header not provided.",
        ),
        ("OPENID_CONNECT", {"authorization": "x"}, 401, "UnauthorizedException", "Unable to parse JWT token."),
        (
            "AWS_LAMBDA",
            {"authorization": "x"},
            401,
            "UnauthorizedException",
            "You are not authorized to make this call.",
        ),
    ],
)
def test_refusals_are_in_appsyncs_words(
    default: str, headers: dict[str, str], status: int, error_type: str, message: str
):
    with pytest.raises(RequestError) as caught:
        authentication(default).authenticate(Presented(headers))
    assert (caught.value.status, caught.value.error_type, caught.value.message) == (status, error_type, message)


def test_a_users_token_is_none_for_the_authorizer():
    asked: list[Any] = []

    def authorizer(event: dict[str, Any]) -> dict[str, Any]:
        asked.append(event)
        return {"isAuthorized": True}

    subject = authentication("AWS_LAMBDA", "AMAZON_COGNITO_USER_POOLS", LAMBDA_AUTHORIZER=authorizer)
    with pytest.raises(RequestError):
        subject.authenticate(PRESENTED["OPENID_CONNECT"])
    assert asked == []
    alone = authentication("AWS_LAMBDA", LAMBDA_AUTHORIZER=authorizer)
    assert alone.authenticate(PRESENTED["OPENID_CONNECT"]).auth_mode == "AWS_LAMBDA"


@pytest.mark.parametrize("mode", AUTH_MODES)
def test_a_mode_without_its_credentials_is_a_mistake(mode: str):
    with pytest.raises(ConfigurationError, match="missing"):
        Authentication.from_settings(Settings(AUTH_MODE=mode), now=now)


@pytest.mark.parametrize(
    "settings",
    [
        {"AUTH_MODE": "COGNITO"},
        {"ADDITIONAL_AUTH_MODES": ["AWS_IM"]},
        {"ADDITIONAL_AUTH_MODES": "AWS_IAM"},
        {"LAMBDA_AUTHORIZER_TTL_SECONDS": -1},
        {"LAMBDA_AUTHORIZER_TTL_SECONDS": 3601},
    ],
)
def test_wrong_settings_are_a_mistake(settings: dict[str, Any]):
    with pytest.raises(ConfigurationError):
        Settings.from_mapping(settings)


@pytest.mark.parametrize("expires", [NOW, NOW.isoformat(), NOW.replace(tzinfo=None), NOW.timestamp()])
@pytest.mark.parametrize(("seconds", "is_let_in"), [(-1, True), (0, False), (1, False)])
def test_keys_expire(expires: Any, seconds: int, is_let_in: bool):
    keys = [{"key": "short", "expires": expires}, "long"]
    moment = int((NOW + datetime.timedelta(seconds=seconds)).timestamp() * 1000)
    subject = Authentication.from_settings(Settings(API_KEY=keys), now=lambda: moment)
    assert subject.authenticate(Presented({"x-api-key": "long"}))
    try:
        subject.authenticate(Presented({"x-api-key": "short"}))
    except RequestError:
        assert not is_let_in
    else:
        assert is_let_in


@pytest.mark.parametrize("entry", [{}, {"key": ""}, {"key": "a", "expire": 1}, {"key": "a", "expires": "soon"}])
def test_wrong_keys_are_a_mistake(entry: dict[str, Any]):
    with pytest.raises(ConfigurationError, match="API_KEY"):
        Authentication.from_settings(Settings(API_KEY=[entry, "x"] if entry else [{"key": 5}]), now=now)
