"""Queries that every save asks, with their SQL built once: building takes Django ten times longer than running it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from django.db import models

M = TypeVar("M", bound=models.Model)


class CompiledQuery(Generic[M]):
    """A query by the values of text columns, for its first row.

    `build(using, *texts)` makes the queryset. It is called once for each database, with place-holders as texts. A query
    that locks must be asked in a transaction, the first time too.
    """

    def __init__(self, model: type[M], build: Callable[..., models.QuerySet[M]], *, texts: int) -> None:
        self._model = model
        self._build = build
        self._marks = tuple(f":{position}" for position in range(texts))
        self._statements: dict[str, str] = {}

    def first(self, using: str, *texts: str) -> M | None:
        """The first row, or None."""
        statement = self._statements.get(using) or self._compile(using)
        return next(iter(self._model._base_manager.using(using).raw(statement, texts)), None)

    def _compile(self, using: str) -> str:
        queryset = self._build(using, *self._marks)[:1]
        statement: str
        statement, parameters = queryset.query.get_compiler(using).as_sql()
        if tuple(parameters) != self._marks:
            raise ValueError(f"The query takes {parameters!r}; its only parameters must be its texts, in their order.")
        self._statements[using] = statement
        return statement
