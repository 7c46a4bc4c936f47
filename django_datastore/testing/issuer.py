"""An issuer of tokens for tests: what a Cognito user pool or an OpenID provider is to an API, with keys of its own.

pool = Issuer()
with LocalAppSync(SDL, AUTH_MODE="AMAZON_COGNITO_USER_POOLS", USER_POOL=pool, now=clock) as appsync:
    headers = {"Authorization": pool.token("alice", groups=["Staff"])}
"""

from __future__ import annotations

import json
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

try:
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
except ImportError as exc:
    raise ImportError("An Issuer of tokens needs PyJWT and cryptography: install django-datastore[auth].") from exc

_KINDS = ("user_pool", "openid")
_SECONDS = 3600
_NAMESPACE = uuid.UUID("6f0ff1a6-1fbb-4d3c-9c33-4a4a3a3f2d10")


class Issuer:
    """Makes tokens that a local server believes when it is given as its `USER_POOL` or `OPENID_PROVIDER`."""

    def __init__(
        self,
        issuer: str | None = None,
        *,
        kind: str = "user_pool",
        client_id: str = "local-client",
        algorithm: str = "RS256",
        now: Callable[[], int] | None = None,
    ) -> None:
        """`now` gives the time in epoch milliseconds, as that of the server; `algorithm` is RS256 or ES256."""
        if kind not in _KINDS:
            raise ValueError(f"kind is {kind!r}; it is one of {', '.join(_KINDS)}.")
        pool_id = f"us-east-1_{secrets.token_hex(5)}"
        default = f"https://cognito-idp.us-east-1.amazonaws.com/{pool_id}" if kind == "user_pool" else None
        self.issuer = issuer or default or f"https://{pool_id.lower().replace('_', '-')}.example/"
        """The `iss` of its tokens."""
        self.client_id = client_id
        self.client_ids = (client_id,)
        self._kind = kind
        self._algorithm = algorithm
        self._now = now or (lambda: time.time_ns() // 1_000_000)
        self._keys: dict[str, Any] = {}
        self.key_id = ""
        """The key that signs now."""
        self.rotate()

    def rotate(self, *, keep_old: bool = True) -> None:
        """Signs with a new key from now on; the old one stays in the key set, or leaves it."""
        if not keep_old:
            self._keys.clear()
        self.key_id = secrets.token_hex(8)
        self._keys[self.key_id] = _make_key(self._algorithm)

    def jwks(self) -> dict[str, Any]:
        """The public keys, as they are now."""
        to_jwk = jwt.get_algorithm_by_name(self._algorithm).to_jwk
        return {
            "keys": [
                {**to_jwk(key.public_key(), as_dict=True), "kid": kid, "alg": self._algorithm, "use": "sig"}
                for kid, key in self._keys.items()
            ]
        }

    def token(
        self,
        username: str,
        *,
        use: str = "access",
        sub: str | None = None,
        groups: Iterable[str] = (),
        expires_in: float = _SECONDS,
        **claims: Any,
    ) -> str:
        """A signed token of a user: an `access` or an `id` token. `claims` come on top, None takes one away."""
        seconds = self._now() // 1000
        found: dict[str, Any] = {
            "sub": sub or self.sub(username),
            "iss": self.issuer,
            "iat": seconds,
            "auth_time": seconds,
            "exp": seconds + expires_in,
            "jti": str(uuid.uuid4()),
            **self._claims(username, use, list(groups)),
            **claims,
        }
        return self.sign({name: value for name, value in found.items() if value is not None})

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """A token with exactly these claims."""
        return jwt.encode(
            claims, self._keys[self.key_id], algorithm=self._algorithm, headers={"kid": self.key_id, **header}
        )

    def sub(self, username: str) -> str:
        """The subject of a user, always the same for the same name."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.issuer} {username}"))

    @staticmethod
    def opaque() -> str:
        """A token that says nothing by itself, as authorizers look them up."""
        return secrets.token_urlsafe(32)

    def _claims(self, username: str, use: str, groups: list[str]) -> dict[str, Any]:
        if self._kind == "openid":
            return {"aud": self.client_id, "preferred_username": username, "groups": groups or None}
        named = {"cognito:groups": groups or None, "token_use": use, "origin_jti": str(uuid.uuid4())}
        if use == "id":
            return {**named, "aud": self.client_id, "cognito:username": username, "email_verified": True}
        return {**named, "client_id": self.client_id, "username": username, "scope": "openid"}

    @contextmanager
    def serving(self, host: str = "127.0.0.1") -> Iterator[str]:
        """Serves the key set over HTTP; yields its URL."""
        server = ThreadingHTTPServer((host, 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, name="issuer", daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{server.server_address[1]}/.well-known/jwks.json"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _make_key(algorithm: str) -> Any:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    raise ValueError(f"algorithm is {algorithm!r}; it is RS256 or ES256.")


def _handler(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(issuer.jwks()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody wants to read this."""

    return Handler
