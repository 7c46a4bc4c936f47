"""A `Q` against an instance in memory, with the meaning the ORM gives it, or no answer where memory cannot tell.

Conditions are true, false or unknown. A comparison with null is false, as Django adds `IS NOT NULL` inside negations.
Unknown is what only the database can tell, or nobody any more: it stays unknown under a negation.
"""

from __future__ import annotations

import datetime
import decimal
import math
import string
import uuid
from collections.abc import Callable
from typing import Any, TypeAlias

from django.core.exceptions import ValidationError
from django.db import connections, models, router
from django.db.models import Q

from django_datastore.exceptions import InvalidPredicate
from django_datastore.predicates import lookups
from django_datastore.predicates.lookups import Leaf

Related: TypeAlias = "Callable[[models.ForeignKey[Any, Any], Any], models.Model | None]"
"""The row a foreign key points to by that key, or None if there is none: it is gone too."""

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_ORDERED = (int, float, decimal.Decimal, datetime.date, datetime.time, datetime.timedelta, uuid.UUID)
"""Values that every database orders as Python does."""
_PLAIN_TEXT = ("varchar", "text", "longtext", "char", "inet")
"""How the types of text columns begin that compare code point by code point, if no collation says otherwise."""
_PLAIN_COLLATIONS = {"sqlite": (None,), "postgresql": (None,), "mysql": ("utf8mb4_nopad_bin",)}
"""The `db_collation` of columns that hold texts for the same only if they are. MariaDB's usual one folds case."""


class _Unknown(Exception):
    """It cannot be told."""


def matches(q: Q, instance: models.Model, *, related: Related | None = None, using: str | None = None) -> bool | None:
    """Whether the instance matches as the ORM would have it; None where the instance alone does not tell.

    That is so for conditions on many related rows, expressions, lookups that Amplify has no word for, deferred fields,
    text that the database compares in its own way, and conditions on a foreign key's row that `related` does not find.
    """
    alias = using or instance._state.db or router.db_for_read(type(instance))
    return _Evaluation(instance, related, alias).of(q)


class _Evaluation:
    def __init__(self, instance: models.Model, related: Related | None, alias: str) -> None:
        self.instance = instance
        self.related = related
        self.alias = alias
        self.vendor = connections[alias].vendor

    def of(self, node: Q, is_negated: bool = False) -> bool | None:
        """A group without conditions counts as absent wherever it stands; a whole predicate of that kind is true."""
        if node.connector not in (Q.AND, Q.OR):
            return None  # databases read XOR differently
        is_negated ^= node.negated
        parts = lookups.children(node, is_negated)
        outcomes = [self._child(child, is_negated) for child in parts if not _is_absent(child)]
        if not outcomes:
            return True
        decisive = node.connector == Q.OR
        if decisive in outcomes:
            return decisive != node.negated
        return None if None in outcomes else decisive == node.negated

    def _child(self, child: Any, is_negated: bool) -> bool | None:
        if isinstance(child, Q):
            return self.of(child, is_negated)
        if not isinstance(child, tuple):
            return None
        try:
            return self._leaf(lookups.leaf(type(self.instance), *child))
        except (InvalidPredicate, _Unknown):
            return None

    def _leaf(self, leaf: Leaf) -> bool | None:
        head = leaf.path[0]
        if head.attname not in self.instance.__dict__:
            raise _Unknown
        stored = self.instance.__dict__[head.attname]
        if len(leaf.path) > 1:
            return self._follow(leaf, stored)
        if leaf.lookup == "isnull":
            if stored is None and isinstance(leaf.field, models.JSONField):
                raise _Unknown  # the null of JSON is no NULL of SQL; both are None here
            return bool((stored is None) is leaf.value)
        operand = _operand(leaf)
        return False if stored is None else self._compare(leaf, stored, operand)

    def _follow(self, leaf: Leaf, stored: Any) -> bool | None:
        if stored is None:
            return leaf.lookup == "isnull" and leaf.value is True
        head: Any = leaf.path[0]
        row = self.related(head, stored) if self.related is not None else None
        if row is None:
            raise _Unknown
        rest = Leaf(leaf.path[1:], leaf.lookup, leaf.value, leaf.text)
        return _Evaluation(row, self.related, self.alias)._leaf(rest)

    def _compare(self, leaf: Leaf, stored: Any, operand: Any) -> bool:
        if isinstance(leaf.field, models.JSONField):
            return _holds(stored, operand)
        field = _value_field(leaf.field)
        if leaf.lookup in ("contains", "startswith"):
            return self._match_text(leaf, stored, operand)
        value = _prepared(field, stored)
        if leaf.lookup in ("exact", "in"):
            return self._is_among(field, value, operand if leaf.lookup == "in" else [operand])
        if isinstance(value, str) and not (self.vendor == "sqlite" and self._compares_plainly(field)):
            raise _Unknown  # the collation decides
        if not isinstance(value, (str, *_ORDERED)):
            raise _Unknown
        match leaf.lookup:
            case "gt":
                return bool(value > operand)
            case "gte":
                return bool(value >= operand)
            case "lt":
                return bool(value < operand)
            case "lte":
                return bool(value <= operand)
        return bool(operand[0] <= value <= operand[1])

    def _is_among(self, field: models.Field[Any, Any], value: Any, choices: Any) -> bool:
        if isinstance(value, float) and math.isnan(value):
            raise _Unknown
        if value in choices:
            return True
        if isinstance(value, str) and choices and not self._compares_plainly(field):
            raise _Unknown  # the database may take it for the same
        return False

    def _compares_plainly(self, field: models.Field[Any, Any]) -> bool:
        """Whether texts are the same to the database only if they are."""
        kind = field.db_type(connections[self.alias]) or ""
        collation = getattr(field, "db_collation", None) or None
        return kind.startswith(_PLAIN_TEXT) and collation in _PLAIN_COLLATIONS.get(self.vendor, ())

    def _match_text(self, leaf: Leaf, stored: Any, operand: str) -> bool:
        if self.vendor != "mysql" and not self._compares_plainly(leaf.field):  # MariaDB's is LIKE BINARY
            raise _Unknown
        value = str(stored)
        if self.vendor == "sqlite":  # its LIKE takes ASCII letters of either case as one
            value, operand = value.translate(_LOWER), operand.translate(_LOWER)
        return operand in value if leaf.lookup == "contains" else value.startswith(operand)


