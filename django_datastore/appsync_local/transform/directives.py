"""The `@aws_…` directives of an API: which auth modes AppSync itself lets through to a type or a root field.

A place without a directive takes the default mode, so Amplify writes one only where a rule asks for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from django_datastore.schema import auth_modes as modes
from django_datastore.schema import naming
from django_datastore.schema.auth_rules import DEFAULT_OWNER_FIELD, Matrix, Role
from django_datastore.schema.types import ConnectionType, FieldKind, FieldSchema, ModelSchema, Schema

DIRECTIVES = {
    modes.API_KEY: "aws_api_key",
    modes.AWS_IAM: "aws_iam",
    modes.OPENID_CONNECT: "aws_oidc",
    modes.AMAZON_COGNITO_USER_POOLS: "aws_cognito_user_pools",
    modes.AWS_LAMBDA: "aws_lambda",
}
"""By auth mode."""
_PUBLIC = {"allow": "public"}


class Directives:
    """The directives of one API."""

    def __init__(self, schema: Schema, default: str) -> None:
        """Raises `SchemaError` for `@auth` rules that mean nothing."""
        self._schema = schema
        self._default = default
        self._matrices = {name: Matrix(model) for name, model in schema.models.items()}
        for name, matrix in self._matrices.items():
            if schema.is_sandbox and not matrix.has_rules:
                self._matrices[name] = Matrix(replace(matrix.model, auth_rules=(_PUBLIC,)))
        self._nested = self._nested_types()

    def of_operation(self, model: ModelSchema, *operations: str) -> tuple[str, ...]:
        """What stands behind a root field."""
        found: dict[str, None] = {}
        for operation in operations:
            wanted = [role.auth_mode for role in self._roles(model, operation)]
            found |= dict.fromkeys(self._directives(wanted, adds_default=self._default in wanted))
        return tuple(found)

    def of_model(self, model: ModelSchema, operations: Iterable[str]) -> tuple[str, ...]:
        """What stands behind a model's type: what its own root fields have, and what any rule asks for."""
        wanted = [role.auth_mode for role in self._matrices[model.name].roles]
        found = dict.fromkeys(self._directives(wanted, adds_default=False))
        for operation in operations:
            found |= dict.fromkeys(self.of_operation(model, operation))
        return tuple(found)

    def of_nested(self, name: str) -> tuple[str, ...]:
        """What stands behind a type without a table: what the models that hold it have."""
        return tuple(self._nested.get(name, ()))

    def subscription_arguments(self, model: ModelSchema) -> tuple[str, ...]:
        """The arguments by which a subscription says whose records it is about."""
        if not has_guarded_subscriptions(model):
            return ()
        owners = [
            role.entity or DEFAULT_OWNER_FIELD for role in self._roles(model, "listen") if role.strategy == "owner"
        ]
        return tuple(dict.fromkeys(name for name in owners if not _is_list(model, name)))

    def dynamic_fields(self, model: ModelSchema) -> dict[str, bool]:
        """The fields that name a record's owners (true) or groups (false)."""
        roles = [role for role in self._matrices[model.name].roles if role.is_dynamic]
        return {role.entity or DEFAULT_OWNER_FIELD: role.strategy == "owner" for role in roles}

    def _roles(self, model: ModelSchema, operation: str) -> list[Role]:
        matrix = self._matrices[model.name]
        roles = matrix.able_to(operation)
        return [role for role in roles if matrix.allows_all(role, operation)] if operation == "delete" else roles

    def _directives(self, wanted: Iterable[str], *, adds_default: bool) -> Iterator[str]:
        wanted = set(wanted)
        others = wanted - {self._default}
        for mode, directive in DIRECTIVES.items():
            if mode in others or (mode == self._default and others and (adds_default or mode in wanted)):
                yield directive

    def _nested_types(self) -> dict[str, dict[str, None]]:
        found: dict[str, dict[str, None]] = {}
        for name, model in self._schema.models.items():
            if self._matrices[name].has_rules:
                wanted = [role.auth_mode for role in self._matrices[name].roles]
                self._add_nested(model.fields, wanted, found)
        return found

    def _add_nested(self, fields: Iterable[FieldSchema], wanted: list[str], found: dict[str, dict[str, None]]) -> None:
        for item in fields:
            name = _nested_type(item)
            if name is None:
                continue
            is_known = name in found
            new = dict.fromkeys(self._directives(wanted, adds_default=is_known))
            known = found.setdefault(name, {})
            if not is_known or new.keys() - known.keys():
                known |= new
                nested = self._schema.non_models.get(name)
                self._add_nested(nested.fields if nested else (), wanted, found)


def has_guarded_subscriptions(model: ModelSchema) -> bool:
    """Whether the rules of a model stand behind its subscriptions, too: `@model(subscriptions: { level: … })`."""
    subscriptions = model.properties.get("subscriptions", {})
    return subscriptions is not None and subscriptions.get("level", "on") == "on"


def connection_type(model: str) -> str:
    """The type of a list of records."""
    return f"Model{naming.capitalize(model)}Connection"


def _nested_type(item: FieldSchema) -> str | None:
    """The type of a field's value that has no table of its own: nested values, the lists of a `@hasMany`."""
    if item.kind is FieldKind.NON_MODEL:
        return item.type
    is_list = item.association is not None and item.association.connection_type is ConnectionType.HAS_MANY
    return connection_type(item.type) if is_list else None


def _is_list(model: ModelSchema, name: str) -> bool:
    return name in model.by_name and model.by_name[name].is_list
