"""`SyncedModel`: a registered model as the engine sees it."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from django_datastore.exceptions import InvalidPredicate
from django_datastore.introspection import keys
from django_datastore.introspection.declarations import Declarations
from django_datastore.introspection.fields import Introspection, wire_groups
from django_datastore.introspection.kinds import Kind
from django_datastore.introspection.problems import Problem
from django_datastore.introspection.values import FieldBinding
from django_datastore.schema import naming
from django_datastore.schema.types import EnumSchema, ModelSchema
from django_datastore.types import WireRecord


class SyncedModel:
    """A registered Django model as the engine sees it: schema, columns, keys, and hooks to override."""

    sync_expression: Q | Callable[[], Q] | None = None
    together: Sequence[Sequence[str]] = ()
    """Groups of wire names that must travel together in one update. (A registration's class names the fields.)"""

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
        self.together = wire_groups(model, self.declarations)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"

    # -- hooks -------------------------------------------------------------------------------------------------------

    def observable_by(self, user: Any) -> Q:
        """Which rows a browser user may watch; every row unless overridden. The `view` permission is asked as well.

        The user may be anonymous, and then has no key: `Q(author=user.pk)` would compare with None, and such a `Q` lets
        nobody in. Add the condition only for users who are `is_authenticated`.
        """
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
    def _introspected(self) -> Introspection:
        return Introspection(self.model, self.declarations, self._related)

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
        timestamps = self.declarations.timestamps
        return ModelSchema(
            name=self.name,
            plural_name=self.declarations.plural_name or naming.plural(self.name),
            fields=tuple(self._introspected.fields),
            primary_key=tuple(item.wire_name for item in self.key_bindings),
            properties={} if timestamps == {} else {"timestamps": timestamps},
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
        return tuple(
            (item, target)
            for item in self.bindings
            if item.related_model is not None and (target := self._related(item.related_model)) is not None
        )

    def forget_relations(self) -> None:
        """Look for the models that foreign keys point to once more: one was registered, or is no longer."""
        self.__dict__.pop("foreign_keys", None)

    def binding(self, name: str) -> FieldBinding:
        """A column by wire name, field name or attribute name; `InvalidPredicate` naming what exists."""
        if name == "pk" and len(self.key_bindings) == 1:
            return self.key_bindings[0]
        for item in self.bindings:
            if name in (item.wire_name, item.field.name, item.attname):
                return item
        known = ", ".join(sorted(self.by_wire_name))
        raise InvalidPredicate(f"Model {self.name!r} has no synced field {name!r}. It has: {known}.")

    @cached_property
    def shape(self) -> str:
        """A short hash of what is synced and as what: under another one, what was stored may lack something."""
        facts: list[Any] = [self.name, [item.wire_name for item in self.key_bindings]]
        facts += [[*astuple(item.schema), *_limits(item)] for item in self.bindings]
        return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:16]

    # -- keys and records --------------------------------------------------------------------------------------------

    @cached_property
    def decoders(self) -> tuple[tuple[str, str, Callable[[Any], Any]], ...]:
        """Wire name, attribute name and `FieldBinding.decode` of each column but generated ones."""
        return tuple((item.wire_name, item.attname, item.decode) for item in self.bindings if not item.is_generated)

    def decode_row(self, record: WireRecord) -> dict[str, Any]:
        """The columns a wire record carries, by attribute name, without generated ones.

        Raises `ValueError` that names the wire field for a value the column could not give back.
        """
        return {attname: decode(record[name]) for name, attname, decode in self.decoders if name in record}

    def key_of(self, instance: models.Model) -> str:
        """The record key of an instance: its primary key's wire values as canonical JSON text.

        Raises `ValidationError` for a key that is too long, `ValueError` for an instance without one.
        """
        return self._key_of_values([getattr(instance, item.attname) for item in self.key_bindings])

    def key_text(self, wire_values: Sequence[Any]) -> str:
        """The record key of a primary key's wire values. Raises `ValueError` for one that is missing or too long."""
        return keys.key_text(wire_values, self._limit)

    def key_of_pk(self, pk: Any) -> str:
        """The record key of a primary key value (a tuple for a composite key)."""
        return self._key_of_values(pk if len(self.key_bindings) > 1 else (pk,))

    def key_of_record(self, record: WireRecord) -> str:
        """The record key of a wire record, in this site's spelling; `ValueError` for a key that does not fit."""
        wire = self.wire_key_of(record)
        if self._has_plain_key:
            return f'["{self.key_bindings[0].decode(wire[0])}"]'
        try:
            return self._key_of_values(
                [item.decode(value) for item, value in zip(self.key_bindings, wire, strict=True)]
            )
        except ValidationError as exc:
            raise ValueError("; ".join(exc.messages)) from exc

    def wire_key_of(self, record: WireRecord) -> list[Any]:
        """The key exactly as the record spells it; `ValueError` if the record lacks it."""
        try:
            return [record[item.wire_name] for item in self.key_bindings]
        except KeyError as exc:
            raise ValueError(f"a {self.name} record came without its key field {exc}") from exc

    def pk_of(self, key: str) -> Any:
        """The primary key value of a record key (a tuple for a composite key)."""
        if self._has_plain_key:
            return self.key_bindings[0].decode(key[2:-2])
        values = [item.decode(wire) for item, wire in zip(self.key_bindings, json.loads(key), strict=True)]
        return tuple(values) if len(values) > 1 else values[0]

    def key_input(self, key: str) -> WireRecord:
        """A record key as the key fields of a GraphQL input."""
        return {item.wire_name: wire for item, wire in zip(self.key_bindings, json.loads(key), strict=True)}

    def to_wire(self, instance: models.Model) -> WireRecord:
        """An instance as those see it who watch: a wire record without metadata, foreign keys as their scalar only."""
        return {item.wire_name: item.shown(getattr(instance, item.attname)) for item in self.bindings}

    def _key_of_values(self, values: Sequence[Any]) -> str:
        bindings = self.key_bindings
        if len(values) == 1 and type(values[0]) is uuid.UUID and self._has_plain_key:
            return f'["{values[0]}"]'
        try:
            return keys.key_text(
                [item.encode(value) for item, value in zip(bindings, values, strict=True)], self._limit
            )
        except keys.KeyTooLong as exc:
            text = f"A {self.model._meta.label} cannot be synced: {exc}. Give it a shorter key."
            raise ValidationError({bindings[0].field.name: [text]}) from exc

    @cached_property
    def _has_plain_key(self) -> bool:
        return len(self.key_bindings) == 1 and self.key_bindings[0].is_plain(Kind.UUID)

    @cached_property
    def _limit(self) -> int:
        return keys.key_limit(self.model)


def _limits(binding: FieldBinding) -> list[Any]:
    """What of a column decides whether a value fits."""
    field = binding.field
    found = [getattr(field, name, None) for name in ("max_length", "max_digits", "decimal_places")]
    return [binding.attname, type(field).__qualname__, field.null, *found, sorted(binding.enum.items())]
