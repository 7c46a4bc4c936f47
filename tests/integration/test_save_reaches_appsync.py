"""Local change ─▶ outbox ─▶ mutation processor ─▶ AppSync, and the answer ─▶ merger."""

from __future__ import annotations

import pytest
from django.db import NotSupportedError
from django.db.models import F

from django_datastore.appsync_local.server import LocalServer
from django_datastore.models import Conflict, MutationEvent, RecordMetadata
from django_datastore.sync import connectivity
from django_datastore.sync.engine import Engine
from testproject.blog.models import Blog, Comment, Post
from tests.shop.models import Article, Supplier

State = MutationEvent.State


def version_of(model: str) -> list[int | None]:
    return list(RecordMetadata.objects.filter(model=model).values_list("version", flat=True))


def test_create_update_delete_arrive_with_their_versions(site: Engine, appsync: LocalServer) -> None:
    post = Post.objects.create(title="one", rating=1, tags=["a", "b"], metadata={"deep": [1, None]})
    site.drain()
    key = str(post.pk)
    record = appsync.record("Post", key)
    assert record is not None
    assert (record["title"], record["tags"], record["_version"]) == ("one", ["a", "b"], 1)
    post.title = "two"
    post.save()
    site.drain()
    assert appsync.record("Post", key)["title"] == "two"  # type: ignore[index]
    assert version_of("blog.post") == [2]
    post.delete()
    site.drain()
    assert appsync.record("Post", key)["_deleted"] is True  # type: ignore[index]
    assert not MutationEvent.objects.exists()
    assert not Conflict.objects.exists()


def test_a_family_arrives_parents_first(site: Engine, appsync: LocalServer) -> None:
    blog = Blog.objects.create(name="B")
    post = Post.objects.create(title="P", blog=blog)
    comment = Comment.objects.create(content="C", post=post)
    site.drain()
    assert appsync.record("Comment", str(comment.pk))["postCommentsId"] == str(post.pk)  # type: ignore[index]
    assert not MutationEvent.objects.exists()


def test_every_scalar_survives_the_round_trip(site: Engine, appsync: LocalServer) -> None:
    Supplier.objects.create(code="S-1", name="Sup")
    article = Article.objects.create(
        name="A",
        supplier_id="S-1",
        size=Article.Size.EXTRA_LARGE,
        price="12.50",
        weight=1.25,
        in_stock=False,
        email="a@example.com",
        url="https://example.com/",
        available_on="2026-02-03",
        opens_at="08:30:00",
        checked_at="2026-02-03T04:05:06.123456Z",
        address="127.0.0.1",
        labels=["x", "y"],
        facts={"a": [1, "ü"]},
    )
    before = Article.objects.values().get()
    site.drain()
    assert not Conflict.objects.exists()
    assert not MutationEvent.objects.exists()
    # AppSync's own clock sets these two, and the answer brings them back
    after = Article.objects.values().get()
    stamps = ("created_at", "updated_at")
    assert {name: after[name] for name in after if name not in stamps} == {
        name: before[name] for name in before if name not in stamps
    }
    record = appsync.record("Article", str(article.pk))
    assert record is not None
    assert (record["size"], record["price"], record["supplierId"]) == ("extra_large", 12.5, "S-1")


def test_many_mutations_go_out_and_none_is_left(site: Engine, appsync: LocalServer) -> None:
    posts = Post.objects.bulk_create([Post(title=str(number)) for number in range(120)])
    site.drain()
    assert not MutationEvent.objects.exists()
    assert {record["title"] for record in appsync.records("Post")} == {post.title for post in posts}


def test_outage_loses_nothing_and_ends_by_itself(site: Engine, appsync: LocalServer) -> None:
    appsync.stop()
    post = Post.objects.create(title="while offline")
    assert site.drain() is False
    assert connectivity.is_offline()
    event = MutationEvent.objects.get()
    assert (event.state, event.attempts, event.outcome_unknown) == (State.PENDING, 0, False)
    appsync.start()
    connectivity.came_online()
    site.drain()
    assert appsync.record("Post", str(post.pk))["title"] == "while offline"  # type: ignore[index]


