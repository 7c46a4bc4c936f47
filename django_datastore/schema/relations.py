"""Relations of an SDL: which fields join two models, and the foreign keys Amplify's transformer adds by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django_datastore.exceptions import SchemaError
from django_datastore.schema import naming
from django_datastore.schema.types import Association, ConnectionType, FieldSchema, IndexSchema, ModelSchema

KINDS = {
    "belongsTo": ConnectionType.BELONGS_TO,
    "hasOne": ConnectionType.HAS_ONE,
    "hasMany": ConnectionType.HAS_MANY,
}
"""The directives that join two models."""

_IMPLICIT = {"type": "implicitForeignKey"}
_COMPARED_AS = {"Int": "number", "Float": "number", "AWSTimestamp": "number", "Boolean": "boolean"}
_IMPLICIT_OWNER = {"type": "implicitOwner"}


def is_implicit(item: FieldSchema) -> bool:
    """True for a field that stands in no SDL text, because Amplify's transformer adds it."""
    return _IMPLICIT in item.attributes or _IMPLICIT_OWNER in item.attributes


def is_implicit_foreign_key(item: FieldSchema) -> bool:
    """True for a foreign key that Amplify's transformer adds."""
    return _IMPLICIT in item.attributes


def names_of(value: Any) -> tuple[str, ...]:
    """One name or a list of names, as Amplify takes both."""
    return (value,) if isinstance(value, str) else tuple(value or ())


def directive_of(item: FieldSchema) -> Mapping[str, Any]:
    """The arguments of a relation's directive as written, with its `type`; nothing for one made by introspection."""
    return next((found for found in item.attributes if found.get("type") in KINDS), {})


@dataclass(frozen=True, slots=True)
class Relation:
    """A `@hasOne`, `@hasMany` or `@belongsTo` as written."""

    kind: ConnectionType
    target: str
    fields: tuple[str, ...]
    """This model's fields that join it."""
    references: tuple[str, ...]
    """The fields of the model on the many side, or of the one that belongs to the other, that join it."""
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
    line: int = 0

    @property
    def has_default_key(self) -> bool:
        """Whether no `@primaryKey` says what the key is."""
        marks = self.fields["id"].attributes if self.primary_key == ("id",) else [{"type": "primaryKey"}]
        return not any(found.get("type") == "primaryKey" for found in marks)

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
            line=self.line,
        )

    def add_owner_fields(self) -> None:
        """Adds the fields that name a record's owners, where they are not declared."""
        field_rules = (rule for item in self.fields.values() for found in item.attributes for rule in _rules(found))
        for rule in (*self.auth_rules, *field_rules):
            name = rule.get("ownerField") or "owner"
            if rule.get("allow") == "owner" and name not in self.fields:
                self.fields[name] = FieldSchema(name, "String", is_read_only=True, attributes=(_IMPLICIT_OWNER,))

    def add_foreign_keys(self, names: tuple[str, ...], target: ModelDraft, *, is_required: bool) -> None:
        """Adds the fields that hold the key of `target`, where they are not declared."""
        for name, key in zip(names, target.primary_key, strict=True):
            if name not in self.fields:
                found = target.fields[key]
                kind = "ID" if target.has_default_key else found.type  # even where `id: String!` stands
                self.fields[name] = FieldSchema(
                    name, kind, found.kind, is_required=is_required, attributes=(_IMPLICIT,)
                )


def resolve(drafts: Mapping[str, ModelDraft]) -> None:
    """Gives every relation its association, and the models the foreign keys that are missing."""
    for draft in drafts.values():
        draft.add_owner_fields()
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
    own: tuple[str, ...] = relation.fields if relation.fields != draft.primary_key[: len(relation.fields)] else ()
    if relation.index_name:
        joined = _index(relation, target).fields[: max(1, len(relation.fields))]
    elif relation.references:
        joined = _references(draft, relation, target)
    elif relation.fields:
        joined = target.primary_key[: len(relation.fields)]
    else:
        joined = foreign_key_names(draft.name, name, draft.primary_key)
        target.add_foreign_keys(joined, draft, is_required=relation.is_required)
    _check_declared(draft, own, relation)
    return Association(ConnectionType.HAS_MANY, target_names=own, associated_with=joined)


