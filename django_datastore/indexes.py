"""Indexes of the engine's own tables that every database can make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Q

if TYPE_CHECKING:
    from django.db.backends.ddl_references import Statement


class PartialIndex(models.Index):
    """An index of the rows that match `only`, where the database can leave rows out; an index of all rows elsewhere.

    `models.Index(condition=…)` warns on MariaDB (models.W037) that the condition is ignored there. Here that is meant.
    """

    def __init__(self, *expressions: Any, only: Q, **kwargs: Any) -> None:
        super().__init__(*expressions, **kwargs)
        self.only = only

    def create_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, using: str = "", **kwargs: Any
    ) -> Statement:
        """The statement that makes the index."""
        _, args, options = super().deconstruct()
        if schema_editor.connection.features.supports_partial_indexes:
            options["condition"] = self.only
        return models.Index(*args, **options).create_sql(model, schema_editor, using, **kwargs)

    def deconstruct(self) -> Any:
        """For migrations."""
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "only": self.only}
