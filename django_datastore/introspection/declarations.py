"""What a registration says about a model, and whether it can be understood.

A word that is not understood may be a misspelt `exclude`, and web servers and workers run no system checks. So
`complaints` are raised when a model is registered, before anything of it could be sent.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.db.models import Q

from django_datastore.schema import naming

_TYPE = re.compile(r"\w+!?|\[\w+!?\]!?", re.ASCII)
_NEAR = 0.75
"""How alike a method's name and a hook's must be for it to be a slip."""


@dataclass(frozen=True)
class Declarations:
    """What a registration says about names and fields."""

    fields: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    read_only: Sequence[str] = ()
    together: Sequence[Sequence[str]] = ()
    timestamps: Mapping[str, str | None] | None = field(default_factory=dict)
    model_name: str | None = None
    plural_name: str | None = None


def complaints(declared: type, base: type, model: type[models.Model]) -> list[str]:
    """What is wrong with a subclass of `base` as registration of a model, in sentences that name the way out."""
    found = [text for owner in _classes(declared, base) for text in _unknown_attributes(owner, base)]
    wrong = {option: why for option, is_right, why in _KINDS if not is_right(_stated(declared, option))}
    found += [f"{option} is {_stated(declared, option)!r}; {why}." for option, why in wrong.items()]
    for option in _NAMING_FIELDS:
        if option not in wrong:
            found += _unknown_fields(option, _stated(declared, option) or (), model)
    if "exclude" not in wrong:
        found += _excluded_keys(declared, model)
    return found


# -- attributes ----------------------------------------------------------------------------------------------------


def _classes(declared: type, base: type) -> Iterator[type]:
    """The classes a person wrote: the registration, its parents and mixins, without ours."""
    return (owner for owner in declared.__mro__ if owner not in base.__mro__)


def _unknown_attributes(owner: type, base: type) -> Iterator[str]:
    options = [option for option, _, _ in _KINDS]
    for name in inspect.get_annotations(owner):
        if name not in vars(owner) and not name.startswith("_"):
            yield f"{owner.__name__}.{name} has a type and no value. Write {name} = …, or let its name start with '_'."
    for name, value in vars(owner).items():
        if name.startswith("_") or name in options:
            continue
        near = naming.did_you_mean(name, options, cutoff=_NEAR if _is_helper(value) else 0.5)
        if hasattr(base, name) or name in _OWN:
            why = "is used by the engine itself"
        elif near or not _is_helper(value):
            why = "is no option"
        else:
            continue
        hint = near or f" Options: {', '.join(options)}."
        if inspect.isclass(value):
            hint = f" Options are attributes of {owner.__name__} itself."
        yield f"{owner.__name__}.{name} {why}.{hint} Let names of your own start with '_'."


def _is_helper(value: Any) -> bool:
    """Whether it is a method, property or the like, as people add to classes; no value, and no nested class."""
    return not inspect.isclass(value) and (callable(value) or hasattr(type(value), "__get__"))


# -- kinds of values -----------------------------------------------------------------------------------------------


def _stated(declared: type, option: str) -> Any:
    return inspect.getattr_static(declared, option)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(map(_is_text, value))


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, (*value, *value.values())))


def _are_types(value: Any) -> bool:
    return _is_mapping(value) and all(_TYPE.fullmatch(text) for text in value.values())


def _are_timestamps(value: Any) -> bool:
    known = ("createdAt", "updatedAt")
    return isinstance(value, Mapping) and all(
        name in known and (to is None or _is_text(to)) for name, to in value.items()
    )


def _is_hook(value: Any) -> bool:
    return callable(value) or hasattr(type(value), "__get__")


_A_LIST = "it must be a list of field names, such as ['title']"


def _are_groups(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_list, value))


_KINDS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("fields", lambda value: value is None or _is_list(value), f"{_A_LIST}, or be left out for all of them"),
    ("exclude", _is_list, _A_LIST),
    ("names", _is_mapping, "it must be a dict of wire names by field name, such as {'blog': 'blogPostsId'}"),
    ("types", _are_types, "it must be a dict of GraphQL types by field name, such as {'tags': '[String]'}"),
    ("read_only", _is_list, _A_LIST),
    ("together", _are_groups, "it must be a list of groups of field names, such as [('email', 'name')]"),
    (
        "timestamps",
        lambda value: value is None or _are_timestamps(value),
        "it must be None, or a dict of wire names by 'createdAt' and 'updatedAt'",
    ),
    ("model_name", lambda value: value is None or _is_text(value), "it must be a text"),
    ("plural_name", lambda value: value is None or _is_text(value), "it must be a text"),
    (
        "sync_expression",
        lambda value: value is None or isinstance(value, Q) or _is_hook(value),
        "it must be a Q, or a method that returns one",
    ),
    ("observable_by", _is_hook, "it must be a method that takes a user and returns a Q"),
    ("resolve_conflict", _is_hook, "it must be a method that takes a conflict"),
)
"""Every option, what its value must be, and how to say so."""

_OWN = ("model", "label", "declarations")
"""What the engine keeps on instances."""


# -- names of fields -----------------------------------------------------------------------------------------------

_NAMING_FIELDS = ("fields", "exclude", "names", "types", "read_only")


def _unknown_fields(option: str, names: Iterable[str], model: type[models.Model]) -> Iterator[str]:
    known = sorted(item.name for item in model._meta.get_fields() if item.concrete or not item.auto_created)
    for name in names:
        if name not in known:
            hint = naming.did_you_mean(name, known) or f" Its fields: {', '.join(known)}."
            yield f"{option} names {name!r}, which is no field of {model._meta.label}.{hint}"


def _excluded_keys(declared: type, model: type[models.Model]) -> Iterator[str]:
    for item in model._meta.pk_fields:
        if item.name in _stated(declared, "exclude"):
            yield f"exclude names {item.name!r}, which is the key of {model._meta.label}: it is always synced."