def _index(relation: Relation, target: ModelDraft) -> IndexSchema:
    found = next((item for item in target.indexes if item.name == relation.index_name), None)
    if found is None:
        known = ", ".join(item.name for item in target.indexes) or "none"
        raise _error(relation, f"{target.name} has no @index named {relation.index_name!r}; it has: {known}.")
    if len(relation.fields) > len(found.fields):
        raise _error(relation, f"the @index {found.name!r} has {len(found.fields)} fields. Name no more in `fields`.")
    return found


def _references(draft: ModelDraft, relation: Relation, target: ModelDraft) -> tuple[str, ...]:
    """The other model's fields that hold this one's key."""
    _check_declared(target, relation.references, relation)
    _check_length(relation.references, draft, target, relation)
    return relation.references


def _has_one(draft: ModelDraft, name: str, relation: Relation, target: ModelDraft) -> Association:
    if relation.references:
        joined = _references(draft, relation, target)
        return Association(ConnectionType.HAS_ONE, associated_with=joined)
    names = _own_key(draft, relation, target)
    if not names:
        names = foreign_key_names(draft.name, name, target.primary_key)
        draft.add_foreign_keys(names, target, is_required=relation.is_required)
    return Association(ConnectionType.HAS_ONE, target_names=names, associated_with=target.primary_key)


def _belongs_to(draft: ModelDraft, name: str, relation: Relation, target: ModelDraft) -> Association:
    names = _own_key(draft, relation, target)
    if not names:
        other = _other_side(draft, relation, target)
        if target.relations[other].kind is ConnectionType.HAS_MANY:
            association = target.fields[other].association
            names = association.associated_with if association else ()
        else:
            names = foreign_key_names(draft.name, name, target.primary_key)
            draft.add_foreign_keys(names, target, is_required=relation.is_required)
    return Association(ConnectionType.BELONGS_TO, target_names=names)


def _own_key(draft: ModelDraft, relation: Relation, target: ModelDraft) -> tuple[str, ...]:
    """This model's fields that hold the other's key, where the directive names them."""
    names = relation.fields or relation.references
    if names:
        _check_declared(draft, names, relation)
        _check_length(names, target, draft, relation)
    return names


def _other_side(draft: ModelDraft, relation: Relation, target: ModelDraft) -> str:
    for name, other in target.relations.items():
        if other.target == draft.name and other.kind is not ConnectionType.BELONGS_TO:
            return name
    raise _error(
        relation,
        f"{target.name} has no @hasOne or @hasMany of {draft.name}. Add one, or name the foreign key: "
        f'@belongsTo(fields: ["{naming.lower_first(target.name)}ID"]).',
    )


def _check_declared(draft: ModelDraft, names: tuple[str, ...], relation: Relation) -> None:
    for name in names:
        if name not in draft.fields:
            hint = naming.did_you_mean(name, draft.fields)
            raise _error(relation, f"{draft.name} has no field {name!r}. Declare it, or leave `fields` out.{hint}")


def _check_length(names: tuple[str, ...], keyed: ModelDraft, holder: ModelDraft, relation: Relation) -> None:
    if len(names) != len(keyed.primary_key):
        key = ", ".join(keyed.primary_key)
        raise _error(relation, f"the key of {keyed.name} is ({key}): name one field of {holder.name} for each part.")
    for name, part in zip(names, keyed.primary_key, strict=True):
        found, wanted = holder.fields[name], keyed.fields[part]
        if _COMPARED_AS.get(found.type, "text") != _COMPARED_AS.get(wanted.type, "text") or found.is_list:
            types = f"{holder.name}.{name} is {found.graphql_type}, and {keyed.name}.{part} {wanted.graphql_type}"
            raise _error(relation, f"{types}: no value can be both. Give them the same type.")


def _rules(attribute: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return attribute.get("rules") or () if attribute.get("type") == "auth" else ()


def _error(relation: Relation, message: str) -> SchemaError:
    return SchemaError(f"Line {relation.line}: {message}")


_CONNECT = {
    ConnectionType.HAS_MANY: _has_many,
    ConnectionType.HAS_ONE: _has_one,
    ConnectionType.BELONGS_TO: _belongs_to,
}
"""How each kind finds its fields; `@belongsTo` comes last because it reads the other side."""
