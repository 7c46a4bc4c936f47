"""How Amplify names things: camelCase fields, plurals, operations."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable
from functools import cache

from pluralizer import Pluralizer

_GRAPHQL_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*")


def is_graphql_name(text: str) -> bool:
    """Whether `text` can stand as a name in a GraphQL document."""
    return _GRAPHQL_NAME.fullmatch(text) is not None


def camel_case(name: str) -> str:
    """`published_at` becomes `publishedAt`; a leading underscore stays."""
    head, *rest = name.lstrip("_").split("_")
    lead = name[: len(name) - len(name.lstrip("_"))]
    return lead + head + "".join(part[:1].upper() + part[1:] for part in rest)


def capitalize(name: str) -> str:
    """`post` becomes `Post`; the rest stays as it is."""
    return name[:1].upper() + name[1:]


def lower_first(name: str) -> str:
    """`BlogPost` becomes `blogPost`; the rest stays as it is."""
    return name[:1].lower() + name[1:]


def did_you_mean(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """` Did you mean 'String'?`, with its leading space, or nothing if no known name is near, in capitals or not."""
    names = sorted(known)
    spelled = {item.lower(): item for item in names}
    near = difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
    near = near or [spelled[item] for item in difflib.get_close_matches(name.lower(), spelled, n=1, cutoff=cutoff)]
    return f" Did you mean {near[0]!r}?" if near else ""


@cache
def plural(name: str) -> str:
    """The plural Amplify's transformer gives a model: `Post` becomes `Posts`, `Category` becomes `Categories`."""
    return str(Pluralizer().pluralize(name))  # type: ignore[no-untyped-call]  # pluralizer ships no types


def index_name(model: str, fields: Iterable[str]) -> str:
    """The name Amplify gives an index, and the query that reads it: `postsByBlogIDAndTitle`."""
    return f"{lower_first(plural(model))}By{'And'.join(map(capitalize, fields))}"


def subscription_name(name: str) -> str:
    """The name Amplify gives a subscription: AppSync takes 50 characters, a longer one ends in a part of its hash."""
    return name if len(name) <= 50 else name[:45] + hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:5]


def enum_value(text: str) -> str:
    """A choice's value as enum value: `in-progress` becomes `in_progress`."""
    return re.sub(r"[^_0-9A-Za-z]", "_", text)
