"""Promises 2, 3 and 5 on a line that fails: nothing is lost, nothing is done twice, and no secret is told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from django_datastore.models import Conflict, MutationEvent, RecordMetadata
from django_datastore.sync import reachability
from django_datastore.sync.engine import Engine
from django_datastore.testing.appsync import AppSyncForTests
from django_datastore.testing.faults import ActiveFault, FaultSwitches
from testproject.blog.models import Blog, Comment, Post
from tests.shop.models import Supplier

KEY = "da2-very-secret"
pytestmark = pytest.mark.appsync_local(api_key=KEY)


@pytest.fixture
def datastore_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Answers that do not come are given up soon."""
    return {"REQUEST_TIMEOUT_SECONDS": 3.0 if "too_late" in request.node.name else 20.0, "LEASE_SECONDS": 40.0}


def time_passes(site: Engine, rounds: int = 4) -> None:
    """Every back-off is over."""
    for _ in range(rounds):
        reachability.probe_now()
        MutationEvent.objects.pending().update(next_attempt_at=timezone.now())
        site.drain()
        if not MutationEvent.objects.pending().exists():
            return


Switch = Callable[[FaultSwitches], ActiveFault]
WORKED: dict[str, Switch] = {  # AppSync executed it, and the site cannot know
    "reply_lost": lambda faults: faults.reply_lost(times=2),
    "reply_cut": lambda faults: faults.reply_cut(times=2),
    "reply_shortened": lambda faults: faults.reply_shortened(times=2),
    "reply_too_late": lambda faults: faults.hold(at="reply", times=2),
    "bad_gateway": lambda faults: faults.html(status=502, applied=True, times=2),
    "server_error_afterwards": lambda faults: faults.server_error(applied=True, times=2),
}
NEVER_ARRIVED: dict[str, Switch] = {
    "request_lost": lambda faults: faults.request_lost(times=2),
    "request_too_late": lambda faults: faults.hold(at="request", times=2),
    "throttled": lambda faults: faults.throttled(times=2),
    "unauthorized": lambda faults: faults.unauthorized(times=2),
    "token_expired": lambda faults: faults.token_expired(times=2),
    "server_error": lambda faults: faults.server_error(status=503, times=2),
    "captive_portal": lambda faults: faults.html(times=2),
}

LINES = WORKED | NEVER_ARRIVED


@pytest.mark.parametrize("switch", LINES.values(), ids=LINES.keys())
def test_mixed_batch_is_executed_once(
    site: Engine, appsync: AppSyncForTests, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    old = Post.objects.bulk_create([Post(title=f"secret {n}", tags=["a"], rating=n) for n in range(12)])
    keys = [str(post.pk) for post in old]
    site.drain()
    for post in old[:6]:
        post.tags = ["a", "b"]
        post.save()
    for post in old[6:]:
        post.delete()
    blog = Blog.objects.create(name="B")
    new = [Post.objects.create(title=f"secret new {n}", tags=["x", "y"], blog=blog) for n in range(12)]
    Comment.objects.create(content="C", post=new[0])
    with switch(appsync.faults) as fault:
        site.drain()
    assert fault.hits
    appsync.settle()
    assert not MutationEvent.objects.parked().exists()
    told = " ".join(MutationEvent.objects.values_list("last_error", flat=True)) + caplog.text
    assert KEY not in told
    assert "secret " not in told
    assert all(event.attempts <= 2 for event in MutationEvent.objects.all())
    time_passes(site)
    records = {record["id"]: record for record in appsync.records("Post")}
    assert [records[key]["_version"] for key in keys] == [2] * 12
    assert [records[key]["tags"] for key in keys[:6]] == [["a", "b"]] * 6
    assert [bool(records[key]["_deleted"]) for key in keys] == [False] * 6 + [True] * 6
    assert [(records[str(post.pk)]["_version"], records[str(post.pk)]["tags"]) for post in new] == [
        (1, ["x", "y"])
    ] * 12
    assert len(appsync.records("Comment")) == 1
    # 12 creates of old posts, 12 edits and deletes of them, 12 new posts, a blog, a comment: each applied once
    assert len({(item.operation, item.key) for item in appsync.applied()}) == len(appsync.applied()) == 38
    assert not MutationEvent.objects.exists()
    assert not Conflict.objects.exists()
    assert {item.record_key: item.version for item in RecordMetadata.objects.filter(model="blog.post")} == {
        f'["{key}"]': record["_version"] for key, record in records.items()
    }


FIELDS: dict[str, Switch] = {
    "null": lambda faults: faults.null("createPost", times=3),
    "null_and_applied": lambda faults: faults.null("createPost", applied=True, times=3),
    "internal_failure": lambda faults: faults.internal_failure("createPost", times=3),
    "internal_failure_applied": lambda faults: faults.field_error(
        "createPost", error_type="InternalFailure", applied=True, times=3
    ),
    "delta_sync_write_error": lambda faults: faults.delta_sync_write_error("createPost", times=3),
    "max_conflicts": lambda faults: faults.max_conflicts("createPost", times=3),
}


@pytest.mark.parametrize("switch", FIELDS.values(), ids=FIELDS.keys())
def test_fields_that_fail_in_a_batch_hold_back_no_other_and_are_done_once(
    site: Engine, appsync: AppSyncForTests, switch: Switch
) -> None:
    posts = [Post.objects.create(title=f"P{n}", tags=["x"]) for n in range(10)]
    with switch(appsync.faults) as fault:
        site.drain()
    assert fault.hits == 3
    assert len(appsync.records("Post")) >= 7
    time_passes(site)
    assert {(record["title"], tuple(record["tags"]), record["_version"]) for record in appsync.records("Post")} == {
        (post.title, ("x",), 1) for post in posts
    }
    assert len(appsync.applied("createPost")) == 10
    assert not MutationEvent.objects.exists()
    assert not Conflict.objects.exists()


RENAME = "mutation ($input: UpdateSupplierInput!) { updateSupplier(input: $input) { code name _version } }"


@pytest.mark.parametrize("is_executed", [True, False])
def test_create_in_doubt_undoes_no_edit_that_others_made_of_its_record(
    site: Engine, appsync: AppSyncForTests, is_executed: bool
) -> None:
    """A key that people choose does not tell by itself whose create it came from."""
    if not is_executed:
        appsync.load("Supplier", [{"code": "s1", "name": "another's", "_version": 1}])
    Supplier.objects.create(code="s1", name="ours")
    with appsync.faults.reply_lost("createSupplier", times=1) as fault:
        site.drain()
    assert fault.hits == 1
    appsync.execute(RENAME, {"input": {"code": "s1", "name": "theirs", "_version": 1}})
    time_passes(site)
    assert not MutationEvent.objects.exists()
    assert [(item.operation, item.version) for item in appsync.applied("updateSupplier")] == [("updateSupplier", 2)]
    assert appsync.records("Supplier")[0]["name"] == Supplier.objects.get().name == "theirs"
    (found,) = Conflict.objects.all()  # a person can still see what was ours
    assert (found.kind, found.local["name"], found.remote["name"]) == (Conflict.Kind.REJECTED, "ours", "theirs")


def test_key_that_another_has_taken_is_a_conflict(site: Engine, appsync: AppSyncForTests) -> None:
    appsync.load("Supplier", [{"code": "s1", "name": "another's", "_version": 4}])
    Supplier.objects.create(code="s1", name="ours")
    site.drain()
    time_passes(site)
    assert not MutationEvent.objects.exists()
    assert appsync.records("Supplier")[0]["name"] == Supplier.objects.get().name == "ours"  # as the handler decides
