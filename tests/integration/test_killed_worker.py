"""Promises 2, 4 and 5 against kill -9: a worker dies 20 times while 200 mutations drain, and AppSync ends up with each
of them exactly once.

Worker (Celery with beat), local server and database are real, and each is a process of its own.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from django.db import connection
from django.utils import timezone

from django_datastore.appsync.client import AppSyncClient, Response
from django_datastore.models import Conflict, MutationEvent, RecordMetadata
from django_datastore.sync import lanes
from django_datastore.sync.engine import Engine
from django_datastore.sync.processors.mutation import MutationProcessor
from django_datastore.testing import LocalAppSync, LocalAppSyncProcess, connected
from testproject.blog.models import Blog, Comment, Post
from tests.integration.killed_worker_tools import Moment, Worker, hold

KILLS = int(os.environ.get("WORKER_KILLS", "5"))
"""A multiple of the moments."""
MUTATIONS = 200
SETTLING_SECONDS = 0.012
ANY_SECONDS = 0.15
FIELDS = {
    "Blog": "id name _version _deleted",
    "Post": "id title rating tags blogPostsId _version _deleted",
    "Comment": "id content postCommentsId _version _deleted",
}


@dataclass
class Expected:
    """What AppSync has to hold in the end: by model and key, the fields and the versions that can be right."""

    records: dict[tuple[str, str], tuple[dict[str, Any], set[int]]] = field(default_factory=dict)

    def holds(self, instance: Blog | Post | Comment, *versions: int, deleted: bool = False, **fields: Any) -> None:
        """This instance's record, alive or as tombstone."""
        key = (type(instance).__name__, str(instance.pk))
        self.records[key] = ({**fields, "_deleted": deleted or None}, set(versions))


@pytest.fixture
def appsync_process() -> Iterator[LocalAppSyncProcess]:
    """AppSync, in a process of its own."""
    with LocalAppSyncProcess() as server:
        yield server


@pytest.fixture
def worker(transactional_db: None, appsync_process: LocalAppSyncProcess, tmp_path: Path) -> Iterator[Worker]:
    """The worker, not started yet, on the database of this test."""
    environment = {
        "DATABASE_URL": database_url(),
        "DEMO_DIR": str(tmp_path),
        "APPSYNC_ENDPOINT": appsync_process.url,
        "APPSYNC_API_KEY": appsync_process.api_key,
    }
    found = Worker(environment, tmp_path / "worker.log")
    yield found
    found.kill()


def test_killed_worker_loses_nothing_and_repeats_nothing(worker: Worker, appsync_process: LocalAppSyncProcess) -> None:
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**6)))
    print(f"KILL_SEED={seed} repeats this choice of moments.")
    rng = random.Random(seed)
    old = write_and_drain(appsync_process)
    expected, late_edits = write_mutations(old)
    assert MutationEvent.objects.count() == MUTATIONS - len(late_edits)
    in_flight = 0
    for number, moment in enumerate(moments(rng)):
        if number == KILLS // 2:
            for edit in late_edits:
                edit()
        in_flight += die_at(moment, worker, appsync_process, rng)
    print(f"{in_flight} mutations were in flight when their worker died.")
    worker.start()
    wait_until(lambda: not MutationEvent.objects.exists(), worker)
    worker.kill()
    assert_arrived(expected, held_by(appsync_process))
    assert list(Conflict.objects.values("kind", "model", "record_key", "reason", "local", "remote")) == []
    assert_storage_agrees(expected)


def test_mutation_that_never_arrived_is_sent_once(site: Engine, appsync: LocalAppSync) -> None:
    post = Post.objects.create(title="old", tags=["a"])
    site.drain()
    post.tags = ["a", "b"]
    post.save()
    lanes.claim(owner="died before sending", limit=1, lease=timedelta(0))
    site.drain()
    record = appsync.record("Post", str(post.pk))
    assert record is not None
    assert (record["tags"], record["_version"]) == (["a", "b"], 2)


