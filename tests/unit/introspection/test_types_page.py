"""The table of the types page says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.db import models

from django_datastore.introspection.codecs import allowed_scalars
from django_datastore.introspection.kinds import FIELDS, default_scalar

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "types.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| `") and "with choices" not in line
]
BY_NAME = {name: row for row in ROWS for name in re.findall(r"`(\w+)`", row[0])}
SAID_IN_WORDS = {"JSONField", "ArrayField", "GeneratedField", "ForeignKey", "OneToOneField"}


def words(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_every_kind_of_field_has_its_row() -> None:
    assert {base.__name__ for base, _, _ in FIELDS} <= BY_NAME.keys()


@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - SAID_IN_WORDS))
def test_row_lists_the_types_that_cross(name: str) -> None:
    field = getattr(models, name)()
    _, default, others = BY_NAME[name]
    if others == "as `CharField`":
        others = BY_NAME["CharField"][2] + ", `String`"
    expected = default_scalar(field)
    assert words(default) == ([expected] if expected else ["E002"])
    assert {*words(others), *([expected] if expected else [])} == set(allowed_scalars(field))
