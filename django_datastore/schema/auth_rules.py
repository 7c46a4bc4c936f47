"""The `@auth` rules of a model as a matrix: which role may do what with which field, as Amplify's transformer has it.

    {allow: owner}, {allow: groups, groups: ["Staff"], operations: [read]} ─▶ Role ─▶ field ─▶ operations

A field with rules of its own obeys these alone. `policy` asks the matrix what it means for one caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from django_datastore.exceptions import SchemaError
from django_datastore.schema import auth_modes as modes
from django_datastore.schema import naming
from django_datastore.schema.relations import is_implicit
from django_datastore.schema.types import FieldSchema, ModelSchema

Rule: TypeAlias = Mapping[str, Any]

READS = ("get", "list", "sync", "listen", "search")
OPERATIONS = ("create", "update", "delete", *READS)
DEFAULT_OWNER_FIELD = "owner"
DEFAULT_GROUPS_FIELD = "groups"
DEFAULT_IDENTITY_CLAIM = "sub::username"
DEFAULT_GROUP_CLAIM = "cognito:groups"
CLAIM_DELIMITER = "::"

_MODES = {
    "apiKey": modes.API_KEY,
    "iam": modes.AWS_IAM,
    "identityPool": modes.AWS_IAM,
    "userPools": modes.AMAZON_COGNITO_USER_POOLS,
    "oidc": modes.OPENID_CONNECT,
    "function": modes.AWS_LAMBDA,
}
_PROVIDERS: dict[str, tuple[str, ...]] = {  # the first is the default
    "owner": ("userPools", "oidc"),
    "groups": ("userPools", "oidc"),
    "private": ("userPools", "iam", "identityPool", "oidc"),
    "public": ("apiKey", "iam", "identityPool"),
    "custom": ("function",),
}


@dataclass(frozen=True, slots=True)
class Role:
    """Who a rule speaks of."""

    auth_mode: str
    strategy: str
    """`owner`, `groups`, `private`, `public` or `custom`."""
    claim: str | None = None
    """The claim an owner or a group is told by."""
    entity: str | None = None
    """The group's name; for owners and dynamic groups the field that names them."""
    is_dynamic: bool = False
    """Whether it depends on the record."""

    @property
    def claims(self) -> tuple[str, ...]:
        """The parts of a claim such as `sub::username`."""
        return tuple((self.claim or "").split(CLAIM_DELIMITER))


class Matrix:
    """The rules of one model."""

    def __init__(self, model: ModelSchema) -> None:
        """Raises `SchemaError` for rules that mean nothing."""
        self.model = model
        self.roles: dict[Role, dict[str, frozenset[str]]] = {}
        """By role, the operations it may do on each field."""
        own = {item.name: rules for item in model.fields if (rules := _field_rules(item))}
        self.fields = tuple(
            item.name
            for item in model.fields
            if not is_implicit(item)
            # nobody can be meant to be kept from the key: Amplify refuses such a schema
            and (model.auth_rules or item.name in own or item.name not in model.primary_key)
        )
        for rule in model.auth_rules:
            self._add(rule, [name for name in self.fields if name not in own])
        for name, rules in own.items():
            for rule in rules:
                self._add(rule, [name])

    @property
    def has_rules(self) -> bool:
        """False for a model that says nothing about who may use it."""
        return bool(self.roles)

    def able_to(self, *operations: str) -> list[Role]:
        """The roles that may do one of these on at least one field."""
        return [role for role in self.roles if any(self.allowed(role, operation) for operation in operations)]

    def allowed(self, role: Role, *operations: str) -> frozenset[str]:
        """The fields on which a role may do one of these."""
        found = self.roles[role]
        return frozenset(name for name in self.fields if not found.get(name, frozenset()).isdisjoint(operations))

    def allows_all(self, role: Role, operation: str) -> bool:
        """Whether a role may do this on every field."""
        return len(self.allowed(role, operation)) == len(self.fields)

    def _add(self, rule: Rule, names: Iterable[str]) -> None:
        operations = frozenset(_operations(self.model, rule))
        for role in _roles(self.model, rule):
            found = self.roles.setdefault(role, {})
            for name in names:
                found[name] = found.get(name, frozenset()) | operations


def _field_rules(item: FieldSchema) -> list[Rule]:
    return [rule for found in item.attributes if found.get("type") == "auth" for rule in found.get("rules") or ()]


def _roles(model: ModelSchema, rule: Rule) -> list[Role]:
    strategy = rule.get("allow")
    if strategy not in _PROVIDERS:
        raise _error(model, rule, f"allow is one of {', '.join(_PROVIDERS)}", str(strategy), _PROVIDERS)
    providers = _PROVIDERS[strategy]
    provider = rule.get("provider") or providers[0]
    if provider not in providers:
        raise _error(model, rule, f"allow: {strategy} takes the providers {', '.join(providers)}", provider, providers)
    mode = _MODES[provider]
    if strategy == "owner":
        claim = rule.get("identityClaim") or DEFAULT_IDENTITY_CLAIM
        return [Role(mode, strategy, claim, rule.get("ownerField") or DEFAULT_OWNER_FIELD, is_dynamic=True)]
    if strategy == "groups":
        return _group_roles(model, rule, mode)
    return [Role(mode, strategy)]


def _group_roles(model: ModelSchema, rule: Rule, mode: str) -> list[Role]:
    claim, groups, field = rule.get("groupClaim") or DEFAULT_GROUP_CLAIM, rule.get("groups"), rule.get("groupsField")
    if bool(groups) == bool(field):
        raise _error(model, rule, "allow: groups needs either groups or groupsField")
    if groups:
        return [Role(mode, "groups", claim, group) for group in ([groups] if isinstance(groups, str) else groups)]
    return [Role(mode, "groups", claim, field or DEFAULT_GROUPS_FIELD, is_dynamic=True)]


def _operations(model: ModelSchema, rule: Rule) -> Iterable[str]:
    found = rule.get("operations")
    for operation in found or ():
        if operation not in (*OPERATIONS, "read"):
            raise _error(model, rule, f"operations are read, {', '.join(OPERATIONS)}", str(operation), OPERATIONS)
        yield from READS if operation == "read" else (operation,)
    if found is None:
        yield from OPERATIONS


def _error(model: ModelSchema, rule: Rule, expected: str, word: str = "", known: Iterable[str] = ()) -> SchemaError:
    hint = naming.did_you_mean(word, list(known))
    return SchemaError(f"The @auth rule {dict(rule)!r} of {model.name} cannot be obeyed: {expected}.{hint}")
