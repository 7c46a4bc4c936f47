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
