"""What a data model is, as values: `Schema`, `ModelSchema`, `FieldSchema`. Made by introspection or from SDL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from django_datastore.exceptions import SchemaError


class FieldKind(StrEnum):
    """What a field's type name refers to."""

    SCALAR = "scalar"
    ENUM = "enum"
    MODEL = "model"
    NON_MODEL = "nonModel"


class ConnectionType(StrEnum):
    """The three associations of Amplify's schema."""

    HAS_ONE = "HAS_ONE"
    HAS_MANY = "HAS_MANY"
    BELONGS_TO = "BELONGS_TO"


@dataclass(frozen=True, slots=True)
class Association:
    """How a relation field joins its model with another."""

    connection_type: ConnectionType
    target_names: tuple[str, ...] = ()
    """This model's foreign key fields, in the order of the other's primary key (BELONGS_TO; HAS_ONE, unless the other
    model holds the key); its fields that the others point to, where they are not its primary key (HAS_MANY)."""
    associated_with: tuple[str, ...] = ()
    """The other model's fields that point here (HAS_MANY, HAS_ONE)."""


@dataclass(frozen=True, slots=True)
class FieldSchema:
    """One field with its wire name and GraphQL type."""

    name: str
    type: str
    kind: FieldKind = FieldKind.SCALAR
    is_required: bool = False
    """The value may not be null; in a list, an element may not."""
    is_list: bool = False
    is_list_required: bool = False
    """The list itself may not be null."""
    is_read_only: bool = False
    """The server sets it; it is selected and never sent."""
    association: Association | None = None
    attributes: tuple[Mapping[str, Any], ...] = ()
    """The field's directives as written, each with its name as `type`: `{"type": "default", "value": "x"}`, `{"type":
    "hasMany", "limit": 50}`, `{"type": "auth", "rules": [...]}` with rules as in `ModelSchema.auth_rules`. The keys are
    elsewhere (`ModelSchema.primary_key`, `indexes`). Fields that Amplify adds have `{"type": "implicitForeignKey"}` or
    `{"type": "implicitOwner"}`."""

    @property
    def is_relation(self) -> bool:
        """True for a field whose value is another model's record, not a value of its own."""
        return self.kind is FieldKind.MODEL

    @property
    def graphql_type(self) -> str:
        """The type in GraphQL notation, such as `[String!]!`."""
        inner = self.type + ("!" if self.is_required else "")
        if not self.is_list:
            return inner
        return f"[{inner}]" + ("!" if self.is_list_required else "")


@dataclass(frozen=True, slots=True)
class EnumSchema:
    """An enum and its values, in order."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NonModelSchema:
    """A nested type without a table of its own."""

    name: str
    fields: tuple[FieldSchema, ...]


@dataclass(frozen=True, slots=True)
class IndexSchema:
    """A secondary index (`@index`)."""

    name: str
    fields: tuple[str, ...]
    query_field: str | None = None


@dataclass(frozen=True)
class ModelSchema:
    """A model: its names, its fields in order, its primary key."""

    name: str
    plural_name: str
    fields: tuple[FieldSchema, ...]
    primary_key: tuple[str, ...] = ("id",)
    indexes: tuple[IndexSchema, ...] = ()
    auth_rules: tuple[Mapping[str, Any], ...] = ()
    """The `@auth` rules as written: mappings with `allow` and, where given, `provider`, `ownerField`, `identityClaim`,
    `groups`, `groupsField`, `groupClaim`, `operations`. Enum values are texts; lists may come as single values."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """The arguments of `@model` as written (queries, mutations, subscriptions, timestamps)."""
    line: int = field(default=0, compare=False)
    """Where it stands in its SDL, for messages; 0 for a model that stands in none."""

    def error(self, message: str) -> SchemaError:
        """A refusal, with the line of the model where there is one."""
        return SchemaError(f"Line {self.line}: {message}" if self.line else message)

    @cached_property
    def by_name(self) -> Mapping[str, FieldSchema]:
        """The fields by wire name."""
        return {item.name: item for item in self.fields}

    def field(self, name: str) -> FieldSchema:
        """The field with that wire name; `SchemaError` if there is none."""
        try:
            return self.by_name[name]
        except KeyError:
            known = ", ".join(sorted(self.by_name))
            raise SchemaError(f"Model {self.name!r} has no field {name!r}. It has: {known}.") from None

    @cached_property
    def timestamps(self) -> tuple[str, ...]:
        """The fields in which the server keeps when a record was created and last updated, declared here or not."""
        names = self.properties.get("timestamps", {})
        if names is None:
            return ()
        return tuple(name for key in ("createdAt", "updatedAt") if (name := names.get(key, key)))

    @cached_property
    def value_fields(self) -> tuple[FieldSchema, ...]:
        """The fields that carry values of their own: everything but relations."""
        return tuple(item for item in self.fields if not item.is_relation)

    @cached_property
    def belongs_to(self) -> tuple[FieldSchema, ...]:
        """The relations whose foreign key lies in this model."""
        return tuple(
            item
            for item in self.fields
            if item.association and item.association.connection_type is ConnectionType.BELONGS_TO
        )


@dataclass(frozen=True)
class Schema:
    """A whole data model."""

    models: Mapping[str, ModelSchema] = field(default_factory=dict)
    enums: Mapping[str, EnumSchema] = field(default_factory=dict)
    non_models: Mapping[str, NonModelSchema] = field(default_factory=dict)
    is_sandbox: bool = False
    """Models without `@auth` rules are open to API keys: `input AMPLIFY { globalAuthRule: … }`."""
