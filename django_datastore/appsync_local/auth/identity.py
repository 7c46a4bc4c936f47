"""What a caller shows, and who that turns out to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django_datastore.schema.auth_modes import API_KEY


@dataclass(frozen=True, slots=True)
class Presented:
    """The parts of an HTTP request, or of what a socket says in its place, that prove who sent it."""

    headers: Mapping[str, str]
    path: str = "/graphql"
    """What a signature covers: `/graphql`, or `/graphql/connect` for the opening of a socket."""
    body: bytes = b""
    method: str = "POST"
    query_string: str = ""

    def header(self, name: str) -> str | None:
        """A header's value, whatever the case of its name."""
        wanted = name.lower()
        if wanted in self.headers:
            return self.headers[wanted]
        return next((value for found, value in self.headers.items() if found.lower() == wanted), None)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Identity:
    """A caller who got in. The same caller is the same object as long as the credentials are remembered."""

    auth_mode: str
    """AppSync's name for how: `API_KEY`, `AWS_IAM`, `AMAZON_COGNITO_USER_POOLS`, `OPENID_CONNECT`, `AWS_LAMBDA`."""
    username: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    """The claims of a token; for AWS_IAM `userArn` and its like, for AWS_LAMBDA the `resolverContext`."""
    role: str | None = None
    """For AWS_IAM whose credentials these are: `authenticated`, `unauthenticated` or `admin`."""
    denied_fields: frozenset[tuple[str, str]] = frozenset()
    """The (type, field) pairs an AWS_LAMBDA authorizer keeps from this caller."""


ANYONE = Identity(API_KEY)
"""Who has an API key is nobody in particular."""
TRUSTED = Identity("TRUSTED")
"""Code in the server's own process, such as a test that puts records in place: no rule holds it back."""
