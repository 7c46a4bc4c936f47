"""Which auth mode a caller uses, and whether it lets him in.

x-api-key ─▶ API_KEY        Authorization: AWS4-HMAC-SHA256 … ─▶ AWS_IAM
Authorization: a JWT ─▶ AMAZON_COGNITO_USER_POOLS or OPENID_CONNECT, as its issuer says; any other text ─▶ AWS_LAMBDA
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_datastore.appsync_local.auth import iam
from django_datastore.appsync_local.auth.api_keys import ApiKeys
from django_datastore.appsync_local.auth.identity import Identity, Presented
from django_datastore.appsync_local.auth.lambda_authorizer import LambdaAuthorizer
from django_datastore.appsync_local.auth.tokens import Provider, Tokens, parse
from django_datastore.appsync_local.conf import Settings
from django_datastore.appsync_local.errors import RequestError, unauthorized
from django_datastore.exceptions import ConfigurationError
from django_datastore.schema import auth_modes as modes

_NO_HEADER = "Valid authorization header not provided."
_BEARER = "bearer "


class Authentication:
    """The auth modes of one API."""

    def __init__(
        self,
        *,
        default: str = modes.API_KEY,
        api_keys: ApiKeys | None = None,
        signatures: iam.Iam | None = None,
        tokens: tuple[Tokens, ...] = (),
        authorizer: LambdaAuthorizer | None = None,
    ) -> None:
        self._default = default
        self._api_keys = api_keys
        self._signatures = signatures
        self._tokens = tokens
        self._authorizer = authorizer
        self.may_wait = authorizer is not None or any(item.may_wait for item in tokens)
        """Whether somebody else may have to be asked first, so that it must not happen in an event loop."""

    @classmethod
    def from_settings(cls, settings: Settings, *, now: Callable[[], int]) -> Authentication:
        """The modes the settings name; raises `ConfigurationError` for one that lacks its credentials."""
        wanted = settings.auth_modes
        made = {mode: _MAKERS[mode](settings, now) for mode in wanted}
        found = (made.get(mode) for mode in (modes.AMAZON_COGNITO_USER_POOLS, modes.OPENID_CONNECT))
        return cls(
            default=settings.AUTH_MODE,
            api_keys=made.get(modes.API_KEY),
            signatures=made.get(modes.AWS_IAM),
            tokens=tuple(item for item in found if item is not None),
            authorizer=made.get(modes.AWS_LAMBDA),
        )

    def authenticate(self, presented: Presented) -> Identity:
        """Who it is; raises the `RequestError` that AppSync answers."""
        if self._api_keys is not None:
            key = presented.header("x-api-key")
            if key is not None:
                return self._api_keys.authenticate(presented)
        authorization = (presented.header("authorization") or "").strip()
        if not authorization:
            raise self._missing(presented)
        if self._signatures is not None and authorization.startswith(iam.ALGORITHM):
            return self._signatures.authenticate(presented)
        return self._token(authorization, presented)

    def is_at_once(self, presented: Presented) -> bool:
        """Whether these credentials are judged without asking anybody."""
        if not self.may_wait or (self._api_keys is not None and presented.header("x-api-key") is not None):
            return True
        is_signed = (presented.header("authorization") or "").startswith(iam.ALGORITHM)
        return is_signed and self._signatures is not None

    def _token(self, authorization: str, presented: Presented) -> Identity:
        token = authorization[len(_BEARER) :].strip() if authorization.lower().startswith(_BEARER) else authorization
        for tokens in self._tokens:
            known = tokens.recall(token)
            if known is not None:
                return known
        if self._tokens:
            _, claims = parse(token)
            if claims is not None or self._authorizer is None:
                issuer = str((claims or {}).get("iss"))
                # As in AppSync, what looks like a user's token is none for the Lambda function.
                return next((item for item in self._tokens if item.knows(issuer)), self._tokens[0]).authenticate(token)
        if self._authorizer is not None:
            return self._authorizer.authenticate(authorization, presented)
        raise unauthorized()

    def _missing(self, presented: Presented) -> RequestError:
        if self._default == modes.API_KEY:
            found = presented.header("x-api-key")
            return unauthorized("Missing authorization header") if found is None else unauthorized()
        if self._default == modes.AWS_IAM:
            return RequestError(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        return unauthorized(_NO_HEADER)


def _api_keys(settings: Settings, now: Callable[[], int]) -> ApiKeys:
    if not settings.api_key_entries:
        raise ConfigurationError("APPSYNC_LOCAL['API_KEY'] is missing: nobody could call the server. Set a key.")
    return ApiKeys(settings.api_key_entries, now=now)


def _iam(settings: Settings, now: Callable[[], int]) -> iam.Iam:
    if not settings.IAM_CREDENTIALS:
        raise ConfigurationError("APPSYNC_LOCAL['IAM_CREDENTIALS'] is missing: AUTH_MODE AWS_IAM needs an access key.")
    return iam.Iam(settings.IAM_CREDENTIALS, region=settings.REGION, now=now)


def _tokens(mode: str, key: str) -> Callable[[Settings, Callable[[], int]], Tokens]:
    def make(settings: Settings, now: Callable[[], int]) -> Tokens:
        found = getattr(settings, key)
        if not found:
            raise ConfigurationError(f"APPSYNC_LOCAL[{key!r}] is missing: AUTH_MODE {mode} needs an issuer of tokens.")
        providers = found if isinstance(found, list | tuple) else (found,)
        return Tokens(mode, [Provider.parse(key, item) for item in providers], now=now)

    return make


def _authorizer(settings: Settings, now: Callable[[], int]) -> LambdaAuthorizer:
    return LambdaAuthorizer(
        settings.LAMBDA_AUTHORIZER or "",
        now=now,
        ttl_seconds=settings.LAMBDA_AUTHORIZER_TTL_SECONDS,
        pattern=settings.LAMBDA_AUTHORIZER_PATTERN,
    )


_MAKERS: dict[str, Callable[[Settings, Callable[[], int]], Any]] = {
    modes.API_KEY: _api_keys,
    modes.AWS_IAM: _iam,
    modes.AMAZON_COGNITO_USER_POOLS: _tokens(modes.AMAZON_COGNITO_USER_POOLS, "USER_POOL"),
    modes.OPENID_CONNECT: _tokens(modes.OPENID_CONNECT, "OPENID_PROVIDER"),
    modes.AWS_LAMBDA: _authorizer,
}
