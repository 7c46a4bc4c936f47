"""The configuration for Amplify's clients, run in JavaScript: it must say what the settings say."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

from django_datastore.appsync_local.about.amplify import configuration
from django_datastore.appsync_local.conf import Settings

ENDPOINT = "https://localhost:8001/graphql"
ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_ABC"
STUB = """
const said = [], AuthModeStrategyType = { MULTI_AUTH: 'MULTI_AUTH' };
const YOUR_TOKEN = 'token', YOUR_CREDENTIALS = { accessKeyId: 'a' }, decodeJWT = (text) => text;
const Amplify = { configure: (...found) => said.push(...found) }, DataStore = Amplify;
"""
FINISH = """
const fill = async (found) => {
  for (const [name, value] of Object.entries(found)) {
    if (typeof value === 'function') found[name] = (await value()) ?? null;
    else if (typeof value === 'object') await fill(value);
  }
  return found;
};
fill(said).then((found) => console.log(JSON.stringify(found)));
"""


def run(code: str) -> Any:
    body = re.sub(r"^import .*$", "", code, flags=re.MULTILINE)
    try:
        done = subprocess.run(["node", "-e", STUB + body + FINISH], capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("node is not installed")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def graphql(mode: str, **more: str) -> dict[str, Any]:
    return {"GraphQL": {"endpoint": ENDPOINT, "region": "us-east-1", "defaultAuthMode": mode, **more}}


CASES: list[tuple[dict[str, Any], list[Any]]] = [
    ({"API_KEY": "da2-x"}, [{"API": graphql("apiKey", apiKey="key")}]),
    (
        {"AUTH_MODE": "AMAZON_COGNITO_USER_POOLS", "USER_POOL": {"issuer": ISSUER, "client_ids": ["c1", "c2"]}},
        [
            {
                "API": graphql("userPool"),
                "Auth": {"Cognito": {"userPoolId": "eu-west-1_ABC", "userPoolClientId": "c1"}},
            }
        ],
    ),
    (
        {"AUTH_MODE": "AMAZON_COGNITO_USER_POOLS", "USER_POOL": [object()]},
        [
            {
                "API": graphql("userPool"),
                "Auth": {"Cognito": {"userPoolId": "YOUR_USER_POOL_ID", "userPoolClientId": "YOUR_CLIENT_ID"}},
            }
        ],
    ),
    (
        {"AUTH_MODE": "OPENID_CONNECT"},
        [{"API": graphql("oidc")}, {"Auth": {"tokenProvider": {"getTokens": {"accessToken": "token"}}}}],
    ),
    (
        {"AUTH_MODE": "AWS_IAM"},
        [
            {"API": graphql("iam")},
            {
                "Auth": {
                    "credentialsProvider": {
                        "getCredentialsAndIdentityId": {"credentials": {"accessKeyId": "a"}},
                        "clearCredentialsAndIdentityId": None,
                    }
                }
            },
        ],
    ),
    (
        {"AUTH_MODE": "AWS_LAMBDA"},
        [{"API": graphql("lambda")}, {"authProviders": {"functionAuthProvider": {"token": "token"}}}],
    ),
    (
        {"AUTH_MODE": "OPENID_CONNECT", "ADDITIONAL_AUTH_MODES": ["API_KEY"]},
        [
            {"API": graphql("oidc", apiKey="key")},
            {"Auth": {"tokenProvider": {"getTokens": {"accessToken": "token"}}}},
            {"authModeStrategyType": "MULTI_AUTH"},
        ],
    ),
]


@pytest.mark.parametrize(("settings", "said"), CASES, ids=range(len(CASES)))
def test_configuration_says_what_the_settings_say(settings: dict[str, Any], said: list[Any]):
    assert run(configuration(Settings(**settings), ENDPOINT, "key")) == said


def test_what_the_code_uses_is_imported():
    for settings, _ in CASES:
        code = configuration(Settings(**settings), ENDPOINT)
        imported = set(re.findall(r"\w+", " ".join(re.findall(r"^import \{(.*?)\}", code, re.MULTILINE))))
        assert imported == {
            name
            for name in ("Amplify", "AuthModeStrategyType", "DataStore", "decodeJWT")
            if f"{name}." in code or f"{name}(" in code
        }


def test_quotes_cannot_break_out():
    code = configuration(Settings(), "http://x/'+alert(1)+'", "it's\\")
    found = run(code)[0]["API"]["GraphQL"]
    assert (found["endpoint"], found["apiKey"]) == ("http://x/'+alert(1)+'", "it's\\")
