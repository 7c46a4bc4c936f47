"""From an AppSync API's SDL, which knows no `@model`, back to the data model it was made of.

    appsync-schema.graphql ─▶ models_of ─▶ the SDL text of a data model that makes the same API

What an API does not tell (default values, who of the signed-in callers may see what) is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from graphql import (
    DocumentNode,
    EnumValueDefinitionNode,
    FieldDefinitionNode,
    NonNullTypeNode,
    ObjectTypeDefinitionNode,
    print_ast,
)

from django_datastore.exceptions import SchemaError
from django_datastore.schema.api_auth import added_owners, auth_rules
from django_datastore.schema.api_document import METADATA, ROOTS, ApiDocument, ApiType, base_type, line_of
from django_datastore.schema.relations import foreign_key_names

_ACTIONS = ("create", "update", "delete")
_TIMESTAMPS = ("createdAt", "updatedAt")


def is_api(document: DocumentNode) -> bool:
    """Whether an SDL is an API's, not a data model's: it has root types, and nothing in it is a `@model`."""
    objects = [item for item in document.definitions if isinstance(item, ObjectTypeDefinitionNode)]
    has_models = any(directive.name.value == "model" for item in objects for directive in item.directives or ())
    return not has_models and any(item.name.value in ROOTS for item in objects)


def models_of(document: DocumentNode) -> str:
    """The data model behind an API, as SDL; raises `SchemaError` with the line and what to do."""
    return "\n\n".join(_Reader(ApiDocument(document)).blocks()) + "\n"


def plurals_of(document: DocumentNode) -> dict[str, str]:
    """The plural an API has for each model."""
    return {
        name: model.sync.name.value.removeprefix("sync")
        for name, model in ApiDocument(document).models.items()
        if model.sync is not None and model.sync.name.value.startswith("sync")
    }


class _Reader:
    def __init__(self, api: ApiDocument) -> None:
        self._api = api
        if not api.models:
            raise SchemaError(
                "The SDL is an API's, and none of its types has _version, _deleted and _lastChangedAt: it was made "
                "without conflict resolution. Switch that on in Amplify, or write the data model with @model."
            )
        self._check_roots()
        self._added: dict[str, set[str]] = {name: set() for name in api.models}
        """The foreign keys that stand in no data model, because the transformer adds them."""
        self._indexes: dict[str, dict[str, tuple[tuple[str, ...], str | None]]] = {
            name: {self._index_name(model, query): (key, query) for query, key in model.indexes.items()}
            for name, model in api.models.items()
        }
        """By model and index name, its fields and its query."""
        self._relations = {
            (name, field): relation
            for wanted in (True, False)
            for name, model in api.models.items()
            for field, node in model.fields.items()
            if (relation := self._relation(model, node, is_list=wanted))
        }

    def blocks(self) -> Iterator[str]:
        yield from map(self._model, self._api.models.values())
        for enum in self._api.enums():
            values: Iterable[EnumValueDefinitionNode] = enum.values or ()
            yield f"enum {enum.name.value} {{ {' '.join(value.name.value for value in values)} }}"
        for item in self._api.non_models():
            fields = "\n".join(f"  {it.name.value}: {print_ast(it.type)}" for it in item.fields or ())
            yield f"type {item.name.value} {{\n{fields}\n}}"

    def _check_roots(self) -> None:
        known = {name for model in self._api.models.values() for name in model.root_fields()}
        for root in ROOTS:
            for node in self._api.root(root):
                if node.name.value not in known:
                    raise SchemaError(
                        f"Line {line_of(node)}: {root}.{node.name.value} is no root field that Amplify makes for a "
                        "model. Remove it: resolvers of your own are not served."
                    )

    def _model(self, model: ApiType) -> str:
        head = f"type {model.name} @model{_arguments(self._properties(model))}"
        rules = auth_rules(model)
        if rules:
            head += f" @auth(rules: [{', '.join(rules)}])"
        left_out = {*METADATA, *self._made(model), *self._added[model.name], *added_owners(model)}
        lines = [f"  {self._field(model, node)}" for name, node in model.fields.items() if name not in left_out]
        return "\n".join([f"{head} {{", *lines, "}"])

    def _field(self, model: ApiType, node: FieldDefinitionNode) -> str:
        name = node.name.value
        if (model.name, name) in self._relations:
            return f"{name}: {self._relations[model.name, name]}"
        parts = [f"{name}: {print_ast(node.type)}"]
        if name == model.key[0] and model.has_declared_key:
            parts.append("@primaryKey" + _arguments({"sortKeyFields": model.key[1:]} if model.key[1:] else {}))
        for index, (fields, query) in self._indexes[model.name].items():
            if fields[0] == name:
                sort = {"sortKeyFields": fields[1:]} if fields[1:] else {}
                parts.append("@index" + _arguments({"name": index, **sort, "queryField": query}))
        return " ".join(parts)

    # -- what stands behind @model -------------------------------------------------------------------------------------

    def _properties(self, model: ApiType) -> dict[str, object]:
        mutations = {action: model.mutation(action) for action in _ACTIONS}
        heard = {f"on{action.capitalize()}": model.heard(name) or None for action, name in mutations.items() if name}
        has_queries = model.get is not None or model.listing is not None or model.sync is not None
        found: dict[str, object] = {
            "queries": {"get": _name(model.get), "list": _name(model.listing)} if has_queries else None,
            "mutations": mutations if any(mutations.values()) else None,
            "subscriptions": heard if any(heard.values()) else None,
        }
        created, updated = self._timestamps(model)
        if (created, updated) != _TIMESTAMPS:
            found["timestamps"] = {"createdAt": created, "updatedAt": updated}
        return found

    def _timestamps(self, model: ApiType) -> tuple[str | None, str | None]:
        made = self._made(model)
        taken = model.input("Create") or {}
        filled = [
            name
            for name, node in model.fields.items()
            if name in taken
            and name not in (*model.key, *METADATA, "id")
            and isinstance(node.type, NonNullTypeNode)
            and not isinstance(taken[name].type, NonNullTypeNode)
        ]
        default = [name for name in _TIMESTAMPS if name in model.fields]
        found = list(dict.fromkeys([*made, *filled, *default]))[:2]
        if not found or found == ["updatedAt"]:
            return None, found[0] if found else None
        order = list(model.fields)
        found.sort(key=lambda name: (name == "updatedAt", order.index(name)))
        return found[0], found[1] if len(found) > 1 else None

    def _made(self, model: ApiType) -> list[str]:
        """The timestamps that no mutation takes: the server's own."""
        taken, order = model.input("Create") or model.input("Update"), list(model.fields)
        before = order[: order.index("_version")]
        if taken is None:
            return [name for name in before[-2:] if name in _TIMESTAMPS and _is_moment(model.fields[name])]
        return [name for name in before if name not in taken and _is_moment(model.fields[name])]

    @staticmethod
    def _index_name(model: ApiType, query: str) -> str:
        return model.index_name(model.queries[query]) or query

    # -- relations -----------------------------------------------------------------------------------------------------

    def _relation(self, model: ApiType, node: FieldDefinitionNode, *, is_list: bool) -> str | None:
        kind = base_type(node.type)
        target = self._api.listed(kind) if is_list else self._api.models.get(kind)
        if target is None:
            return None
        found = self._has_many(model, node, target) if is_list else self._single(model, node, target)
        if found is None:
            raise SchemaError(
                f"Line {line_of(node)}: {model.name}.{node.name.value} is a relation, and the API does not tell by "
                f"which fields of {target.name}. Serve the data model with its @model types instead."
            )
        return found

    def _has_many(self, model: ApiType, node: FieldDefinitionNode, target: ApiType) -> str | None:
        names = foreign_key_names(model.name, node.name.value, model.key)
        if all(name in target.fields for name in names):
            self._added[target.name].update(names)
            mark = "!" if isinstance(target.fields[names[0]].type, NonNullTypeNode) else ""
            return f"[{target.name}]{mark} @hasMany"
        sort, index = target.sort_fields(node), target.index_name(node)
        if index is None and (found := self._index_of(model, target, sort)):
            index = found
        if index is not None:
            if index not in self._indexes[target.name]:
                joined = _named_after(model, model, target)
                if joined is None:
                    return None
                self._indexes[target.name][index] = ((*joined, *sort), None)
            return f"[{target.name}] @hasMany" + _arguments({"indexName": index, "fields": model.key})
        if index := self._shared_index(model, target, sort):
            field = self._indexes[target.name][index][0][0]
            return f"[{target.name}] @hasMany" + _arguments({"indexName": index, "fields": [field]})
        if sort and target.key[1:] == sort and target.key_types()[:1] == model.key_types()[:1]:
            return f"[{target.name}] @hasMany" + _arguments({"fields": model.key[:1]})
        references = _named_after(model, model, target)
        return f"[{target.name}] @hasMany" + _arguments({"references": references}) if references else None

    def _index_of(self, model: ApiType, target: ApiType, sort: tuple[str, ...]) -> str | None:
        """The index of `target` that fits this model's key; of several, the one named after it."""
        wanted = model.key_types()
        fitting = [
            (name, fields)
            for name, (fields, _) in self._indexes[target.name].items()
            if [base_type(target.fields[field].type) for field in fields[: len(wanted)]] == wanted
            and (fields[1:] == sort if len(wanted) == 1 else len(fields) == len(wanted))
        ]
        stem = model.name.lower()
        return next((name for name, fields in fitting if fields[0].lower().startswith(stem)), None)

    def _shared_index(self, model: ApiType, target: ApiType, sort: tuple[str, ...]) -> str | None:
        """The index of `target` whose partition is a field that both models have."""
        for name, (fields, _) in self._indexes[target.name].items():
            own = model.fields.get(fields[0])
            if own and fields[1:] == sort and base_type(own.type) == base_type(target.fields[fields[0]].type):
                return name if fields[0] not in model.key else None
        return None

    def _single(self, model: ApiType, node: FieldDefinitionNode, target: ApiType) -> str | None:
        written, name = print_ast(node.type), node.name.value
        if any(self._is_added(target, other, model) for other in target.fields.values()):
            return f"{written} @belongsTo"
        names: tuple[str, ...] | None = foreign_key_names(model.name, name, target.key)
        if names and all(item in model.fields for item in names):
            self._added[model.name].update(names)
            return f"{written} @hasOne"
        names = _named_after(target, target, model) or _starting_with(name, target, model)
        if names:
            return f"{written} @belongsTo" + _arguments({"fields": names})
        names = _named_after(model, model, target) or _starting_with(model.name, model, target)
        return f"{written} @hasOne" + _arguments({"references": names}) if names else None

    def _is_added(self, target: ApiType, field: FieldDefinitionNode, model: ApiType) -> bool:
        """Whether `target` lists this model's records by foreign keys that the transformer adds."""
        if self._api.listed(base_type(field.type)) is not model:
            return False
        return set(foreign_key_names(target.name, field.name.value, target.key)) <= self._added[model.name]


