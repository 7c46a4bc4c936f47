"""The DATASTORE setting is checked, and says what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from django_datastore import checks, conf
from django_datastore.conf import Settings
from django_datastore.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ENDPIONT": "x"}, "Did you mean 'ENDPOINT'"),  # a slip
        ({"endpoint": "x"}, "Did you mean 'ENDPOINT'"),  # lower case
        ("https://x/graphql", "must be a dict"),
        ({"COLOUR": "x"}, "Known keys: API_KEY"),  # nothing near
        ({"AUTH_MODE": "APIKEY"}, "Did you mean 'API_KEY'"),
        ({"ENDPOINT": "https://x/graphql"}, r"DATASTORE\['API_KEY'\] is missing"),
        ({"SYNC_PAGE_SIZE": 5000}, "1 to 1000"),
        ({"MUTATION_BATCH_SIZE": 0}, "1 or more"),
        ({"SYNC_PAGE_SIZE": "lots"}, r"\['SYNC_PAGE_SIZE'\] is 'lots'; it must be a whole number"),
        ({"MAX_ATTEMPTS": 2.5}, "must be a whole number"),
        ({"LEASE_SECONDS": None}, "must be a number"),
        ({"POLL_SECONDS": True}, "must be a number"),
        ({"ENDPOINT": ["https://x/graphql"]}, "must be a text"),
        ({"API_KEY": 12345}, r"\['API_KEY'\] is …; it must be a text"),  # a secret is never shown
        ({"REGION": "eu-west-1"}, "has no key 'REGION'"),
        ({"POLL_SYNC_SECONDS": 0}, "more than 0"),  # a listener would ask without a pause
        ({"DELTA_SYNC_SECONDS": -1}, "more than 0"),
        ({"LEASE_SECONDS": 5}, "must be longer than REQUEST_TIMEOUT_SECONDS"),
    ],
)
def test_unusable_settings_are_refused_with_the_way_out(values: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Settings.from_mapping(values)


def test_missing_endpoint_is_named_when_it_is_needed() -> None:
    with pytest.raises(ConfigurationError, match=r"DATASTORE\['ENDPOINT'\] is missing"):
        Settings.from_mapping({}).require_endpoint()


def test_settings_follow_an_override(settings: Any) -> None:
    settings.DATASTORE = {"POLL_SECONDS": 7.0}
    assert conf.settings.POLL_SECONDS == 7.0


def test_unusable_settings_are_a_system_check_error(settings: Any) -> None:
    settings.DATASTORE = {"NOPE": 1}
    assert [item.id for item in checks.check_settings()] == ["django_datastore.E009"]


def test_the_test_project_passes_all_checks() -> None:
    assert checks.check_models() == []


def test_outbox_on_another_database_is_an_error(settings: Any) -> None:
    settings.DATABASE_ROUTERS = ["tests.unit.test_conf.ElsewhereRouter"]
    assert {item.id for item in checks.check_models()} == {"django_datastore.E004"}


class ElsewhereRouter:
    """Sends the blog elsewhere than the outbox."""

    def db_for_write(self, model: Any, **_: Any) -> str | None:
        return "appsync_local" if model._meta.app_label in ("blog", "shop") else None


@pytest.mark.parametrize("endpoint", ["appsync", "https://", "https://x", "ftp://x/graphql", "https://x/graphql?a=1"])
def test_endpoint_that_is_none_is_told_by_the_check(settings: Any, endpoint: str) -> None:
    settings.DATASTORE = {"ENDPOINT": endpoint, "API_KEY": "da2-x"}
    (found,) = checks.check_settings()
    assert found.id == "django_datastore.E009"
    assert "DATASTORE['ENDPOINT']" in found.msg


OPEN = [
    "http://api.example.com/graphql",
    "http://192.168.1.5:8001/graphql",
    "http://[fe80::1]/graphql",
    "HTTP://api.example.com/graphql",
    "http://localhost.example.com/graphql",
    "http://1270.0.0.1.example.com/graphql",
    "http://x.test.example.com/graphql",
]
CLOSED = [
    "https://api.example.com/graphql",
    "http://localhost:8001/graphql",
    "http://LOCALHOST:8001/graphql",
    "http://shop.localhost/graphql",
    "http://127.0.0.1:8001/graphql",
    "http://127.9.9.9/graphql",
    "http://[::1]:8001/graphql",
    "http://appsync:8001/graphql",  # a container's name
    "http://appsync.test/graphql",
]


@pytest.mark.parametrize("endpoint", [*OPEN, *CLOSED])
def test_endpoint_without_tls_is_warned_of_unless_it_stays_on_this_machine(settings: Any, endpoint: str) -> None:
    settings.DATASTORE = {"ENDPOINT": endpoint, "API_KEY": "da2-x"}
    found = [message.id for message in checks.check_settings()]
    assert found == (["django_datastore.W002"] if endpoint in OPEN else [])
