"""AppSync ─▶ sync and subscription processors ─▶ merger ─▶ storage."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db.models import Q

from django_datastore import registry
from django_datastore.appsync_local.server import LocalServer
from django_datastore.models import Conflict, ModelMetadata, MutationEvent, RecordMetadata
from django_datastore.sync import connectivity, merger, reachability
from django_datastore.sync.engine import Engine
from testproject.blog.models import Blog, Post
from tests.shop.models import Article, Label, Supplier

POST = (
    "id title rating status tags metadata publishedAt blogPostsId _version _lastChangedAt _deleted blog { id _deleted }"
)
IDS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(1, 3000)]
Hold = RecordMetadata.Hold


def device(appsync: LocalServer, operation: str, model: str, selection: str = "id _version", **fields: Any) -> Any:
    """Another device writes to AppSync."""
    document = (
        f"mutation operation($input: {operation.capitalize()}{model}Input!) "
        f"{{ {operation}{model}(input: $input) {{ {selection} }} }}"
    )
    answer = appsync.execute(document, {"input": fields})
    assert not answer.get("errors"), answer
    return answer["data"][f"{operation}{model}"]


def wire(number: int = 0, version: int = 1, **fields: Any) -> dict[str, Any]:
    """A post as AppSync sends it."""
    stamps = {"_version": version, "_lastChangedAt": 1000 + version, "_deleted": None}
    return {"id": IDS[number], "title": "T", **stamps, **fields}


def test_base_sync_then_delta_with_updates_and_deletes(site: Engine, appsync: LocalServer) -> None:
    blog = device(appsync, "create", "Blog", name="B")
    one = device(appsync, "create", "Post", title="one", blogPostsId=blog["id"])
    two = device(appsync, "create", "Post", title="two", tags=["x"])
    site.sync()
    assert dict(Post.objects.values_list("title", "blog__name")) == {"one": "B", "two": None}
    assert all(item.is_synced for item in ModelMetadata.objects.all())
    device(appsync, "update", "Post", id=one["id"], title="one!", _version=1)
    device(appsync, "delete", "Post", id=two["id"], _version=1)
    done = site.sync()
    assert done is not None
    assert (done["blog.post"].updated, done["blog.post"].deleted) == (1, 1)
    assert list(Post.objects.values_list("title", flat=True)) == ["one!"]
    assert not MutationEvent.objects.exists()


def test_sync_goes_through_all_pages(site: Engine, appsync: LocalServer, settings: Any) -> None:
    from django_datastore.sync import engine

    settings.DATASTORE = {**settings.DATASTORE, "SYNC_PAGE_SIZE": 7}
    for number in range(30):
        device(appsync, "create", "Post", title=str(number))
    engine.current().sync()
    assert Post.objects.count() == 30


@pytest.mark.parametrize("is_full", [True, False])
def test_interrupted_sync_whose_page_is_refused_begins_anew(site: Engine, appsync: LocalServer, is_full: bool) -> None:
    site.sync()
    device(appsync, "create", "Post", title="one")
    stuck = {"next_token": "of another time", "started_at": 1, "is_full_sync": is_full}
    ModelMetadata.objects.filter(model="blog.post").update(**stuck)
    site.sync()
    assert Post.objects.get().title == "one"
    assert ModelMetadata.objects.get(model="blog.post").next_token == ""


def test_base_sync_sweeps_rows_that_are_gone(site: Engine, appsync: LocalServer) -> None:
    device(appsync, "create", "Post", title="stays")
    merger.merge_page(registry.get(Post), [wire(title="vanished elsewhere")])
    edited = wire(1, title="edited here")
    merger.merge_page(registry.get(Post), [edited])
    Post.objects.filter(pk=IDS[1]).update(title="mine")
    never_sent = Post.objects.create(title="never sent")
    site.sync(full=True)
    assert set(Post.objects.values_list("title", flat=True)) == {"stays", "mine", never_sent.title}
    assert Conflict.objects.get().kind == Conflict.Kind.VANISHED


# -- never backwards: promise 5 of the README -------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("order", [[1, 2, 3], [3, 1, 2], [2, 3, 1], [3, 2, 1]])
def test_newest_version_wins_in_any_order_of_arrival(order: list[int]) -> None:
    for version in order:
        merger.merge_page(registry.get(Post), [wire(version=version, title=f"v{version}")])
    assert Post.objects.get().title == "v3"


@pytest.mark.django_db(transaction=True)
def test_a_late_update_does_not_resurrect_a_deleted_row() -> None:
    sync = registry.get(Post)
    merger.merge_page(sync, [wire(version=1)])
    merger.merge_page(sync, [wire(version=3, _deleted=True)])
    merger.merge_page(sync, [wire(version=2, title="late")])
    assert not Post.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_page_with_three_versions_of_one_record_stores_the_last() -> None:
    merger.merge_page(registry.get(Post), [wire(version=v, title=f"v{v}") for v in (2, 3, 1)])
    assert Post.objects.get().title == "v3"


# -- your edit stands until it is sent: promise 6 ----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_remote_change_of_another_field_slides_under_the_edit() -> None:
    sync = registry.get(Post)
    merger.merge_page(sync, [wire(title="a", rating=1)])
    Post.objects.filter(pk=IDS[0]).update(title="mine")
    merger.merge_page(sync, [wire(version=2, title="a", rating=9)])
    post = Post.objects.get()
    assert (post.title, post.rating) == ("mine", 9)
    assert RecordMetadata.objects.get().version == 2


@pytest.mark.django_db(transaction=True)
def test_remote_change_of_the_same_field_is_held_until_the_edit_is_gone() -> None:
    sync = registry.get(Post)
    merger.merge_page(sync, [wire(title="a")])
    Post.objects.filter(pk=IDS[0]).update(title="mine")
    merger.merge_page(sync, [wire(version=2, title="theirs")])
    assert Post.objects.get().title == "mine"
    metadata = RecordMetadata.objects.get()
    assert (metadata.version, metadata.hold) == (1, Hold.LOCAL_EDITS)
    merger.discard(MutationEvent.objects.get())
    assert Post.objects.get().title == "theirs"
    assert RecordMetadata.objects.get().version == 2


@pytest.mark.django_db(transaction=True)
def test_remote_delete_waits_for_the_edit() -> None:
    sync = registry.get(Post)
    merger.merge_page(sync, [wire(title="a")])
    Post.objects.filter(pk=IDS[0]).update(title="mine")
    merger.merge_page(sync, [wire(version=2, _deleted=True)])
    assert Post.objects.get().title == "mine"
    merger.discard(MutationEvent.objects.get())
    assert not Post.objects.exists()


def test_edits_of_both_sides_in_different_fields_survive_an_outage(site: Engine, appsync: LocalServer) -> None:
    post = Post.objects.create(title="a", rating=1)
    site.drain()
    post.title = "mine"
    post.save()
    device(appsync, "update", "Post", id=str(post.pk), rating=9, _version=1)
    connectivity.went_offline()
    reachability.probe_now()
    site.drain()
    record = appsync.record("Post", str(post.pk))
    assert record is not None
    assert (record["title"], record["rating"]) == ("mine", 9)
    post.refresh_from_db()
    assert (post.title, post.rating) == ("mine", 9)
    assert not Conflict.objects.exists()


def test_edit_the_servers_merge_rejects_is_visible_and_both_sides_converge(site: Engine, appsync: LocalServer) -> None:
    post = Post.objects.create(title="a")
    site.drain()
    post.title = "mine"
    post.save()
    device(appsync, "update", "Post", id=str(post.pk), title="theirs", _version=1)
    site.drain()
    post.refresh_from_db()
    assert post.title == "theirs"
    found = Conflict.objects.get()
    assert (found.kind, found.local) == (Conflict.Kind.REJECTED, {"title": "mine"})
    assert not MutationEvent.objects.exists()


# -- parents, children, records that do not fit --------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_child_waits_for_its_parent() -> None:
    merger.merge_page(registry.get(Post), [wire(blogPostsId=IDS[9])])
    assert not Post.objects.exists()
    assert RecordMetadata.objects.get().hold == Hold.MISSING_PARENT
    merger.merge_page(registry.get(Blog), [{"id": IDS[9], "name": "B", "_version": 1, "_lastChangedAt": 1}])
    assert Post.objects.get().blog_id is not None


@pytest.mark.django_db(transaction=True)
def test_parent_deleted_remotely_waits_for_its_children() -> None:
    blog = {"id": IDS[9], "name": "B", "_version": 1, "_lastChangedAt": 1}
    merger.merge_page(registry.get(Blog), [blog])
    merger.merge_page(registry.get(Post), [wire(blogPostsId=IDS[9])])
    merger.merge_page(registry.get(Blog), [{**blog, "_version": 2, "_deleted": True}])
    assert Blog.objects.exists()
    merger.merge_page(registry.get(Post), [wire(version=2, _deleted=True, blogPostsId=IDS[9])])
    assert not Blog.objects.exists()
    assert not MutationEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_remote_delete_of_a_parent_sets_null_where_the_model_says_so() -> None:
    supplier = {"code": "S", "name": "Sup", "_version": 1, "_lastChangedAt": 1}
    merger.merge_page(registry.get(Supplier), [supplier])
    article = {"id": IDS[0], "name": "A", "supplierId": "S", "_version": 1, "_lastChangedAt": 1}
    merger.merge_page(registry.get(Article), [article])
    merger.merge_page(registry.get(Supplier), [{**supplier, "_version": 2, "_deleted": True}])
    assert Article.objects.get().supplier_id is None
    assert not MutationEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_records_that_do_not_fit_are_quarantined_and_the_page_goes_on() -> None:
    sync = registry.get(Post)
    page = [
        wire(0),
        wire(1, title=None),  # required here
        wire(2, rating="many"),  # no number
        wire(3, publishedAt="yesterday"),  # no date
        {"title": "no key", "_version": 1},
        {"id": IDS[5], "title": "no version"},
        wire(6),
    ]
    merger.merge_page(sync, page)
    assert {str(pk) for pk in Post.objects.values_list("pk", flat=True)} == {IDS[0], IDS[6]}
    assert Conflict.objects.filter(kind=Conflict.Kind.QUARANTINED).count() == 5
    merger.merge_page(sync, [wire(1, version=2, title="mended")])
    assert Post.objects.filter(title="mended").exists()


@pytest.mark.django_db(transaction=True)
def test_record_the_database_refuses_is_quarantined_and_the_page_goes_on() -> None:
    labels = [{"id": IDS[n], "text": text, "_version": 1, "_lastChangedAt": 1} for n, text in enumerate("abbc")]
    merger.merge_page(registry.get(Label), labels)
    assert sorted(Label.objects.values_list("text", flat=True)) == ["a", "b", "c"]
    assert RecordMetadata.objects.filter(hold=Hold.QUARANTINED).count() == 1


@pytest.mark.django_db(transaction=True)
def test_merge_keeps_columns_that_are_not_synced_and_enqueues_nothing() -> None:
    sync = registry.get(Post)
    merger.merge_page(sync, [wire()])
    Post.objects.update(draft_notes="mine")
    merger.merge_page(sync, [wire(version=2, title="new")])
    post = Post.objects.get()
    assert (post.title, post.draft_notes) == ("new", "mine")
    assert not MutationEvent.objects.exists()


# -- optimistic concurrency ----------------------------------------------------------------------------------------


@pytest.fixture
def appsync_local(request: pytest.FixtureRequest) -> Any:
    """The local server, with the conflict handler a test asks for."""
    with LocalServer(registry.as_schema(), conflict=getattr(request, "param", "automerge")) as server:
        yield server


@pytest.mark.parametrize("appsync_local", ["optimistic"], indirect=True)
def test_optimistic_concurrency_puts_the_edit_on_top_of_the_newer_record(site: Engine, appsync: LocalServer) -> None:
    post = Post.objects.create(title="a", rating=1)
    site.drain()
    post.title = "mine"
    post.save()
    device(appsync, "update", "Post", id=str(post.pk), rating=9, _version=1)
    site.drain()
    record = appsync.record("Post", str(post.pk))
    assert record is not None
    assert (record["title"], record["rating"], record["_version"]) == ("mine", 9, 3)
    post.refresh_from_db()
    assert (post.title, post.rating) == ("mine", 9)


@pytest.mark.parametrize("appsync_local", ["optimistic", "automerge"], indirect=True)
def test_delete_of_a_record_changed_elsewhere_still_deletes(site: Engine, appsync: LocalServer) -> None:
    post = Post.objects.create(title="a")
    site.drain()
    key = str(post.pk)
    post.delete()
    device(appsync, "update", "Post", id=key, title="theirs", _version=1)
    site.drain()
    assert appsync.record("Post", key)["_deleted"] is True  # type: ignore[index]
    assert not MutationEvent.objects.exists()
    assert not Post.objects.exists()


@pytest.mark.parametrize("appsync_local", ["optimistic"], indirect=True)
def test_handler_may_discard_the_edit(site: Engine, appsync: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from django_datastore import DISCARD

    monkeypatch.setattr(registry.get(Post), "resolve_conflict", lambda conflict: DISCARD)
    post = Post.objects.create(title="a")
    site.drain()
    post.title = "mine"
    post.save()
    device(appsync, "update", "Post", id=str(post.pk), title="theirs", _version=1)
    site.drain()
    post.refresh_from_db()
    assert post.title == "theirs"
    assert Conflict.objects.get().kind == Conflict.Kind.DISCARDED
    assert not MutationEvent.objects.exists()


# -- realtime ------------------------------------------------------------------------------------------------------


def test_listener_catches_up_and_then_follows(site: Engine, appsync: LocalServer) -> None:
    device(appsync, "create", "Post", title="before")

    async def story() -> None:
        live = asyncio.Event()
        listening = asyncio.create_task(site.listen(announce=lambda line: live.set() if line == "live" else None))
        await asyncio.wait_for(live.wait(), 60)
        assert await Post.objects.filter(title="before").aexists()
        record = await sync_to_async(device)(appsync, "create", "Post", POST, title="after")
        await _until(Q(title="after"))
        fields = {"id": record["id"], "title": "changed", "_version": 1}
        await sync_to_async(device)(appsync, "update", "Post", POST, **fields)
        await _until(Q(title="changed"))
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    async_to_sync(story)()


async def _until(condition: Q) -> None:
    async with asyncio.timeout(60):
        while not await Post.objects.filter(condition).aexists():  # noqa: ASYNC110 - the listener's thread writes it
            await asyncio.sleep(0.01)
