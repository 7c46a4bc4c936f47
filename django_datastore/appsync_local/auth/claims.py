"""Whether a caller is in a role: at once, or for the records that name him."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django_datastore.appsync_local.auth.access import Record
from django_datastore.appsync_local.auth.identity import Identity
from django_datastore.schema import auth_modes as modes
from django_datastore.schema.auth_rules import CLAIM_DELIMITER, Role

_IAM_ROLES = {"private": "authenticated", "public": "unauthenticated"}


@dataclass(frozen=True, slots=True)
class Condition:
    """The records in whose field one of these values stands; without a field every record."""

    field: str | None = None
    values: tuple[str, ...] = ()
    fill: str | None = None
    """What a create puts into the field where the client said nothing."""

    def holds(self, record: Record) -> bool:
        """Whether the caller is in the role for this record."""
        if self.field is None:
            return True
        found = record.get(self.field)
        if isinstance(found, list):
            return any(value in found for value in self.values)
        return found is not None and found in self.values


ALWAYS = Condition()


def condition_of(role: Role, identity: Identity) -> Condition | None:
    """For which records the caller is in the role; None for a role he can never be in."""
    if role.auth_mode != identity.auth_mode:
        return None
    if role.strategy == "owner":
        return _owner(role, identity.claims)
    if role.strategy == "groups":
        return _groups(role, identity.claims)
    if role.auth_mode == modes.AWS_IAM and identity.role != _IAM_ROLES[role.strategy]:
        return None
    return ALWAYS


def _owner(role: Role, claims: Mapping[str, Any]) -> Condition | None:
    values = [_claim(claims, name) for name in role.claims]
    if not all(values):
        return None
    parts = [value for value in values if value]
    joined = CLAIM_DELIMITER.join(parts)
    return Condition(role.entity, tuple(dict.fromkeys((joined, *parts))), fill=joined)


def _groups(role: Role, claims: Mapping[str, Any]) -> Condition | None:
    groups = group_claim(claims, role.claim or "")
    if role.is_dynamic:
        return Condition(role.entity, groups) if groups else None
    return ALWAYS if role.entity in groups else None


def _claim(claims: Mapping[str, Any], name: str) -> str | None:
    """`username` stands in ID tokens as `cognito:username`."""
    found = claims.get(name)
    if found is None and name == "username":
        found = claims.get("cognito:username")
    return None if found is None or isinstance(found, list | dict) else str(found)


def group_claim(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The groups of a claim: a list, a list as JSON text, or one name."""
    found = claims.get(name)
    if isinstance(found, str):
        try:
            parsed = json.loads(found)
        except (ValueError, RecursionError):
            parsed = None
        found = parsed if isinstance(parsed, list) else [found]
    return tuple(item for item in found if isinstance(item, str) and item) if isinstance(found, list) else ()
