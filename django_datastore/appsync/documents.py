"""The GraphQL documents of the sync protocol, as Amplify's client words them; see `Documents`.

One document may carry a whole batch of mutations or reads, each under an alias of its own. Texts are built once per
model and kept: the same shape of request is the same text, which servers recognise and need not parse again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from django_datastore.exceptions import SchemaError
from django_datastore.schema.types import FieldKind, FieldSchema, ModelSchema, NonModelSchema, Schema
from django_datastore.types import Operation

SYNC_METADATA = ("_version", "_lastChangedAt", "_deleted")
"""What the server adds to each record; always selected, never sent but for `_version`."""

_NUMBERS: Mapping[str, type[int] | type[float]] = {"Int": int, "AWSTimestamp": int, "Float": float}


class Document(NamedTuple):
    """A document and its variables, in the order `AppSyncClient.execute` takes them."""

    text: str
    variables: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MutationRequest:
    """One mutation to ask for. `input` and `condition` are sent as they are."""

    operation: Operation
    model: ModelSchema
    input: Mapping[str, Any]
    condition: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class GetRequest:
    """One record to read back: its model and the wire values of its primary key, in key order."""

    model: ModelSchema
    key: Sequence[Any]


def sync_field(model: ModelSchema) -> str:
    """Under which name a sync query's answer arrives."""
    return f"sync{model.plural_name}"


def get_field(model: ModelSchema) -> str:
    """Under which name a single read's answer arrives."""
    return f"get{model.name}"


def mutation_field(operation: Operation, model: ModelSchema) -> str:
    """Under which name a single mutation's answer arrives."""
    return f"{operation}{model.name}"


def subscription_field(operation: Operation, model: ModelSchema) -> str:
    """Under which name a subscription's messages carry their record."""
    return f"on{operation.capitalize()}{model.name}"


def alias(position: int) -> str:
    """Under which name the answer to the request at that position of a batch arrives."""
    return f"m{position}"


def input_fields(model: ModelSchema) -> tuple[str, ...]:
    """The wire names a create or update may send: values that are not read-only, and the foreign keys of relations."""
    names = [item.name for item in model.value_fields if not item.is_read_only]
    for relation in model.belongs_to:
        names += relation.association.target_names if relation.association else ()
    read_only = {item.name for item in model.value_fields if item.is_read_only}
    return tuple(name for name in dict.fromkeys(names) if name not in read_only)


