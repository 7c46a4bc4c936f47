"""Lists, pages, keys, indexes and relations."""

from __future__ import annotations

from typing import Any

import pytest

from django_datastore.testing.contract.api import SELECTIONS, Api, Record, unique

LIST_READINGS = """query($device: ID, $takenAt: ModelStringKeyConditionInput, $sortDirection: ModelSortDirection,
    $filter: ModelReadingFilterInput, $limit: Int, $nextToken: String) {
  listReadings(device: $device, takenAt: $takenAt, sortDirection: $sortDirection, filter: $filter, limit: $limit,
      nextToken: $nextToken) { items { takenAt value _version _deleted } nextToken startedAt } }"""
LIST_SHELVES = """query($hall: ID, $rowLevel: ModelShelfPrimaryCompositeKeyConditionInput,
    $sortDirection: ModelSortDirection) {
  listShelves(hall: $hall, rowLevel: $rowLevel, sortDirection: $sortDirection) { items { row level } nextToken } }"""
CARDS_BY_BOARD = """query($boardId: ID!, $seat: ModelIntKeyConditionInput, $sortDirection: ModelSortDirection,
    $filter: ModelCardFilterInput, $limit: Int, $nextToken: String) {
  cardsByBoard(boardId: $boardId, seat: $seat, sortDirection: $sortDirection, filter: $filter, limit: $limit,
      nextToken: $nextToken) { items { id seat text board { id title } } nextToken } }"""
CARDS_OF_BOARD = """query($id: ID!, $seat: ModelIntKeyConditionInput, $sortDirection: ModelSortDirection,
    $filter: ModelCardFilterInput, $limit: Int, $nextToken: String) {
  getBoard(id: $id) { cards(seat: $seat, sortDirection: $sortDirection, filter: $filter, limit: $limit,
      nextToken: $nextToken) { items { id seat text board { id title } } nextToken } } }"""


def moment(number: int) -> str:
    """The time of a reading."""
    return f"2024-01-01T00:{number // 60:02}:{number % 60:02}.000Z"


@pytest.fixture(scope="module")
def device(api: Api) -> str:
    """A device with 120 readings; their values are 0 to 119 in the order of their sort key."""
    found = unique()
    api.create_many("Reading", ({"device": found, "takenAt": moment(n), "value": n} for n in range(120)))
    api.eventually(
        lambda: sum(len(page["items"]) for page in api.pages(lambda token: readings(api, found, nextToken=token))),
        lambda count: count == 120,
    )
    return found


@pytest.fixture(scope="module")
def board(api: Api) -> Record:
    """A board with ten cards, seats 0 to 9; every second one has a text."""
    found = api.written("create", "Board", {"id": unique(), "title": "B"})
    seats = [3, 9, 0, 5, 1, 8, 2, 7, 4, 6]
    texts = [{"text": f"card {n}"} if n % 2 else {} for n in seats]
    api.create_many(
        "Card",
        ({"id": unique(), "boardId": found["id"], "seat": n} | text for n, text in zip(seats, texts, strict=True)),
    )
    api.eventually(lambda: len(cards(api, found, CARDS_BY_BOARD)["items"]), lambda count: count == 10)
    return found


def readings(api: Api, device: str, **arguments: Any) -> Record:
    """A page of readings."""
    found: Record = api.data(LIST_READINGS, {"device": device, **arguments})
    return found


def values(*pages: Record) -> list[float]:
    """The values of all pages' readings."""
    return [item["value"] for page in pages for item in page["items"]]


def cards(api: Api, board: Record, query: str, **arguments: Any) -> Record:
    """A page of a board's cards, by the index or through the board."""
    found: Record = api.data(query, {"id": board["id"], "boardId": board["id"], **arguments})
    return found if query == CARDS_BY_BOARD else found["cards"]


def test_limit_is_100_unless_told(api: Api, device: str) -> None:
    """Amplify's transformer: `$util.defaultIfNull($args.limit, 100)`."""
    page = readings(api, device)
    assert (len(page["items"]), page["nextToken"] is None) == (100, False)


