"""What AppSync's scalars take and refuse."""

from __future__ import annotations

import pytest

from django_datastore.schema.scalars import SCALARS

ACCEPTED = [
    ("ID", "abc", "abc"),
    ("ID", 7, "7"),  # GraphQL's ID takes integers and makes them text
    ("Int", 2**31 - 1, 2**31 - 1),
    ("Int", 3.0, 3),
    ("Float", 3, 3),
    ("Boolean", False, False),
    ("AWSDate", "2024-02-29", "2024-02-29"),
    ("AWSDate", "1970-01-01+05:30", "1970-01-01+05:30"),
    ("AWSDate", "12020-02-29", "12020-02-29"),
    ("AWSTime", "12:30", "12:30"),
    ("AWSTime", "12:30:24-18:00:00", "12:30:24-18:00:00"),
    ("AWSTime", "12:30:24.500+05:30", "12:30:24.500+05:30"),
    ("AWSDateTime", "2024-01-31T12:30:00Z", "2024-01-31T12:30:00Z"),
    ("AWSDateTime", "2024-01-31T12:30:00.123456789-07:00", "2024-01-31T12:30:00.123456789-07:00"),
    ("AWSTimestamp", 1_795_379_795_385, 1_795_379_795_385),  # beyond 32 bits: `_lastChangedAt` is in milliseconds
    ("AWSEmail", "ada@example.com", "ada@example.com"),
    ("AWSJSON", '{"a": [1, null]}', '{"a": [1, null]}'),
    ("AWSURL", "https://example.com/?q=1", "https://example.com/?q=1"),
    ("AWSURL", "mailto:ada@example.com", "mailto:ada@example.com"),
    ("AWSPhone", "+1 (555) 010-999", "+1 (555) 010-999"),
    ("AWSIPAddress", "192.0.2.0/24", "192.0.2.0/24"),
    ("AWSIPAddress", "2001:db8::1", "2001:db8::1"),
]
REFUSED = [
    ("ID", True),
    ("ID", 1.5),
    ("String", 1),
    ("Int", 2**31),
    ("Int", True),
    ("Int", "1"),
    ("Int", 1.5),
    ("Float", "1"),
    ("Float", float("nan")),
    ("Float", float("inf")),
    pytest.param("Float", 10**400, id="Float-beyond-a-double"),
    ("Boolean", 1),
    ("AWSDate", "2023-02-29"),  # no leap year
    ("AWSDate", "yesterday"),
    ("AWSDate", "12021-02-29"),
    ("AWSDate", "-2020-13-01"),
    ("AWSDate", "\u0662\u0660\u0662\u0660-01-01"),  # digits, but no ISO 8601
    ("AWSTime", "25:00"),
    ("AWSDateTime", "2024-01-31T12:30:00"),  # the offset is required
    ("AWSDateTime", "2024-01-31T12:30:00+19:00"),
    ("AWSDateTime", "2024-01-31T12:30:00+18:00:01"),
    ("AWSDateTime", "2024-01-31T12:30:00+01:00:60"),
    ("AWSDateTime", 1),
    ("AWSTimestamp", "1"),
    ("AWSTimestamp", True),
    ("AWSTimestamp", 2**63),
    ("AWSTimestamp", 1e300),
    ("AWSEmail", "ada"),
    ("AWSJSON", {"a": 1}),  # JSON goes as text
    ("AWSJSON", "{"),
    ("AWSJSON", "[NaN]"),  # Python's own
    ("AWSJSON", "-Infinity"),
    ("AWSJSON", "[" * 100_000),
    ("AWSURL", "example.com"),
    ("AWSPhone", "call me"),
    ("AWSIPAddress", "300.0.0.1"),
    ("AWSIPAddress", "192.0.2.0/255.255.255.0"),
]


@pytest.mark.parametrize(("scalar", "value", "stored"), ACCEPTED)
def test_scalar_accepts(scalar: str, value: object, stored: object):
    found = SCALARS[scalar].parse(value)
    assert found == stored
    assert type(found) in SCALARS[scalar].types


@pytest.mark.parametrize(("scalar", "value"), REFUSED)
def test_scalar_refuses(scalar: str, value: object):
    with pytest.raises(ValueError, match=r"."):
        SCALARS[scalar].parse(value)


@pytest.mark.parametrize(("scalar", "value", "stored"), ACCEPTED)
def test_what_is_stored_has_the_format(scalar: str, value: object, stored: object):
    fits = SCALARS[scalar].fits
    assert fits is None or (isinstance(stored, str) and fits(stored))


@pytest.mark.parametrize(("scalar", "text"), [(name, "nonsense ") for name, item in SCALARS.items() if item.fits])
def test_nonsense_has_no_format(scalar: str, text: str):
    fits = SCALARS[scalar].fits
    assert fits is not None
    assert not fits(text)


def test_texts_without_a_format_are_free():
    assert {name for name, item in SCALARS.items() if item.types == (str,) and not item.fits} == {
        "ID",
        "String",
        "AWSJSON",
    }
