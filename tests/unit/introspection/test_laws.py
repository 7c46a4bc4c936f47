"""Laws of values, on a real database: what goes out is what the column gives back, and what comes in comes back."""

from __future__ import annotations

import datetime
import decimal
import json
import string
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from django_datastore.introspection import FieldBinding
from tests.kinds.models import Lists, Point, Suit, Thing
from tests.unit.introspection.tools import column, stored

_UNKEPT = {"postgresql": ["\x00"]}
texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=_UNKEPT.get(connection.vendor, [])), max_size=20
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
uuids = st.uuids(version=4)
moments = st.datetimes(
    datetime.datetime(1000, 1, 1), datetime.datetime(9999, 12, 30), timezones=st.timezones() | st.just(datetime.UTC)
)
spans = st.timedeltas(datetime.timedelta(days=-90_000_000), datetime.timedelta(days=90_000_000))
whole_spans = st.integers(-(2**31), 2**31 - 1).map(lambda seconds: datetime.timedelta(seconds=seconds))
days = st.dates(datetime.date(1000, 1, 1))
floats = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


def decimals(digits: int, places: int) -> st.SearchStrategy[decimal.Decimal]:
    """Numbers a column takes, with more decimals than it keeps."""
    bound = decimal.Decimal(10) ** (digits - places) - 1
    return st.decimals(-bound, bound, places=places + 2)


VALUES: list[tuple[str, str | None, st.SearchStrategy[Any]]] = [
    ("text", None, texts),
    ("text", "AWSPhone", st.sampled_from(["+41 44 123 45 67", "0800-123"])),
    ("body", None, texts),
    ("body", "AWSJSON", json_values.map(json.dumps)),
    ("email", None, st.sampled_from(["a@example.com", ""])),
    ("url", None, st.sampled_from(["https://example.com/a?b=c", "https://пример.рф/", None])),
    ("file", None, st.sampled_from(["a.txt", "2026/11/ü.pdf", ""])),
    ("address", None, st.ip_addresses().map(str)),
    ("color", None, st.sampled_from([*Thing.Color, *Thing.Color.values, None])),
    ("level", None, st.sampled_from([*Thing.Level, *Thing.Level.values, None])),
    ("small", None, st.integers(-(2**15), 2**15 - 1)),
    ("number", None, st.integers(-(2**31), 2**31 - 1) | st.booleans() | st.integers(-9, 9).map(str)),
    ("number", "Float", st.integers(-(2**31), 2**31 - 1)),
    ("big", "String", st.integers(-(2**63), 2**63 - 1)),
    ("big", "AWSTimestamp", st.integers(-(2**63), 2**63 - 1)),
    ("big", "Float", st.integers(-(2**53), 2**53)),
    ("positive_big", "String", st.integers(0, 2**63 - 1)),
    ("rate", None, floats | st.integers(-(2**53), 2**53)),
    ("rate", "String", floats),
    ("price", None, decimals(8, 2) | st.floats(-999_999, 999_999) | st.integers(-999_999, 999_999)),
    ("price", "String", decimals(8, 2)),
    ("exact", "String", decimals(15 if connection.vendor == "sqlite" else 30, 10)),
    ("whole", "Int", decimals(9, 0)),
    ("flag", None, st.booleans() | st.none() | st.sampled_from([0, 1])),
    ("token", None, uuids | uuids.map(str)),
    ("moment", None, moments | st.dates(datetime.date(1000, 1, 1), datetime.date(9999, 12, 30))),
    ("moment", "AWSTimestamp", moments.map(lambda value: value.replace(microsecond=0))),
    ("moment", "String", moments),
    ("day", None, days),
    ("day", "String", days),
    ("time", None, st.times()),
    ("span", None, spans),
    ("span", "Int", whole_spans),
    ("span", "Float", whole_spans | st.timedeltas(datetime.timedelta(-9999), datetime.timedelta(9999))),
    ("blob", "String", st.binary(max_size=20)),
    ("facts", None, json_values),
    ("required_facts", None, json_values.filter(lambda value: value is not None)),
    ("facts", "[String]", st.lists(texts | st.none(), max_size=4)),
    ("facts", "[Int]", st.lists(st.integers(-(2**31), 2**31 - 1) | st.none(), max_size=4)),
    ("facts", "[Float]", st.lists(floats | st.none(), max_size=4)),
    ("facts", "[Boolean]", st.lists(st.booleans() | st.none(), max_size=4)),
    ("facts", "[AWSJSON]", st.lists(json_values, max_size=4)),
    ("facts", "String", texts),
    ("facts", "Int", st.integers(-(2**31), 2**31 - 1)),
    ("rich", None, st.fixed_dictionaries({"at": days, "amount": decimals(8, 2)})),
    ("rich", "[AWSDate]", st.lists(days | st.none(), max_size=3)),
    ("upper", None, st.text(string.ascii_letters, max_size=20)),
    ("suit", None, st.sampled_from([*Suit, None])),
    ("point", "String", st.builds(Point, st.integers(-99, 99), st.integers(-99, 99))),
]
LISTS: list[tuple[str, str | None, st.SearchStrategy[Any]]] = [
    ("words", None, st.lists(texts | st.none(), max_size=4)),
    ("days", None, st.lists(days | st.none(), max_size=4)),
    ("moments", None, st.lists(moments | st.none(), max_size=4)),
    ("keys", None, st.lists(st.uuids() | st.none(), max_size=4)),
    ("amounts", None, st.lists(decimals(8, 2) | st.none(), max_size=4)),
    ("words", "AWSJSON", st.lists(texts | st.none(), max_size=4)),
    ("matrix", "AWSJSON", st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), max_size=3)),
]
ALL = [(Thing, *row) for row in VALUES] + [(Lists, *row) for row in LISTS]
IDS = [f"{name}-{type or 'own'}" for _, name, type, _ in ALL]


def agree(item: FieldBinding, one: Any, other: Any) -> bool:
    """Equal; databases keep JSON by meaning, not by spelling."""
    return one == other or (item.schema.type == "AWSJSON" and item.same(one, other))


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "name", "type", "values"), ALL, ids=IDS)
def test_what_goes_out_and_what_comes_in_is_what_the_column_gives_back(
    model: Any, name: str, type: str | None, values: Any
) -> None:
    if model is Lists and connection.vendor != "postgresql":
        pytest.skip("arrays are PostgreSQL's")
    item = column(name, type, model)

    @settings(max_examples=25)
    @given(values)
    def law(value: Any) -> None:
        wire = item.encode(value)
        assert json.loads(json.dumps(wire)) == wire
        assert agree(item, item.encode(stored(item, value)), wire)
        assert agree(item, item.encode(stored(item, item.decode(wire))), wire)

    law()
