"""Columns of `tests.kinds` with the types a registration may name, and what the database makes of values."""

from __future__ import annotations

from typing import Any

from django.db import models

from django_datastore.introspection import Declarations, FieldBinding, Problem, SyncedModel
from tests.kinds.models import Thing


def introspected(model: type[models.Model] = Thing, **declared: Any) -> SyncedModel:
    """The model as a registration would see it; what `Thing` needs a type for is left out unless it has one."""
    types = declared.get("types", {})
    if model is Thing:
        left_out = {"blob", "exact", "point"} - set(types)
        declared["exclude"] = [*declared.get("exclude", ()), *sorted(left_out)]
    return SyncedModel(model, declarations=Declarations(**declared))


def column(name: str, type: str | None = None, model: type[models.Model] = Thing) -> FieldBinding:
    """One column, with a declared type or its own."""
    return introspected(model, types={} if type is None else {name: type}).binding(name)


def problems(model: type[models.Model] = Thing, **declared: Any) -> list[Problem]:
    """What the checks say."""
    return list(introspected(model, **declared).problems)


def stored(item: FieldBinding, value: Any) -> Any:
    """What the column gives back for a value that Django saved in it."""
    model: Any = item.field.model
    row = model.objects.create(**{item.attname: value})
    back = model.objects.filter(pk=row.pk).values_list(item.attname, flat=True).get()
    row.delete()
    return back
