"""The admin of the local server: a look, not a door."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from django_datastore.appsync_local.models import Delta, Record

pytestmark = pytest.mark.django_db(databases=["default", "appsync_local"])


@pytest.fixture
def records() -> Record:
    values = {"model": "Post", "key": '["p1"]', "data": '{"id":"p1","title":"<b>"}', "version": 1}
    Delta.objects.create(last_changed_at=1_700_000_000_000, **values)
    return Record.objects.create(last_changed_at=1_700_000_000_000, **values)


@pytest.fixture
def browser(records: Record, client: Client) -> Client:
    user = get_user_model().objects.create_superuser("ada", "ada@example.com", "x")
    client.force_login(user)
    return client


@pytest.mark.parametrize("table", ["record", "delta"])
def test_records_are_listed_and_escaped(browser: Client, table: str):
    page = browser.get(reverse(f"admin:appsync_local_{table}_changelist"))
    assert page.status_code == 200
    assert "[&quot;p1&quot;]" in page.text
    assert "<b>&quot;" not in page.text


def test_record_is_shown_readably_and_cannot_be_changed(browser: Client, records: Record):
    url = reverse("admin:appsync_local_record_change", args=[records.pk])
    page = browser.get(url)
    assert "&quot;title&quot;: &quot;&lt;b&gt;&quot;" in page.text
    assert "2023-11-14" in page.text
    assert browser.post(url, {"data": "{}"}).status_code == 403
    assert browser.get(reverse("admin:appsync_local_record_add")).status_code == 403
