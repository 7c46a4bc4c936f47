"""What a value becomes on the wire and what a wire value becomes here: a row per rule, with its reason."""

from __future__ import annotations

import datetime
import decimal
import ipaddress
import uuid
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.test import override_settings
from django.utils.translation import gettext_lazy

from django_datastore.introspection import SyncedModel
from tests.kinds.models import Lists, LongKey, Point, Suit, Thing
from tests.unit.introspection.tools import column, introspected, stored

D = decimal.Decimal
UTC = datetime.UTC
ON_SQLITE = connection.vendor == "sqlite"
FULL_DIGITS = pytest.mark.skipif(ON_SQLITE, reason="SQLite gives back fifteen digits")
EAST = datetime.timezone(datetime.timedelta(hours=2))
KEY = uuid.UUID("0a1b2c3d-0000-4000-8000-00000000000f")


@pytest.mark.parametrize(
    ("name", "type", "value", "wire"),
    [
        ("text", None, "é", "é"),
        ("text", None, "", ""),  # AppSync takes empty texts
        ("text", None, 12, "12"),  # as CharField does
        ("text", None, gettext_lazy("Yes"), "Yes"),
        ("text", None, Thing.Color.RED, "red"),  # members of enums are their value, as in the column
        ("email", None, "", None),  # Django's blank is no address
        ("color", None, Thing.Color.DARK_BLUE, "dark_blue"),  # no GraphQL name
        ("color", None, "red", "red"),
        ("color", None, "", None),
        ("level", None, Thing.Level.HIGH, 2),
        ("number", None, "12", 12),  # as IntegerField does
        ("number", None, 3.7, 3),  # as IntegerField does
        ("number", None, True, 1),
        ("number", None, 2**31 - 1, 2**31 - 1),
        ("big", "String", 2**62, str(2**62)),
        ("big", "AWSTimestamp", 1_700_000_000_000, 1_700_000_000_000),
        ("rate", None, 5, 5.0),
        ("price", None, D("12.5"), 12.5),
        ("price", None, D("12.344"), 12.34),  # the column has two decimals
        ("price", None, "12.5", 12.5),
        ("price", "String", D("12.5"), "12.50"),
        ("price", "String", D("-0.001"), "0.00"),  # no database gives back a negative zero
        ("price", "String", D("1E+3"), "1000.00"),
        ("exact", "String", D("12345.0123456789"), "12345.0123456789"),
        ("whole", "Int", D(5), 5),
        ("flag", None, None, None),
        ("flag", None, 1, True),
        ("token", None, KEY.hex, str(KEY)),
        ("moment", None, datetime.datetime(2026, 2, 3, 4, 5, 6, 7000, UTC), "2026-02-03T04:05:06.007Z"),
        ("moment", None, datetime.datetime(2026, 2, 3, 4, 5, 6, 7, UTC), "2026-02-03T04:05:06.000007Z"),
        ("moment", None, datetime.datetime(2026, 2, 3, 4, 5, tzinfo=EAST), "2026-02-03T02:05:00.000Z"),
        ("moment", None, datetime.date(2026, 2, 3), "2026-02-03T00:00:00.000Z"),
        ("moment", None, "2026-02-03T04:05+02:00", "2026-02-03T02:05:00.000Z"),
        ("moment", None, datetime.datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
        ("moment", "AWSTimestamp", datetime.datetime(1970, 1, 2, tzinfo=UTC), 86400),
        ("moment", "AWSTimestamp", datetime.datetime(1969, 12, 31, 23, 59, 59, 1, UTC), -1),  # towards the past
        ("day", None, "2026-02-03", "2026-02-03"),
        ("day", None, datetime.datetime(2026, 2, 3, 4, tzinfo=UTC), "2026-02-03"),
        ("time", None, datetime.time(10, 0, 0, 5), "10:00:00.000005"),
        ("span", None, datetime.timedelta(days=-1, microseconds=5), "-P0DT23H59M59.999995S"),
        ("span", "Int", datetime.timedelta(hours=1), 3600),
        ("span", "Float", datetime.timedelta(seconds=1.5), 1.5),
        ("blob", "String", b"\x00\xff", "AP8="),
        ("blob", "String", memoryview(b"a"), "YQ=="),
        ("address", None, "2001:DB8::1", "2001:db8::1"),
        ("address", None, ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
        ("address", None, "10.0.0.1/32", "10.0.0.1"),  # how PostgreSQL writes one host
        ("address", None, "2001:db8::1/128", "2001:db8::1"),
        ("facts", None, {"a": [1, None]}, '{"a": [1, null]}'),
        ("facts", None, None, None),
        ("facts", None, models.Value(None, models.JSONField()), "null"),  # JSON's null, not the database's
        ("required_facts", None, None, "null"),  # a column without nulls gave it back
        ("facts", None, "half \ud83d", '"half \\ud83d"'),  # JSON has a spelling for half an emoji
        ("facts", "[String]", ["a", None], ["a", None]),
        ("facts", "[String]", ("a",), ["a"]),
        ("facts", "[Int]", [1, None], [1, None]),
        ("facts", "[AWSJSON]", [{"a": 1}, "b", None], ['{"a": 1}', '"b"', None]),
        ("facts", "[AWSDateTime]", ["2026-02-03T04:05:06Z"], ["2026-02-03T04:05:06Z"]),
        ("facts", "Home", {"street": "x", "no": 5}, {"street": "x", "no": 5}),  # a type of the API's own
        ("rich", "[AWSDate]", [datetime.date(2026, 2, 3), None], ["2026-02-03", None]),  # as its encoder writes it
        ("body", "AWSJSON", '{"a":1}', '{"a":1}'),  # a text column that holds JSON texts
        ("file", None, "a/b.txt", "a/b.txt"),
        ("upper", None, "abc", "ABC"),  # what the field of somebody's own stores
        ("suit", None, Suit.HEARTS, "h"),
        ("point", "String", Point(1, 2), "1;2"),  # as dumpdata writes it
    ],
)
def test_value_goes_out_as_the_column_will_give_it_back(name: str, type: str | None, value: Any, wire: Any) -> None:
    assert column(name, type).encode(value) == wire


@pytest.mark.parametrize(
    ("name", "type", "value", "reason"),
    [
        ("text", None, "half \ud83d", "half a character"),
        ("number", None, 2**31, "beyond 32 bits"),
        ("number", None, "abc", "invalid literal"),
        ("number", None, float("inf"), "infinity"),
        ("big", None, 2**31, "let `types` of the registration say 'String'"),
        ("big", "Float", 2**53 + 1, "15 digits"),
        ("rate", None, float("inf"), "infinity"),
        ("rate", None, float("nan"), "not a number"),
        ("price", None, D("1234567.00"), "more digits"),
        ("price", None, D("999999.999"), "more digits"),  # it would be rounded up
        ("price", "String", D("1E+999999"), "more digits"),
        ("price", None, "abc", "decimal number"),
        pytest.param(*("exact", "Float", D("1234567890.0123456789"), "15 digits"), marks=FULL_DIGITS),
        ("whole", "Int", D(10**8 * 99), "more digits"),
        (
            "moment",
            None,
            datetime.datetime(9999, 12, 31, 23, tzinfo=datetime.timezone(-datetime.timedelta(hours=2))),
            "",
        ),
        ("span", "Int", datetime.timedelta(seconds=1.5), "whole seconds"),
        ("span", "Int", datetime.timedelta(days=99_999), "beyond 32 bits"),
        ("email", None, "no address", "no e-mail address"),
        ("contact", None, "", "required"),  # blank is null to AppSync, which wants a value
        ("url", None, "example.com", "no URL"),
        ("text", "AWSPhone", "call me", "no phone number"),
        ("text", "AWSDate", "2026-02-31", "day is out of range"),
        ("address", None, "10.0.0.1.5", ""),
        ("color", None, "green", "none of the choices: red, dark-blue"),
        ("color", None, ["red"], "none of the choices"),
        ("facts", None, {"a": float("nan")}, "not JSON compliant"),
        ("facts", None, {"a": {1, 2}}, "not JSON serializable"),
        ("facts", "[String]", "abc", "not a list"),
        ("facts", "[String]", ["a", 1], "is a number"),
        ("facts", "[String]", ["\ud83d"], "half a character"),
        ("facts", "[Int]", [2**31], "beyond 32 bits"),
        ("facts", "[Int]", [True], "is a boolean"),
        ("facts", "[Int]", [1.5], "is a number"),
        ("facts", "[Float]", [float("inf")], "infinity"),
        ("facts", "[AWSEmail]", ["x"], "no e-mail address"),
        ("facts", "Home", {"at": datetime.date(2026, 1, 1)}, "no JSON value"),
        ("body", "AWSJSON", "{", ""),
        ("broken", None, 5, "unsupported operand"),  # its field raises TypeError
        ("broken", None, "rubbish", "makes a object of it"),  # its field returns no text
        ("point", "String", 5, "no attribute"),
        ("text", None, models.F("body"), "read back"),  # only the database knows
        ("number", "AWSDate", 5, "cannot be AWSDate"),  # a check says so at start
    ],
)
def test_value_that_would_be_refused_names_its_field(name: str, type: str | None, value: Any, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        column(name, type).encode(value)
    assert list(caught.value.message_dict) == [name]
    (message,) = caught.value.message_dict[name]
    assert f"Thing.{name}" in message
    assert reason in message


@pytest.mark.parametrize(
    ("name", "type", "wire", "value"),
    [
        ("text", None, "é", "é"),
        ("email", None, None, ""),
        ("color", None, "dark_blue", "dark-blue"),
        ("number", "Float", 5.0, 5),
        ("big", "String", "-5", -5),
        ("rate", None, 5, 5.0),
        ("price", None, 0.333333, D("0.33")),  # a Float has no exact decimals
        ("price", None, 12, D("12.00")),
        ("price", "String", "12.500", D("12.5")),
        ("price", "String", "1.25e1", D("12.5")),
        ("token", None, str(KEY).upper(), KEY),
        ("moment", None, "2026-02-03T04:05Z", datetime.datetime(2026, 2, 3, 4, 5, tzinfo=UTC)),
        ("moment", None, "2026-02-03T04:05:06.120000000+02:00", datetime.datetime(2026, 2, 3, 2, 5, 6, 120_000, UTC)),
        ("moment", "AWSTimestamp", 86400, datetime.datetime(1970, 1, 2, tzinfo=UTC)),
        ("day", None, "2026-02-03Z", datetime.date(2026, 2, 3)),  # Swift's clients write no other
        ("time", None, "10:00:00.5Z", datetime.time(10, 0, 0, 500_000)),
        ("time", None, "10:00", datetime.time(10)),
        ("span", None, "P1DT2H", datetime.timedelta(days=1, hours=2)),
        ("span", "Float", 1.5, datetime.timedelta(seconds=1.5)),
        ("blob", "String", "AP8=", b"\x00\xff"),
        ("address", None, "10.0.0.1/32", "10.0.0.1"),
        ("facts", "[AWSJSON]", ['{"a": 1}', None], [{"a": 1}, None]),
        ("facts", "[String]", [None, "a"], [None, "a"]),
        ("facts", None, "0.10000000000000001", 0.1),  # how some clients spell a double
        ("body", "AWSJSON", '{"a":1}', '{"a":1}'),
        ("suit", None, "h", Suit.HEARTS),
        ("point", "String", "1;2", Point(1, 2)),
        ("broken", None, "fine", "fine"),
    ],
)
def test_received_value_is_what_the_column_will_hold(name: str, type: str | None, wire: Any, value: Any) -> None:
    item = column(name, type)
    found = item.decode(wire)
    assert (found, found.__class__) == (value, value.__class__)
    assert item.to_python(wire) == value


@pytest.mark.parametrize(
    ("name", "type", "wire"),
    [
        ("text", None, 5),
        ("text", None, {"a": 1}),
        ("text", None, "half \ud83d"),
        ("color", None, "green"),  # an enum value this site does not know
        ("number", None, "5"),
        ("number", None, True),
        ("number", None, 2**70),
        ("number", None, 5.5),
        ("number", "Float", 5.5),
        ("positive", None, -1),
        ("big", "String", str(2**70)),
        ("big", "String", "007"),  # would come back as 7
        ("big", "String", "٧"),
        ("big", "AWSTimestamp", 2**63),
        ("rate", None, 2**53 + 1),
        ("rate", None, 10**400),
        ("rate", "String", "1e999"),
        ("rate", None, "5"),
        ("price", None, 12345678.9),
        ("price", None, 999999.999),
        ("price", "String", "0.333"),  # text is exact, the column is not
        ("price", "String", "1e9999"),
        ("price", "String", "NaN"),
        ("whole", "Int", 10**9),
        ("flag", None, "true"),
        ("flag", None, 1),
        ("token", None, "abc"),
        ("token", None, "_a1b2c3d-0000-4000-8000-00000000000f"),
        ("token", None, 5),
        ("moment", None, "9999-12-31T23:00:00-02:00"),  # leaves the calendar
        ("moment", None, "0001-01-01T00:00:00+02:00"),
        ("moment", None, "10000-01-01T00:00:00Z"),
        ("moment", None, "2026-02-03T04:05:06.123456789Z"),  # columns give back six digits
        ("moment", None, "2026-02-03"),
        ("moment", None, "2026-02-30T00:00:00Z"),
        ("moment", "AWSTimestamp", 2**60),
        ("day", None, "2026-02-03+02:00"),
        ("day", None, "-0001-02-03"),
        ("day", None, "2026-02-30"),
        ("time", None, "10:00:00+02:00"),
        ("time", None, "10:00:00.1234567"),
        ("span", None, "1 day"),
        ("span", None, "P1DT0.0000001S"),
        ("blob", "String", "%%%"),
        ("blob", "String", "AP9="),  # not the usual spelling: would come back as AP8=
        ("address", None, "10.0.0.0/24"),  # a network
        ("address", None, "nowhere"),
        ("email", None, "x"),
        ("url", None, "x"),
        ("file", None, "../../etc/passwd"),
        ("facts", None, "{"),
        ("facts", None, "NaN"),
        ("facts", None, "1e999"),
        ("facts", None, '{"a": 1.00000000000000000000001}'),  # the column gives back 1.0
        ("rate", "String", "0.3333333333333333333333"),
        ("facts", None, "[" * 100_000),
        ("facts", None, {"a": 1}),  # AWSJSON is a text
        ("facts", "[String]", "a"),
        ("facts", "[Int]", ["a"]),
        ("facts", "[AWSJSON]", ["{"]),
        ("suit", None, "x"),
        ("broken", None, "other"),  # its field raises KeyError
        ("point", "String", "x"),
        ("contact", None, ""),
    ],
)
def test_received_value_the_column_could_not_give_back_is_refused(name: str, type: str | None, wire: Any) -> None:
    with pytest.raises(ValueError, match=f"^{column(name, type).wire_name}: "):
        column(name, type).decode(wire)


@pytest.mark.django_db
def test_uuid_mariadb_has_no_way_to_keep_is_refused_there() -> None:
    item, odd = column("token"), "af1f9afa-dadb-80fd-393f-c108d6960457"
    if connection.vendor == "mysql":
        with pytest.raises(ValueError, match="MariaDB"):
            item.decode(odd)
    else:
        assert item.decode(odd) == uuid.UUID(odd)


def test_null_becomes_null_the_default_or_blank_and_no_key() -> None:
    model = introspected()
    assert model.binding("number").decode(None) is None
    assert model.binding("nickname").decode(None) == "nobody"
    with pytest.raises(ValueError, match="takes no null"):
        model.binding("contact").decode(None)
    assert model.binding("required_facts").decode(None) == {}
    with pytest.raises(ValueError, match="part of the key"):
        model.key_of_record({"id": None})


@pytest.mark.django_db
def test_nulls_of_json_and_of_the_database_are_told_apart() -> None:
    item = column("facts")
    Thing.objects.create(facts=item.decode("null"))
    Thing.objects.create(facts=item.decode(None))
    assert Thing.objects.filter(facts__isnull=True).count() == 1
    assert Thing.objects.filter(facts=models.Value(None, models.JSONField())).count() == 1


@pytest.mark.django_db
def test_text_is_refused_where_the_database_counts_its_letters() -> None:
    item = column("text")
    if ON_SQLITE:
        assert stored(item, item.decode("x" * 51)) == "x" * 51
    else:
        with pytest.raises(ValueError, match="51 characters, and the column takes 50"):
            item.decode("x" * 51)


@pytest.mark.skipif(not ON_SQLITE, reason="other databases keep all digits")
def test_sqlite_gives_back_fifteen_digits_of_a_decimal() -> None:
    item = column("exact", "String")
    assert item.encode(D("1234567890.0123456789")) == "1234567890.0123500000"
    with pytest.raises(ValueError, match="would give back"):
        item.decode("1234567890.0123456789")


def test_generated_column_stays_here_unless_it_is_named_and_is_never_written() -> None:
    assert "doubled" not in introspected().by_wire_name
    typed = introspected(types={"doubled": "Int"})
    item = typed.binding("doubled")
    assert (item.is_generated, item.schema.is_read_only, item.encode(4)) == (True, True, 4)
    assert "doubled" not in {name for name, _, _ in typed.decoders}
    assert typed.decode_row({"doubled": 4, "number": 2}) == {"number": 2}


@pytest.mark.skipif(ON_SQLITE, reason="arrays are PostgreSQL's")
def test_elements_of_arrays_have_the_type_of_the_inner_field() -> None:
    assert column("days", model=Lists).decode(["2026-02-03", None]) == [datetime.date(2026, 2, 3), None]
    assert column("amounts", model=Lists).decode([0.333, None]) == [D("0.33"), None]
    with pytest.raises(ValueError, match="characters"):
        column("words", model=Lists).decode(["x" * 21])


def test_spellings_of_json_numbers_mean_the_same() -> None:
    item = column("facts")
    assert item.same('{"a": 1e16, "b": 0.0}', '{"b":-0,"a":10000000000000000}')
    assert item.same("null", None)
    assert not item.same('{"a": 1}', '{"a": "1"}')


def test_value_whose_repr_fails_is_refused_all_the_same() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

        __str__ = __repr__

    with pytest.raises(ValidationError, match="<Odd>"):
        column("number").encode(Odd())


# -- without time zones -------------------------------------------------------------------------------------------


@override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin")
def test_local_times_are_the_moments_their_clocks_show() -> None:
    item = column("moment")
    summer = datetime.datetime(2026, 7, 1, 14)
    assert item.encode(summer) == "2026-07-01T12:00:00.000Z"
    assert item.decode("2026-07-01T12:00:00Z") == summer
    assert item.encode(datetime.datetime(2026, 1, 1, 13)) == "2026-01-01T12:00:00.000Z"


@override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin")
def test_hours_that_clocks_skip_or_show_twice_do_not_pretend() -> None:
    item = column("moment")
    with pytest.raises(ValidationError, match="no clock of Europe/Berlin shows 2026-03-29T02:30"):
        item.encode(datetime.datetime(2026, 3, 29, 2, 30))
    assert item.decode("2026-10-25T00:30:00Z") == datetime.datetime(2026, 10, 25, 2, 30)
    with pytest.raises(ValueError, match="show twice"):
        item.decode("2026-10-25T01:30:00Z")


@pytest.mark.django_db
@override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin")
@pytest.mark.parametrize("moment", ["2026-07-01T12:00:00.000Z", "2026-10-25T00:30:00.000Z", "2026-01-01T00:00:00.005Z"])
def test_local_times_come_back_from_the_database_as_the_moments_they_were(moment: str) -> None:
    item = column("moment")
    assert item.encode(stored(item, item.decode(moment))) == moment


# -- keys -----------------------------------------------------------------------------------------------------------


def test_text_keys_keep_every_letter() -> None:
    sync = SyncedModel(LongKey)
    for text in (' a"b\\c ', "É", "e\u0301", "\n", "A", "a"):
        assert sync.pk_of(sync.key_of_pk(text)) == text
        assert sync.key_of_record({"url": text}) == sync.key_of(LongKey(url=text))


def test_key_is_told_as_the_record_spells_it() -> None:
    sync = introspected()
    record = {"id": str(KEY).upper()}
    assert sync.wire_key_of(record) == [str(KEY).upper()]
    assert sync.key_of_record(record) == f'["{KEY}"]'
    with pytest.raises(ValueError, match="without its key field 'id'"):
        sync.wire_key_of({})


@pytest.mark.parametrize("text", ["x" * 2500, "ü" * 1100], ids=["longer than our column", "more bytes than AppSync's"])
def test_too_long_a_key_is_refused_at_save_and_held_when_received(text: str) -> None:
    sync = SyncedModel(LongKey)
    with pytest.raises(ValidationError, match="Give it a shorter key") as caught:
        sync.key_of(LongKey(url=text))
    assert list(caught.value.message_dict) == ["url"]
    with pytest.raises(ValueError, match="cannot be synced"):
        sync.key_of_record({"url": text})
