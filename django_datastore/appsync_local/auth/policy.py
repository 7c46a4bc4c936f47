"""What the `@auth` rules of an API mean for one caller: an `Access` per model and operation, and guards of fields.

A model without rules is open to the API's default auth mode, as a type without directives is in AppSync. With a global
auth rule (`input AMPLIFY`) it is open to API keys, too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from django_datastore.appsync_local.auth import redaction
from django_datastore.appsync_local.auth.access import FULL_ACCESS, NO_ACCESS, Access, Readable, Record, Visible
from django_datastore.appsync_local.auth.claims import condition_of
from django_datastore.appsync_local.auth.identity import TRUSTED, Identity
from django_datastore.appsync_local.auth.rule_access import Grant, RuleAccess
from django_datastore.appsync_local.errors import NotAuthorized
from django_datastore.exceptions import ConfigurationError, SchemaError
from django_datastore.schema import auth_modes as modes
from django_datastore.schema.auth_rules import CLAIM_DELIMITER, READS, Matrix, Role
from django_datastore.schema.relations import is_implicit_foreign_key
from django_datastore.schema.types import FieldSchema, ModelSchema, Schema

LISTEN = "listen"
RELATED = "related"
"""Reading records through a relation: any of the read operations will do."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What stands before one field of a type."""

    admits: Readable | None = None
    """Of which records this caller sees the field; None for all."""
    shows: Callable[[Any], Any] | None = None
    """What is shown instead of the stored value; None for the value as it is."""
    is_redacted: bool = False
    """Null in the answers to mutations, since subscribers get to see these."""

    def sees(self, record: Record) -> bool:
        """Whether the caller sees the field of this record."""
        return self.admits is None or self.admits(record)


Guards: TypeAlias = Mapping[str, Mapping[str, Guard]]
"""By type and field."""


