"""From a Django model to its `ModelSchema`, and from its values to wire values and back.

A field that cannot be expressed is left out and becomes a `Problem`, which the system checks report with its way out.
"""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from django_datastore.exceptions import InvalidPredicate, SchemaError
from django_datastore.schema import naming
from django_datastore.schema.types import Association, ConnectionType, EnumSchema, FieldKind, FieldSchema, ModelSchema
from django_datastore.types import WireRecord

_SCALARS: tuple[tuple[type[models.Field[Any, Any]], str], ...] = (
    (models.UUIDField, "ID"),
    (models.EmailField, "AWSEmail"),
    (models.URLField, "AWSURL"),
    (models.CharField, "String"),
    (models.TextField, "String"),
    (models.BooleanField, "Boolean"),
    (models.FloatField, "Float"),
    (models.DecimalField, "Float"),
    (models.IntegerField, "Int"),
    (models.DateTimeField, "AWSDateTime"),
    (models.DateField, "AWSDate"),
    (models.TimeField, "AWSTime"),
    (models.JSONField, "AWSJSON"),
    (models.GenericIPAddressField, "AWSIPAddress"),
    (models.FileField, "String"),
)
"""The scalar of each kind of field; the first class that matches counts."""

_FLOAT_DIGITS = 15
"""Decimal digits that survive a round trip through a JSON number."""

AnyField = models.Field  # type: ignore[type-arg]  # fields of models we do not know


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a model, or a part of it, cannot be synced. `code` is the system check's id without its prefix."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class Declarations:
    """What a registration says about names and fields."""

    fields: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    read_only: Sequence[str] = ()
    model_name: str | None = None
    plural_name: str | None = None


@dataclass(frozen=True, eq=False)
class FieldBinding:
    """One synced column: the Django field, its wire field, and how values cross."""

    field: AnyField
    schema: FieldSchema
    enum: Mapping[str, str] = field(default_factory=dict)
    """Stored value to enum value, for fields with choices."""

    @cached_property
    def attname(self) -> str:
        """The attribute on instances: `blog_id` for a foreign key `blog`."""
        return self.field.attname

    @cached_property
    def wire_name(self) -> str:
        """The name on the wire."""
        return self.schema.name

    @cached_property
    def related_model(self) -> type[models.Model] | None:
        """The model a foreign key points to."""
        return self.field.related_model if self.field.is_relation else None  # type: ignore[return-value]

    @cached_property
    def _value_field(self) -> AnyField:
        """The field that knows the values' type: a foreign key's is its target."""
        found = self.field
        while isinstance(found, models.ForeignKey):
            found = found.target_field
        return found

    @cached_property
    def _from_enum(self) -> Mapping[str, str]:
        return {wire: stored for stored, wire in self.enum.items()}

    def to_wire(self, value: Any) -> Any:
        """A Python value as JSON value; raises `ValueError` for one the field does not take."""
        if value is None:
            return None
        if self.schema.is_list:
            return [_format(item, self.schema.type) for item in value]
        try:
            value = self._value_field.to_python(value)
        except ValidationError as exc:
            raise ValueError(f"{self.field}: {'; '.join(exc.messages)}") from exc
        if self.enum or self.schema.kind is FieldKind.ENUM:
            return None if value in ("", None) else self.enum.get(str(value), str(value))
        if self.schema.type == "AWSJSON":
            return json.dumps(value, cls=getattr(self._value_field, "encoder", None), ensure_ascii=False)
        return _format(value, self.schema.type)

    def to_python(self, wire: Any) -> Any:
        """A JSON value as the field's Python value; raises `ValueError` for one that does not fit."""
        if wire is None:
            return self._empty()
        if self.schema.is_list:
            if not isinstance(wire, list):
                raise ValueError(f"{self.wire_name} must be a list, not {type(wire).__name__}")
            return wire
        if self.schema.type == "AWSJSON":
            return _parse_json(wire, self._value_field)
        if self.enum:
            wire = self._from_enum.get(str(wire), wire)
        try:
            return self._value_field.to_python(_parse(wire, self.schema.type))
        except ValidationError as exc:
            raise ValueError(f"{self.wire_name}: {'; '.join(exc.messages)}") from exc
        except (TypeError, decimal.InvalidOperation) as exc:
            raise ValueError(f"{self.wire_name}: {exc}") from exc

    def same(self, one: Any, other: Any) -> bool:
        """Whether two wire values mean the same, whatever their spelling (dates, JSON texts)."""
        if one == other:
            return True
        if one is None or other is None:
            return False
        try:
            return bool(self.to_python(one) == self.to_python(other))
        except ValueError:
            return False

    def _empty(self) -> Any:
        """What a null becomes: null, else the default, else Django's empty string."""
        if self.field.null:
            return None
        if self.field.has_default():
            return self.field.get_default()
        if self.field.empty_strings_allowed and self.field.blank:
            return ""
        raise ValueError(f"{self.wire_name} is null, and the field {self.field} takes no null")


