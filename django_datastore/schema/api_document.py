"""An AppSync API's SDL, looked at: its types, its root fields, and which of them belong to which model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from graphql import (
    DocumentNode,
    EnumTypeDefinitionNode,
    FieldDefinitionNode,
    InputObjectTypeDefinitionNode,
    InputValueDefinitionNode,
    ListTypeNode,
    Node,
    NonNullTypeNode,
    ObjectTypeDefinitionNode,
    TypeNode,
    value_from_ast_untyped,
)

from django_datastore.exceptions import SchemaError
from django_datastore.schema import naming
from django_datastore.schema.relations import names_of

METADATA = ("_version", "_deleted", "_lastChangedAt")
ROOTS = ("Query", "Mutation", "Subscription")
PAGED = ("filter", "limit", "nextToken", "sortDirection", "lastSync")
"""The arguments of lists that are no key."""
_OWN_ENUMS = ("ModelAttributeTypes", "ModelSortDirection")


def base_type(node: TypeNode) -> str:
    """The name of a type without its marks."""
    while isinstance(node, NonNullTypeNode | ListTypeNode):
        node = node.type
    return str(node.name.value)  # type: ignore[attr-defined]  # what is left is a NamedTypeNode


def line_of(node: Node) -> int:
    """Where it stands."""
    return node.loc.start_token.line if node.loc else 0


class ApiType:
    """A model's type and the root fields that read and write it."""

    def __init__(self, api: ApiDocument, node: ObjectTypeDefinitionNode) -> None:
        self._api = api
        self.node = node
        self.name = node.name.value
        self.fields: dict[str, FieldDefinitionNode] = {item.name.value: item for item in node.fields or ()}
        self.queries = self._fields("Query")
        self.mutations = {item.name.value: item for item in api.root("Mutation") if base_type(item.type) == self.name}
        self.subscriptions = {
            item.name.value: item for item in api.root("Subscription") if base_type(item.type) == self.name
        }

    @cached_property
    def get(self) -> FieldDefinitionNode | None:
        """The query of one record."""
        return next((item for item in self.queries.values() if base_type(item.type) == self.name), None)

    @cached_property
    def sync(self) -> FieldDefinitionNode | None:
        """The query of what changed."""
        return next((item for item in self.queries.values() if "lastSync" in arguments(item)), None)

    @cached_property
    def indexes(self) -> dict[str, tuple[str, ...]]:
        """The queries that read an index, with its fields."""
        return {name: self._key(item) for name, item in self.queries.items() if self._is_index(item)}

    @cached_property
    def listing(self) -> FieldDefinitionNode | None:
        """The query of all records."""
        known = (self.get, self.sync)
        return next((it for it in self.queries.values() if it not in known and it.name.value not in self.indexes), None)

    def mutation(self, action: str) -> str | None:
        """The mutation that creates, updates or deletes."""
        wanted = f"{action.capitalize()}{naming.capitalize(self.name)}Input"
        for name, item in self.mutations.items():
            if any(base_type(argument.type) == wanted for argument in item.arguments or ()):
                return name
        return None

    def heard(self, mutation: str) -> list[str]:
        """The subscriptions that hear of a mutation."""
        found = [name for name, item in self.subscriptions.items() if mutation in _mutations_of(item)]
        default = naming.subscription_name(f"on{naming.capitalize(mutation)}")
        if default in self.subscriptions and not _mutations_of(self.subscriptions[default]):
            found.append(default)  # a tool has taken the directives out
        return found

    def root_fields(self) -> Iterator[str]:
        """The root fields that Amplify's transformer made for this model."""
        yield from (node.name.value for node in (self.get, self.listing, self.sync) if node is not None)
        yield from self.indexes
        for action in ("create", "update", "delete"):
            if name := self.mutation(action):
                yield name
                yield from self.heard(name)

    def input(self, action: str) -> Mapping[str, InputValueDefinitionNode] | None:
        """The fields of what a mutation takes."""
        return self._api.input(f"{action}{naming.capitalize(self.name)}Input")

    @property
    def subscription_filter(self) -> Mapping[str, InputValueDefinitionNode]:
        """The fields that subscriptions filter by."""
        return self._api.input(f"ModelSubscription{naming.capitalize(self.name)}FilterInput") or {}

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The primary key; raises `SchemaError` for one that is no part of the type."""
        deleted = self.input("Delete")
        if self.get is not None:
            key = tuple(arguments(self.get))
        else:
            key = tuple(name for name in deleted or ("id",) if name != "_version")
        if not key or not self.fields.keys() >= set(key):
            raise SchemaError(
                f"Line {line_of(self.node)}: the key of {self.name} is ({', '.join(key)}), which are no fields of it."
            )
        return key

    @cached_property
    def has_declared_key(self) -> bool:
        """Whether its lists can be asked by the key."""
        return self.key != ("id",) or (self.listing is not None and "id" in arguments(self.listing))

    def key_types(self) -> list[str]:
        """The types of the key's parts."""
        return [base_type(self.fields[name].type) for name in self.key]

    def sort_fields(self, field: FieldDefinitionNode) -> tuple[str, ...]:
        """The sort fields of the key that a list's arguments name."""
        for name, kind in arguments(field).items():
            if kind.endswith("CompositeKeyConditionInput"):
                return tuple(self._api.input(kind.replace("KeyConditionInput", "KeyInput")) or ())
            if kind.endswith("KeyConditionInput"):
                return (name,)
        return ()

    def index_name(self, field: FieldDefinitionNode) -> str | None:
        """The name of the index a list reads, where its arguments tell it."""
        head, tail = f"Model{naming.capitalize(self.name)}", "CompositeKeyConditionInput"
        for kind in arguments(field).values():
            if kind.startswith(head) and kind.endswith(tail) and kind != f"{head}Primary{tail}":
                return naming.lower_first(kind.removeprefix(head).removesuffix(tail))
        return None

    def _fields(self, root: str) -> dict[str, FieldDefinitionNode]:
        mine = (self.name, f"Model{naming.capitalize(self.name)}Connection")
        return {item.name.value: item for item in self._api.root(root) if base_type(item.type) in mine}

    def _is_index(self, field: FieldDefinitionNode) -> bool:
        first = next(iter(field.arguments or ()), None)
        is_asked = first is not None and field is not self.get and isinstance(first.type, NonNullTypeNode)
        return is_asked and self.fields.keys() >= set(self._key(field))

    def _key(self, field: FieldDefinitionNode) -> tuple[str, ...]:
        return (next(iter(arguments(field))), *self.sort_fields(field))


