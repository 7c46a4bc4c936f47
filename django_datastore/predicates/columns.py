"""What predicates need to know of a model: its columns and how their values cross. `SyncedModel` offers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from django.db import models

from django_datastore.schema.types import FieldSchema, ModelSchema


class Column(Protocol):
    """One synced column."""

    @property
    def field(self) -> models.Field[Any, Any]:
        """The Django field."""

    @property
    def schema(self) -> FieldSchema:
        """The wire field."""

    @property
    def wire_name(self) -> str:
        """The name on the wire."""

    @property
    def attname(self) -> str:
        """The attribute on instances."""

    def operand_to_wire(self, value: Any) -> Any:
        """What a condition compares with, as JSON value; raises `ValueError`."""

    def operand_to_python(self, wire: Any) -> Any:
        """The same as Python value; raises `ValueError`."""


class Columns(Protocol):
    """A model and its synced columns."""

    @property
    def model(self) -> type[models.Model]:
        """The Django model."""

    @property
    def name(self) -> str:
        """The model's name on the wire."""

    @property
    def schema(self) -> ModelSchema:
        """The model in Amplify's schema language."""

    @property
    def bindings(self) -> Sequence[Column]:
        """The columns in model order."""

    @property
    def key_bindings(self) -> Sequence[Column]:
        """The columns of the primary key, in key order."""

    def binding(self, name: str) -> Column:
        """A column by wire name, field name or attribute name; raises `InvalidPredicate`."""