def _format(value: Any, scalar: str) -> Any:
    match value:
        case datetime.datetime():
            if timezone.is_naive(value) and settings.USE_TZ:
                value = timezone.make_aware(value)
            if timezone.is_naive(value):
                return value.isoformat(timespec="auto") + "Z"
            utc = value.astimezone(datetime.UTC).replace(tzinfo=None)
            return utc.isoformat(timespec="microseconds" if utc.microsecond % 1000 else "milliseconds") + "Z"
        case datetime.date() | datetime.time():
            return value.isoformat()
        case decimal.Decimal():
            return float(value)
        case bool() | int() | float():
            return str(value) if scalar in ("ID", "String") else value
    return value if isinstance(value, dict) else str(value)


def _parse(wire: Any, scalar: str) -> Any:
    if scalar == "AWSDateTime" and isinstance(wire, str):
        parsed = datetime.datetime.fromisoformat(wire)
        if settings.USE_TZ and timezone.is_naive(parsed):
            return parsed.replace(tzinfo=datetime.UTC)
        if not settings.USE_TZ and timezone.is_aware(parsed):
            return parsed.astimezone(datetime.UTC).replace(tzinfo=None)
        return parsed
    if scalar == "AWSDate" and isinstance(wire, str):
        return wire[:10]
    if scalar == "AWSTime" and isinstance(wire, str):
        return datetime.time.fromisoformat(wire).replace(tzinfo=None)
    if scalar == "Float" and isinstance(wire, float):
        return repr(wire)
    return wire


def _parse_json(wire: Any, value_field: AnyField) -> Any:
    if not isinstance(wire, str):
        return wire
    try:
        return json.loads(wire, cls=getattr(value_field, "decoder", None))
    except json.JSONDecodeError as exc:
        raise ValueError(f"not JSON: {exc}") from exc


