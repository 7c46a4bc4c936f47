"""Walks a Django model once: which fields are synced, as which GraphQL types, and what cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from django.db import models

from django_datastore.exceptions import SchemaError
from django_datastore.introspection import codecs
from django_datastore.introspection.declarations import Declarations
from django_datastore.introspection.fast import EXACT_DIGITS
from django_datastore.introspection.kinds import AnyField, default_scalar, is_array, value_field
from django_datastore.introspection.problems import Problem
from django_datastore.introspection.value_checks import (
    is_too_long_for_float,
    key_problems,
    together_problems,
    value_problems,
)
from django_datastore.introspection.values import FieldBinding
from django_datastore.schema import naming
from django_datastore.schema.types import Association, ConnectionType, EnumSchema, FieldKind, FieldSchema

if TYPE_CHECKING:
    from django_datastore.introspection.synced_model import SyncedModel


class Introspection:
    """Walks a model once and collects wire fields, bindings, enums and problems."""

    def __init__(
        self,
        model: type[models.Model],
        declarations: Declarations,
        related: Callable[[type[models.Model]], SyncedModel | None],
    ) -> None:
        self.model = model
        self.label = model._meta.label
        self.declarations = declarations
        self.related = related
        self.fields: list[FieldSchema] = []
        self.bindings: list[FieldBinding] = []
        self.enums: list[EnumSchema] = []
        self.problems: list[Problem] = []
        self._check_model()
        for item in self._chosen_fields():
            self._add(item)
        self._check_wire_names()
        self._check_values()

    def _problem(self, code: str, message: str, hint: str) -> None:
        self.problems.append(Problem(code, message, hint))

    def _check_model(self) -> None:
        meta = self.model._meta
        if meta.proxy or meta.parents:
            self._problem(
                "E006",
                f"{self.label} is a {'proxy' if meta.proxy else 'multi-table child'}, without a table of its own.",
                "Register the concrete model, or make the parent abstract.",
            )
        for item in meta.pk_fields:
            if isinstance(item, models.AutoField) or (item.is_relation and item.related_model is None):
                self._problem(
                    "E001",
                    f"{self.label} has an auto-increment key: two sites would both create number 42.",
                    "Give it a key made by the client: "
                    "id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False), or a text key.",
                )

    def _check_values(self) -> None:
        pk_fields = self.model._meta.pk_fields
        for item in self.bindings:
            self.problems += value_problems(item, self.declarations)
        self.problems += key_problems(tuple(item for item in self.bindings if item.field in pk_fields))
        self.problems += together_problems(self.label, self.declarations, self.bindings, list(pk_fields))

    def _chosen_fields(self) -> Iterator[AnyField]:
        meta = self.model._meta
        for item in meta.concrete_fields:
            if item in meta.pk_fields or self._is_chosen(item):
                yield item
            elif not (item.null or item.has_default() or item.has_db_default() or item.blank):
                self._problem(
                    "W001",
                    f"{self.label}.{item.name} is required here and not synced: "
                    "a record made elsewhere cannot be stored.",
                    "Give the field a default, allow null, or sync it.",
                )
        for many in meta.local_many_to_many:
            if self._is_chosen(many) and self._is_implicit_join(many):
                self._problem(
                    "E002",
                    f"{self.label}.{many.name} is a many-to-many field whose join table has an auto-increment key.",
                    f"Write the join model yourself (through=...), with a UUID key, and register it; or exclude "
                    f"{many.name!r}.",
                )

    def _is_chosen(self, item: AnyField) -> bool:
        """Whether a field is to be synced. What the database computes stays here unless the registration names it."""
        chosen, named = self.declarations.fields, self.declarations.types
        if item.name in self.declarations.exclude:
            return False
        if isinstance(item, models.GeneratedField) and item.name not in named:
            return chosen is not None and item.name in chosen
        return chosen is None or item.name in chosen

    @staticmethod
    def _is_implicit_join(many: Any) -> bool:
        return bool(many.remote_field.through._meta.auto_created)

    def _add(self, item: AnyField) -> None:
        if item.is_relation:
            self._add_foreign_key(item)
            return
        if isinstance(item, models.AutoField):
            return
        override = self.declarations.types.get(item.name)
        scalar = override or self._scalar_of(item)
        if scalar is None:
            return
        enum = {} if override else self._enum_of(item)
        self._bind(item, _notation(scalar), enum=enum)

    def _scalar_of(self, item: AnyField) -> str | None:
        if item.primary_key and isinstance(item, models.CharField | models.TextField):
            return "ID"
        if is_too_long_for_float(item):
            self._problem(
                "E002",
                f"{self.label}.{item.name} has more digits than AppSync's Float holds, {EXACT_DIGITS}.",
                f"Lower max_digits, sync it as text with types = {{{item.name!r}: 'String'}}, or exclude it.",
            )
            return None
        values = value_field(item)
        if is_array(values):
            if (inner := self._element_of(values)) is not None:
                return f"[{inner}]"
        elif (scalar := default_scalar(values)) is not None:
            return scalar
        allowed = " or ".join(repr(name) for name in codecs.allowed_scalars(values)[:4])
        self._problem(
            "E002",
            f"{self.label}.{item.name} is a {type(values).__name__}, which AppSync has no type for.",
            f"Exclude it (exclude = [{item.name!r}]) or name a type: types = {{{item.name!r}: …}} with {allowed}.",
        )
        return None

    @staticmethod
    def _element_of(array: AnyField) -> str | None:
        """The scalar of an array's elements; None where they have none, or are arrays themselves."""
        element = value_field(array.base_field)  # type: ignore[attr-defined]  # an ArrayField
        scalar = None if is_too_long_for_float(element) else default_scalar(element)
        return scalar if scalar is not None and codecs.list_codec(array, scalar) else None

    def _enum_of(self, item: AnyField) -> dict[str, str]:
        """Stored value to enum value; empty where the choices make no enum."""
        values = [str(value) for value, _ in item.flatchoices if value not in ("", None)] if item.choices else []
        if not values or not isinstance(item, models.CharField):
            return {}
        wire = [value if naming.is_graphql_name(value) else naming.enum_value(value) for value in values]
        if len(set(wire)) < len(wire) or not all(map(naming.is_graphql_name, wire)):
            return {}
        return dict(zip(values, wire, strict=True))

    def _add_foreign_key(self, item: AnyField) -> None:
        target_model = item.related_model
        target = self.related(target_model) if isinstance(target_model, type) else None
        if target is None or not isinstance(item, models.ForeignKey):
            named = getattr(getattr(target_model, "_meta", None), "label", target_model)
            self._problem(
                "E005",
                f"{self.label}.{item.name} points to {named}, which is not registered with DataStore.",
                f"Register {named}, or exclude {item.name!r}.",
            )
            return
        if not item.target_field.primary_key:
            self._problem(
                "E010",
                f"{self.label}.{item.name} points to {item.target_field}, which is not the key of its model.",
                f"Let it point to the key (without to_field), or exclude {item.name!r}.",
            )
        binding = self._bind(item, (_key_scalar(item.target_field, target.declarations), False))
        relation = naming.camel_case(item.name)
        if item.target_field.primary_key and relation != binding.wire_name:
            self.fields.append(
                FieldSchema(
                    name=relation,
                    type=target.name,
                    kind=FieldKind.MODEL,
                    association=Association(ConnectionType.BELONGS_TO, target_names=(binding.wire_name,)),
                )
            )

    def _bind(
        self, item: AnyField, notation: tuple[str, bool], *, enum: Mapping[str, str] | None = None
    ) -> FieldBinding:
        scalar, is_list = notation
        wire_name = wire_name_of(item, self.declarations)
        if enum:
            scalar = naming.capitalize(self.declarations.model_name or self.model.__name__) + naming.capitalize(
                wire_name
            )
            self.enums.append(EnumSchema(scalar, tuple(enum.values())))
        has_value = item.null or item.blank or item.has_default() or item.has_db_default()
        is_required = not has_value or item in self.model._meta.pk_fields
        schema = FieldSchema(
            name=wire_name,
            type=scalar,
            kind=FieldKind.ENUM if enum else FieldKind.SCALAR,
            is_required=is_required and not is_list,
            is_list=is_list,
            is_list_required=is_required and is_list,
            is_read_only=item.name in self.declarations.read_only
            or isinstance(item, models.GeneratedField)
            or _is_timestamp(item, wire_name, self.declarations.timestamps),
        )
        binding = FieldBinding(item, schema, dict(enum or {}))
        self.fields.append(schema)
        self.bindings.append(binding)
        return binding

    def _check_wire_names(self) -> None:
        seen: set[str] = set()
        for item in self.fields:
            if item.name in seen or not naming.is_graphql_name(item.name) or item.name.startswith("__"):
                self._problem(
                    "E007",
                    f"{self.label} has the wire name {item.name!r} twice, or it is no GraphQL name.",
                    "Give the field another wire name with names = {...}.",
                )
            seen.add(item.name)


