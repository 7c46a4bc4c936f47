"""The settings, and the databases of the command line."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from django_datastore.appsync_local import databases
from django_datastore.appsync_local.conf import Settings
from django_datastore.exceptions import ConfigurationError, SchemaError
from django_datastore.schema.types import Schema


def no_schema() -> str:
    return "no schema"


def empty_schema() -> Schema:
    return Schema()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"API_KEYS": "x"}, "Did you mean 'API_KEY'?"),
    ({"WHATEVER": 1}, "Known keys: SCHEMA, API_KEY"),
    ({"CONFLICT": "automrge"}, "Did you mean 'automerge'?"),
    ({"BASE_TABLE_TTL": -1}, "must be 0 or more minutes"),
    ({"KEEP_ALIVE_SECONDS": 0}, "APPSYNC_LOCAL['KEEP_ALIVE_SECONDS'] is 0; it must be more than 0."),
    ({"SUBSCRIPTIONS_PER_CONNECTION": "9"}, "is '9'; it must be more than 0."),
    ({"API_KEY": 5}, "APPSYNC_LOCAL['API_KEY'] is a text"),
    ({"API_KEY": ["a", 5]}, "or a list of such."),
    ({"DATABASE": "nope"}, "APPSYNC_LOCAL['DATABASE'] is 'nope'; DATABASES has: default"),
]


@pytest.mark.parametrize(("values", "message"), REFUSED)
def test_unusable_settings_say_what_to_do(values: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_mapping(values)
    assert message in str(caught.value)


def test_command_line_goes_before_the_settings(settings: Any):
    settings.APPSYNC_LOCAL = {"API_KEY": "setting", "CONFLICT": "optimistic"}
    found = Settings.from_django(API_KEY="line", CONFLICT=None)
    assert (found.api_keys, found.CONFLICT) == (("line",), "optimistic")


def test_misspelt_option_of_a_test_server_is_named_with_the_nearest(settings: Any):
    with pytest.raises(ConfigurationError, match=r"no key 'conflikt'\. Did you mean 'CONFLICT'"):
        Settings.from_django(conflikt="optimistic")


@pytest.mark.parametrize(("key", "keys"), [(None, ()), ("", ()), ("a", ("a",)), (["a", "", "b"], ("a", "b"))])
def test_api_keys(key: Any, keys: tuple[str, ...]):
    assert Settings(API_KEY=key).api_keys == keys


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("nowhere.models.graphql", "Cannot read the schema"),
        ("no.such.module", "cannot be imported"),
        (f"{__name__}.no_schema", "which is no Schema"),
        (f"{__name__}.empty_schema", "no model is registered with DataStore"),
    ],
)
def test_schema_that_cannot_be_loaded_says_why(schema: str, message: str):
    with pytest.raises(ConfigurationError) as caught:
        Settings(SCHEMA=schema).load_schema()
    assert message in str(caught.value)


def test_schema_file_with_an_error_names_the_line(tmp_path: Path):
    path = tmp_path / "models.graphql"
    path.write_text("type Post @model {\n  title: Strin\n}")
    with pytest.raises(SchemaError, match="Line 2"):
        Settings(SCHEMA=str(path)).load_schema()


def test_schema_may_be_a_path(tmp_path: Path):
    path = tmp_path / "models"
    path.write_text("type Post @model { title: String }")
    assert list(Settings(SCHEMA=path).load_schema().models) == ["Post"]


def test_every_setting_is_documented():
    page = (
        (Path(__file__).parents[3] / "docs" / "reference" / "settings.md").read_text().split("## The local server")[1]
    )
    assert [item.name for item in fields(Settings) if f"| `{item.name}` |" not in page] == []


def test_database_url():
    found = databases.entry("postgres://ada:p%40ss@db.example.com:6432/appsync?sslmode=require")
    assert found["ENGINE"] == "django.db.backends.postgresql"
    assert (found["NAME"], found["USER"], found["PASSWORD"]) == ("appsync", "ada", "p@ss")
    assert (found["HOST"], found["PORT"], found["OPTIONS"]) == ("db.example.com", "6432", {"sslmode": "require"})


def test_url_of_a_mariadb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MySQLdb", sys)  # a driver's module, whichever
    found = databases.entry("mysql://ada:p%40ss@db.example.com/appsync?ssl_mode=REQUIRED")
    assert (found["ENGINE"], found["NAME"], found["PORT"]) == ("django.db.backends.mysql", "appsync", "")
    assert found["OPTIONS"]["isolation_level"] == "read committed"
    assert (found["OPTIONS"]["charset"], found["OPTIONS"]["ssl_mode"]) == ("utf8mb4", "REQUIRED")


@pytest.mark.parametrize("scheme", ["mysql", "postgres"])
def test_missing_driver_is_said_with_the_extra_that_brings_it(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=rf"pip install 'django-datastore\[{scheme}\]'"):
        databases.entry(f"{scheme}://ada@db.example.com/appsync")


@pytest.mark.parametrize("target", ["records.sqlite3", "sqlite:///records.sqlite3", Path("records.sqlite3")])
def test_database_file(target: str | Path):
    found = databases.entry(target)
    assert (found["ENGINE"], found["NAME"]) == ("django.db.backends.sqlite3", "records.sqlite3")
    assert found["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


@pytest.mark.parametrize(
    ("target", "message"), [(":memory:", "cannot use a SQLite database in memory"), ("oracle://x/y", "supported")]
)
def test_database_that_cannot_be_used(target: str, message: str):
    with pytest.raises(ConfigurationError, match=message):
        databases.entry(target)
