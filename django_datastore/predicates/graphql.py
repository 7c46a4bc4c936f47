"""Between `Q` and GraphQL: the filter and condition that AppSync gets, and the filter JSON that browsers send.

Q(rating__gt=3) | Q(status="DRAFT")  ─to_filter─▶  {"or": [{"rating": {"gt": 3}}, {"status": {"eq": "DRAFT"}}]}
                                    ◀─from_filter─
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from django.db import connections, models, router
from django.db.models import Q

from django_datastore.exceptions import InvalidPredicate
from django_datastore.predicates import lookups
from django_datastore.predicates.columns import Column, Columns

Filter: TypeAlias = dict[str, Any]

_MAX_DEPTH = 20
_MAX_CONDITIONS = 500
_WORDS = {"exact": "eq", "gt": "gt", "gte": "ge", "lt": "lt", "lte": "le", "startswith": "beginsWith"}
_OPPOSITES = {"eq": "ne", "ne": "eq", "contains": "notContains"}
"""Operators whose opposite has a word that takes null as the ORM does; the rest is wrapped in `not`."""
_MAX_INTEGER = 2**63
"""No integer column of any database holds this."""
_COMPARISONS = {"gt": "gt", "ge": "gte", "lt": "lt", "le": "lte"}
_TEXT = {"contains": "contains", "beginsWith": "startswith"}
OPERATORS = (
    *("eq", "ne", "gt", "ge", "lt", "le", "contains", "notContains", "beginsWith", "between", "in", "notIn"),
    "attributeExists",
)
"""What a filter may say about a field."""


def to_filter(q: Q, sync: Columns) -> Filter | None:
    """The predicate as GraphQL filter in Amplify's shape; None if it lets everything through.

    Raises `InvalidPredicate` for fields that are not synced, related models and lookups that Amplify has no word for.
    """
    return _rooted(_translate(q, sync, without=frozenset()))


def to_condition(q: Q, sync: Columns) -> Filter | None:
    """The predicate as condition of a mutation: a filter without the key's fields, which AppSync has beside it."""
    return _rooted(_translate(q, sync, without=frozenset(item.wire_name for item in sync.key_bindings)))


def _rooted(found: Filter | None) -> Filter | None:
    """Amplify's root is an `and`, unless its only child is a group itself."""
    if found is None or "and" in found or "or" in found:
        return found
    return {"and": [found]}


def _translate(node: Any, sync: Columns, without: frozenset[str], is_negated: bool = False) -> Filter | None:
    if isinstance(node, tuple):
        return _condition(node, sync, without)
    if not isinstance(node, Q):
        raise InvalidPredicate(f"A predicate holds a {type(node).__name__}, which GraphQL has no word for.")
    lookups.check_connector(node)
    is_negated ^= node.negated
    translated = (_translate(child, sync, without, is_negated) for child in lookups.children(node, is_negated))
    parts = [part for part in translated if part is not None]
    if not parts:
        return None
    found = parts[0] if len(parts) == 1 else {"or" if node.connector == Q.OR else "and": parts}
    return _negated(found) if node.negated else found


def _negated(found: Filter) -> Filter:
    ((name, value),) = found.items()
    if name not in ("and", "or", "not") and len(value) == 1:
        ((operator, operand),) = value.items()
        if operator in _OPPOSITES:
            return {name: {_OPPOSITES[operator]: operand}}
    return {"not": found}


def _condition(child: tuple[str, Any], sync: Columns, without: frozenset[str]) -> Filter | None:
    leaf = lookups.leaf(sync.model, *child)
    if len(leaf.path) > 1:
        raise InvalidPredicate(
            f"The condition {leaf.text!r} follows a relation. Predicates on related models are not supported here: "
            "AppSync filters a record by its own fields."
        )
    binding = sync.binding(leaf.field.name)
    if binding.wire_name in without:
        return None
    name = binding.wire_name
    match leaf.lookup:
        case "isnull":
            return {name: {"eq" if leaf.value else "ne": None}}
        case "in":
            return _any_of(leaf, binding)
        case "range":
            low, high = (_wire(binding, item, leaf.text) for item in leaf.value)
            return {name: {"between": [low, high]}}
        case "contains":
            return _contains(leaf, binding)
    return {name: {_WORDS[leaf.lookup]: _wire(binding, leaf.value, leaf.text)}}


