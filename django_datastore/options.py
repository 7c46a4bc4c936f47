"""`ModelSync`: what a registration may say about a model, as `ModelAdmin` does for the admin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from django.db import models

from django_datastore.exceptions import ConfigurationError
from django_datastore.introspection import Declarations, SyncedModel, complaints


class ModelSync(SyncedModel):
    """How one model is synced. Subclass it and register the subclass.

    Hooks to override: `sync_expression` (a `Q`, or a method that returns one), `observable_by(user)`,
    `resolve_conflict(conflict)`. Methods of your own are welcome, values whose names start with an underscore, too.
    Anything else raises `ConfigurationError` when the model is registered: it may be a misspelt `exclude`.
    """

    fields: ClassVar[Sequence[str] | None] = None
    """Names of the Django fields to sync; None means all of them. The primary key is always synced."""
    exclude: ClassVar[Sequence[str]] = ()
    """Names of Django fields that stay on this site."""
    names: ClassVar[Mapping[str, str]] = {}
    """Wire names where the camelCase default is not right: `{"blog": "blogPostsId"}` (a foreign key's scalar)."""
    types: ClassVar[Mapping[str, str]] = {}
    """GraphQL types where the default is not right: `{"tags": "[String]"}` for a JSON field that holds a list."""
    read_only: ClassVar[Sequence[str]] = ()
    """Fields the server sets: they are read and never sent. Automatic `created_at` and `updated_at` are anyway."""
    together: Sequence[Sequence[str]] = ()
    """Groups of fields that must travel together, as parts of one composite index key must: `[("email", "name")]`."""
    timestamps: ClassVar[Mapping[str, str | None] | None] = {}
    """`@model(timestamps: …)` as the API has it: `{"createdAt": "madeAt"}`; None where records have no timestamps."""
    model_name: ClassVar[str | None] = None
    """The model's name in the API; the class name by default."""
    plural_name: ClassVar[str | None] = None
    """The plural in the API's `sync…` query; made as Amplify makes it by default."""

    def __init__(
        self, model: type[models.Model], *, related: Callable[[type[models.Model]], SyncedModel | None] | None = None
    ) -> None:
        if found := complaints(type(self), ModelSync, model):
            raise ConfigurationError(
                f"Cannot register {model._meta.label!r} as {type(self).__name__} says: {' '.join(found)}"
            )
        declarations = Declarations(
            fields=self.fields,
            exclude=self.exclude,
            names=self.names,
            types=self.types,
            read_only=self.read_only,
            together=self.together,
            timestamps=self.timestamps,
            model_name=self.model_name,
            plural_name=self.plural_name,
        )
        super().__init__(model, related=related or (lambda model: None), declarations=declarations)
