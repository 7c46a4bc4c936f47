"""`@manyToMany`: the join model between two models, as Amplify's transformer makes it.

Post.tags, Tag.posts  @manyToMany(relationName: "PostTags")
  ─▶ type PostTags { id, postId, tagId, post: Post! @hasOne, tag: Tag! @hasOne }, and a @hasMany of it on both sides
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django_datastore.exceptions import SchemaError
from django_datastore.schema import naming
from django_datastore.schema.relations import ModelDraft, Relation
from django_datastore.schema.types import ConnectionType, FieldKind, FieldSchema, IndexSchema, ModelSchema, Schema


@dataclass(frozen=True, slots=True)
class Side:
    """A field with `@manyToMany`."""

    model: str
    field: str
    target: str
    relation: str
    """The `relationName`."""
    line: int


def join_models(drafts: dict[str, ModelDraft], sides: list[Side]) -> None:
    """Adds the join models, and turns the fields into lists of their records; raises `SchemaError`."""
    by_relation: dict[str, list[Side]] = {}
    for side in sides:
        by_relation.setdefault(side.relation, []).append(side)
    for relation, found in by_relation.items():
        _check(found)
        join = _join_model(join_name(relation), [drafts[side.model] for side in found])
        if join.name in drafts:
            raise _error(found[0], f"there is a type {join.name!r} already. Give the relation another name.")
        drafts[join.name] = join
        for side in found:
            _list_joins(drafts[side.model], side, join)


def join_name(relation: str) -> str:
    """The name of the model that Amplify makes for a `relationName`."""
    return naming.capitalize(relation)


def join_names(schema: Schema) -> frozenset[str]:
    """The models that stand in no SDL text, because `@manyToMany` makes them."""
    return frozenset(
        join_name(str(written["relationName"]))
        for model in schema.models.values()
        for item in model.fields
        if (written := directive_of(item))
    )


def directive_of(item: FieldSchema) -> Mapping[str, Any]:
    """The `@manyToMany` of a field as written, with its `type`; nothing if it has none."""
    return next((found for found in item.attributes if found.get("type") == "manyToMany"), {})


def other_side(schema: Schema, model: ModelSchema, item: FieldSchema) -> str:
    """The model that a `@manyToMany` field is about."""
    targets = [it.type for it in schema.models[item.type].fields if it.is_relation]
    return next(name for name in targets if name != model.name)


def _check(sides: list[Side]) -> None:
    first, *others = sides
    if len(others) != 1:
        raise _error(first, f"relationName {first.relation!r} stands on {len(sides)} fields. It joins exactly two.")
    second = others[0]
    if first.model == second.model:
        raise _error(first, f"{first.model} cannot be joined with itself. Write the join model yourself.")
    for side, other in ((first, second), (second, first)):
        if side.target != other.model:
            raise _error(
                side,
                f"{side.model}.{side.field} lists {side.target}, but {side.relation!r} joins it with {other.model}.",
            )


def _join_model(name: str, models: list[ModelDraft]) -> ModelDraft:
    join = ModelDraft(name, primary_key=("id",), auth_rules=models[0].auth_rules + models[1].auth_rules)
    join.fields["id"] = FieldSchema("id", "ID", is_required=True)
    for model in models:
        names = _key_names(model)
        for field, key in zip(names, model.primary_key, strict=True):
            found = model.fields[key]
            join.fields[field] = FieldSchema(field, found.type, found.kind, is_required=True)
        default = naming.index_name(name, names)
        join.indexes.append(IndexSchema(f"by{model.name}", names, default))
    for model in models:
        field, names = naming.lower_first(model.name), _key_names(model)
        join.fields[field] = FieldSchema(
            field,
            model.name,
            FieldKind.MODEL,
            is_required=True,
            attributes=({"type": "hasOne", "fields": list(names)},),
        )
        join.relations[field] = Relation(
            ConnectionType.HAS_ONE, model.name, names, references=(), index_name=None, is_required=True, line=0
        )
    return join


def _key_names(model: ModelDraft) -> tuple[str, ...]:
    """The fields of the join model that hold a model's key: `editorName`, and oddly `editorborn` for sort fields."""
    stem = naming.lower_first(model.name)
    partition, *sort = model.primary_key
    return (stem + naming.capitalize(partition), *(stem + name for name in sort))


def _list_joins(model: ModelDraft, side: Side, join: ModelDraft) -> None:
    model.fields[side.field] = replace(model.fields[side.field], type=join.name)
    model.relations[side.field] = Relation(
        ConnectionType.HAS_MANY,
        join.name,
        fields=model.primary_key,
        references=(),
        index_name=f"by{model.name}",
        is_required=False,
        line=side.line,
    )


def _error(side: Side, message: str) -> SchemaError:
    return SchemaError(f"Line {side.line}: {message}")