def wire_name_of(item: AnyField, declarations: Declarations) -> str:
    """A column's name on the wire."""
    return declarations.names.get(item.name) or naming.camel_case(item.attname)


def wire_groups(model: type[models.Model], declarations: Declarations) -> tuple[tuple[str, ...], ...]:
    """`together` by wire names; names that are no columns are left to the system checks."""
    columns = {item.name: item for item in model._meta.concrete_fields}
    groups = (group for group in declarations.together if not isinstance(group, str))
    return tuple(
        tuple(wire_name_of(columns[name], declarations) for name in group if name in columns) for group in groups
    )


def _notation(text: str) -> tuple[str, bool]:
    """`"[String]"` as `("String", True)`."""
    is_list = text.startswith("[")
    name = text.strip("[]! ")
    if not naming.is_graphql_name(name):
        raise SchemaError(f"{text!r} is no GraphQL type. Write a scalar such as 'String' or a list such as '[String]'.")
    return name, is_list


def _key_scalar(item: AnyField, declarations: Declarations) -> str:
    """The scalar of a foreign key: that of the key it points to, or the two could not be compared."""
    while isinstance(item, models.ForeignKey):
        item = item.target_field
    found = declarations.types.get(item.name) or default_scalar(item) or "ID"
    return "ID" if found == "String" else found


def _is_timestamp(item: AnyField, wire_name: str, renamed: Mapping[str, str | None] | None) -> bool:
    """Amplify's server keeps these two itself, by whatever name, and takes them from nobody."""
    automatic = getattr(item, "auto_now", False) or getattr(item, "auto_now_add", False)
    names = () if renamed is None else (renamed.get(name, name) for name in ("createdAt", "updatedAt"))
    return automatic and wire_name in names