def _is_absent(child: Any) -> bool:
    return isinstance(child, Q) and all(map(_is_absent, child.children))


def _holds(stored: Any, wanted: Any) -> bool:
    """PostgreSQL's `@>` for a list of plain values; in JSON true is not 1. Objects and lists contain by parts."""
    if any(isinstance(item, list | tuple | dict) for item in wanted):
        raise _Unknown
    if not isinstance(stored, list):
        return False
    held = [(isinstance(item, bool), item) for item in stored]
    return all((isinstance(item, bool), item) in held for item in wanted)


def _operand(leaf: Leaf) -> Any:
    """The right side as the ORM's own lookup prepares it."""
    _check_kind(leaf)
    field = leaf.field
    if leaf.lookup in ("contains", "startswith"):
        return leaf.value if isinstance(field, models.JSONField) else str(leaf.value)
    if leaf.lookup == "in" and isinstance(field, models.ForeignKey):
        values = [_plain(field, item) for item in leaf.value if item is not None]
        return [_prepared(_value_field(field), item) for item in values]
    lookup = _value_field(field).get_lookup(leaf.lookup)
    try:
        column = _value_field(field).get_col(field.model._meta.db_table)
        prepared = lookup(column, _plain(field, leaf.value))  # type: ignore[misc]  # the allowed lookups exist
    except (ArithmeticError, TypeError, ValueError, ValidationError) as exc:
        raise _Unknown from exc
    if leaf.lookup == "in":
        return [item for item in prepared.rhs if item is not None]
    return prepared.rhs


def _check_kind(leaf: Leaf) -> None:
    """In memory, JSON can be asked for the members of a list, and texts alone for a part of them."""
    if isinstance(leaf.field, models.JSONField):
        if leaf.lookup != "contains" or not isinstance(leaf.value, list | tuple):
            raise _Unknown
    elif leaf.lookup in ("contains", "startswith") and not isinstance(leaf.field, lookups.TEXT_FIELDS):
        raise _Unknown


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


def _prepared(field: models.Field[Any, Any], value: Any) -> Any:
    try:
        return field.get_prep_value(value)
    except (ArithmeticError, TypeError, ValueError, ValidationError) as exc:
        raise _Unknown from exc