def _any_of(leaf: lookups.Leaf, binding: Column) -> Filter:
    """AppSync's filter inputs have no `in`; an `or` of `eq` says the same to every input."""
    values = [_wire(binding, item, leaf.text) for item in leaf.value if item is not None]
    if not values:
        raise InvalidPredicate(f"The condition {leaf.text!r} has nothing to choose from: no record can match.")
    parts: list[Filter] = [{binding.wire_name: {"eq": value}} for value in values]
    return parts[0] if len(parts) == 1 else {"or": parts}


def _contains(leaf: lookups.Leaf, binding: Column) -> Filter:
    if not binding.schema.is_list:
        return {binding.wire_name: {"contains": _wire(binding, leaf.value, leaf.text)}}
    values = leaf.value if isinstance(leaf.value, list | tuple) else [leaf.value]
    parts: list[Filter] = [{binding.wire_name: {"contains": value}} for value in values]
    return parts[0] if len(parts) == 1 else {"and": parts}


def _wire(binding: Column, value: Any, text: str) -> Any:
    if isinstance(value, models.Model):
        value = value.pk
    try:
        return binding.operand_to_wire(value)
    except (TypeError, ValueError) as exc:
        raise InvalidPredicate(f"The condition {text!r} cannot take {value!r}: {exc}") from exc


def from_filter(found: object, sync: Columns) -> Q:
    """Filter JSON as `Q`. Fields are those of the model itself; an empty group matches everything.

    Raises `InvalidPredicate` that says what is wrong and what is allowed.
    """
    return _Parser(sync).group(found, depth=0)