def _named_after(keyed: ApiType, named: ApiType, holder: ApiType) -> tuple[str, ...] | None:
    """The fields of `holder` that are called after a model and its key: `blogID`, `storeCode`."""
    by_name = {name.lower(): name for name in holder.fields}
    found = [by_name.get((named.name + key).lower()) for key in keyed.key]
    names = tuple(name for name in found if name is not None)
    types = [base_type(holder.fields[name].type) for name in names]
    return names if types == keyed.key_types() else None


def _starting_with(stem: str, keyed: ApiType, holder: ApiType) -> tuple[str, ...] | None:
    """The fields of `holder` that begin with a name and have the types of a key."""
    names = [name for name in holder.fields if name.lower().startswith(stem.lower()) and name.lower() != stem.lower()]
    names = names[: len(keyed.key)]
    types = [base_type(holder.fields[name].type) for name in names]
    return tuple(names) if names and types == keyed.key_types() else None


def _is_moment(node: FieldDefinitionNode) -> bool:
    return print_ast(node.type) == "AWSDateTime!"


def _name(node: FieldDefinitionNode | None) -> str | None:
    return node.name.value if node else None


def _arguments(found: dict[str, object]) -> str:
    return "(" + ", ".join(f"{name}: {_literal(value)}" for name, value in found.items()) + ")" if found else ""


def _literal(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name}: {_literal(item)}" for name, item in value.items()) + " }"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value)
