"""`syncX`: base and delta, pages, tombstones, TTLs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django_datastore.testing.contract.api import Api, Record, unique


def changes(items: list[Record], *things: Record) -> list[tuple[str, int, bool | None]]:
    """Which versions of which things came, in the order of the things."""
    found = [
        (thing["id"], item["_version"], item["_deleted"])
        for thing in things
        for item in items
        if item["id"] == thing["id"]
    ]
    return found


def started_at(api: Api) -> int:
    """A `startedAt` from now on."""
    found: int = api.sync(limit=1, selection="id")["startedAt"]
    return found


def test_page_ends_with_an_explicit_null_and_says_when_it_started(api: Api) -> None:
    """amplify-js: a missing `nextToken` makes it ask for ever; `startedAt` is epoch milliseconds (guide, "Sync")."""
    device = unique()
    page = api.sync("Reading", lastSync=started_at(api), filter={"device": {"eq": device}})
    assert set(page) == {"items", "nextToken", "startedAt"}
    assert (page["items"], page["nextToken"]) == ([], None)
    assert abs(page["startedAt"] - time.time() * 1000) < 10 * 60 * 1000


def test_base_sync_has_the_newest_state_of_every_record_once(api: Api) -> None:
    """Guide, "Sync operations": without `lastSync` the base table is scanned; amplify-js sends 0."""
    made = api.update(api.thing(), name="two")
    for last_sync in (0, None):
        found = api.eventually(
            lambda last_sync=last_sync: api.sync_all(lastSync=last_sync),  # type: ignore[misc]
            lambda items: (made["id"], 2, None) in changes(items, made),
        )
        assert [item for item in found if item["id"] == made["id"]] == [made]


def test_base_sync_has_tombstones(api: Api) -> None:
    """Guide, "Versioning": while BaseTableTTL lasts they are items of the base table. Doubt: amplify-swift #918."""
    gone = api.delete(api.thing())
    found = api.eventually(lambda: api.sync_all(), lambda items: (gone["id"], 2, True) in changes(items, gone))
    assert changes(found, gone) == [(gone["id"], 2, True)]


def test_delta_sync_has_what_changed_since_and_nothing_else(api: Api) -> None:
    """Guide: with a `lastSync` within DeltaSyncTableTTL the delta table is queried: a row for each change.

    amplify-android's AppSyncClientInstrumentationTest: "one entry per version of that object … since that time".
    """
    old, changed, gone = (api.thing() for _ in range(3))
    time.sleep(0.01)
    since = max(started_at(api), old["_lastChangedAt"] + 1, gone["_lastChangedAt"] + 1)
    two = api.update(changed, name="two")
    api.update(two, name="three")
    api.delete(gone)
    wanted = [(changed["id"], 2, None), (changed["id"], 3, None), (gone["id"], 2, True)]
    found = api.eventually(
        lambda: changes(api.sync_all(lastSync=since), old, changed, gone), lambda items: set(wanted) <= set(items)
    )
    assert found == wanted


def test_delta_rows_carry_the_state_of_their_version(api: Api) -> None:
    """Guide: a delta record is the item as it was written."""
    since = started_at(api)
    made = api.thing(words=["a"])
    api.update(made, name="two", words=["b"])
    found = api.eventually(
        lambda: [item for item in api.sync_all(lastSync=since) if item["id"] == made["id"]],
        lambda items: len(items) == 2,
    )
    assert [(item["name"], item["words"]) for item in found] == [("one", ["a"]), ("two", ["b"])]


def test_all_pages_share_one_started_at(api: Api) -> None:
    """Guide: `startedAt` is "when the query started", the same for all pages; clients keep it after the last one."""
    since = started_at(api)
    made = [api.thing(rank=number) for number in range(5)]

    def pages() -> list[Record]:
        return api.pages(lambda token: api.sync(limit=2, lastSync=since, nextToken=token))

    def own(found: list[Record]) -> list[str]:
        ids = {item["id"] for item in made}
        return [item["id"] for page in found for item in page["items"] if item["id"] in ids]

    found = api.eventually(pages, lambda pages: len(own(pages)) == 5)
    assert own(found) == [item["id"] for item in made]
    assert len({page["startedAt"] for page in found}) == 1
    assert all(len(page["items"]) <= 2 for page in found)