class SyncedModel:
    """A registered Django model as the engine sees it: schema, columns, keys, and hooks to override."""

    sync_expression: Q | Callable[[], Q] | None = None

    def __init__(
        self,
        model: type[models.Model],
        *,
        related: Callable[[type[models.Model]], SyncedModel | None] = lambda model: None,
        declarations: Declarations | None = None,
    ) -> None:
        self.model = model
        self.label = model._meta.label_lower
        self.declarations = declarations or Declarations()
        self._related = related

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"

    # -- hooks -------------------------------------------------------------------------------------------------------

    def observable_by(self, user: Any) -> Q:
        """Which rows a browser user may watch; every row unless overridden. The `view` permission is asked as well."""
        return Q()

    def resolve_conflict(self, conflict: Any) -> Any:
        """What to do when AppSync refuses an edit because of its version. The default keeps the local edit."""
        return conflict.keep_local()

    # -- what is synced ----------------------------------------------------------------------------------------------

    @property
    def sync_predicate(self) -> Q | None:
        """The sync expression in force, or None for every record."""
        found = self.sync_expression
        return found() if callable(found) else found

    @cached_property
    def name(self) -> str:
        """The model's name on the wire."""
        return self.declarations.model_name or self.model.__name__

    @cached_property
    def _introspected(self) -> _Introspection:
        return _Introspection(self.model, self.declarations, self._related)

    @cached_property
    def bindings(self) -> tuple[FieldBinding, ...]:
        """The synced columns in model order."""
        return tuple(self._introspected.bindings)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What keeps this model from being synced as registered."""
        return tuple(self._introspected.problems)

    @property
    def enums(self) -> tuple[EnumSchema, ...]:
        """The enums its choices make."""
        return tuple(self._introspected.enums)

    @cached_property
    def schema(self) -> ModelSchema:
        """The model in Amplify's schema language."""
        return ModelSchema(
            name=self.name,
            plural_name=self.declarations.plural_name or naming.plural(self.name),
            fields=tuple(self._introspected.fields),
            primary_key=tuple(item.wire_name for item in self.key_bindings),
        )

    @cached_property
    def by_wire_name(self) -> Mapping[str, FieldBinding]:
        """The columns by wire name."""
        return {item.wire_name: item for item in self.bindings}

    @cached_property
    def key_bindings(self) -> tuple[FieldBinding, ...]:
        """The columns of the primary key, in key order."""
        found = {item.field: item for item in self.bindings}
        return tuple(found[item] for item in self.model._meta.pk_fields if item in found)

    @property
    def has_generated_key(self) -> bool:
        """Whether the key is a UUID, which nobody makes up twice."""
        return any(isinstance(item.field, models.UUIDField) for item in self.key_bindings)

    @cached_property
    def foreign_keys(self) -> tuple[tuple[FieldBinding, SyncedModel], ...]:
        """The columns that point to registered models, with the model they point to."""
        pairs = ((item, item.related_model and self._related(item.related_model)) for item in self.bindings)
        return tuple((item, target) for item, target in pairs if target)

    def binding(self, name: str) -> FieldBinding:
        """A column by wire name, field name or attribute name; `InvalidPredicate` naming what exists."""
        if name == "pk" and len(self.key_bindings) == 1:
            return self.key_bindings[0]
        for item in self.bindings:
            if name in (item.wire_name, item.field.name, item.attname):
                return item
        known = ", ".join(sorted(self.by_wire_name))
        raise InvalidPredicate(f"Model {self.name!r} has no synced field {name!r}. It has: {known}.")

    # -- keys and records --------------------------------------------------------------------------------------------

    def key_of(self, instance: models.Model) -> str:
        """The record key of an instance: its primary key's wire values as canonical JSON text."""
        return _key_text([item.to_wire(getattr(instance, item.attname)) for item in self.key_bindings])

    def key_of_pk(self, pk: Any) -> str:
        """The record key of a primary key value (a tuple for a composite key)."""
        values = pk if len(self.key_bindings) > 1 else (pk,)
        return _key_text([item.to_wire(value) for item, value in zip(self.key_bindings, values, strict=True)])

    def key_of_record(self, record: WireRecord) -> str:
        """The record key of a wire record; `ValueError` if it lacks its key."""
        try:
            return _key_text([item.to_wire(item.to_python(record[item.wire_name])) for item in self.key_bindings])
        except KeyError as exc:
            raise ValueError(f"a {self.name} record came without its key field {exc}") from exc

    def pk_of(self, key: str) -> Any:
        """The primary key value of a record key (a tuple for a composite key)."""
        values = [item.to_python(wire) for item, wire in zip(self.key_bindings, json.loads(key), strict=True)]
        return tuple(values) if len(values) > 1 else values[0]

    def key_input(self, key: str) -> WireRecord:
        """A record key as the key fields of a GraphQL input."""
        return {item.wire_name: wire for item, wire in zip(self.key_bindings, json.loads(key), strict=True)}

    def to_wire(self, instance: models.Model) -> WireRecord:
        """An instance as wire record, without metadata; foreign keys as their scalar only."""
        return {item.wire_name: item.to_wire(getattr(instance, item.attname)) for item in self.bindings}


def _key_text(values: list[Any]) -> str:
    if any(value in (None, "") for value in values):
        raise ValueError("a record without a primary key cannot be synced")
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