class Documents:
    """Words requests about the models of one schema.

    `models` is asked for the primary keys of related models; one that is missing there is taken to have the key `id`.
    """

    def __init__(
        self,
        models: Mapping[str, ModelSchema],
        non_models: Mapping[str, NonModelSchema] = MappingProxyType({}),
    ) -> None:
        self._models = models
        self._non_models = non_models
        self._texts: dict[str, _ModelTexts] = {}

    @classmethod
    def from_schema(cls, schema: Schema) -> Documents:
        """Documents for all of a schema's models."""
        return cls(schema.models, schema.non_models)

    def selection(self, model: ModelSchema) -> str:
        """What is selected of a record by whoever reads it; see `_ModelTexts.answer` for what a writer selects."""
        return self._of(model).selection

    def sync(
        self,
        model: ModelSchema,
        *,
        limit: int,
        next_token: str | None = None,
        last_sync: int | None = 0,
        filter: Mapping[str, Any] | None = None,
    ) -> Document:
        """One page of a base sync (`last_sync` 0) or of a delta sync (epoch milliseconds)."""
        variables = {"limit": limit, "nextToken": next_token, "lastSync": last_sync, "filter": filter}
        return Document(self._of(model).sync, variables)

    def mutation(self, request: MutationRequest) -> Document:
        """One mutation in a document of its own."""
        variables: dict[str, Any] = {"input": request.input}
        if _takes_condition(request):
            variables["condition"] = request.condition or None
        texts = self._of(request.model)
        text = texts.guarded_create if _is_guarded_create(request) else texts.mutations[request.operation]
        return Document(text, variables)

    def get(self, model: ModelSchema, key: Sequence[Any]) -> Document:
        """One record by its key, tombstone or not."""
        return Document(self._of(model).get, dict(_key_variables(model, key)))

    def subscription(
        self,
        operation: Operation,
        model: ModelSchema,
        *,
        filter: Mapping[str, Any] | None = None,
        owner: tuple[str, str] | None = None,
    ) -> Document:
        """The subscription to one kind of change. `owner` is an owner field and the value it must have."""
        arguments: dict[str, tuple[str, Any]] = {}
        if filter:
            arguments["filter"] = (f"ModelSubscription{model.name}FilterInput", filter)
        if owner:
            arguments[owner[0]] = ("String!", owner[1])
        head = _parenthesised(f"${name}: {type_name}" for name, (type_name, _) in arguments.items())
        passed = _parenthesised(f"{name}: ${name}" for name in arguments)
        field = subscription_field(operation, model)
        text = f"subscription operation{head} {{ {field}{passed} {{ {self.selection(model)} }} }}"
        return Document(text, {name: value for name, (_, value) in arguments.items()})

    def batch_mutation(self, requests: Sequence[MutationRequest]) -> Document:
        """All of `requests` in one document, executed in order. The answer to the first is called `alias(0)`."""
        heads: list[str] = []
        fields: list[str] = []
        variables: dict[str, Any] = {}
        for position, request in enumerate(requests):
            head, passed = f"$input{position}: {_input_type(request)}!", f"input: $input{position}"
            variables[f"input{position}"] = request.input
            if _takes_condition(request):
                head += f", $condition{position}: Model{request.model.name}ConditionInput"
                passed += f", condition: $condition{position}"
                variables[f"condition{position}"] = request.condition or None
            heads.append(head)
            field = mutation_field(request.operation, request.model)
            fields.append(f"{alias(position)}: {field}({passed}) {{ ...{request.model.name}Fields }}")
        text = f"mutation operation{_parenthesised(heads)} {{ {' '.join(fields)} }}"
        return Document(text + self._fragments(request.model for request in requests), variables)

    def batch_get(self, requests: Sequence[GetRequest]) -> Document:
        """All of `requests` in one document. The answer to the first is called `alias(0)`."""
        heads: list[str] = []
        fields: list[str] = []
        variables: dict[str, Any] = {}
        for position, request in enumerate(requests):
            names = {name: f"key{position}_{name}" for name in request.model.primary_key}
            heads += [f"${names[name]}: {type_name}" for name, type_name in _key_types(request.model)]
            passed = ", ".join(f"{name}: ${variable}" for name, variable in names.items())
            fields.append(
                f"{alias(position)}: {get_field(request.model)}({passed}) {{ ...{request.model.name}Fields }}"
            )
            variables |= {names[name]: value for name, value in _key_variables(request.model, request.key)}
        text = f"query operation{_parenthesised(heads)} {{ {' '.join(fields)} }}"
        return Document(text + self._fragments(request.model for request in requests), variables)

    def _fragments(self, models: Iterator[ModelSchema]) -> str:
        distinct = {model.name: model for model in models}
        return "".join(f" {self._of(model).fragment}" for model in distinct.values())

    def _of(self, model: ModelSchema) -> _ModelTexts:
        texts = self._texts.get(model.name)
        if texts is None or texts.model is not model:
            texts = self._texts[model.name] = _ModelTexts(model, self._models, self._non_models)
        return texts