@pytest.mark.parametrize("limit", [1, 7, 119])
def test_pages_have_as_many_as_the_limit_says_and_cover_all_once(api: Api, device: str, limit: int) -> None:
    """Guide, "DynamoDB resolver: Query": `limit` is the number of items evaluated. A last page may be empty."""
    first = readings(api, device, limit=limit)
    assert values(first) == list(range(limit))
    if limit == 1:
        assert values(readings(api, device, limit=1, nextToken=first["nextToken"])) == [1]
        return
    pages = api.pages(lambda token: readings(api, device, limit=limit, nextToken=token))
    assert values(*pages) == list(range(120))


def test_limit_of_1000_is_served(api: Api, device: str) -> None:
    """Guide, "Sync operations": at most 1,000; amplify-js asks for 1,000."""
    page = readings(api, device, limit=1000)
    assert (len(page["items"]), page["nextToken"]) == (120, None)


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_below_one_is_an_error_of_the_field(api: Api, device: str, limit: int) -> None:
    """DynamoDB's API reference: `Limit` is at least 1. Doubt: the words."""
    answer = api.answer(LIST_READINGS, {"device": device, "limit": limit})
    assert answer["data"] == {"listReadings": None}
    assert answer["errors"][0]["path"] == ["listReadings"]


@pytest.mark.parametrize("token", ["nonsense", "e30=", "bnVsbA=="])
def test_token_is_the_services_own(api: Api, device: str, token: str) -> None:
    """amplify-js #4880, amplify-hosting #433 quote the refusal."""
    error = api.error(LIST_READINGS, {"device": device, "nextToken": token})
    assert "Invalid pagination token given." in error["message"]
    assert error["errorType"].removeprefix("DynamoDB:") == "UserIllegalArgumentException"
    assert error["path"] == ["listReadings"]


def test_token_is_opaque_text(api: Api, device: str) -> None:
    """Clients hand it back as it came."""
    token = readings(api, device, limit=1)["nextToken"]
    assert isinstance(token, str)
    assert device not in token


def test_filter_is_applied_after_the_read(api: Api, device: str) -> None:
    """DynamoDB's guide: a filter is applied after a Query finishes, before the results are returned."""
    pages = api.pages(lambda token: readings(api, device, limit=50, filter={"value": {"ge": 110}}, nextToken=token))
    assert [len(page["items"]) for page in pages[:3]] == [0, 0, 10]
    assert all(page["nextToken"] is not None for page in pages[:2])


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"eq": moment(3)}, [3]),
        ({"lt": moment(3)}, [0, 1, 2]),
        ({"le": moment(3)}, [0, 1, 2, 3]),
        ({"gt": moment(117)}, [118, 119]),
        ({"ge": moment(117)}, [117, 118, 119]),
        ({"between": [moment(3), moment(5)]}, [3, 4, 5]),
        ({"beginsWith": "2024-01-01T00:01:5"}, list(range(110, 120))),
        ({"eq": "2000-01-01T00:00:00.000Z"}, []),
    ],
)
def test_sort_key_takes_a_condition(api: Api, device: str, condition: dict[str, Any], expected: list[int]) -> None:
    """Amplify's transformer: ModelStringKeyConditionInput becomes DynamoDB's key condition."""
    assert values(readings(api, device, takenAt=condition)) == expected
    assert values(readings(api, device, takenAt=condition, sortDirection="DESC")) == expected[::-1]


def test_sort_direction_holds_over_pages(api: Api, device: str) -> None:
    """`sortDirection: DESC` reads the partition backwards."""
    pages = api.pages(lambda token: readings(api, device, limit=50, sortDirection="DESC", nextToken=token))
    assert values(*pages) == list(range(119, -1, -1))


def test_list_shows_tombstones(api: Api) -> None:
    """Amplify's list resolver does not look at `_deleted`: the client's filter does, if it wants to."""
    device = unique()
    key = {"device": device, "takenAt": moment(0)}
    api.written("create", "Reading", {**key, "value": 1})
    api.written("delete", "Reading", {**key, "_version": 1})
    found = api.eventually(lambda: readings(api, device), lambda page: page["items"][0]["_deleted"] is True)
    assert found["items"] == [{"takenAt": moment(0), "value": 1, "_version": 2, "_deleted": True}]


