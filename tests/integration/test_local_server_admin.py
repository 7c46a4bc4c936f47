"""The admin of the local server: a look, not a door."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_datastore.appsync_local.models import Delta, Record

pytestmark = pytest.mark.django_db(databases=["default", "appsync_local"])

MOMENT = 1_700_000_000_000


@pytest.fixture
def records() -> Record:
    values = {"model": "Post", "key": '["p1"]', "data": '{"id":"p1","title":"<b>"}', "version": 1}
    Delta.objects.create(last_changed_at=MOMENT, **values)
    return Record.objects.create(last_changed_at=MOMENT, **values)


@pytest.fixture
def browser(records: Record, client: Client) -> Client:
    user = get_user_model().objects.create_superuser("ada", "ada@example.com", "x")
    client.force_login(user)
    return client


def stored(kind: type[Any], key: str, **values: Any) -> Any:
    """A row of either table."""
    columns = {"model": "Post", "version": 1, "last_changed_at": MOMENT, **values}
    data = json.dumps({"id": key, **columns.pop("data", {})})
    return kind.objects.create(key=json.dumps([key]), data=data, **columns)


def page(browser: Client, table: str, **query: str) -> str:
    """A list of records, without the token in it: it is made of any letters."""
    answer = browser.get(reverse(f"admin:appsync_local_{table}_changelist"), query)
    assert answer.status_code == 200
    return re.sub(r'(?<=name="csrfmiddlewaretoken" value=")\w+', "", answer.text)


def change_page(browser: Client, row: Any) -> str:
    answer = browser.get(reverse(f"admin:appsync_local_{row._meta.model_name}_change", args=[row.pk]))
    assert answer.status_code == 200
    return answer.text


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


@pytest.mark.parametrize("table", ["record", "delta"])
def test_nothing_can_be_deleted(browser: Client, records: Record, table: str):
    assert browser.post(reverse(f"admin:appsync_local_{table}_delete", args=[records.pk])).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [records.pk], "post": "yes"}
    browser.post(reverse(f"admin:appsync_local_{table}_changelist"), action)
    assert (Record.objects.count(), Delta.objects.count()) == (1, 1)


# -- finding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("k-é", ["k-é"]),  # a key, though the table has it escaped
        ("Straße", ["k2"]),  # in the data
        ('"to be"', ["k2"]),  # a phrase
        ("be or", ["k-é", "k2"]),  # words, anywhere
        ("back\\slash", ["k2"]),
        ("nothing", []),
    ],
)
def test_search_finds_keys_and_data_as_they_are_read(browser: Client, term: str, found: list[str]):
    stored(Record, "k-é", data={"title": "or be"})
    stored(Record, "k2", data={"title": "to be or not, Straße, back\\slash"})
    listed = page(browser, "record", q=term)
    assert [key for key in ("k-é", "k2") if f"&quot;{key}&quot;" in listed] == found


@pytest.mark.parametrize("table", [Record, Delta])
def test_filters_tell_models_and_tombstones_apart(browser: Client, table: type[Any]):
    stored(table, "gone", deleted=True)
    stored(table, "other", model="Blog")
    name = table._meta.model_name
    assert "gone" in page(browser, name, deleted__exact="1")
    assert "p1" not in page(browser, name, deleted__exact="1")
    listed = page(browser, name, model="Blog")
    assert "other" in listed
    assert "p1" not in listed
    assert "?model=Blog" in page(browser, name)


# -- versions ----------------------------------------------------------------------------------------------------------


def versions(text: str) -> list[list[str]]:
    """The rows of the table of versions, marks kept."""
    (table,) = re.findall(r"<table><thead>.*?</table>", text, re.DOTALL)
    return [re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL) for row in re.findall(r"<tr>(.*?)</tr>", table)]


def test_versions_stand_side_by_side_and_what_is_new_is_marked(browser: Client):
    stored(Delta, "a", version=1, data={"title": "<one>"})
    stored(Delta, "a", version=2, data={"title": "<two>", "rating": 5})
    stored(Delta, "a", version=3, data={"title": "<two>", "rating": 5}, deleted=True, last_changed_at=MOMENT + 1000)
    stored(Delta, "b", version=4)
    record = stored(Record, "a", version=3, data={"title": "<two>", "rating": 5}, deleted=True)
    rows = {row[0]: row[1:] for row in versions(change_page(browser, record))}
    assert rows[""] == ["v3", "v2", "v1"]
    assert rows["title"] == ["&lt;two&gt;", "<mark>&lt;two&gt;</mark>", "&lt;one&gt;"]
    assert rows["rating"] == ["5", "<mark>5</mark>", "—"]
    assert rows["_deleted"] == ["<mark>true</mark>", "null", "null"]
    assert rows["id"] == ["a", "a", "a"]


def test_record_whose_changes_are_over_still_has_its_own_version(browser: Client):
    record = stored(Record, "a", version=7, data={"title": "T"})
    assert versions(change_page(browser, record))[0] == ["", "v7"]


def test_many_versions_and_long_values_stay_readable(browser: Client):
    for number in range(1, 31):
        stored(Delta, "a", version=number, data={"title": "x" * 100_000})
    record = stored(Record, "a", version=30, data={"title": "x" * 100_000})
    rows = versions(change_page(browser, record))
    assert len(rows[0]) == 11
    assert all(len(cell) <= 320 for row in rows for cell in row)


def test_odd_values_are_shown(browser: Client):
    record = stored(Record, "a", last_changed_at=2**60, data={"title": "\ud800\x00", "tags": ["é", None]})
    assert "é" in change_page(browser, record)
    assert "é" in page(browser, "record")


# -- links, permissions, queries ---------------------------------------------------------------------------------------


def test_record_and_its_changes_link_to_each_other(browser: Client, records: Record):
    stored(Delta, "other")
    (url,) = set(re.findall(r'href="(/admin/appsync_local/delta/\?[^"]*)"', change_page(browser, records)))
    listed = browser.get(url.replace("&amp;", "&")).text
    assert "other" not in listed
    (back,) = re.findall(r'href="(/admin/appsync_local/record/\d+/change/)"', listed)
    assert back == reverse("admin:appsync_local_record_change", args=[records.pk])
    assert back in change_page(browser, Delta.objects.get(key=records.key))
    assert "is gone" in page(browser, "delta", q="other")


@pytest.fixture
def visitor(records: Record, client: Client) -> Client:
    """Somebody of the staff who may look at records only."""
    user = get_user_model().objects.create_user("bob", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_record", content_type__app_label="appsync_local"))
    client.force_login(user)
    return client


def test_permission_to_view_is_enough_and_needed(visitor: Client, records: Record):
    assert "p1" in page(visitor, "record")
    assert "<thead><tr><th></th>" not in change_page(visitor, records)
    assert visitor.get(reverse("admin:appsync_local_delta_changelist")).status_code == 403


def test_nobody_without_permission_sees_records(records: Record, client: Client):
    client.force_login(get_user_model().objects.create_user("eve", password="x", is_staff=True))
    for table in ("record", "delta"):
        assert client.get(reverse(f"admin:appsync_local_{table}_changelist")).status_code == 403


@pytest.mark.parametrize("table", [Record, Delta])
def test_long_lists_take_no_more_queries_than_short_ones(browser: Client, table: type[Any]):
    counts = []
    for first in (0, 30):
        for number in range(first, first + 2 + first):
            stored(table, str(number))
        with CaptureQueriesContext(connections["appsync_local"]) as queries:
            page(browser, table._meta.model_name)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_rows_come_from_the_servers_own_database(browser: Client, records: Record):
    with CaptureQueriesContext(connections["default"]) as queries:
        assert "p1" in page(browser, "record")
        assert "p1" in page(browser, "delta")
        change_page(browser, records)
    assert not [it["sql"] for it in queries if "appsync_local_" in it["sql"]]
