"""The JavaScript that tells Amplify's clients (aws-amplify v6) where the server is and how to get in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django_datastore.appsync_local.conf import API_KEY_MODE, Settings

YOUR_KEY = "YOUR_API_KEY"


@dataclass(frozen=True, slots=True)
class _Mode:
    """What an auth mode needs on the client's side."""

    name: str
    """Amplify's name for it."""
    imports: str = ""
    auth: str = ""
    """The entry `Auth` of the configuration."""
    options: str = ""
    """The second argument of `Amplify.configure`."""
    datastore: str = ""
    """What `DataStore.configure` is told."""


_MODES = {
    API_KEY_MODE: _Mode("apiKey"),
    "AMAZON_COGNITO_USER_POOLS": _Mode(
        "userPool",
        auth="Auth: {{ Cognito: {{ userPoolId: '{pool}', userPoolClientId: '{client}' }} }},",
    ),
    "OPENID_CONNECT": _Mode(
        "oidc",
        imports="import { decodeJWT } from 'aws-amplify/auth';",
        options="tokenProvider: { getTokens: async () => ({ accessToken: decodeJWT(YOUR_TOKEN) }) },",
    ),
    "AWS_IAM": _Mode(
        "iam",
        options="credentialsProvider: {\n"
        "      getCredentialsAndIdentityId: async () => ({ credentials: YOUR_CREDENTIALS }),\n"
        "      clearCredentialsAndIdentityId: () => {},\n"
        "    },",
    ),
    "AWS_LAMBDA": _Mode(
        "lambda",
        datastore="authProviders: { functionAuthProvider: async () => ({ token: YOUR_TOKEN }) },",
    ),
}
_POOL_KEYS = ("issuer", "client_ids")
_SEVERAL = "authModeStrategyType: AuthModeStrategyType.MULTI_AUTH,"


def configuration(settings: Settings, endpoint: str, api_key: str | None = None) -> str:
    """The code; capitals stand for what only the reader knows, the key too where it is not given."""
    modes = [_MODES[name] for name in settings.auth_modes]
    datastore = [_SEVERAL] * (len(modes) > 1) + [mode.datastore for mode in modes if mode.datastore]
    names = "AuthModeStrategyType, DataStore" if len(modes) > 1 else "DataStore"
    lines = ["import { Amplify } from 'aws-amplify';"]
    lines += [mode.imports for mode in modes if mode.imports]
    lines += [f"import {{ {names} }} from 'aws-amplify/datastore';"] if datastore else []
    lines += ["", "Amplify.configure({", *_entries(settings, endpoint, api_key or YOUR_KEY)]
    options = [mode.options for mode in modes if mode.options]
    if options:
        lines += ["}, {", "  Auth: {", *(f"    {option}" for option in options), "  },"]
    lines += ["});"]
    if datastore:
        lines += ["DataStore.configure({", *(f"  {line}" for line in datastore), "});"]
    return "\n".join(lines)


def _entries(settings: Settings, endpoint: str, api_key: str) -> Iterator[str]:
    yield "  API: {"
    yield "    GraphQL: {"
    yield f"      endpoint: '{_quoted(endpoint)}',"
    yield f"      region: '{_quoted(settings.REGION)}',"
    yield f"      defaultAuthMode: '{_MODES[settings.AUTH_MODE].name}',"
    if API_KEY_MODE in settings.auth_modes:
        yield f"      apiKey: '{_quoted(api_key)}',"
    yield "    },"
    yield "  },"
    pool, client = _user_pool(settings.USER_POOL)
    for name in settings.auth_modes:
        if auth := _MODES[name].auth:
            yield f"  {auth.format(pool=_quoted(pool), client=_quoted(client))}"


def _user_pool(found: Any) -> tuple[str, str]:
    """The ids of the first user pool and of its first client."""
    if isinstance(found, list | tuple):
        found = next(iter(found), None)
    values = found if isinstance(found, Mapping) else {name: getattr(found, name, None) for name in _POOL_KEYS}
    pool = str(values.get("issuer") or "").rstrip("/").rpartition("/")[2]
    client = next(iter(values.get("client_ids") or ()), None)
    return pool or "YOUR_USER_POOL_ID", str(client or "YOUR_CLIENT_ID")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
