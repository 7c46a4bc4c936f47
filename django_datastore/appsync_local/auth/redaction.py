"""Which relations stay out of the answers to mutations, and so out of events: as Amplify's transformer has it.

What a mutation selected goes to everyone who hears of the record. A related record may be there only if all of them may
see it.
"""

from __future__ import annotations

from collections.abc import Sequence

from django_datastore.schema import auth_modes as modes
from django_datastore.schema.auth_rules import Role


def is_shared(readers: Sequence[Role], related: Sequence[Role]) -> bool:
    """Whether the readers of two models are the same, whatever the record."""
    left, right = _relevant(readers), _relevant(related)
    if any(role.is_dynamic or role.strategy == "custom" for role in (*left, *right)):
        return False
    return all(_is_among(role, right) for role in left) and all(_is_among(role, left) for role in right)


def _relevant(roles: Sequence[Role]) -> list[Role]:
    """Where every user may read, it does not matter who else may."""
    private = {role.auth_mode for role in roles if _is_every_user(role)}
    return [role for role in roles if role.auth_mode not in private or _is_every_user(role)]


def _is_every_user(role: Role) -> bool:
    return role.strategy == "private" and role.auth_mode in (modes.AMAZON_COGNITO_USER_POOLS, modes.OPENID_CONNECT)


def _is_among(role: Role, others: Sequence[Role]) -> bool:
    return any(other == role or (other.auth_mode == role.auth_mode and _is_every_user(other)) for other in others)
