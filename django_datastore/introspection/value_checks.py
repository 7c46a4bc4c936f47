"""What system checks say about types: what cannot cross as declared, and what would be refused or cut off at times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.db import models

from django_datastore.introspection import codecs, keys
from django_datastore.introspection.fast import EXACT_DIGITS
from django_datastore.introspection.kinds import AnyField, Kind, kind_of, value_field
from django_datastore.introspection.problems import Problem
from django_datastore.introspection.values import FieldBinding
from django_datastore.schema.scalars import SCALARS

if TYPE_CHECKING:
    from django_datastore.introspection.declarations import Declarations


def is_too_long_for_float(field: AnyField) -> bool:
    """Whether a column holds decimals with more digits than AppSync's Float."""
    return isinstance(field, models.DecimalField) and (field.max_digits or 0) > EXACT_DIGITS


def value_problems(binding: FieldBinding, declarations: Declarations) -> Iterator[Problem]:
    """What there is to say about one synced column and its type."""
    field, label = binding.field, f"{binding.field.model._meta.label}.{binding.field.name}"
    values, scalar = value_field(field), binding.schema.type
    named = declarations.types.get(field.name)
    if scalar in SCALARS and not _crosses(values, scalar, binding.schema.is_list):
        kind, allowed = type(values).__name__, codecs.allowed_scalars(values)
        yield Problem(
            "E020",
            f"types of the registration gives {label} the type {named!r}, and the values of a {kind} do not cross "
            "as such.",
            f"Types for it: {', '.join(allowed)}. Or exclude {field.name!r}."
            if allowed
            else f"Exclude {field.name!r}.",
        )
    if (
        named is None
        and scalar == "Int"
        and isinstance(values, models.BigIntegerField | models.PositiveBigIntegerField)
    ):
        yield Problem(
            "W010",
            f"{label} holds 64 bits, and AppSync's Int 32: saving a greater number raises ValidationError.",
            f"types = {{{field.name!r}: …}} with 'String' (exact), 'AWSTimestamp' (64 bits, if it counts seconds or "
            "milliseconds) or 'Float' (exact to 2**53), as the API has it; 'Int' says that numbers stay small.",
        )
    if scalar == "AWSTimestamp" and kind_of(values) is Kind.DATETIME:
        yield Problem(
            "W011",
            f"{label} is an AWSTimestamp, which holds whole seconds: fractions are cut off on the way to AppSync.",
            "If fractions matter, use AWSDateTime; else let the site store whole seconds, and silence this warning.",
        )


def _crosses(field: AnyField, scalar: str, is_list: bool) -> bool:
    return (codecs.list_codec(field, scalar) if is_list else codecs.codec(field, scalar)) is not None


def key_problems(bindings: tuple[FieldBinding, ...]) -> Iterator[Problem]:
    """What there is to say about text keys that may grow beyond what keys can be."""
    found = [item for item in bindings if kind_of(value_field(item.field)) is Kind.TEXT]
    if not found:
        return
    label = found[0].field.model._meta.label
    longest = [value_field(item.field).max_length for item in found]
    limit = keys.key_limit(found[0].field.model)
    if any(length is None for length in longest) or sum(filter(None, longest)) + 3 * len(bindings) + 1 > limit:
        names = ", ".join(item.field.name for item in found)
        yield Problem(
            "W012",
            f"Keys of {label} ({names}) may be longer than keys can be: {limit} characters on this database, quotes "
            f"and commas among them, and {keys.KEY_BYTES} bytes in AppSync's. Saving a longer one raises "
            "ValidationError, and a record made elsewhere is held.",
            "Lower max_length, or let a UUID be the key and the text a field beside it.",
        )


def together_problems(
    label: str, declarations: Declarations, bindings: list[FieldBinding], pk_fields: list[AnyField]
) -> Iterator[Problem]:
    """What is wrong with `together`."""
    known = {item.field.name: item for item in bindings}
    for group in declarations.together:
        names = [group] if isinstance(group, str) else list(group)
        if isinstance(group, str) or len(names) < 2:
            yield Problem(
                "E021",
                f"together of the registration of {label} has the group {group!r}, which names fewer than two fields.",
                "Write groups of names: together = [('email', 'name')].",
            )
            continue
        for name in names:
            if name not in known:
                reason, hint = "is no synced field", f"Synced fields: {', '.join(sorted(known))}."
            elif known[name].field in pk_fields:
                reason, hint = "is part of the key", "Leave it out: the key travels with every mutation."
            elif known[name].schema.is_read_only:
                reason, hint = "is never sent", "Leave it out, or let it not be read-only."
            else:
                continue
            yield Problem("E021", f"together of the registration of {label} names {name!r}, which {reason}.", hint)