class _Introspection:
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
        self._check_declared_names()
        for item in self._chosen_fields():
            self._add(item)
        self._check_wire_names()

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

    def _check_declared_names(self) -> None:
        known = {item.name for item in self.model._meta.get_fields()}
        declared = {
            "fields": self.declarations.fields or (),
            "exclude": self.declarations.exclude,
            "names": self.declarations.names,
            "types": self.declarations.types,
            "read_only": self.declarations.read_only,
        }
        for option, names in declared.items():
            for name in names:
                if name not in known:
                    self._problem(
                        "E003",
                        f"{option} of the registration of {self.label} names {name!r}, which is no field of the model.",
                        f"Its fields: {', '.join(sorted(known))}.",
                    )

    def _chosen_fields(self) -> Iterator[AnyField]:
        meta = self.model._meta
        chosen = self.declarations.fields
        excluded = set(self.declarations.exclude)
        for item in meta.concrete_fields:
            if item in meta.pk_fields or ((chosen is None or item.name in chosen) and item.name not in excluded):
                yield item
            elif not (item.null or item.has_default() or item.blank):
                self._problem(
                    "W001",
                    f"{self.label}.{item.name} is required here and not synced: "
                    "a record made elsewhere cannot be stored.",
                    "Give the field a default, allow null, or sync it.",
                )
        for many in meta.local_many_to_many:
            wanted = chosen is None or many.name in chosen
            if wanted and many.name not in excluded and self._is_implicit_join(many):
                self._problem(
                    "E002",
                    f"{self.label}.{many.name} is a many-to-many field whose join table has an auto-increment key.",
                    f"Write the join model yourself (through=...), with a UUID key, and register it; or exclude "
                    f"{many.name!r}.",
                )

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
        if isinstance(item, models.DecimalField) and (item.max_digits or 0) > _FLOAT_DIGITS:
            self._problem(
                "E002",
                f"{self.label}.{item.name} has {item.max_digits} digits; AppSync's Float holds {_FLOAT_DIGITS}.",
                f"Lower max_digits, sync it as text with types = {{{item.name!r}: 'String'}}, or exclude it.",
            )
            return None
        for kind, scalar in _SCALARS:
            if isinstance(item, kind):
                return scalar
        if (base := getattr(item, "base_field", None)) is not None and (inner := self._scalar_of(base)):
            return f"[{inner}]"
        self._problem(
            "E002",
            f"{self.label}.{item.name} is a {type(item).__name__}, which AppSync has no type for.",
            f"Exclude it (exclude = [{item.name!r}]) or name a type: types = {{{item.name!r}: 'String'}}.",
        )
        return None

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
        binding = self._bind(item, ("ID", False))
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
        wire_name = self.declarations.names.get(item.name) or naming.camel_case(item.attname)
        if enum:
            scalar = naming.capitalize(self.declarations.model_name or self.model.__name__) + naming.capitalize(
                wire_name
            )
            self.enums.append(EnumSchema(scalar, tuple(enum.values())))
        is_required = not (item.null or item.blank or item.has_default()) or item.primary_key
        schema = FieldSchema(
            name=wire_name,
            type=scalar,
            kind=FieldKind.ENUM if enum else FieldKind.SCALAR,
            is_required=is_required and not is_list,
            is_list=is_list,
            is_list_required=is_required and is_list,
            is_read_only=item.name in self.declarations.read_only or _is_timestamp(item, wire_name),
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


def _notation(text: str) -> tuple[str, bool]:
    """`"[String]"` as `("String", True)`."""
    is_list = text.startswith("[")
    name = text.strip("[]! ")
    if not naming.is_graphql_name(name):
        raise SchemaError(f"{text!r} is no GraphQL type. Write a scalar such as 'String' or a list such as '[String]'.")
    return name, is_list


def _is_timestamp(item: AnyField, wire_name: str) -> bool:
    """Amplify's server keeps these two itself and takes them from nobody."""
    automatic = getattr(item, "auto_now", False) or getattr(item, "auto_now_add", False)
    return wire_name in ("createdAt", "updatedAt") and automatic
