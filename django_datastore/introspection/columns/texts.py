"""Columns of text: plain text, names of files, addresses."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.utils import validate_file_name

from django_datastore.introspection.columns.base import Column, check_unicode

_LENGTH = re.compile(r"char(?:acter)?(?: varying)?\((\d+)\)")
_HOST_MASKS = {True: "/128", False: "/32"}


class TextColumn(Column):
    """Text of any kind of field."""

    def coerce(self, value: Any) -> str:
        """Plain `str`; members of enums become their value, as in the column."""
        return str.__str__(value) if isinstance(value, str) else str(value)

    def given_back(self, value: str) -> str:
        """The text; `ValueError` for half an emoji, which neither UTF-8 nor AppSync can carry."""
        if not value.isascii():
            check_unicode(value)
        return value

    def take(self, value: str) -> str:
        """The text, if it fits where the database counts letters."""
        self.given_back(value)
        if (longest := self.longest) is not None and len(value) > longest:
            raise ValueError(f"the text has {len(value)} characters, and the column takes {longest}")
        return value

    @property
    def longest(self) -> int | None:
        """The characters the database lets in; None where it does not count."""
        if self.connection.vendor == "sqlite":
            return None
        found = _LENGTH.search(self.field.db_type(self.connection) or "")
        return int(found[1]) if found else None


class FileColumn(TextColumn):
    """The name of a file in its storage."""

    def take(self, value: str) -> str:
        """The name, unless it leads out of the storage."""
        try:
            validate_file_name(value or "name", allow_relative_path=True)
        except SuspiciousFileOperation as exc:
            raise ValueError(str(exc)) from exc
        return super().take(value)


class AddressColumn(TextColumn):
    """An address of the internet; PostgreSQL may spell one as a network of one host."""

    def coerce(self, value: Any) -> str:
        """The address in Django's spelling."""
        text = str(value).strip()
        text = text.removesuffix(_HOST_MASKS[":" in text])
        return str(self.field.to_python(text))

    def take(self, value: str) -> str:
        """The address; `ValueError` for a network, which no field for addresses gives back."""
        found = self.coerce(value)
        if "/" in found:
            raise ValueError(f"{value!r} is a network, not an address")
        return found
