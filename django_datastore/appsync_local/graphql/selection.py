"""Selection sets, compiled once per document: what to take from a record, under which name, and what lies below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLString,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    print_ast,
    value_from_ast,
)

from django_datastore.appsync_local.errors import DocumentError
from django_datastore.appsync_local.graphql.documents import fields_conflict
from django_datastore.appsync_local.graphql.limits import MAX_FIELDS
from django_datastore.schema.scalars import SCALARS
from django_datastore.schema.types import ConnectionType, FieldSchema, ModelSchema, Schema

METADATA = ("_version", "_lastChangedAt", "_deleted")
"""The fields a record has besides its own."""


class Kind(Enum):
    """Where a selected field's value comes from."""

    LEAF = "leaf"
    OBJECT = "object"
    """Lies inside the record: nested types, a connection's items."""
    RECORD = "record"
    """Another record, found by its key: `@belongsTo`, `@hasOne`."""
    CONNECTION = "connection"
    """Other records that point here: `@hasMany`."""
    TYPENAME = "typename"


@dataclass(frozen=True, eq=False)
class Field:
    """One selected field."""

    response: str
    """Its name in the answer: the alias, if there is one."""
    name: str
    kind: Kind
    parent: str
    nodes: tuple[FieldNode, ...]
    """Where it is selected: once, as a rule."""
    definition: GraphQLField
    type_name: str
    is_required: bool
    is_list: bool
    is_item_required: bool
    fast_type: type | None
    """The Python type a stored leaf has; None if every value has to be looked at."""
    types: tuple[type, ...]
    fits: Callable[[Any], object] | None
    """Whether a stored text has the format of its scalar; None where the Python type says enough."""
    enum_values: frozenset[str] | None
    selection: Selection | None
    relation: FieldSchema | None
    target: ModelSchema | None

    @property
    def node(self) -> FieldNode:
        """Where it is selected first."""
        return self.nodes[0]

    @cached_property
    def needs_data(self) -> bool:
        """False if the selection below takes only what a record's key and metadata tell."""
        if self.target is None or self.selection is None:
            return True
        told = {*self.target.primary_key, *METADATA}
        return bool(self.selection.nested) or any(leaf.name not in told for leaf in self.selection.leaves)


@dataclass(frozen=True, eq=False)
class Selection:
    """All selected fields of one object type."""

    type_name: str
    fields: tuple[Field, ...]

    @cached_property
    def leaves(self) -> tuple[Field, ...]:
        """The fields whose values stand in the record as they are."""
        return tuple(field for field in self.fields if field.kind is Kind.LEAF)

    @cached_property
    def nested(self) -> tuple[Field, ...]:
        """The fields with a selection of their own."""
        return tuple(field for field in self.fields if field.selection is not None)

    @cached_property
    def template(self) -> dict[str, Any]:
        """An empty answer with its keys in the order of the document."""
        return {field.response: self.type_name if field.kind is Kind.TYPENAME else None for field in self.fields}

    @cached_property
    def has_aliases(self) -> bool:
        """Whether any field, here or below, answers under another name."""
        return any(
            field.response != field.name or (field.selection is not None and field.selection.has_aliases)
            for field in self.fields
        )