@pytest.fixture(scope="module")
def hall(api: Api) -> str:
    """Shelves whose sort key has two fields."""
    found = unique()
    shelves = [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("ba", 1)]
    api.create_many("Shelf", ({"hall": found, "row": row, "level": level} for row, level in shelves))
    api.eventually(lambda: api.data(LIST_SHELVES, {"hall": found})["items"], lambda items: len(items) == 5)
    return found


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("ba", 1)]),
        ({"eq": {"row": "a", "level": 2}}, [("a", 2)]),
        ({"beginsWith": {"row": "a"}}, [("a", 1), ("a", 2)]),
        ({"between": [{"row": "a", "level": 2}, {"row": "b", "level": 1}]}, [("a", 2), ("b", 1)]),
        ({"gt": {"row": "b", "level": 1}}, [("b", 2), ("ba", 1)]),
        ({"le": {"row": "a", "level": 2}}, [("a", 1), ("a", 2)]),
    ],
)
def test_composite_sort_key_is_compared_as_one_text(
    api: Api, hall: str, condition: dict[str, Any] | None, expected: list[tuple[str, int]]
) -> None:
    """Amplify's transformer: the sort fields are one attribute, joined by `#`."""

    def shelves(direction: str) -> list[tuple[str, int]]:
        page = api.data(LIST_SHELVES, {"hall": hall, "rowLevel": condition, "sortDirection": direction})
        return [(item["row"], item["level"]) for item in page["items"]]

    assert shelves("ASC") == expected
    assert shelves("DESC") == expected[::-1]


@pytest.mark.parametrize("query", [CARDS_BY_BOARD, CARDS_OF_BOARD], ids=["index", "relation"])
def test_index_is_read_in_the_order_of_its_sort_key(api: Api, board: Record, query: str) -> None:
    """`@index(sortKeyFields: …)` and `@hasMany(indexName: …)` query the same secondary index."""
    found = cards(api, board, query)
    assert [item["seat"] for item in found["items"]] == list(range(10))
    assert found["items"][3]["board"] == {"id": board["id"], "title": "B"}
    down = cards(api, board, query, sortDirection="DESC", limit=3)
    assert ([item["seat"] for item in down["items"]], down["nextToken"] is None) == ([9, 8, 7], False)


@pytest.mark.parametrize("query", [CARDS_BY_BOARD, CARDS_OF_BOARD], ids=["index", "relation"])
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"eq": 4}, [4]),
        ({"lt": 2}, [0, 1]),
        ({"le": 2}, [0, 1, 2]),
        ({"gt": 7}, [8, 9]),
        ({"ge": 7}, [7, 8, 9]),
        ({"between": [3, 5]}, [3, 4, 5]),
        ({"eq": 99}, []),
    ],
)
def test_index_takes_a_key_condition(
    api: Api, board: Record, query: str, condition: dict[str, Any], expected: list[int]
) -> None:
    """Amplify's transformer: ModelIntKeyConditionInput, which knows no `beginsWith`."""
    assert [item["seat"] for item in cards(api, board, query, seat=condition)["items"]] == expected


@pytest.mark.parametrize("query", [CARDS_BY_BOARD, CARDS_OF_BOARD], ids=["index", "relation"])
def test_index_is_paged_and_filtered_after_the_read(api: Api, board: Record, query: str) -> None:
    """As every query: the limit counts what is read, the filter what is shown."""
    wanted = {"text": {"attributeExists": True}}
    pages = api.pages(lambda token: cards(api, board, query, limit=4, filter=wanted, nextToken=token))
    assert [[item["seat"] for item in page["items"]] for page in pages[:3]] == [[1, 3], [5, 7], [9]]


