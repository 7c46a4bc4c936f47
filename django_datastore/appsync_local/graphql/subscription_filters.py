"""Which events a subscription wants: AppSync's enhanced filter, from the `filter` argument, or basic filtering.

filter given ─▶ enhanced: the operators of `filters.py`, within the service's limits; other arguments filter nothing
else         ─▶ basic: each argument that is given equals the event's field, null included; one left out asks nothing

Both look only at what the mutation selected. A filter beyond the limits is refused in the words by which Amplify's
clients know that they have to filter themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any, TypeAlias

from django_datastore.appsync_local.errors import DocumentError
from django_datastore.appsync_local.filters import Predicate, compile_filter

MAX_COMBINATIONS = 10
"""Groups that are left when the filter is written as one `or` of `and`s."""
MAX_FIELDS = 5
"""Different fields in a filter."""
MAX_VALUES = {"in": 5, "notIn": 5}
"""Values in a list."""

Combination: TypeAlias = tuple[str, ...]
"""The fields of one `and`, each as often as it is compared."""


def compile_arguments(arguments: Mapping[str, Any]) -> Predicate | None:
    """A subscription's arguments as a function of an event's payload; None if it wants every event.

    Raises `DocumentError`.
    """
    found = arguments.get("filter")
    if not found:
        return _basic({name: value for name, value in arguments.items() if name != "filter"})
    combinations = _combinations(found)
    for fields in combinations:
        _check_different(fields)
    _check_count({name for fields in combinations for name in fields})
    return compile_filter(found)


def _basic(wanted: Mapping[str, Any]) -> Predicate | None:
    if not wanted:
        return None
    return lambda payload: all(payload.get(name) == value for name, value in wanted.items())


def _combinations(found: Mapping[str, Any] | None) -> list[Combination]:
    """The filter as one `or` of `and`s; never more than `MAX_COMBINATIONS`, however it is nested."""
    combined: list[Combination] = [()]
    for name, value in (found or {}).items():
        if value is None:
            continue
        match name:
            case "and":
                for item in value:
                    combined = _multiplied(combined, _combinations(item))
            case "or":
                alternatives = _checked(fields for item in value for fields in _combinations(item))
                combined = _multiplied(combined, alternatives or [()])
            case _:
                _check_values(value)
                combined = _multiplied(combined, [(name,) * len(value)])
    return combined


def _multiplied(some: list[Combination], others: list[Combination]) -> list[Combination]:
    return _checked(one + other for one, other in product(some, others))


def _checked(combinations: Iterable[Combination]) -> list[Combination]:
    found: list[Combination] = []
    for fields in combinations:
        if len(fields) > MAX_FIELDS:  # now, before it grows
            _check_different(fields)
            _check_count(set(fields))
        found.append(fields)
        if len(found) > MAX_COMBINATIONS:
            raise DocumentError.of(f"Filters combination exceed maximum limit {MAX_COMBINATIONS} for subscription.")
    return found


def _check_different(fields: Combination) -> None:
    if len(set(fields)) < len(fields):
        raise DocumentError.of("subscription filter uses same fieldName multiple time.")


def _check_count(names: set[str]) -> None:
    if len(names) > MAX_FIELDS:
        raise DocumentError.of(f"Filters exceed maximum attributes limit {MAX_FIELDS} for subscription.")


def _check_values(comparisons: Mapping[str, Any]) -> None:
    for operator, operand in comparisons.items():
        limit = MAX_VALUES.get(operator)
        if limit is not None and isinstance(operand, list) and len(operand) > limit:
            raise DocumentError.of(f"subscription exceeds maximum value limit {limit} for operator `{operator}`.")
