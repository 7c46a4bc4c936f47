"""What a column of each kind does to a value: how Django reads what was assigned, and what comes back after saving.

assigned ─coerce─▶ Python value ─given_back─▶ what the column will give back      (a save)
received ─────────────────────────take──────▶ what may be stored, or ValueError   (a record made elsewhere)
"""

from django_datastore.introspection.columns.base import Column, UUIDColumn, check_unicode, is_json_null
from django_datastore.introspection.columns.custom import CustomColumn
from django_datastore.introspection.columns.numbers import DecimalColumn, IntegerColumn
from django_datastore.introspection.columns.table import column_of
from django_datastore.introspection.columns.texts import TextColumn

__all__ = [
    "Column",
    "CustomColumn",
    "DecimalColumn",
    "IntegerColumn",
    "TextColumn",
    "UUIDColumn",
    "check_unicode",
    "column_of",
    "is_json_null",
]