class ApiDocument:
    """The whole SDL of an API."""

    def __init__(self, document: DocumentNode) -> None:
        self._types = {item.name.value: item for item in document.definitions if hasattr(item, "name")}
        objects = [item for item in document.definitions if isinstance(item, ObjectTypeDefinitionNode)]
        self._objects = [item for item in objects if item.name.value not in ROOTS]
        self.models = {item.name.value: ApiType(self, item) for item in self._objects if _is_model(item)}

    def root(self, name: str) -> tuple[FieldDefinitionNode, ...]:
        """The fields of a root type."""
        found = self._types.get(name)
        return tuple(found.fields or ()) if isinstance(found, ObjectTypeDefinitionNode) else ()

    def input(self, name: str) -> Mapping[str, InputValueDefinitionNode] | None:
        """The fields of an input."""
        found = self._types.get(name)
        if not isinstance(found, InputObjectTypeDefinitionNode):
            return None
        return {item.name.value: item for item in found.fields or ()}

    def enums(self) -> Iterator[EnumTypeDefinitionNode]:
        """The enums of the data model."""
        for item in self._types.values():
            if isinstance(item, EnumTypeDefinitionNode) and item.name.value not in _OWN_ENUMS:
                yield item

    def non_models(self) -> Iterator[ObjectTypeDefinitionNode]:
        """The types without a table."""
        connections = {f"Model{naming.capitalize(name)}Connection" for name in self.models}
        for item in self._objects:
            if item.name.value not in self.models and item.name.value not in connections:
                yield item

    def listed(self, kind: str) -> ApiType | None:
        """The model whose records a connection has."""
        return next(
            (it for name, it in self.models.items() if kind == f"Model{naming.capitalize(name)}Connection"), None
        )


def arguments(field: FieldDefinitionNode) -> dict[str, str]:
    """A field's arguments that are no paging, with their types."""
    found = {item.name.value: base_type(item.type) for item in field.arguments or ()}
    if "lastSync" in found:
        return {"lastSync": found["lastSync"]}
    return {name: kind for name, kind in found.items() if name not in PAGED}


def _is_model(node: ObjectTypeDefinitionNode) -> bool:
    names = {item.name.value for item in node.fields or ()}
    return names.issuperset(METADATA)


def _mutations_of(field: FieldDefinitionNode) -> list[str]:
    for directive in field.directives or ():
        if directive.name.value == "aws_subscribe":
            return [name for item in directive.arguments or () for name in names_of(value_from_ast_untyped(item.value))]
    return []
