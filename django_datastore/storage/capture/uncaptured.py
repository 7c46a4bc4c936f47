"""What would write past the captures, as far as it can be told from the code of models, managers and querysets."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from django.db import models

from django_datastore.introspection import Problem

_OF_QUERYSETS = ("update", "bulk_create", "_raw_delete")
_OF_MODELS = ("save_base", "_save_table")
"""The methods of Django's that the captures are on, and that people override."""


def problems(model: type[models.Model]) -> Iterator[Problem]:
    """What the checks say about one registered model."""
    yield from _overrides(model, model, _OF_MODELS, models.Model)
    for manager in {type(each): each for each in (*model._meta.managers, model._base_manager)}.values():
        yield from _of_manager(model, manager)


def _of_manager(model: type[models.Model], manager: models.Manager[Any]) -> Iterator[Problem]:
    try:
        found: Any = manager.get_queryset()
    except Exception:  # code of the site's that needs more than a check has, such as a request
        return
    if isinstance(found, models.QuerySet):
        yield from _overrides(model, type(found), _OF_QUERYSETS, models.QuerySet)
        return
    name = f"{type(manager).__module__}.{type(manager).__qualname__}"
    yield Problem(
        "W030",
        f"The manager {name} of {model._meta.label} gives a {type(found).__qualname__}, which is no QuerySet of "
        "Django's: what is written through it is not captured, unless it ends in Django's own methods.",
        "Let get_queryset() return a subclass of django.db.models.QuerySet, or silence this warning.",
    )


def _overrides(
    model: type[models.Model], owner: type, names: tuple[str, ...], original: type[Any]
) -> Iterator[Problem]:
    for name in names:
        method = inspect.unwrap(getattr(owner, name))
        if method is inspect.unwrap(getattr(original, name)) or _hands_on(method, name):
            continue
        yield Problem(
            "W031",
            f"{method.__module__}.{method.__qualname__}() overrides a method of Django's that writes rows of "
            f"{model._meta.label}, and does not call super().{name}(): what it writes is not captured.",
            f"Call super().{name}(), or silence this warning if it ends in other methods of Django's that write.",
        )


def _hands_on(method: Any, name: str) -> bool:
    """Whether a function calls the one it overrides, or does nothing but refuse; a guess from its source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    except (OSError, TypeError, SyntaxError):
        return True
    if any(isinstance(node, ast.Attribute) and node.attr == name for node in ast.walk(tree)):
        return True
    (function,) = tree.body
    body = [node for node in getattr(function, "body", ()) if not _is_docstring(node)]
    return all(isinstance(node, ast.Raise) for node in body)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
