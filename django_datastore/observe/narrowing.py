"""What a queryset leaves out, as a `Q`: it tells whether a model's default manager showed a row that is gone."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from django.core.exceptions import EmptyResultSet, FieldError
from django.db import connections
from django.db.models import Lookup, Q, QuerySet
from django.db.models.expressions import Col
from django.db.models.lookups import IsNull
from django.db.models.sql.where import WhereNode

from django_datastore.observe import identity


class _OnlySql(Exception):
    """There is no `Q` for it."""


def of(queryset: QuerySet[Any]) -> Q | None:
    """The predicate of the rows a queryset has, or None where only the database can tell.

    It is checked by its SQL: a queryset that also joins, groups, cuts or is narrowed in other ways has none.
    """
    try:
        q = _group(queryset.query.where, negated=False)
        same = _statement(QuerySet(queryset.model, using=queryset.db).filter(q)) == _statement(queryset)
    except (_OnlySql, EmptyResultSet, FieldError, TypeError, ValueError):
        return None
    return q if same else None


def _statement(queryset: QuerySet[Any]) -> tuple[Hashable, ...]:
    sql, parameters = queryset.order_by().values("pk").query.get_compiler(queryset.db).as_sql()
    return identity.of_statement(sql, parameters, connections[queryset.db])


def _group(node: WhereNode, *, negated: bool) -> Q:
    """A group of conditions, without the `IS NOT NULL` that Django adds inside negations and will add again."""
    negated = negated != node.negated
    compared = {_column(child) for child in node.children if not isinstance(child, IsNull)}
    children: list[Any] = [
        _group(child, negated=negated) if isinstance(child, WhereNode) else _condition(child)
        for child in node.children
        if not (negated and isinstance(child, IsNull) and child.rhs is False and _column(child) in compared)
    ]
    return Q.create(children, node.connector, node.negated)


def _condition(child: Any) -> tuple[str, Any]:
    column = _column(child)
    if column is None or hasattr(child.rhs, "resolve_expression") or hasattr(child.rhs, "get_compiler"):
        raise _OnlySql
    return f"{column}__{child.lookup_name}", child.rhs


def _column(child: Any) -> str | None:
    """The field that a condition is on; of another table's the SQL will tell."""
    return child.lhs.target.name if isinstance(child, Lookup) and isinstance(child.lhs, Col) else None
