"""The auth mode AWS_IAM: Signature Version 4, calculated again from what came in.

The same on a socket: the opening is signed as `POST /graphql/connect` with the body `{}`, each `start` as
`POST /graphql` with its `data` text, and the signed headers lie in the header object, `host` among them.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote

from django_datastore.appsync_local.auth.identity import Identity, Presented
from django_datastore.appsync_local.errors import RequestError
from django_datastore.exceptions import ConfigurationError
from django_datastore.schema.auth_modes import AWS_IAM

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "appsync"
SKEW_SECONDS = 300
_ROLES = ("authenticated", "unauthenticated", "admin")
_ACCOUNT = "123456789012"
_PLAIN = "/-_.~"
_MAX_HEADERS = 100


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key that may sign."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    role: str = "authenticated"
    """`authenticated` or `unauthenticated`, the two roles of an identity pool; `admin` is above all rules."""
    user_arn: str | None = None
    username: str | None = None

    @classmethod
    def parse(cls, found: Any) -> Credentials:
        """Credentials from a mapping with these names; raises `ConfigurationError`."""
        if isinstance(found, cls):
            return found
        try:
            made = cls(**found)
        except TypeError as exc:
            known = ", ".join(cls.__slots__)
            raise ConfigurationError(f"An entry of APPSYNC_LOCAL['IAM_CREDENTIALS'] has the keys {known}.") from exc
        if made.role not in _ROLES or not made.access_key_id or not made.secret_access_key:
            raise ConfigurationError(
                "An entry of APPSYNC_LOCAL['IAM_CREDENTIALS'] needs access_key_id and secret_access_key; its role is "
                f"one of {', '.join(_ROLES)}."
            )
        return made

    def identity(self) -> Identity:
        """Who these credentials stand for."""
        role = "user" if self.role == "admin" else "assumed-role"
        arn = self.user_arn or f"arn:aws:iam::{_ACCOUNT}:{role}/{self.username or self.role}"
        claims = {"accountId": _ACCOUNT, "userArn": arn, "username": self.username or arn.rpartition("/")[2]}
        return Identity(AWS_IAM, self.username, claims, role=self.role)


@dataclass(frozen=True, slots=True)
class Signature:
    """The parts of an `Authorization: AWS4-HMAC-SHA256 …` header."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str

    _FORM = re.compile(
        rf"{ALGORITHM} +Credential=([^/,\s]+)/(\d{{8}})/([^/,\s]+)/([^/,\s]+)/aws4_request, *"
        r"SignedHeaders=([a-z0-9;_-]+), *Signature=([0-9a-f]{64})"
    )

    @classmethod
    def parse(cls, text: str) -> Signature:
        """The parts of the header; raises `RequestError`."""
        match = cls._FORM.fullmatch(text.strip())
        if match is None or match[5].count(";") >= _MAX_HEADERS:
            raise _refusal("IncompleteSignatureException", "Authorization header is not a valid AWS4 signature.")
        key, date, region, service, headers, signature = match.groups()
        return cls(key, date, region, service, tuple(headers.split(";")), signature)

    @property
    def scope(self) -> str:
        """What the signing key was made for."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


class Iam:
    """Lets in who signed with a known secret."""

    def __init__(self, credentials: Iterable[Any], *, region: str, now: Callable[[], int]) -> None:
        parsed = [Credentials.parse(item) for item in credentials]
        self._known = {item.access_key_id: (item, item.identity()) for item in parsed}
        self._region = region
        self._now = now

    def authenticate(self, presented: Presented) -> Identity:
        """Whose signature it is; raises the 403 that AppSync answers."""
        signature = Signature.parse(presented.header("authorization") or "")
        moment = presented.header("x-amz-date") or ""
        self._check_scope(signature, moment)
        found = self._known.get(signature.access_key_id)
        if found is None or not _same(presented.header("x-amz-security-token") or "", found[0].session_token or ""):
            raise _refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
        required = {"host", "x-amz-date"} | ({"x-amz-security-token"} if found[0].session_token else set())
        missing = sorted(required.difference(signature.signed_headers))
        if missing:
            raise _refusal("InvalidSignatureException", f"'{missing[0]}' must be a 'SignedHeader' in the AWS request.")
        canonical = canonical_request(presented, signature.signed_headers)
        if not _same(sign(found[0].secret_access_key, signature, moment, canonical), signature.signature):
            raise _refusal(
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical "
                f"String for this request should have been\n'{canonical}'",
            )
        return found[1]

    def _check_scope(self, signature: Signature, moment: str) -> None:
        try:
            signed_at = datetime.datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
        except ValueError:
            raise _refusal("IncompleteSignatureException", "Date must be in ISO-8601 'basic format'.") from None
        if (signature.service, signature.region) != (SERVICE, self._region):
            expected = f"{self._region}/{SERVICE}"
            raise _refusal("InvalidSignatureException", f"Credential should be scoped to a valid region: {expected}.")
        if not moment.startswith(signature.date):
            raise _refusal(
                "InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from x-amz-date."
            )
        if abs(signed_at.timestamp() * 1000 - self._now()) > SKEW_SECONDS * 1000:
            raise _refusal("InvalidSignatureException", f"Signature expired or not yet current: {moment}.")


def canonical_request(presented: Presented, signed_headers: Iterable[str]) -> str:
    """The text a signature covers."""
    names = tuple(signed_headers)
    headers = "".join(f"{name}:{' '.join((presented.header(name) or '').split())}\n" for name in names)
    digest = hashlib.sha256(presented.body).hexdigest()
    path = quote(quote(presented.path or "/", safe=_PLAIN), safe=_PLAIN)  # twice, as for every service but S3
    parts = (presented.method, path, _canonical_query(presented.query_string))
    return "\n".join((*parts, headers, ";".join(names), digest))


def sign(secret: str, signature: Signature, moment: str, canonical: str) -> str:
    """The signature of a canonical request as hex digits."""
    key = f"AWS4{secret}".encode()
    for part in signature.scope.split("/"):
        key = hmac.digest(key, _bytes(part), "sha256")
    text = "\n".join((ALGORITHM, moment, signature.scope, hashlib.sha256(_bytes(canonical)).hexdigest()))
    return hmac.digest(key, _bytes(text), "sha256").hex()


def _canonical_query(query_string: str) -> str:
    pairs = parse_qsl(query_string.replace("+", "%2B"), keep_blank_values=True)  # here a plus is no space
    return "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs))


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(_bytes(left), _bytes(right))


def _bytes(text: str) -> bytes:
    """JSON on a socket can bring lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def _refusal(error_type: str, message: str) -> RequestError:
    return RequestError(403, error_type, message)
