"""Columns of the engine's own tables that mean the same on every database: keys compared byte by byte, JSON as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
    _TextField = models.TextField[Any, Any]
else:  # subscriptable for the type checker only
    _CharField, _TextField = models.CharField, models.TextField

_BINARY_COLLATIONS = {"postgresql": "C", "mysql": "utf8mb4_nopad_bin"}
"""SQLite compares bytes by itself. Elsewhere a database may hold `"a"` and `"A"`, or `"a"` and `"a "`, for equal."""

to_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
"""A JSON value as the ASCII text a `JSONText` column holds."""


class KeyText(_CharField):
    """A name or key, equal only to itself.

    `mysql_length` shortens the column on MariaDB, whose indexes take 3,072 bytes at most, four for each character.
    """

    def __init__(self, *args: Any, mysql_length: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mysql_length = mysql_length

    def length_on(self, connection: BaseDatabaseWrapper) -> int:
        """How many characters the column takes there."""
        longest: int = self.max_length or 0
        return min(longest, self.mysql_length) if self.mysql_length and connection.vendor == "mysql" else longest

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """The column's type there."""
        return f"varchar({self.length_on(connection)})"

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """With a collation that compares bytes."""
        return {**super().db_parameters(connection), "collation": _BINARY_COLLATIONS.get(connection.vendor)}

    def deconstruct(self) -> Any:
        """For migrations."""
        name, path, args, kwargs = super().deconstruct()
        if self.mysql_length is not None:
            kwargs["mysql_length"] = self.mysql_length
        return name, path, args, kwargs


class JSONText(_TextField):
    """A JSON value as ASCII text.

    Databases' own JSON types refuse NUL and half an emoji, and respell numbers; text takes whatever AppSync sent and
    gives it back as it was. Nobody queries inside these values, but for keys, which columns hold as they are.
    """

    if TYPE_CHECKING:  # what django-stubs reads to know the attribute's type
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any
        _pyi_lookup_exact_type: Any

    def get_prep_value(self, value: Any) -> str | None:
        """The text; None stays null."""
        return None if value is None else to_json(value)

    def from_db_value(self, value: str | None, *_: Any) -> Any:
        """The value of a stored text."""
        return None if value is None else json.loads(value)

    def to_python(self, value: Any) -> Any:
        """As above, for fixtures."""
        return json.loads(value) if isinstance(value, str) else value

    def value_to_string(self, obj: models.Model) -> str:
        """The text, for fixtures."""
        return self.get_prep_value(self.value_from_object(obj)) or "null"
