"""The auth modes AMAZON_COGNITO_USER_POOLS and OPENID_CONNECT: JSON Web Tokens, verified by their issuer's keys."""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django_datastore.appsync_local.auth.identity import Identity
from django_datastore.appsync_local.auth.key_sets import KeySet, Source, check_source
from django_datastore.appsync_local.errors import unauthorized
from django_datastore.exceptions import ConfigurationError
from django_datastore.schema.auth_modes import AMAZON_COGNITO_USER_POOLS

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures with public keys only: a shared secret could be forged by everyone who verifies."""
MAX_LENGTH = 16_384
_REMEMBERED = 1024
_BY_OUR_CLOCK: Any = {f"verify_{name}": False for name in ("exp", "nbf", "iat", "aud", "iss")}
"""What PyJWT leaves to us: times by the server's clock, and issuer and audience in AppSync's words."""
_NOT_JWT = "Unable to parse JWT token."


@dataclass(frozen=True, slots=True)
class Provider:
    """An issuer whose tokens let in."""

    issuer: str
    jwks: Source
    client_ids: tuple[str, ...] = ()
    """The audiences taken; none for all."""

    @classmethod
    def parse(cls, key: str, found: Any) -> Provider:
        """From a mapping `{"issuer": …, "jwks": …, "client_ids": […]}`, or an object with these attributes."""
        if isinstance(found, Mapping):
            unknown = set(found) - {"issuer", "jwks", "client_ids"}
            if unknown:
                raise ConfigurationError(f"APPSYNC_LOCAL[{key!r}] has no key {min(unknown)!r}.")
            values = found
        else:
            values = {name: getattr(found, name, None) for name in ("issuer", "jwks", "client_ids")}
        issuer, jwks, clients = values.get("issuer"), values.get("jwks"), values.get("client_ids") or ()
        if not isinstance(issuer, str) or not issuer:
            raise ConfigurationError(f"APPSYNC_LOCAL[{key!r}] needs an issuer: the `iss` of its tokens.")
        if jwks is None:
            jwks = f"{issuer.rstrip('/')}/.well-known/jwks.json"
        check_source(key, jwks)
        return cls(issuer, jwks, (clients,) if isinstance(clients, str) else tuple(clients))


class Tokens:
    """The tokens of one auth mode."""

    def __init__(self, auth_mode: str, providers: Iterable[Provider], *, now: Callable[[], int]) -> None:
        """Raises `ConfigurationError` where the library that verifies is missing."""
        try:
            import jwt
        except ImportError as exc:
            raise ConfigurationError(f"AUTH_MODE {auth_mode} needs PyJWT: install django-datastore[auth].") from exc
        self._jwt = jwt
        self._auth_mode = auth_mode
        self._now = now
        self._providers = {item.issuer: (item, KeySet(item.jwks, now=now)) for item in providers}
        self._remembered: OrderedDict[str, tuple[Identity, KeySet, int]] = OrderedDict()
        self._public_keys: dict[tuple[int, str, str, int], Any] = {}

    @property
    def may_wait(self) -> bool:
        """Whether a token may have to wait for keys from the network."""
        return any(keys.may_wait for _, keys in self._providers.values())

    def knows(self, issuer: str | None) -> bool:
        """Whether tokens of this issuer belong here."""
        return issuer in self._providers

    def recall(self, token: str) -> Identity | None:
        """Whose token it is, if it was verified lately; raises the 401 of one that has expired meanwhile."""
        identity, keys, generation = self._remembered.get(token, (None, None, 0))
        if identity is None or keys is None or keys.generation != generation or keys.is_old:
            return None
        self._check_times(identity.claims)
        return identity

    def authenticate(self, token: str) -> Identity:
        """Whose token it is; raises the 401 that AppSync answers."""
        header, claims = parse(token)
        if claims is None or header is None:
            raise unauthorized(_NOT_JWT)
        provider, keys = self._providers.get(str(claims.get("iss")), (None, None))
        if provider is None or keys is None:
            raise unauthorized("Token is not from a supported provider of this graphql api.")
        verified = self._verify(token, header, keys)
        self._check_times(verified)
        _check_audience(self._auth_mode, provider, verified)
        identity = Identity(self._auth_mode, _username(verified), verified)
        self._remembered[token] = (identity, keys, keys.generation)
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return identity

    def _verify(self, token: str, header: Mapping[str, Any], keys: KeySet) -> dict[str, Any]:
        algorithm, key_id = header.get("alg"), str(header.get("kid"))
        key = keys.find(key_id)
        if algorithm not in ALGORITHMS or key is None or key.get("alg", algorithm) != algorithm:
            raise unauthorized()
        try:
            public = self._public_key(keys, key_id, key, algorithm)
            found: dict[str, Any] = self._jwt.decode(token, public, algorithms=[algorithm], options=_BY_OUR_CLOCK)
        except self._jwt.PyJWTError as exc:
            raise unauthorized() from exc
        return found

    def _public_key(self, keys: KeySet, key_id: str, key: Mapping[str, Any], algorithm: str) -> Any:
        """The key ready for use: to make it takes ten times longer than to verify with it."""
        place = (id(keys), key_id, algorithm, keys.generation)
        found = self._public_keys.get(place)
        if found is None:
            if len(self._public_keys) >= _REMEMBERED:
                self._public_keys.clear()
            found = self._public_keys[place] = self._jwt.PyJWK(dict(key), algorithm=algorithm)
        return found

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        seconds, expires, starts = self._now() / 1000, claims.get("exp"), claims.get("nbf")
        if not isinstance(expires, int | float):
            raise unauthorized(_NOT_JWT)
        if seconds >= expires:
            raise unauthorized("Token has expired.")
        if starts is not None and not (isinstance(starts, int | float) and seconds >= starts):
            raise unauthorized("Token is not valid yet.")


def parse(token: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The header and the claims of a token, unverified; None and None for what is no JWT."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MAX_LENGTH:
        return None, None
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
    except (binascii.Error, ValueError, RecursionError):
        return None, None
    return (header, claims) if isinstance(header, dict) and isinstance(claims, dict) else (None, None)


def _check_audience(auth_mode: str, provider: Provider, claims: Mapping[str, Any]) -> None:
    """Cognito's access tokens name their client in `client_id`, all others in `aud`; OIDC allows `azp`, too."""
    use = claims.get("token_use")
    if auth_mode == AMAZON_COGNITO_USER_POOLS and use not in ("id", "access"):
        raise unauthorized()
    if not provider.client_ids:
        return
    names = ("client_id",) if auth_mode == AMAZON_COGNITO_USER_POOLS and use == "access" else ("aud", "azp")
    found = [item for name in names for item in _as_list(claims.get(name))]
    if not set(found).intersection(provider.client_ids):
        raise unauthorized()


def _username(claims: Mapping[str, Any]) -> str | None:
    found = claims.get("username") or claims.get("cognito:username") or claims.get("sub")
    return str(found) if found is not None else None


def _as_list(value: Any) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