@pytest.mark.parametrize("other", ["is sending", "has settled"])
def test_worker_that_overslept_its_lease_leaves_all_to_the_other(
    site: Engine, appsync: LocalAppSync, other: str
) -> None:
    post = Post.objects.create(title="old", tags=["a"])
    site.drain()
    post.tags = ["a", "b"]
    post.save()
    lanes.claim(owner="died before sending", limit=1, lease=timedelta(0))
    lanes.recover_expired()

    class SlowClient(AppSyncClient):
        def execute(self, *args: Any, **facts: Any) -> Response:
            answer = super().execute(*args, **facts)
            MutationEvent.objects.update(lease_expires_at=timezone.now())
            if other == "has settled":
                site.drain()
            else:
                lanes.recover_expired()
                lanes.claim(owner="other", limit=1, lease=timedelta(minutes=1))
            return answer

    MutationProcessor(SlowClient(site.endpoint, site.auth()), site.documents, owner="slow").run_once()
    record = appsync.record("Post", str(post.pk))
    assert record is not None
    owners = list(MutationEvent.objects.values_list("lease_owner", flat=True))
    assert (record["_version"], owners) == ((2, []) if other == "has settled" else (1, ["other"]))


def moments(rng: random.Random) -> list[Moment]:
    """Each moment several times, in random order."""
    found = list(Moment) * (KILLS // len(Moment))
    rng.shuffle(found)
    return found


def die_at(moment: Moment, worker: Worker, appsync: LocalAppSyncProcess, rng: random.Random) -> int:
    """One life of the worker. Returns how many mutations were in flight when it ended."""
    held = hold(appsync, moment)
    worker.start()
    wait_until(lambda: held.hits > 0, worker)
    # The random moment itself, not a wait for something to happen.
    if moment is Moment.SETTLING:
        held.release()
        time.sleep(rng.uniform(0, SETTLING_SECONDS))
    elif moment is Moment.ANY:
        held.release()
        time.sleep(rng.uniform(0, ANY_SECONDS))
    worker.kill()
    in_flight = MutationEvent.objects.in_flight().count()
    appsync.faults.clear()
    if moment in (Moment.LOST, Moment.LATE, Moment.ANSWERED):
        assert in_flight, f"The worker died while {moment.value}, and nothing is in flight."
    return in_flight


# -- The mutations -----------------------------------------------------------------------------------------------------


def write_and_drain(server: LocalAppSyncProcess) -> list[Post]:
    """Posts that AppSync has already, in version 1."""
    posts = Post.objects.bulk_create([Post(title=f"old {n}", rating=n, tags=["a"]) for n in range(80)])
    with connected(server, REQUEST_TIMEOUT_SECONDS=30.0, LEASE_SECONDS=60.0) as engine:
        engine.drain(slice_seconds=60)
    assert not MutationEvent.objects.exists()
    return posts


def write_mutations(old: list[Post]) -> tuple[Expected, list[Callable[[], None]]]:
    """Write 200 mutations in all: 180 now, and 20 edits that are written when half of the kills are over."""
    expected = Expected()
    for post in old[:45]:
        post.tags, post.title = ["a", "b"], f"{post.title}, edited"
        post.save()
        expected.holds(post, 2, title=post.title, tags=["a", "b"], rating=post.rating)
    for post in old[45:60]:
        expected.holds(post, 2, deleted=True)
        post.delete()
    for post in old[60:]:
        expected.holds(post, 1, title=post.title, tags=["a"], rating=post.rating)
    edited = old[:10] + write_families(expected)
    return expected, [edit_again(post, expected) for post in edited]


def write_families(expected: Expected) -> list[Post]:
    """10 blogs with 5 posts each with a comment or two, children written right after their parents."""
    posts: list[Post] = []
    for number in range(10):
        blog = Blog.objects.create(name=f"blog {number}")
        expected.holds(blog, 1, name=blog.name)
        for position in range(5):
            post = Post.objects.create(title=f"post {number}.{position}", tags=["x"], rating=position, blog=blog)
            expected.holds(post, 1, title=post.title, tags=["x"], rating=position, blogPostsId=str(blog.pk))
            posts.append(post)
            for turn in range(2 if position == 0 else 1):
                comment = Comment.objects.create(content=f"{number}.{position}.{turn}", post=post)
                expected.holds(comment, 1, content=comment.content, postCommentsId=str(post.pk))
    return posts[::5]


def edit_again(post: Post, expected: Expected) -> Callable[[], None]:
    """A later edit. It may be absorbed by the first mutation, or follow it as a mutation of its own."""

    def edit() -> None:
        fields, versions = expected.records["Post", str(post.pk)]
        post.tags, post.rating = [*(post.tags or []), "late"], 100
        post.save()
        expected.holds(post, *versions, *(it + 1 for it in versions), **{**fields, "tags": post.tags, "rating": 100})

    return edit


# -- What became of them -----------------------------------------------------------------------------------------------


def held_by(server: LocalAppSyncProcess) -> dict[tuple[str, str], dict[str, Any]]:
    """Every record and tombstone AppSync holds, asked for without our client."""
    syncs = " ".join(f"{name}: sync{name}s(limit: 1000) {{ items {{ {FIELDS[name]} }} }}" for name in FIELDS)
    headers = {"x-api-key": server.api_key, "content-type": "application/json"}
    request = Request(server.url, json.dumps({"query": f"{{ {syncs} }}"}).encode(), headers)
    with urlopen(request) as response:
        found = json.load(response)["data"]
    return {(name, record["id"]): record for name in FIELDS for record in found[name]["items"]}


def assert_arrived(expected: Expected, held: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Exactly the right records, in exactly the right versions."""
    assert held.keys() == expected.records.keys()
    for key, (fields, versions) in expected.records.items():
        assert {name: held[key][name] for name in fields} == fields
        assert held[key]["_version"] in versions, (key, fields)
        metadata = RecordMetadata.objects.get(model=f"blog.{key[0].lower()}", record_key=json.dumps([key[1]]))
        assert (metadata.version, metadata.hold, metadata.remote) == (held[key]["_version"], "", None)


def assert_storage_agrees(expected: Expected) -> None:
    """The rows here are the records alive there."""
    alive = {key for key, (fields, _) in expected.records.items() if not fields["_deleted"]}
    assert {(model.__name__, str(pk)) for model in (Blog, Post, Comment) for pk in _pks(model)} == alive
    for post in Post.objects.all():
        fields, _ = expected.records["Post", str(post.pk)]
        assert (post.title, post.tags, post.rating) == (fields["title"], fields["tags"], fields["rating"])


def _pks(model: type[Blog] | type[Post] | type[Comment]) -> Iterator[Any]:
    yield from model._base_manager.values_list("pk", flat=True)


def wait_until(fact: Callable[[], bool], worker: Worker, *, timeout_seconds: float = 40) -> None:
    """Returns once `fact()` holds; fails with the worker's last words."""
    deadline = time.monotonic() + timeout_seconds
    while not fact():
        if time.monotonic() > deadline:
            left = list(MutationEvent.objects.values_list("operation", "model", "state", "attempts", "last_error")[:5])
            pytest.fail(f"Nothing happened for {timeout_seconds} s. Outbox: {left}\n{worker.last_words()}")
        time.sleep(0.01)


def database_url() -> str:
    """The database of this test as a URL."""
    entry = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{entry['NAME']}"
    login = entry["USER"] + (f":{entry['PASSWORD']}" if entry["PASSWORD"] else "")
    scheme = {"postgresql": "postgres"}.get(connection.vendor, connection.vendor)
    if entry["HOST"].startswith("/"):  # the directory of a socket
        return f"{scheme}://{login}@/{entry['NAME']}?host={entry['HOST']}"
    return f"{scheme}://{login}@{entry['HOST']}:{entry['PORT']}/{entry['NAME']}"