class Policy:
    """The rules of one API. Answers are remembered per caller."""

    def __init__(self, schema: Schema, *, default: str = modes.API_KEY, additional: Sequence[str] = ()) -> None:
        """Raises `SchemaError` for bad rules, `ConfigurationError` for a model nobody could ever use."""
        self._default = default
        self._modes = frozenset((default, *additional))
        self._schema = schema
        self._matrices = {name: Matrix(model) for name, model in schema.models.items()}
        self._redacted = {name: self._redacted_of(matrix) for name, matrix in self._matrices.items()}
        self._accesses: WeakKeyDictionary[Identity, dict[tuple[str, str], Access]] = WeakKeyDictionary()
        self._guards: WeakKeyDictionary[Identity, Guards | None] = WeakKeyDictionary()
        for matrix in self._matrices.values():
            self._check(matrix)

    def access(self, identity: Identity, model: ModelSchema, operation: str) -> Access:
        """What a caller may do in one operation: `get`, `list`, `sync`, `create`, …, `LISTEN` or `RELATED`."""
        known = self._accesses.get(identity)
        if known is None:
            known = self._accesses.setdefault(identity, {})
        found = known.get((model.name, operation))
        if found is None:
            found = self._access(identity, self._matrices[model.name], operation)
            if visible := self._visible(identity, model):
                found = copy.copy(found)
                found.visible = visible
            known[model.name, operation] = found
        return found

    def guards(self, identity: Identity) -> Guards | None:
        """The fields of which this caller does not see every value as it is; None if there are none."""
        try:
            return self._guards[identity]
        except KeyError:
            found = self._guards[identity] = self._all_guards(identity) or None
            return found

    def _visible(self, identity: Identity, model: ModelSchema) -> Visible | None:
        guards = (self.guards(identity) or {}).get(model.name, {})
        hiding = {name: guard for name, guard in guards.items() if guard.admits is not None}
        return partial(_without_hidden, hiding) if hiding else None

    # -- models --------------------------------------------------------------------------------------------------------

    def _access(self, identity: Identity, matrix: Matrix, operation: str) -> Access:
        if identity is TRUSTED or identity.role == "admin":
            return FULL_ACCESS
        if not matrix.has_rules:
            is_public = self._schema.is_sandbox and identity.auth_mode == modes.API_KEY
            return FULL_ACCESS if is_public or identity.auth_mode == self._default else NO_ACCESS
        if operation == LISTEN and _subscription_level(matrix.model) == "public":
            return FULL_ACCESS
        grants = [
            grant for role in _roles_for(matrix, operation) if (grant := _grant(matrix, role, operation, identity))
        ]
        if not grants:
            return NO_ACCESS
        if any(grant.is_full for grant in grants) and not any(_fills(grant, operation) for grant in grants):
            return FULL_ACCESS
        return RuleAccess(grants)

    def _check(self, matrix: Matrix) -> None:
        model, wanted = matrix.model, {role.auth_mode for role in matrix.roles}
        hidden = [item.name for item in model.fields if _is_required(item) and item.name in self._redacted[model.name]]
        if hidden:
            raise SchemaError(
                f"{model.name} has required fields that not all of its readers may read: {', '.join(hidden)}. "
                "Subscribers would get null for them. Give them @auth rules with read for the same callers as the "
                "other fields, or make them optional."
            )
        if matrix.has_rules and self._modes.isdisjoint(wanted):
            raise ConfigurationError(
                f"Nobody could use {model.name}: its @auth rules are for {', '.join(sorted(wanted))}, and "
                f"the server takes {', '.join(sorted(self._modes))}. Set AUTH_MODE or ADDITIONAL_AUTH_MODES."
            )

    # -- fields --------------------------------------------------------------------------------------------------------

    def _all_guards(self, identity: Identity) -> Guards:
        found = {name: dict(self._model_guards(identity, matrix)) for name, matrix in self._matrices.items()}
        for type_name, field in identity.denied_fields:
            found.setdefault(type_name, {})[field] = Guard(admits=lambda record: False)
        return {name: guards for name, guards in found.items() if guards}

    def _model_guards(self, identity: Identity, matrix: Matrix) -> Iterable[tuple[str, Guard]]:
        shown = {role.entity for role in matrix.roles if role.strategy == "owner" and len(role.claims) > 1}
        redacted = self._redacted[matrix.model.name]
        for item in matrix.model.fields:
            guard = Guard(
                admits=self._admits(identity, matrix, item),
                shows=last_claim if item.name in shown else None,
                is_redacted=item.name in redacted,
            )
            if guard != Guard():
                yield item.name, guard
        for name in shown - set(matrix.model.by_name):
            if name is not None:
                yield name, Guard(shows=last_claim)

    @staticmethod
    def _admits(identity: Identity, matrix: Matrix, item: FieldSchema) -> Readable | None:
        if not _is_protected(matrix, item.name) or identity is TRUSTED or identity.role == "admin":
            return None
        roles = [role for role in matrix.able_to(*READS) if item.name in matrix.allowed(role, *READS)]
        return RuleAccess([Grant(found) for role in roles if (found := condition_of(role, identity))]).readable

    def _redacted_of(self, matrix: Matrix) -> frozenset[str]:
        if _subscription_level(matrix.model) != "on":
            return frozenset()
        return frozenset(
            item.name
            for item in matrix.model.fields
            if _is_protected(matrix, item.name) or (item.is_relation and not self._is_shared(matrix, item))
        )

    def _is_shared(self, matrix: Matrix, item: FieldSchema) -> bool:
        """Whether everyone who hears of this model may see every record of the related one."""
        related = self._matrices.get(item.type) or Matrix(self._schema.models[item.type])
        return redaction.is_shared(self._readers(matrix), self._readers(related))

    def _readers(self, matrix: Matrix) -> list[Role]:
        if matrix.has_rules:
            return matrix.able_to(*READS)
        return [Role(self._default, "public" if self._default == modes.API_KEY else "private")]


def _without_hidden(hiding: Mapping[str, Guard], record: Record) -> Record:
    return {name: value for name, value in record.items() if (guard := hiding.get(name)) is None or guard.sees(record)}


