"""Columns of numbers."""

from __future__ import annotations

import decimal
from typing import Any

from django_datastore.introspection.columns.base import Column

_SQLITE_DIGITS = decimal.Context(prec=15)
"""SQLite keeps decimals as floating point numbers; Django reads 15 digits of them."""


class IntegerColumn(Column):
    """Whole numbers."""

    def coerce(self, value: Any) -> int:
        """A plain `int`, as Django makes it: `"12"`, `True`, members of enums, `3.7`."""
        return int(value)

    def take(self, value: int) -> int:
        """The number, if the column's type has room for it."""
        low, high = self.range
        if not low <= value <= high:
            raise ValueError(f"it is out of the column's range, {low} to {high}")
        return value

    @property
    def range(self) -> tuple[int, int]:
        """The least and the greatest number of the column's type."""
        return self.connection.ops.integer_field_range(self.field.get_internal_type())


class FloatColumn(Column):
    """Floating point numbers."""

    def coerce(self, value: Any) -> float:
        """A plain `float`."""
        return float(value)

    def given_back(self, value: float) -> float:
        """The number; PostgreSQL knows no negative zero."""
        return value + 0.0

    def take(self, value: float) -> float:
        """The number: AppSync's Float and the column are the same."""
        return value


class DecimalColumn(Column):
    """Numbers with a fixed count of decimals."""

    def given_back(self, value: decimal.Decimal) -> decimal.Decimal:
        """The number in the column's decimals, rounded as the database does; `ValueError` if it has too many digits."""
        before = self.max_digits - self.decimal_places
        if value and value.adjusted() < before:
            value = self._rounded(value)
        if value and value.adjusted() >= before:
            raise ValueError(f"it has more digits than the column takes, {before} before the point")
        return value if value else abs(self._rounded(value))  # no database gives back a negative zero

    def round(self, value: decimal.Decimal) -> decimal.Decimal:
        """The number in the column's decimals."""
        return self.given_back(value)

    def _rounded(self, value: decimal.Decimal) -> decimal.Decimal:
        step = decimal.Decimal(1).scaleb(-self.decimal_places)
        rounding, wide = decimal.ROUND_HALF_UP, decimal.Context(prec=self.max_digits + 1)
        if self.connection.vendor == "sqlite":
            value = _SQLITE_DIGITS.create_decimal_from_float(float(value))
            rounding = decimal.ROUND_HALF_EVEN
        return value.quantize(step, rounding=rounding, context=wide)

    @property
    def max_digits(self) -> int:
        """All digits, before and after the point."""
        return int(getattr(self.field, "max_digits", None) or 1000)

    @property
    def decimal_places(self) -> int:
        """The digits after the point."""
        return int(getattr(self.field, "decimal_places", None) or 0)
