"""Relations of an SDL: which fields join two models, and the foreign keys Amplify's transformer adds by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django_datastore.exceptions import SchemaError
from django_datastore.schema import naming
from django_datastore.schema.types import Association, ConnectionType, FieldSchema, IndexSchema, ModelSchema

_IMPLICIT = {"type": "implicitForeignKey"}


def is_implicit(item: FieldSchema) -> bool:
    """True for a foreign key that stands in no SDL text, because Amplify's transformer adds it."""
    return _IMPLICIT in item.attributes


@dataclass(frozen=True, slots=True)
class Relation:
    """A `@hasOne`, `@hasMany` or `@belongsTo` as written."""

    kind: ConnectionType
    target: str
    fields: tuple[str, ...]
    index_name: str | None
    is_required: bool
    line: int


@dataclass
class ModelDraft:
    """A model while its SDL is being read."""

    name: str
    fields: dict[str, FieldSchema] = field(default_factory=dict)
    primary_key: tuple[str, ...] = ()
    indexes: list[IndexSchema] = field(default_factory=list)
    auth_rules: tuple[Mapping[str, Any], ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)

    def build(self) -> ModelSchema:
        """The finished model."""
        return ModelSchema(
            name=self.name,
            plural_name=naming.plural(self.name),
            fields=tuple(self.fields.values()),
            primary_key=self.primary_key,
            indexes=tuple(self.indexes),
            auth_rules=self.auth_rules,
            properties=self.properties,
        )

    def add_foreign_keys(self, names: tuple[str, ...], target: ModelDraft, *, is_required: bool) -> None:
        """Adds the fields that hold the key of `target`, where they are not declared."""
        for name, key in zip(names, target.primary_key, strict=True):
            if name not in self.fields:
                scalar = target.fields[key].type
                self.fields[name] = FieldSchema(name, scalar, is_required=is_required, attributes=(_IMPLICIT,))


def resolve(drafts: Mapping[str, ModelDraft]) -> None:
    """Gives every relation its association, and the models the foreign keys that are missing."""
    for kind, connect in _CONNECT.items():
        for draft in drafts.values():
            for name, relation in draft.relations.items():
                if relation.kind is kind:
                    association = connect(draft, name, relation, drafts[relation.target])
                    draft.fields[name] = replace(draft.fields[name], association=association)


def foreign_key_names(model: str, field_name: str, keys: tuple[str, ...]) -> tuple[str, ...]:
    """The names Amplify gives the fields that join `model.field_name`: `blogPostsId`."""
    stem = naming.lower_first(model) + naming.capitalize(field_name)
    return tuple(stem + naming.capitalize(key) for key in keys)


def _has_many(draft: ModelDraft, name: str, relation: Relation, target: ModelDraft) -> Association:
    if relation.index_name:
        index = next((item for item in target.indexes if item.name == relation.index_name), None)
        if index is None:
            known = ", ".join(item.name for item in target.indexes) or "none"
            raise _error(relation, f"{target.name} has no @index named {relation.index_name!r}; it has: {known}.")
        joined = index.fields[: max(1, len(relation.fields))]
    elif relation.fields:
        joined = _explicit_join(draft, relation, target)
    else:
        joined = foreign_key_names(draft.name, name, draft.primary_key)
        target.add_foreign_keys(joined, draft, is_required=relation.is_required)
    return Association(ConnectionType.HAS_MANY, associated_with=joined)


def _explicit_join(draft: ModelDraft, relation: Relation, target: ModelDraft) -> tuple[str, ...]:
    """`fields: ["id"]` joins with the other's primary key; `references: ["blogId"]` names the other's fields."""
    if all(name in draft.fields for name in relation.fields):
        return target.primary_key[: len(relation.fields)]
    _check_declared(target, relation)
    return relation.fields


def _has_one(draft: ModelDraft, name: str, relation: Relation, target: ModelDraft) -> Association:
    names = _explicit_target_names(draft, relation, target)
    if not names:
        names = foreign_key_names(draft.name, name, target.primary_key)
        draft.add_foreign_keys(names, target, is_required=relation.is_required)
    return Association(ConnectionType.HAS_ONE, target_names=names, associated_with=target.primary_key)


def _belongs_to(draft: ModelDraft, name: str, relation: Relation, target: ModelDraft) -> Association:
    names = _explicit_target_names(draft, relation, target)
    if not names:
        other = _other_side(draft, relation, target)
        if target.relations[other].kind is ConnectionType.HAS_MANY:
            association = target.fields[other].association
            names = association.associated_with if association else ()
        else:
            names = foreign_key_names(draft.name, name, target.primary_key)
            draft.add_foreign_keys(names, target, is_required=relation.is_required)
    return Association(ConnectionType.BELONGS_TO, target_names=names)


def _explicit_target_names(draft: ModelDraft, relation: Relation, target: ModelDraft) -> tuple[str, ...]:
    if relation.fields:
        _check_declared(draft, relation)
        if len(relation.fields) != len(target.primary_key):
            key = ", ".join(target.primary_key)
            raise _error(
                relation, f"the key of {target.name} is ({key}): name one field of {draft.name} for each part."
            )
    return relation.fields


def _other_side(draft: ModelDraft, relation: Relation, target: ModelDraft) -> str:
    for name, other in target.relations.items():
        if other.target == draft.name and other.kind is not ConnectionType.BELONGS_TO:
            return name
    raise _error(
        relation,
        f"{target.name} has no @hasOne or @hasMany of {draft.name}. Add one, or name the foreign key: "
        f'@belongsTo(fields: ["{naming.lower_first(target.name)}ID"]).',
    )


def _check_declared(draft: ModelDraft, relation: Relation) -> None:
    for name in relation.fields:
        if name not in draft.fields:
            raise _error(relation, f"{draft.name} has no field {name!r}. Declare it, or leave `fields` out.")


def _error(relation: Relation, message: str) -> SchemaError:
    return SchemaError(f"Line {relation.line}: {message}")


_CONNECT = {
    ConnectionType.HAS_MANY: _has_many,
    ConnectionType.HAS_ONE: _has_one,
    ConnectionType.BELONGS_TO: _belongs_to,
}
"""How each kind finds its fields; `@belongsTo` comes last because it reads the other side."""