def test_bad_record_is_parked_and_all_others_flow(site: Engine, appsync: LocalServer) -> None:
    good = [Article.objects.create(name=str(number)) for number in range(5)]
    bad = Article.objects.create(name="bad", email="bad@example.com")
    entry = MutationEvent.objects.get(record_key=f'["{bad.pk}"]')
    entry.data["email"] = "no address"  # save() would refuse it, as AWSEmail does
    entry.save()
    child = Article.objects.create(name="waits for its parent", part_of=bad)
    site.drain()
    assert len(appsync.records("Article")) == len(good)
    parked = MutationEvent.objects.parked().get()
    assert (parked.record_key, parked.error_type != "", parked.last_error != "") == (f'["{bad.pk}"]', True, True)
    assert MutationEvent.objects.pending().get().record_key == f'["{child.pk}"]'
    bad.email = "an@example.com"
    bad.save()
    site.drain()
    assert not MutationEvent.objects.exists()


def test_wrong_key_waits_for_a_better_one(site: Engine, appsync: LocalServer, settings: object) -> None:
    from django_datastore.sync import engine

    Post.objects.create(title="T")
    settings.DATASTORE = {**settings.DATASTORE, "API_KEY": "da2-wrong"}  # type: ignore[attr-defined]
    engine.current().drain()
    event = MutationEvent.objects.get()
    assert event.state == State.PENDING
    assert "da2-wrong" not in event.last_error
    assert appsync.records("Post") == []


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
def test_lost_answer_is_found_out_by_reading_back(site: Engine, appsync: LocalServer, operation: str) -> None:
    """The worker died after AppSync executed the mutation and before it settled."""
    post = Post.objects.create(title="one", tags=["a"])
    if operation != "create":
        site.drain()
        if operation == "update":
            post.tags = ["a", "b"]
            post.save()
        else:
            post.delete()
    event = MutationEvent.objects.get()
    fence = event.fence
    site.drain()
    version = appsync.records("Post")[0]["_version"]
    MutationEvent.objects.bulk_create([event])
    RecordMetadata.objects.update(version=version - 1 if operation != "create" else None)
    MutationEvent.objects.update(state=State.IN_FLIGHT, lease_expires_at=event.created_at, fence=fence + 1)
    site.drain()
    assert appsync.records("Post")[0]["_version"] == version
    assert not MutationEvent.objects.exists()
    assert version_of("blog.post") == [version]


def test_update_of_a_key_deletes_the_old_record_and_creates_one(site: Engine, appsync: LocalServer) -> None:
    Supplier.objects.bulk_create([Supplier(code="old", name="S"), Supplier(code="other", name="O")])
    site.drain()
    assert Supplier.objects.filter(code="old").update(code="new", name="N") == 1
    site.drain()
    found = {item["code"]: (item["name"], bool(item["_deleted"])) for item in appsync.records("Supplier")}
    assert found == {"old": ("S", True), "other": ("O", False), "new": ("N", False)}
    assert not MutationEvent.objects.exists()


def test_update_that_leaves_the_key_as_it_is_is_an_update(site: Engine, appsync: LocalServer) -> None:
    Supplier.objects.create(code="S-1", name="S")
    site.drain()
    Supplier.objects.filter(code="S-1").update(code="S-1", name="N")
    assert [(item.operation, item.data) for item in MutationEvent.objects.all()] == [("update", {"name": "N"})]


def test_update_of_a_key_by_an_expression_is_refused(site: Engine, appsync: LocalServer) -> None:
    Supplier.objects.create(code="S-1", name="S")
    with pytest.raises(NotSupportedError, match=r"Supplier\.code, a field of the key"):
        Supplier.objects.update(code=F("name"))
    assert Supplier.objects.get().code == "S-1"