def test_what_is_written_after_a_sync_started_is_in_the_next_delta(api: Api) -> None:
    """The promise of `startedAt`: nothing falls between two syncs, however close they are."""
    since = started_at(api)
    for number in range(5):
        made = api.thing(rank=number)
        page: list[Record] = []

        def read(since: int = since, page: list[Record] = page) -> list[Record]:
            page[:] = api.pages(lambda token: api.sync(limit=1000, lastSync=since, nextToken=token))
            return [item for part in page for item in part["items"]]

        found = api.eventually(read, lambda items, made=made: made["id"] in {item["id"] for item in items})  # type: ignore[misc]
        assert made["id"] in {item["id"] for item in found}
        since = page[0]["startedAt"]


def test_sync_filter_is_applied_after_the_read(api: Api) -> None:
    """Guide: "filter … applied after the read"; sync expressions of DataStore become such filters."""
    since = started_at(api)
    low, high = api.thing(rank=1), api.thing(rank=9)
    wanted: dict[str, Any] = {"and": [{"run": {"eq": api.run}}, {"rank": {"gt": 5}}]}
    found = api.eventually(
        lambda: api.sync_all(lastSync=since, filter=wanted), lambda items: bool(changes(items, high))
    )
    assert (changes(found, low), changes(found, high)) == ([], [(high["id"], 1, None)])


def test_automerged_edit_is_a_change_like_any_other(automerge: Api) -> None:
    """Guide: a merge is stored, with a version, so it is in the delta table even if it rejected everything."""
    made = automerge.update(automerge.thing(), name="two")
    since = max(started_at(automerge), made["_lastChangedAt"] + 1)
    automerge.update(made, version=1, name="stale")
    found = automerge.eventually(lambda: changes(automerge.sync_all(lastSync=since), made), bool)
    assert found == [(made["id"], 3, None)]


def test_sync_of_another_model_stays_empty(api: Api) -> None:
    """Each model has a table of its own."""
    since = started_at(api)
    made = api.thing()
    api.eventually(lambda: changes(api.sync_all(lastSync=since), made), bool)
    boards = api.sync("Board", lastSync=since)["items"]
    assert made["id"] not in {item["id"] for item in boards}


# -- what takes hours at AWS -------------------------------------------------------------------------------------------


def test_last_sync_older_than_the_delta_log_is_a_base_sync(timeline: tuple[Api, Callable[[float], None]]) -> None:
    """Guide: if `lastSync` is before now − DeltaSyncTableTTL (Amplify: 30 minutes), the base table is scanned."""
    api, pass_minutes = timeline
    made = api.update(api.thing(), name="two")
    pass_minutes(1)
    since = started_at(api)
    assert changes(api.sync_all(lastSync=since), made) == []
    pass_minutes(29)
    assert changes(api.sync_all(lastSync=since), made) == []
    pass_minutes(2)
    assert changes(api.sync_all(lastSync=since), made) == [(made["id"], 2, None)]


def test_tombstone_lives_as_long_as_the_base_table_ttl(timeline: tuple[Api, Callable[[float], None]]) -> None:
    """Guide: BaseTableTTL (Amplify: 43,200 minutes); then the key is free again."""
    api, pass_minutes = timeline
    gone = api.delete(api.thing())
    pass_minutes(43_199)
    assert changes(api.sync_all(), gone) == [(gone["id"], 2, True)]
    pass_minutes(2)
    assert changes(api.sync_all(), gone) == []
    assert api.get("Thing", id=gone["id"]) is None
    assert api.thing(id=gone["id"])["_version"] == 1


def test_paged_delta_goes_on_though_the_log_ages(timeline: tuple[Api, Callable[[float], None]]) -> None:
    """A `nextToken` says what is being read; the time that passes between two pages does not change it."""
    api, pass_minutes = timeline
    since = started_at(api)
    made = [api.thing() for _ in range(3)]
    first = api.sync(limit=2, lastSync=since)
    pass_minutes(29)
    second = api.sync(limit=2, lastSync=since, nextToken=first["nextToken"])
    found = [item["id"] for page in (first, second) for item in page["items"]]
    assert found == [item["id"] for item in made]
    assert first["startedAt"] == second["startedAt"]