def test_relation_of_nothing_is_null_or_empty(api: Api) -> None:
    """A card without a board has null, a board without cards an empty connection."""
    board = api.written("create", "Board", {"id": unique(), "title": "empty"})
    lonely = api.written("create", "Card", {"id": unique(), "seat": 1})
    astray = api.written("create", "Card", {"id": unique(), "seat": 1, "boardId": unique()})
    api.eventually(lambda: api.get("Board", id=board["id"]), bool)
    api.eventually(lambda: api.get("Card", id=lonely["id"]), bool)
    api.eventually(lambda: api.get("Card", id=astray["id"]), bool)
    query = "query($id: ID!) { getBoard(id: $id) { cards { items { id } nextToken } } }"
    assert api.data(query, {"id": board["id"]})["cards"] == {"items": [], "nextToken": None}
    query = "query($id: ID!) { getCard(id: $id) { board { id } } }"
    assert [api.data(query, {"id": item["id"]}) for item in (lonely, astray)] == [{"board": None}] * 2


def test_has_one_is_the_record_its_key_names(api: Api) -> None:
    """`@hasOne(fields: …)`: the key is a field of this side, and the other side may be asked for its own relations."""
    card = api.written("create", "Card", {"id": unique(), "seat": 1})
    board = api.written("create", "Board", {"id": unique(), "title": "B", "leadId": card["id"]})
    api.written("update", "Card", {"id": card["id"], "boardId": board["id"], "_version": 1})
    query = "query($id: ID!) { getBoard(id: $id) { lead { id seat board { title lead { id } } } } }"
    found = api.eventually(
        lambda: api.data(query, {"id": board["id"]}), lambda item: bool(item and (item["lead"] or {}).get("board"))
    )
    assert found["lead"] == {"id": card["id"], "seat": 1, "board": {"title": "B", "lead": {"id": card["id"]}}}


def test_relation_of_a_mutation_is_resolved_too(api: Api, board: Record) -> None:
    """amplify-js selects `board { id _deleted }` in its mutations."""
    values = {"id": unique(), "boardId": board["id"], "seat": 99}
    made = api.written("create", "Card", values, selection="id seat board { id title _deleted }")
    assert made["board"] == {"id": board["id"], "title": "B", "_deleted": None}
    api.written("delete", "Card", {"id": made["id"], "_version": 1})


def test_relation_moves_with_its_key(api: Api) -> None:
    """An update of the foreign key moves the card in the index."""
    one = api.written("create", "Board", {"id": unique(), "title": "one"})
    other = api.written("create", "Board", {"id": unique(), "title": "other"})
    card = api.written("create", "Card", {"id": unique(), "boardId": one["id"], "seat": 1})
    api.written("update", "Card", {"id": card["id"], "boardId": other["id"], "seat": 2, "_version": 1})
    moved = api.eventually(lambda: cards(api, other, CARDS_BY_BOARD)["items"], bool)
    assert [item["seat"] for item in moved] == [2]
    assert api.eventually(lambda: cards(api, one, CARDS_BY_BOARD)["items"], lambda found: not found) == []


def test_tombstone_is_the_other_end_of_a_relation(api: Api) -> None:
    """`getX` and relations read the base table, tombstones included: amplify-js asks for `board { id _deleted }`."""
    made = api.written("create", "Board", {"id": unique(), "title": "x"})
    card = api.written("create", "Card", {"id": unique(), "boardId": made["id"], "seat": 1})
    api.written("delete", "Board", {"id": made["id"], "_version": 1})
    query = "query($id: ID!) { getCard(id: $id) { board { id _deleted } } }"
    found = api.eventually(
        lambda: api.data(query, {"id": card["id"]}), lambda item: bool(item and item["board"]["_deleted"])
    )
    assert found == {"board": {"id": made["id"], "_deleted": True}}


def test_connection_selects_what_is_asked(api: Api, board: Record) -> None:
    """A connection's parts can be asked for one by one."""
    fragment = f"fragment b on Board {{ {SELECTIONS['Board']} cards {{ nextToken }} }}"
    query = f"query($id: ID!) {{ getBoard(id: $id) {{ ...b }} }} {fragment}"
    assert api.data(query, {"id": board["id"]})["cards"] == {"nextToken": None}
