"""Records as JSON lines: what goes out comes in again unchanged, and what cannot come in says where and why."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_datastore.appsync_local import transfer
from django_datastore.appsync_local.models import Record
from django_datastore.appsync_local.server import LocalServer
from django_datastore.exceptions import LoadError
from tests.integration.local_server_tools import Client, fresh_database, local_server

SDL = """
type Post @model {
  id: ID!
  title: String!
  rating: Float
  count: Int
  tags: [String]
  status: Status @default(value: "DRAFT")
  place: Place
  extra: AWSJSON
  blogId: ID @index(name: "byBlog")
}
type Blog @model { id: ID! name: String posts: [Post] @hasMany(indexName: "byBlog", fields: ["id"]) }
type Car @model { id: ID! model: String }
type Visit @model(timestamps: null) { customer: ID! @primaryKey(sortKeyFields: ["day"]) day: AWSDate! note: String }
type Place { name: String! deep: Place more: [Place!] }
enum Status { DRAFT PUBLISHED }
"""


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with local_server(SDL) as found:
        yield found


def line(**values: Any) -> str:
    return json.dumps({"model": "Post", "id": "p", "title": "T", **values})


def write(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"\n".join(it.encode() if isinstance(it, str) else it for it in lines))
    return path


def load(server: LocalServer, path: Path) -> transfer.Loaded:
    return transfer.load(server.service, path)


def dump(server: LocalServer, path: Path) -> bytes:
    transfer.dump(server.service, path)
    return path.read_bytes()


# -- there and back ----------------------------------------------------------------------------------------------------


def fill(server: LocalServer) -> None:
    client = Client(server)
    for number in range(3):
        client.written("createPost", "id _version", id=f"p{number}", title="é\u2028\x00", tags=["a", None], rating=1)
    client.written("createBlog", "id", id="b", name="\ud800")
    client.written("createCar", "id", id="c", model="Beetle")
    client.written("createVisit", "note", customer="c", day="2024-01-31", note="x")
    client.written("updatePost", "id", id="p0", _version=1, place={"more": [{"name": "N"}], "name": "P"}, title=None)
    client.written("deletePost", "id", id="p1", _version=1)


def test_dump_loaded_into_an_empty_server_dumps_the_same(server: LocalServer, tmp_path: Path):
    fill(server)
    first = dump(server, tmp_path / "first.jsonl")
    with local_server(SDL) as other:
        assert load(other, tmp_path / "first.jsonl") == transfer.Loaded(6, 0)
        assert dump(other, tmp_path / "second.jsonl") == first
        for model in ("Post", "Blog", "Car", "Visit"):
            assert other.records(model) == server.records(model)
    entries = [json.loads(text) for text in first.splitlines()]
    assert [it["_deleted"] for it in entries if it.get("id") == "p1"] == [True]
    assert next(it for it in entries if it.get("id") == "c")["__typename"] == "Car"


MOMENT = "2024-01-31T12:30:00.000Z"
VALUES = st.fixed_dictionaries(
    {"title": st.text() | st.none(), "createdAt": st.just(MOMENT), "updatedAt": st.just(MOMENT)},
    optional={
        "rating": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
        "count": st.none() | st.integers(-(2**31), 2**31 - 1),
        "tags": st.none() | st.lists(st.none() | st.text(st.characters(exclude_categories=()), max_size=9), max_size=3),
        "place": st.none() | st.just({"more": [{"name": "N"}], "name": "P", "deep": None}),
        "status": st.none() | st.sampled_from(["DRAFT", "PUBLISHED"]),
    },
)
METADATA = st.fixed_dictionaries(
    {
        "_version": st.integers(1, 2**31 - 1),
        "_lastChangedAt": st.integers(0, 2**53 - 1),
        "_deleted": st.sampled_from([None, True]),
    }
)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(VALUES, METADATA), max_size=5))
def test_any_record_comes_back_as_it_went(tmp_path: Path, rows: list[tuple[dict[str, Any], dict[str, Any]]]):
    records = [{"id": str(number), **values, **meta} for number, (values, meta) in enumerate(rows)]
    with local_server(SDL, BASE_TABLE_TTL=10**9) as server:
        transfer.load_records(server.service, records, model="Post")
        first = dump(server, tmp_path / "first.jsonl")
        assert server.records("Post") == records
    with local_server(SDL, BASE_TABLE_TTL=10**9) as other:
        load(other, tmp_path / "first.jsonl")
        assert dump(other, tmp_path / "second.jsonl") == first


def test_packed_dump_is_smaller_and_always_the_same(server: LocalServer, tmp_path: Path):
    fill(server)
    packed = dump(server, tmp_path / "a.jsonl.gz")
    assert packed == dump(server, tmp_path / "b.jsonl.gz")
    assert gzip.decompress(packed) == dump(server, tmp_path / "a.jsonl")
    with local_server(SDL) as other:
        assert load(other, tmp_path / "a.jsonl.gz").stored == 6


def test_failed_dump_leaves_the_file_as_it_was(server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "dump.jsonl", "before")
    fill(server)
    monkeypatch.setattr(transfer, "_line", lambda entry: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        transfer.dump(server.service, path)
    assert [(it.name, it.read_text()) for it in tmp_path.iterdir()] == [("dump.jsonl", "before")]


# -- new records -------------------------------------------------------------------------------------------------------


def test_line_without_version_is_a_new_record(server: LocalServer, tmp_path: Path):
    load(server, write(tmp_path / "seed.jsonl", '{"model": "Post", "title": "T", "rating": 1}', "", "  \r"))
    (record,) = server.records("Post")
    assert len(record["id"]) == 36
    assert (record["status"], record["_version"], record["_deleted"]) == ("DRAFT", 1, None)
    assert record["createdAt"] == record["updatedAt"]
    assert record["_lastChangedAt"] > 1_700_000_000_000


def test_line_with_version_is_stored_as_it_stands_and_can_be_read(server: LocalServer, tmp_path: Path):
    lines = [line(title=None, _version=3, _lastChangedAt=1_700_000_000_000), line(id="q", _version=2)]
    load(server, write(tmp_path / "seed.jsonl", *lines))
    first, second = server.records("Post")
    assert first == {
        "id": "p",
        "title": None,
        "createdAt": "2023-11-14T22:13:20.000Z",
        "updatedAt": "2023-11-14T22:13:20.000Z",
        "_version": 3,
        "_lastChangedAt": 1_700_000_000_000,
        "_deleted": None,
    }
    assert second["_lastChangedAt"] > 1_700_000_000_000
    assert Client(server).data('{ getPost(id: "q") { title status createdAt } }')["status"] is None


def test_loaded_records_are_served_and_lately_changed_ones_in_delta_syncs_too(server: LocalServer):
    client = Client(server)
    before = client.sync("syncPosts", "id")["startedAt"]
    old = {"id": "old", "title": "T", "_version": 7, "_lastChangedAt": 1_600_000_000_000}
    transfer.load_records(server.service, [old, {"id": "new", "title": "T", "blogId": "b"}], model="Post")
    assert [it["id"] for it in client.sync("syncPosts", "id")["items"]] == ["old", "new"]
    assert [it["id"] for it in client.sync("syncPosts", "id", lastSync=before)["items"]] == ["new"]
    assert client.written("updatePost", "_version", id="old", rating=2, _version=7) == {"_version": 8}
    transfer.load_records(server.service, [{"id": "b"}], model="Blog")
    assert client.data('{ getBlog(id: "b") { posts { items { id } } } }') == {"posts": {"items": [{"id": "new"}]}}


def test_records_that_are_there_stay_as_they_are(server: LocalServer, tmp_path: Path):
    client = Client(server)
    client.written("createPost", "id", id="p", title="mine")
    path = write(tmp_path / "seed.jsonl", line(_version=9), line(id="q"))
    assert load(server, path) == transfer.Loaded(1, 1)
    assert load(server, path) == transfer.Loaded(0, 2)
    found = server.record("Post", "p")
    assert found is not None
    assert (found["title"], found["_version"]) == ("mine", 1)


def test_records_for_tests_must_be_new(server: LocalServer):
    records = [{"id": "a", "title": "T"}, {"id": "b", "title": "T"}]
    transfer.load_records(server.service, records, model="Post")
    with pytest.raises(LoadError, match=r"Line 2: the server has Post .* already"):
        transfer.load_records(server.service, [{"id": "c", "title": "T"}, *records[1:]], model="Post")
    assert len(server.records("Post")) == 2


def test_tombstone_that_is_over_makes_room(tmp_path: Path):
    now = [1_700_000_000_000]
    with local_server(SDL, now=lambda: now[0], BASE_TABLE_TTL=1) as server:
        load(server, write(tmp_path / "a.jsonl", line(_version=3, _lastChangedAt=now[0], _deleted=True)))
        assert len(server.records("Post")) == 1
        now[0] += 60_001
        assert server.records("Post") == []
        assert load(server, write(tmp_path / "b.jsonl", line())).stored == 1


# -- mistakes ----------------------------------------------------------------------------------------------------------

NESTED = '{"model": "Post", "id": "p", "title": "T", "place": ' + '{"deep":' * 5000 + "1" + "}" * 5001

WRONG: list[tuple[str | bytes, str]] = [
    ("{", "it is no JSON text"),
    ("nonsense", "it is no JSON text"),
    (b'{"model": "\xff"}', "it is no JSON text"),
    ("[1]", "it is no object but [1]"),
    ('"Post"', "it is no object but Post"),
    ("null", "it is no object but None"),
    ("{}", "it does not name its model. There are: "),
    ('{"model": "Pots"}', "there is no model 'Pots'. Did you mean 'Post'?"),
    ('{"model": ["Post"]}', "there is no model"),
    ('{"model": "Car", "id": "c"}', "Car has a field 'model'. Name the model with '__typename'."),
    (line(titel="x"), "Post has no field 'titel'. Did you mean 'title'?"),
    (line(blog={"id": "b"}), "Post has no field 'blog'."),
    ('{"model": "Blog", "id": "b", "posts": []}', "Blog has no field 'posts'."),
    (line(_ttl=1), "Post has no field '_ttl'."),
    (line(title=1), "Post: 'title' has an invalid value. 1 is no string"),
    (line(title=None), "Post needs a value for 'title'."),
    ('{"model": "Post"}', "Post needs a value for 'title'."),
    (line(rating="1"), "Post: 'rating' has an invalid value."),
    (line(rating=float("nan")), "Post: 'rating' has an invalid value."),
    (line(count=2**31), "Post: 'count' has an invalid value."),
    (line(status="NOPE"), "Invalid input for Enum 'Status'"),
    (line(tags=[1]), "Post: 'tags' has an invalid value."),
    (line(extra={"a": 1}), "Post: 'extra' has an invalid value."),
    (line(place={}), "coerced Null value for NonNull type 'String!'"),
    (line(place={"name": "N", "nope": 1}), "'nope' that is not defined"),
    (line(place={"name": "N", "more": [None]}), "coerced Null value"),
    (NESTED, ""),
    (line(createdAt="soon"), "Post: 'createdAt' has an invalid value."),
    ('{"model": "Post", "id": "p", "_version": 1}', "Post needs a value for 'title'."),
    (line(_version=0), "the _version is 0; versions begin with 1"),
    (line(_version="1"), "_version has an invalid value"),
    (line(_version=2**31), "_version has an invalid value"),
    (line(_lastChangedAt=-1), "write milliseconds since 1970"),
    (line(_lastChangedAt=2**62), "write milliseconds since 1970"),
    (line(_lastChangedAt=2**64), "beyond 64 bits"),
    (line(_deleted=1), "_deleted has an invalid value"),
    (line(id=""), "key of Post is empty"),
    (line(id="x" * 2000), "longer than the table takes"),
    (line(id=None, _version=1), "the key of Post is incomplete: id is missing"),
    ('{"model": "Visit", "customer": "c"}', "Visit needs a value for 'day'"),
    (
        '{"model": "Visit", "customer": "c", "day": null, "_version": 1}',
        "the key of Visit is incomplete: day is missing",
    ),
    (line(title="x" * 9_000_000), "it is longer than 8,000,000 bytes"),
    (line(id="good"), 'Post ["good"] is there twice'),
]


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalServer]:
    with local_server(SDL) as found:
        yield found


@pytest.mark.parametrize(("text", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_line_is_named_and_nothing_is_stored(
    shared: LocalServer, tmp_path: Path, text: str | bytes, message: str
):
    path = write(tmp_path / "seed.jsonl", line(id="good"), "", text, line(id="later"))
    with pytest.raises(LoadError) as caught:
        load(shared, path)
    assert str(caught.value).startswith(f"Cannot load {str(path)!r}: Line 3: ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1500
    assert shared.records("Post") == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["id", "title", "rating", "tags", "status", "place", "extra", "createdAt", "_version", "_lastChangedAt", "_deleted"]
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.dictionaries(FIELDS, JSON), min_size=1, max_size=3), st.binary(max_size=20))
def test_nonsense_is_refused_in_words_and_leaves_nothing(
    shared: LocalServer, tmp_path: Path, entries: list[dict[str, Any]], tail: bytes
):
    lines = [json.dumps({"model": "Post", **entry}) for entry in entries]
    path = write(tmp_path / "seed.jsonl", *lines, '{"model": "Nobody"}', tail)
    with pytest.raises(LoadError, match="Line "):
        load(shared, path)
    assert shared.records("Post") == []


def test_record_twice_is_found_far_apart(shared: LocalServer, tmp_path: Path):
    lines = [line(id=str(number)) for number in range(1200)]
    with pytest.raises(LoadError, match=r"Line 1201: .* is there twice"):
        load(shared, write(tmp_path / "seed.jsonl", *lines, line(id="1")))
    assert shared.records("Post") == []


def test_byte_order_mark_is_passed_over(server: LocalServer, tmp_path: Path):
    assert load(server, write(tmp_path / "seed.jsonl", b"\xef\xbb\xbf" + line().encode() + b"\r")).stored == 1


@pytest.mark.parametrize("content", [b"", b"nonsense", gzip.compress(line().encode() * 99)[:-12]])
def test_broken_gzip_is_said(shared: LocalServer, tmp_path: Path, content: bytes):
    path = tmp_path / "seed.jsonl.gz"
    path.write_bytes(content)
    if content:
        with pytest.raises(LoadError, match="Cannot read"):
            load(shared, path)
    assert shared.records("Post") == []


def test_missing_file_is_said(shared: LocalServer, tmp_path: Path):
    with pytest.raises(LoadError, match="No such file"):
        load(shared, tmp_path / "nowhere.jsonl")


# -- size --------------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    path, count = tmp_path / "many.jsonl", 15_000
    with path.open("w") as file:
        file.writelines(line(id=f"{number:06}", title="x" * 500) + "\n" for number in range(count))
    with fresh_database() as database, LocalServer(SDL, database=database) as server:
        tracemalloc.start()
        try:
            assert load(server, path).stored == count
            assert transfer.dump(server.service, tmp_path / "out.jsonl") == count
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 7_000_000 < path.stat().st_size


def test_dump_is_of_one_moment_whatever_another_process_writes_meanwhile(tmp_path: Path) -> None:
    count = 1200  # more than one page of what is read at once
    path = write(tmp_path / "many.jsonl", *(line(id=f"{number:04}") for number in range(count)))
    with ExitStack() as stack:
        database = stack.enter_context(fresh_database()) or tmp_path / "shared.sqlite3"
        one, two = (stack.enter_context(LocalServer(SDL, database=database)) for _ in range(2))
        load(one, path)

        class Written:
            lines: list[bytes] = []

            def write(self, content: bytes) -> int:
                if not self.lines:
                    Client(two).written("createPost", "id", id="9999", title="meanwhile")
                    Client(two).written("deletePost", "id", id="1199", _version=1)
                self.lines.append(content)
                return len(content)

        written = Written()
        assert transfer.dump_to(one.service, written) == count
    assert not any(b"meanwhile" in content for content in written.lines)
    assert json.loads(written.lines[-1])["_version"] == 1


def test_models_the_schema_lost_are_left_out(server: LocalServer, tmp_path: Path):
    fill(server)
    row = {"key": '["x"]', "data": "{}", "version": 1, "last_changed_at": 1}
    alias = server.service.alias
    server.service.workers.call(lambda: Record.objects.using(alias).create(model="Gone", **row))
    assert b"Gone" not in dump(server, tmp_path / "out.jsonl")
