"""A suite that passes anything proves nothing: here one thing on the wire is damaged, and the suite must see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from django_datastore.testing.contract import test_conditions as conditions
from django_datastore.testing.contract import test_conflicts as conflicts
from django_datastore.testing.contract import test_mutations as mutations
from django_datastore.testing.contract import test_requests as requests
from django_datastore.testing.contract import test_scalars as scalars
from django_datastore.testing.contract import test_sync as sync
from django_datastore.testing.contract.api import Api, Target

Damage = Callable[[Any], Any]


def everywhere(name: str, change: Callable[[Any], Any]) -> Damage:
    """Changes every value under a name, however deep."""

    def damage(found: Any) -> Any:
        if isinstance(found, list):
            return [damage(item) for item in found]
        if isinstance(found, dict):
            return {key: change(value) if key == name else damage(value) for key, value in found.items()}
        return found

    return damage


def without(name: str) -> Damage:
    """Leaves every value under a name out."""

    def damage(found: Any) -> Any:
        if isinstance(found, list):
            return [damage(item) for item in found]
        if isinstance(found, dict):
            return {key: damage(value) for key, value in found.items() if key != name}
        return found

    return damage


class Damaged(httpx.BaseTransport):
    """A line on which requests, answers and status lines are damaged."""

    def __init__(self, ask: Damage | None = None, answer: Damage | None = None, status: int | None = None) -> None:
        self._transport = httpx.HTTPTransport()
        self._ask, self._answer, self._status = ask, answer, status

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._ask is not None:
            content = json.dumps(self._ask(json.loads(request.read())))
            headers = {**request.headers, "content-length": str(len(content))}
            request = httpx.Request(request.method, request.url, headers=headers, content=content)
        found = self._transport.handle_request(request)
        body = found.read()
        if self._answer is not None:
            body = json.dumps(self._answer(json.loads(body))).encode()
        headers = {name: value for name, value in found.headers.items() if name != "content-length"}
        return httpx.Response(self._status or found.status_code, headers=headers, content=body)


def current_version(body: Any) -> Any:
    """The edit of version 1 becomes one of version 2: the last writer wins."""
    return everywhere("_version", lambda version: 2 if version == 1 else version)(body)


ANSWERS: list[tuple[Damage, Callable[..., None], tuple[Any, ...]]] = [
    (everywhere("_version", lambda n: n + 1), mutations.test_create_is_version_one_alive_and_stamped, ()),
    (everywhere("_deleted", bool), mutations.test_create_is_version_one_alive_and_stamped, ()),
    (everywhere("_lastChangedAt", lambda n: n // 1000), mutations.test_create_is_version_one_alive_and_stamped, ()),
    (
        everywhere("createdAt", lambda text: text[:19] + "Z"),
        mutations.test_timestamps_are_the_servers_in_iso_8601_with_milliseconds,
        (),
    ),
    (without("nextToken"), sync.test_page_ends_with_an_explicit_null_and_says_when_it_started, ()),
    (
        everywhere("startedAt", lambda n: n // 1000),
        sync.test_page_ends_with_an_explicit_null_and_says_when_it_started,
        (),
    ),
    (everywhere("path", lambda path: []), mutations.test_error_has_six_members_and_says_where, ()),
    (without("errorInfo"), mutations.test_error_has_six_members_and_says_where, ()),
    (without("sourceName"), requests.test_validation_error_says_where, ()),
    (everywhere("errorType", str.lower), mutations.test_create_of_an_existing_key_fails_its_condition, ()),
    (everywhere("json", json.loads), scalars.test_json_keeps_its_meaning, ('{"a": 1}',)),
    (everywhere("errors", lambda found: found[:0]), mutations.test_create_on_a_tombstone_fails_its_condition, ()),
]
"""What is done to every answer, the test that must see it, and what it takes."""

ASKED: list[tuple[Damage, Callable[..., None], tuple[Any, ...]]] = [
    (current_version, conflicts.test_automerge_keeps_the_servers_scalar_and_counts_a_version, ()),
    (current_version, conflicts.test_automerge_appends_lists_with_their_duplicates, ()),
    (current_version, conflicts.test_automerge_merges_maps_key_by_key, ()),
    (current_version, conflicts.test_delete_by_another_version_is_refused_whatever_the_handler, ({"_version": 1},)),
    (without("condition"), conditions.test_condition_may_have_groups, ({"rank": {"eq": 9}}, False)),
    (without("filter"), conditions.test_filter_of_a_list_has_the_same_operators, ()),
    (without("lastSync"), sync.test_delta_sync_has_what_changed_since_and_nothing_else, ()),
    (without("limit"), sync.test_all_pages_share_one_started_at, ()),
    (without("grade"), mutations.test_default_does_not_touch_what_is_given_nor_an_update, ()),
    (without("operationName"), requests.test_operation_name_chooses, ()),
]
"""What is done to every request, as if the server did not look at it."""


@pytest.fixture
def damaged(automerge_target: Target) -> Callable[[Damaged], Api]:
    return lambda line: Api(replace(automerge_target, patience=0), line)


@pytest.mark.parametrize(("damage", "test", "arguments"), ANSWERS)
def test_damaged_answer_is_seen(
    damaged: Callable[[Damaged], Api], damage: Damage, test: Callable[..., None], arguments: tuple[Any, ...]
):
    test(damaged(Damaged()), *arguments)
    with pytest.raises((AssertionError, KeyError, TypeError, AttributeError, ValueError)):
        test(damaged(Damaged(answer=damage)), *arguments)


@pytest.mark.parametrize(("damage", "test", "arguments"), ASKED)
def test_ignored_part_of_a_request_is_seen(
    damaged: Callable[[Damaged], Api], damage: Damage, test: Callable[..., None], arguments: tuple[Any, ...]
):
    test(damaged(Damaged()), *arguments)
    with pytest.raises(AssertionError):
        test(damaged(Damaged(ask=damage)), *arguments)


def test_wrong_status_is_seen(damaged: Callable[[Damaged], Api]):
    with pytest.raises(AssertionError):
        requests.test_request_without_a_good_key_is_a_401(damaged(Damaged(status=403)), {}, ("x",))
    with pytest.raises(AssertionError):
        requests.test_empty_body_is_a_400(damaged(Damaged(status=200)))
