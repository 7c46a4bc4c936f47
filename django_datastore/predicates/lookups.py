"""What a predicate may say: the lookups Amplify has a word for, and how a lookup's path is taken apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator, KeysView, ValuesView
from dataclasses import dataclass
from typing import Any

import django
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Q
from django.db.models.constants import LOOKUP_SEP

from django_datastore.exceptions import InvalidPredicate

ALLOWED = ("exact", "gt", "gte", "lt", "lte", "contains", "startswith", "range", "in", "isnull")
"""The lookups that all three readers know."""

NULL_AMONG_CHOICES = django.VERSION >= (6, 1)
"""Whether `None` among the choices of a negated `in` stands for null, as Django has it since 6.1, or for nothing."""

TEXT_FIELDS = (models.CharField, models.TextField)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One condition: `blog__name__startswith="A"` has the path `("blog", "name")` and the lookup `startswith`."""

    path: tuple[models.Field[Any, Any], ...]
    """The foreign keys that are followed, then the column that is compared."""
    lookup: str
    value: Any
    text: str
    """The condition's left side as written."""

    @property
    def field(self) -> models.Field[Any, Any]:
        """The column that is compared."""
        return self.path[-1]


def leaf(model: type[models.Model], text: str, value: Any) -> Leaf:
    """Takes one condition of a `Q` apart; `InvalidPredicate` for what only the ORM can read."""
    if _is_expression(value):
        raise InvalidPredicate(
            f"The condition {text!r} compares with a {type(value).__name__}; only the database can read that. "
            "Use a plain value."
        )
    path, rest = _path(model, text)
    lookup = rest[0] if rest else "exact"
    if len(rest) > 1 or lookup not in ALLOWED:
        raise InvalidPredicate(
            f"The condition {text!r} uses {'__'.join(rest)!r}, which Amplify has no word for. "
            f"Allowed: {', '.join(ALLOWED)}."
        )
    if lookup == "exact" and value is None:
        lookup, value = "isnull", True
    if lookup == "isnull":
        value = bool(value)
    elif value is None or (lookup == "range" and any(item is None for item in value)):
        raise InvalidPredicate(f"The condition {text!r} compares with None; only equality and isnull can.")
    return Leaf(path, lookup, value, text)


def check_connector(node: Q) -> None:
    """`InvalidPredicate` for XOR, which databases read differently and GraphQL has no word for."""
    if node.connector not in (Q.AND, Q.OR):
        raise InvalidPredicate(f"A predicate joins conditions with {node.connector}; write it with AND, OR and NOT.")


def detached(node: Q) -> Q:
    """The same tree with lists of its own: what it says stays as it is, whoever changes or uses up the lists it had."""
    children = [
        detached(child) if isinstance(child, Q) else (child[0], _own(child[1])) if isinstance(child, tuple) else child
        for child in node.children
    ]
    return Q.create(children, node.connector, node.negated)


def _own(value: Any) -> Any:
    match value:
        case list() | Iterator() | KeysView() | ValuesView():
            return [_own(item) for item in value]
        case dict():
            return {name: _own(item) for name, item in value.items()}
        case set() | frozenset():
            return frozenset(value)
    return tuple(map(_own, value)) if type(value) is tuple else value


def children(node: Q, is_negated: bool) -> Iterator[Any]:
    """What a node joins. `is_negated` counts the negations around its conditions, its own included."""
    for child in node.children:
        spelled_out = _with_null(*child) if is_negated and isinstance(child, tuple) and NULL_AMONG_CHOICES else None
        yield child if spelled_out is None else spelled_out


def _with_null(text: str, value: Any) -> Q | None:
    """`x__in=[1, None]` as `x__in=[1]` or `x__isnull=True`; None for any other condition."""
    name, _, lookup = text.rpartition(LOOKUP_SEP)
    if lookup != "in" or not isinstance(value, Collection) or isinstance(value, str | bytes):
        return None
    rest = [item for item in value if item is not None]
    if len(rest) == len(value):
        return None
    is_null = Q(**{f"{name}{LOOKUP_SEP}isnull": True})
    return Q(**{text: rest}) | is_null if rest else is_null


def leaves(model: type[models.Model], node: Q) -> Iterator[tuple[str, Any]]:
    """Every condition of a tree as left side and value; nested expressions such as `Exists` are left out."""
    for child in node.children:
        if isinstance(child, Q):
            yield from leaves(model, child)
        elif isinstance(child, tuple):
            yield child


def related_models(model: type[models.Model], node: Q) -> frozenset[type[models.Model]]:
    """The other models whose rows decide whether a row of `model` matches, as far as the conditions' paths tell."""
    found: set[type[models.Model]] = set()
    for text, _ in leaves(model, node):
        current: type[models.Model] = model
        parts = text.split(LOOKUP_SEP)
        for position, name in enumerate(parts):
            try:
                item = current._meta.pk if name == "pk" else current._meta.get_field(name)
            except FieldDoesNotExist:
                break
            if not getattr(item, "is_relation", False) or not isinstance(item.related_model, type):
                break
            following = parts[position + 1] if position + 1 < len(parts) else ""
            if isinstance(item, models.ForeignKey) and not _goes_on(item, following):
                break
            current = item.related_model
            found.add(current)
    return frozenset(found)


def has_expressions(node: Q) -> bool:
    """Whether a tree holds expressions or subqueries, whose dependencies cannot be told from paths."""
    return any(
        has_expressions(child) if isinstance(child, Q) else not isinstance(child, tuple) or _is_expression(child[1])
        for child in node.children
    )


def _is_expression(value: Any) -> bool:
    return hasattr(value, "resolve_expression") or isinstance(value, models.QuerySet)


def _path(model: type[models.Model], text: str) -> tuple[tuple[models.Field[Any, Any], ...], list[str]]:
    path: list[models.Field[Any, Any]] = []
    rest = text.split(LOOKUP_SEP)
    current: type[models.Model] = model
    while rest:
        item = _field(current, rest.pop(0), text)
        path.append(item)
        if not isinstance(item, models.ForeignKey) or not _goes_on(item, rest[0] if rest else ""):
            break
        current = item.related_model
    if isinstance(path[-1], models.ForeignKey) and rest and rest[0] in ("pk", path[-1].target_field.name):
        del rest[0]
    return tuple(path), rest


def _goes_on(item: models.ForeignKey[Any, Any], following: str) -> bool:
    """Whether the path leads on into the other model's row (its key is in our own row)."""
    if not following or following in ("pk", item.target_field.name, item.target_field.attname):
        return False
    related = item.related_model
    try:
        related._meta.get_field(following)
    except FieldDoesNotExist:
        return False
    return True


def _field(model: type[models.Model], name: str, text: str) -> models.Field[Any, Any]:
    meta = model._meta
    try:
        item = meta.pk if name == "pk" else meta.get_field(name)
    except FieldDoesNotExist:
        known = ", ".join(sorted(field.name for field in meta.concrete_fields))
        raise InvalidPredicate(f"{meta.label} has no field {name!r} (in {text!r}). It has: {known}.") from None
    if not isinstance(item, models.Field) or item.many_to_many:
        raise InvalidPredicate(
            f"The condition {text!r} follows {name!r} to many rows; only the database can read that. "
            "Filter on the model's own fields, or on those of a foreign key."
        )
    if not item.concrete or (len(meta.pk_fields) > 1 and item is meta.pk):
        names = ", ".join(field.name for field in meta.pk_fields)
        raise InvalidPredicate(f"The condition {text!r} names no single column. Name the key's fields: {names}.")
    return item
