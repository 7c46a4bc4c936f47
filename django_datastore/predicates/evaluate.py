"""A `Q` against an instance in memory, with the meaning the ORM gives it.

Two-valued logic is enough: Django adds `IS NOT NULL` inside negations, so that a comparison with null counts as false
wherever it stands. Text is compared by code point; a database with a language's collation may order it differently.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any, TypeAlias

from django.core.exceptions import ValidationError
from django.db import connections, models, router
from django.db.models import Q
from django.db.models.constants import LOOKUP_SEP

from django_datastore.exceptions import InvalidPredicate
from django_datastore.predicates import lookups
from django_datastore.predicates.lookups import Leaf

Related: TypeAlias = Callable[[type[models.Model], Any, Q], bool]
"""Whether the row of a model with that key matches; asked for conditions that follow a foreign key."""

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def matches(q: Q, instance: models.Model, *, related: Related | None = None, using: str | None = None) -> bool:
    """Whether the instance matches as the ORM would have it.

    Raises `InvalidPredicate` for what cannot be told from the instance alone: conditions on many related rows,
    expressions, lookups that Amplify has no word for, deferred fields; and conditions on a foreign key's row unless
    `related` looks that row up.
    """
    alias = using or instance._state.db or router.db_for_read(type(instance))
    return _Evaluation(instance, related, connections[alias].vendor).of(q) is not False


class _Evaluation:
    def __init__(self, instance: models.Model, related: Related | None, vendor: str) -> None:
        self.instance = instance
        self.related = related
        self.ignores_case = vendor == "sqlite"
        """SQLite's LIKE, which reads `contains` and `startswith`, takes ASCII letters of either case as one."""

    def of(self, node: Q) -> bool | None:
        """None for a group without conditions, which counts as absent wherever it stands."""
        lookups.check_connector(node)
        outcomes = [found for child in node.children if (found := self._child(child)) is not None]
        if not outcomes:
            return None
        found = any(outcomes) if node.connector == Q.OR else all(outcomes)
        return found != node.negated

    def _child(self, child: Any) -> bool | None:
        if isinstance(child, Q):
            return self.of(child)
        if not isinstance(child, tuple):
            raise InvalidPredicate(
                f"A predicate holds a {type(child).__name__}; only the database can read that. Use plain conditions."
            )
        return self._leaf(lookups.leaf(type(self.instance), *child))

    def _leaf(self, leaf: Leaf) -> bool:
        head = leaf.path[0]
        if head.attname not in self.instance.__dict__:
            raise InvalidPredicate(f"The condition {leaf.text!r} needs {head.name!r}, which was not loaded.")
        stored = self.instance.__dict__[head.attname]
        if len(leaf.path) > 1:
            return self._follow(leaf, stored)
        if leaf.lookup == "isnull":
            return bool((stored is None) is leaf.value)
        if stored is None:
            _operand(leaf)
            return False
        return self._compare(leaf, stored)

    def _follow(self, leaf: Leaf, stored: Any) -> bool:
        if self.related is None:
            raise InvalidPredicate(
                f"The condition {leaf.text!r} follows a foreign key; in memory only the record's own fields are known."
            )
        if stored is None:
            return leaf.lookup == "isnull" and leaf.value is True
        rest = leaf.text.split(LOOKUP_SEP, 1)[1]
        related_model: Any = leaf.path[0].related_model
        return self.related(related_model, stored, Q(**{rest: leaf.value}))

    def _compare(self, leaf: Leaf, stored: Any) -> bool:
        operand = _operand(leaf)
        if leaf.lookup in ("contains", "startswith"):
            return self._match_text(leaf, stored, operand)
        value = _prepared(_value_field(leaf.field), stored, leaf.text)
        match leaf.lookup:
            case "exact":
                return bool(value == operand)
            case "gt":
                return bool(value > operand)
            case "gte":
                return bool(value >= operand)
            case "lt":
                return bool(value < operand)
            case "lte":
                return bool(value <= operand)
            case "range":
                return bool(operand[0] <= value <= operand[1])
        return value in operand

    def _match_text(self, leaf: Leaf, stored: Any, operand: Any) -> bool:
        if isinstance(leaf.field, models.JSONField):
            return isinstance(stored, list) and all(item in stored for item in operand)
        value, sought = str(stored), str(operand)
        if self.ignores_case:
            value, sought = value.translate(_LOWER), sought.translate(_LOWER)
        return sought in value if leaf.lookup == "contains" else value.startswith(sought)


def _operand(leaf: Leaf) -> Any:
    """The right side as the ORM's own lookup prepares it."""
    _check_kind(leaf)
    field = leaf.field
    if leaf.lookup in ("contains", "startswith"):
        return leaf.value if isinstance(field, models.JSONField) else str(leaf.value)
    if leaf.lookup == "in" and isinstance(field, models.ForeignKey):
        values = [_plain(field, item) for item in leaf.value if item is not None]
        return [_prepared(_value_field(field), item, leaf.text) for item in values]
    lookup = _value_field(field).get_lookup(leaf.lookup)
    try:
        column = _value_field(field).get_col(field.model._meta.db_table)
        prepared = lookup(column, _plain(field, leaf.value))  # type: ignore[misc]  # the allowed lookups exist
    except (TypeError, ValueError, ValidationError) as exc:
        raise InvalidPredicate(f"The condition {leaf.text!r} cannot take {leaf.value!r}: {exc}") from exc
    if leaf.lookup == "in":
        return [item for item in prepared.rhs if item is not None]
    return prepared.rhs


def _check_kind(leaf: Leaf) -> None:
    is_json = isinstance(leaf.field, models.JSONField)
    if is_json and not (leaf.lookup == "contains" and isinstance(leaf.value, list | tuple)):
        raise InvalidPredicate(
            f"The condition {leaf.text!r} looks into JSON; in memory only isnull and contains with a list can."
        )
    if leaf.lookup in ("contains", "startswith") and not (is_json or isinstance(leaf.field, lookups.TEXT_FIELDS)):
        raise InvalidPredicate(f"The condition {leaf.text!r} looks for text in a {type(leaf.field).__name__}.")


def _plain(field: models.Field[Any, Any], value: Any) -> Any:
    """A related instance as its key."""
    while isinstance(field, models.ForeignKey) and isinstance(value, models.Model):
        value = getattr(value, field.target_field.attname)
        field = field.target_field
    return value


def _value_field(field: models.Field[Any, Any]) -> models.Field[Any, Any]:
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    return field


def _prepared(field: models.Field[Any, Any], value: Any, text: str) -> Any:
    try:
        return field.get_prep_value(value)
    except (TypeError, ValueError, ValidationError) as exc:
        raise InvalidPredicate(f"The condition {text!r} cannot take {value!r}: {exc}") from exc