class _Parser:
    """Reads one filter, within limits, as it comes from outside."""

    def __init__(self, sync: Columns) -> None:
        self.sync = sync
        self.conditions = 0

    def group(self, found: object, depth: int) -> Q:
        if not isinstance(found, dict):
            raise InvalidPredicate(f'A filter is an object such as {{"rating": {{"gt": 3}}}}, not {found!r:.80}.')
        if depth > _MAX_DEPTH:
            raise InvalidPredicate(f"The filter is nested deeper than {_MAX_DEPTH} levels.")
        q = Q()
        for name, value in found.items():
            q &= self._part(name, value, depth + 1)
        return q

    def _part(self, name: str, value: Any, depth: int) -> Q:
        match name:
            case "and":
                q = Q()
                for part in self._members(name, value, depth):
                    q &= part
                return q
            case "or":
                return self._any(self._members(name, value, depth))
            case "not":
                inner = self.group(value, depth)
                return ~inner if inner else inner
        return self._field(name, value)

    def _members(self, name: str, value: Any, depth: int) -> list[Q]:
        members = [value] if isinstance(value, dict) else value
        if not isinstance(members, list):
            raise InvalidPredicate(f"{name!r} takes a list of filters, not {value!r:.80}.")
        return [self.group(item, depth) for item in members]

    @staticmethod
    def _any(parts: Sequence[Q]) -> Q:
        q = Q()
        for part in parts:
            if not part:  # `Q() | part` would be `part`, but an empty filter lets everything through
                return Q()
            q |= part
        return q

    def _field(self, name: str, value: Any) -> Q:
        if self.sync.schema.by_name.get(name) and self.sync.schema.by_name[name].is_relation:
            raise InvalidPredicate(f"{name!r} is a related model. Filter by a field of {self.sync.name!r} itself.")
        binding = self.sync.binding(name)
        if not isinstance(value, dict) or not value:
            raise InvalidPredicate(f'Say how to compare {name!r}, as in {{"{name}": {{"eq": …}}}}, not {value!r:.80}.')
        q = Q()
        for operator, operand in value.items():
            self._count(len(operand) if isinstance(operand, list) else 1)
            q &= self._condition(binding, operator, operand)
        return q

    def _count(self, conditions: int) -> None:
        self.conditions += conditions
        if self.conditions > _MAX_CONDITIONS:
            raise InvalidPredicate(f"The filter has more than {_MAX_CONDITIONS} conditions.")

    def _condition(self, binding: Column, operator: str, operand: Any) -> Q:
        if operator not in OPERATORS:
            raise InvalidPredicate(
                f"No operator {operator!r} on {binding.wire_name!r}. Allowed: {', '.join(OPERATORS)}."
            )
        name = binding.attname
        match operator:
            case "attributeExists":
                return Q(**{f"{name}__isnull": not operand})
            case "eq" | "ne" if operand is None:
                return Q(**{f"{name}__isnull": operator == "eq"})
            case "eq":
                return Q(**{name: self._value(binding, operator, operand)})
            case "in":
                return self._any_of(binding, operator, operand)
            case "between":
                low, high = self._pair(binding, operand)
                return Q(**{f"{name}__gte": low}) & Q(**{f"{name}__lte": high})  # unlike range, for any integer
            case "ne" | "notIn" | "notContains":
                positive = {"ne": "eq", "notIn": "in", "notContains": "contains"}[operator]
                return ~self._condition(binding, positive, operand)
            case "contains" | "beginsWith":
                return self._text(binding, operator, operand)
        return Q(**{f"{name}__{_COMPARISONS[operator]}": self._value(binding, operator, operand)})

    def _value(self, binding: Column, operator: str, operand: Any) -> Any:
        place = f"{binding.wire_name!r}: {operator!r}"
        if binding.schema.is_list or binding.schema.type == "AWSJSON":
            raise InvalidPredicate(f"{place} cannot compare lists or JSON; 'contains', null and attributeExists can.")
        if operand is None or isinstance(operand, dict | list):
            raise InvalidPredicate(f"{place} takes one value of type {binding.schema.type}, not {operand!r:.80}.")
        _check_text(operand, place)
        try:
            return binding.operand_to_python(operand)
        except (ArithmeticError, TypeError, ValueError) as exc:
            raise InvalidPredicate(f"{place} takes a value of type {binding.schema.type}: {exc}") from exc

    def _any_of(self, binding: Column, operator: str, operand: Any) -> Q:
        if not isinstance(operand, list):
            raise InvalidPredicate(f"{binding.wire_name!r}: {operator!r} takes a list, not {operand!r:.80}.")
        found = [self._value(binding, operator, item) for item in operand if item is not None]
        values = [item for item in found if not isinstance(item, int) or abs(item) < _MAX_INTEGER]
        q = Q(**{f"{binding.attname}__in": values})
        return q | Q(**{f"{binding.attname}__isnull": True}) if None in operand else q

    def _pair(self, binding: Column, operand: Any) -> tuple[Any, Any]:
        if not isinstance(operand, list) or len(operand) != 2:
            raise InvalidPredicate(f"{binding.wire_name!r}: 'between' takes a list of two values, not {operand!r:.80}.")
        low, high = (self._value(binding, "between", item) for item in operand)
        return low, high

    def _text(self, binding: Column, operator: str, operand: Any) -> Q:
        if binding.schema.is_list and operator == "contains":
            return self._member(binding, operand)
        if not isinstance(binding.field, lookups.TEXT_FIELDS) or not isinstance(operand, str):
            raise InvalidPredicate(
                f"{binding.wire_name!r}: {operator!r} looks for text in a text field; "
                f"this is {operand!r:.80} in a field of type {binding.schema.type}."
            )
        _check_text(operand, f"{binding.wire_name!r}: {operator!r}")
        return Q(**{f"{binding.attname}__{_TEXT[operator]}": operand})

    def _member(self, binding: Column, operand: Any) -> Q:
        connection = connections[router.db_for_read(self.sync.model)]
        if not getattr(connection.features, "supports_json_field_contains", False):
            raise InvalidPredicate(
                f"{binding.wire_name!r}: this site's database ({connection.vendor}) cannot look into lists."
            )
        _check_text(operand, f"{binding.wire_name!r}: 'contains'")
        return Q(**{f"{binding.attname}__contains": [operand]})


def _check_text(operand: Any, place: str) -> None:
    """Refuses what is JSON and no text of a database: NUL, and half of a surrogate pair."""
    match operand:
        case str() if "\x00" in operand or any("\ud800" <= letter <= "\udfff" for letter in operand):
            raise InvalidPredicate(
                f"{place} takes text without NUL and halves of surrogate pairs, not {operand!r:.80}."
            )
        case list():
            for item in operand:
                _check_text(item, place)
        case dict():
            for name, item in operand.items():
                _check_text(name, place)
                _check_text(item, place)