class Compiler:
    """Compiles the selections of one document."""

    def __init__(
        self,
        data_model: Schema,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
        *,
        by_name: bool = False,
        max_depth: int = 0,
    ) -> None:
        self._models = data_model.models
        self._fragments = fragments
        self._variables = dict(variables)
        self._by_name = by_name
        """Ignore aliases: what subscribers get is keyed by field names."""
        self._fields_left = MAX_FIELDS
        self._max_depth = max_depth
        self._depth = 0

    def compile(self, parent: GraphQLObjectType, selection_sets: Iterable[SelectionSetNode]) -> Selection:
        """The selection of an object type; several sets where a field is selected more than once."""
        groups: dict[str, list[FieldNode]] = {}
        spread: set[str] = set()
        for selection_set in selection_sets:
            self._collect(selection_set, groups, spread)
        self._depth += 1
        if self._max_depth and self._depth > self._max_depth and groups:
            raise _too_deep(self._max_depth, next(iter(groups.values())))
        fields = tuple(self._field(parent, name, nodes) for name, nodes in groups.items())
        self._depth -= 1
        return Selection(parent.name, fields)

    def recompile(self, field: Field) -> Field:
        """A field with its selection compiled by this compiler; the field itself if that makes no difference."""
        if field.selection is None or not field.selection.has_aliases:
            return field
        kind: Any = get_named_type(field.definition.type)
        return replace(field, selection=self.compile(kind, _selection_sets(field.nodes)))

    def _collect(self, selection_set: SelectionSetNode, groups: dict[str, list[FieldNode]], spread: set[str]) -> None:
        """Every type condition holds: the API has no interfaces and unions, and validation checked the rest."""
        self._fields_left -= len(selection_set.selections)
        if self._fields_left < 0:
            raise DocumentError.of(f"The document selects more than {MAX_FIELDS:,} fields.")
        for node in selection_set.selections:
            if not self._is_included(node):
                continue
            match node:
                case FieldNode():
                    name = node.alias.value if node.alias and not self._by_name else node.name.value
                    groups.setdefault(name, []).append(node)
                case InlineFragmentNode():
                    self._collect(node.selection_set, groups, spread)
                case FragmentSpreadNode() if node.name.value not in spread:
                    spread.add(node.name.value)  # once is enough: else a few nested fragments unfold to millions
                    self._collect(self._fragments[node.name.value].selection_set, groups, spread)

    def _is_included(self, node: Any) -> bool:
        for directive in node.directives or ():
            wanted = {"include": True, "skip": False}.get(directive.name.value)
            if wanted is not None:
                argument = next(iter(directive.arguments or ()))
                if value_from_ast(argument.value, GraphQLBoolean, self._variables) is not wanted:
                    return False
        return True

    def _field(self, parent: GraphQLObjectType, response: str, nodes: list[FieldNode]) -> Field:
        node = nodes[0]
        name = node.name.value
        if len(nodes) > 1 and not self._by_name and not _are_alike(nodes):
            raise fields_conflict(response, nodes, (parent.name, response))
        definition = parent.fields.get(name) or GraphQLField(_STRING)
        kind, is_required = _unwrap(definition.type)
        is_list = isinstance(kind, GraphQLList)
        is_item_required = is_list and isinstance(kind.of_type, GraphQLNonNull)
        named: Any = get_named_type(definition.type)
        scalar = SCALARS.get(named.name)
        relation = self._relation(parent.name, name)
        selection = None
        if isinstance(named, GraphQLObjectType):
            selection = self.compile(named, _selection_sets(nodes))
        return Field(
            response=response,
            name=name,
            kind=_kind(name, relation, selection),
            parent=parent.name,
            nodes=tuple(nodes),
            definition=definition,
            type_name=named.name,
            is_required=is_required,
            is_list=is_list,
            is_item_required=is_item_required,
            fast_type=scalar.types[0] if scalar and not is_list else None,
            types=scalar.types if scalar else (str,),
            fits=scalar.fits if scalar else None,
            enum_values=frozenset(named.values) if isinstance(named, GraphQLEnumType) else None,
            selection=selection,
            relation=relation,
            target=self._models[relation.type] if relation else None,
        )

    def _relation(self, parent: str, name: str) -> FieldSchema | None:
        model = self._models.get(parent)
        found = model.by_name.get(name) if model else None
        return found if found is not None and found.is_relation else None


def _too_deep(limit: int, nodes: Sequence[FieldNode]) -> DocumentError:
    message = f"Query depth limit reached: {nodes[0].name.value} is deeper than {limit}."
    return DocumentError([{"path": None, "locations": None, "errorType": "QueryDepthLimitReached", "message": message}])


def _are_alike(nodes: Sequence[FieldNode]) -> bool:
    """Whether fields with one response name ask for the same: then their selections are merged."""
    first, *rest = ({node.name.value, *map(print_ast, node.arguments or ())} for node in nodes)
    return all(item == first for item in rest)


def _selection_sets(nodes: Iterable[FieldNode]) -> list[SelectionSetNode]:
    return [node.selection_set for node in nodes if node.selection_set]


_STRING = GraphQLNonNull(GraphQLString)


def _unwrap(kind: Any) -> tuple[Any, bool]:
    return (kind.of_type, True) if isinstance(kind, GraphQLNonNull) else (kind, False)


def _kind(name: str, relation: FieldSchema | None, selection: Selection | None) -> Kind:
    if name == "__typename":
        return Kind.TYPENAME
    if selection is None:
        return Kind.LEAF
    if relation is None or relation.association is None:
        return Kind.OBJECT
    return Kind.CONNECTION if relation.association.connection_type is ConnectionType.HAS_MANY else Kind.RECORD