class _ModelTexts:
    """The texts of one model, each built when it is first needed."""

    def __init__(
        self,
        model: ModelSchema,
        models: Mapping[str, ModelSchema],
        non_models: Mapping[str, NonModelSchema],
    ) -> None:
        self.model = model
        self._models = models
        self._non_models = non_models

    @cached_property
    def selection(self) -> str:
        plain = [item.name for item in self.model.fields if item.kind in (FieldKind.SCALAR, FieldKind.ENUM)]
        nested = [self._nested(item) for item in self.model.fields if item.kind is FieldKind.NON_MODEL]
        relations = [f"{item.name} {{ {self._key_of(item.type)} _deleted }}" for item in self.model.belongs_to]
        return " ".join([*plain, *self._implicit_owner(plain), *nested, *SYNC_METADATA, *relations])

    @cached_property
    def answer(self) -> str:
        """What a mutation selects, which is all that subscribers get; without timestamps Amplify's clients skip it.

        We do not subscribe to them ourselves: it would make us as choosy about what others select.
        """
        unknown = [name for name in self.model.timestamps if name not in self.model.by_name]
        return " ".join([self.selection, *unknown])

    @cached_property
    def fragment(self) -> str:
        return f"fragment {self.model.name}Fields on {self.model.name} {{ {self.answer} }}"

    @cached_property
    def sync(self) -> str:
        return (
            "query operation($limit: Int, $nextToken: String, $lastSync: AWSTimestamp, "
            f"$filter: Model{self.model.name}FilterInput) {{ {sync_field(self.model)}(limit: $limit, "
            "nextToken: $nextToken, lastSync: $lastSync, filter: $filter) "
            f"{{ items {{ {self.selection} }} nextToken startedAt }} }}"
        )

    @cached_property
    def get(self) -> str:
        head = _parenthesised(f"${name}: {type_name}" for name, type_name in _key_types(self.model))
        passed = _parenthesised(f"{name}: ${name}" for name in self.model.primary_key)
        return f"query operation{head} {{ {get_field(self.model)}{passed} {{ {self.selection} }} }}"

    @cached_property
    def mutations(self) -> Mapping[Operation, str]:
        return {
            Operation.CREATE: self._mutation(Operation.CREATE, guarded=False),
            Operation.UPDATE: self._mutation(Operation.UPDATE, guarded=True),
            Operation.DELETE: self._mutation(Operation.DELETE, guarded=True),
        }

    @cached_property
    def guarded_create(self) -> str:
        return self._mutation(Operation.CREATE, guarded=True)

    def _mutation(self, operation: Operation, *, guarded: bool) -> str:
        name = self.model.name
        head = f"$input: {operation.capitalize()}{name}Input!"
        passed = "input: $input"
        if guarded:
            head += f", $condition: Model{name}ConditionInput"
            passed += ", condition: $condition"
        return f"mutation operation({head}) {{ {operation}{name}({passed}) {{ {self.answer} }} }}"

    def _implicit_owner(self, declared: Sequence[str]) -> list[str]:
        rules = (rule for rule in self.model.auth_rules if rule.get("allow") == "owner")
        is_owned = any(rule.get("ownerField", "owner") == "owner" for rule in rules)
        return ["owner"] if is_owned and "owner" not in declared else []

    def _nested(self, item: FieldSchema, path: tuple[str, ...] = ()) -> str:
        if item.type in path:
            chain = " > ".join([*path, item.type])
            raise SchemaError(
                f"Cannot select field {item.name!r} of model {self.model.name!r}: its type contains itself ({chain}). "
                "Keep such a value in an AWSJSON field."
            )
        if item.type not in self._non_models:
            raise SchemaError(f"Field {item.name!r} of model {self.model.name!r} has an unknown type {item.type!r}.")
        parts = self._non_models[item.type].fields
        inner = [part.name for part in parts if part.kind in (FieldKind.SCALAR, FieldKind.ENUM)]
        inner += [self._nested(part, (*path, item.type)) for part in parts if part.kind is FieldKind.NON_MODEL]
        return f"{item.name} {{ {' '.join(inner)} }}"

    def _key_of(self, model_name: str) -> str:
        related = self._models.get(model_name)
        return " ".join(related.primary_key if related else ("id",))


def _takes_condition(request: MutationRequest) -> bool:
    return request.operation is not Operation.CREATE or _is_guarded_create(request)


def _is_guarded_create(request: MutationRequest) -> bool:
    # Amplify's client sends no condition with a create; AppSync takes one, and dropping it would unguard the write.
    return request.operation is Operation.CREATE and bool(request.condition)


def _input_type(request: MutationRequest) -> str:
    return f"{request.operation.capitalize()}{request.model.name}Input"


def _key_types(model: ModelSchema) -> Iterator[tuple[str, str]]:
    for name in model.primary_key:
        yield name, f"{model.field(name).type}!"


def _key_variables(model: ModelSchema, key: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    for name, value in zip(model.primary_key, key, strict=True):
        number = _NUMBERS.get(model.field(name).type)
        yield name, number(value) if number else value


def _parenthesised(parts: Iterator[str] | Sequence[str]) -> str:
    inner = ", ".join(parts)
    return f"({inner})" if inner else ""
