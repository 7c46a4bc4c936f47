"""Writing a table as fast as the database's driver can, with `COPY` or `executemany`. It goes past the ORM, unheard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from django.db import connection, models

Field: TypeAlias = "models.Field[Any, Any]"


@dataclass(frozen=True, slots=True)
class BareTable:
    """Some columns of a table, of which some have the same value in every row."""

    statement: str
    tail: tuple[Any, ...]

    @classmethod
    def of(cls, model: type[models.Model], names: Sequence[str], /, **same: Any) -> Self:
        """A model's table: rows come with the columns of these names. The others are as `same` says, or the default."""
        fields = [model._meta.get_field(name) for name in names]
        others = [field for field in model._meta.local_concrete_fields if field not in fields and _wants(field)]
        columns = [connection.ops.quote_name(field.column) for field in (*fields, *others)]
        target = f"{connection.ops.quote_name(model._meta.db_table)} ({', '.join(columns)})"
        tail = (field.get_db_prep_save(same.get(field.name, field.get_default()), connection) for field in others)
        if connection.vendor == "postgresql":
            return cls(f"COPY {target} FROM STDIN", tuple(tail))
        return cls(f"INSERT INTO {target} VALUES ({', '.join(['%s'] * len(columns))})", tuple(tail))

    def write(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Adds rows. Their values are such as the database's driver takes."""
        tail = self.tail
        with connection.cursor() as cursor:
            if connection.vendor != "postgresql":
                cursor.executemany(self.statement, [row + tail for row in rows])
                return
            with cursor.copy(self.statement) as copy:
                for row in rows:
                    copy.write_row(row + tail)


def stored(fields: Iterable[Field], instance: models.Model) -> tuple[Any, ...]:
    """An instance's columns as the driver takes them."""
    return tuple(field.get_db_prep_save(getattr(instance, field.attname), connection) for field in fields)


def _wants(field: Field) -> bool:
    """Whether somebody has to fill it in."""
    return not (isinstance(field, models.AutoField) or field.generated or field.has_db_default())