def last_claim(value: Any) -> Any:
    """An owner as clients see it: of `sub::username` the username."""
    if isinstance(value, list):
        return [last_claim(item) for item in value]
    return value.rsplit(CLAIM_DELIMITER, 1)[-1] if isinstance(value, str) else value


def _roles_for(matrix: Matrix, operation: str) -> list[Role]:
    """Static ones first, then owners, then dynamic groups."""
    match operation:
        case "delete":
            roles = [role for role in matrix.roles if matrix.allows_all(role, operation)]
        case "update":
            roles = matrix.able_to("update", "delete")
        case "related":
            roles = matrix.able_to(*READS)
        case _:
            roles = matrix.able_to(operation)
    return sorted(roles, key=lambda role: (role.is_dynamic, role.strategy != "owner"))


def _grant(matrix: Matrix, role: Role, operation: str, identity: Identity) -> Grant | None:
    condition = condition_of(role, identity)
    if condition is None:
        return None
    match operation:
        case "create":
            owner = matrix.model.by_name.get(condition.field or "")
            is_list = owner is not None and owner.is_list
            return Grant(condition, _writable(matrix, role, operation), is_list=is_list)
        case "update":
            return Grant(condition, _writable(matrix, role, "update"), _writable(matrix, role, "delete"))
    return Grant(condition)


def _writable(matrix: Matrix, role: Role, operation: str) -> frozenset[str] | None:
    """The fields a role may write, None for all: a foreign key that Amplify added goes with the record."""
    if matrix.allows_all(role, operation):
        return None
    model = matrix.model
    added = {item.name for item in model.fields if is_implicit_foreign_key(item)} | set(model.primary_key)
    return matrix.allowed(role, operation) | (added if operation != "delete" else frozenset())


def _fills(grant: Grant, operation: str) -> bool:
    return operation == "create" and grant.condition.fill is not None


def _is_protected(matrix: Matrix, name: str) -> bool:
    """Whether some who may read records may not read this field."""
    if name not in matrix.fields:
        return False
    roles = matrix.able_to(*READS)
    allowed = [role for role in roles if name in matrix.allowed(role, *READS)]
    private = {role.auth_mode for role in allowed if role.strategy == "private" and role.auth_mode != modes.AWS_IAM}
    return any(role not in allowed and role.auth_mode not in private for role in roles)


def _is_required(item: FieldSchema) -> bool:
    return not item.is_relation and (item.is_list_required if item.is_list else item.is_required)


def _subscription_level(model: ModelSchema) -> str:
    subscriptions = model.properties.get("subscriptions", {})
    return "off" if subscriptions is None else str(subscriptions.get("level", "on"))


class Caller:
    """An identity before one API: what executions ask."""

    __slots__ = ("_policy", "guards", "identity")

    def __init__(self, policy: Policy, identity: Identity) -> None:
        self._policy = policy
        self.identity = identity
        self.guards = policy.guards(identity)

    def access(self, model: ModelSchema, operation: str) -> Access:
        """What the caller may do in one operation."""
        return self._policy.access(self.identity, model, operation)

    def check_root(self, parent: str, field: str) -> None:
        """Refuses a root field that an authorizer keeps from the caller."""
        if self.identity.denied_fields and (parent, field) in self.identity.denied_fields:
            raise NotAuthorized()

    def blinded(self, model: ModelSchema, wanted: Readable | None) -> Readable | None:
        """What a subscription asks of its events, without the fields an authorizer keeps from the caller."""
        denied = {field for parent, field in self.identity.denied_fields if parent == model.name}
        if wanted is None or not denied:
            return wanted
        return lambda payload: wanted({name: value for name, value in payload.items() if name not in denied})

    def seen(self, model: ModelSchema, record: Record | None) -> dict[str, Any] | None:
        """A record as an error may carry it: without the fields the caller may not see, None if he may not see it.

        What has no value is null there: who adopts the record would keep his own value of a field that is missing.
        """
        access = self.access(model, RELATED)
        if record is None or (access.readable is not None and not access.readable(record)):
            return None
        whole = {item.name: None for item in model.value_fields} | dict(record)
        return dict(access.visible(whole)) if access.visible else whole
