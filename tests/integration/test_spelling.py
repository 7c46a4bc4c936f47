"""Records whose keys others spell otherwise, and entries whose fields have other names by now."""

from __future__ import annotations

from django_datastore.models import Conflict, MutationEvent, RecordMetadata
from django_datastore.sync import reachability
from django_datastore.sync.engine import Engine
from django_datastore.testing.appsync import AppSyncForTests
from testproject.blog.models import Comment, Post

KEY = "DC8A5995-97D3-4B6C-B046-2250874335AD"


def from_a_phone(site: Engine, appsync: AppSyncForTests) -> Post:
    """Amplify's client for iOS makes keys in capitals, and DynamoDB tells them from small letters."""
    appsync.load("Post", [{"id": KEY, "title": "from a phone"}])
    site.sync()
    return Post.objects.get()


def test_edit_reaches_the_record_by_its_own_key(site: Engine, appsync: AppSyncForTests) -> None:
    post = from_a_phone(site, appsync)
    post.title = "edited"
    post.save()
    site.drain()
    record = appsync.record("Post", KEY)
    assert record is not None
    assert (record["title"], record["_version"]) == ("edited", 2)
    assert len(appsync.records("Post")) == 1
    assert not MutationEvent.objects.exists()


def test_child_points_to_its_parent_by_its_own_key(site: Engine, appsync: AppSyncForTests) -> None:
    post = from_a_phone(site, appsync)
    comment = Comment.objects.create(content="C", post=post)
    site.drain()
    record = appsync.record("Comment", str(comment.pk))
    assert record is not None
    assert record["postCommentsId"] == KEY
    assert not Conflict.objects.exists()


def test_delete_reaches_the_record_by_its_own_key(site: Engine, appsync: AppSyncForTests) -> None:
    from_a_phone(site, appsync).delete()
    site.drain()
    record = appsync.record("Post", KEY)
    assert record is not None
    assert record["_deleted"] is True


def test_lost_answer_is_read_back_by_the_records_own_key(site: Engine, appsync: AppSyncForTests) -> None:
    post = from_a_phone(site, appsync)
    post.title = "edited"
    post.save()
    with appsync.faults.reply_lost("updatePost"):
        site.drain()
    reachability.probe_now()
    site.drain()
    record = appsync.record("Post", KEY)
    assert record is not None
    assert record["_version"] == 2, "it was executed once"
    assert not MutationEvent.objects.exists()


def test_delete_of_a_known_record_that_appsync_does_not_have_is_told(site: Engine, appsync: AppSyncForTests) -> None:
    post = Post.objects.create(title="T")
    MutationEvent.objects.all().delete()
    RecordMetadata.objects.create(model="blog.post", record_key=f'["{post.pk}"]', version=3)
    post.delete()
    site.drain()
    assert not MutationEvent.objects.exists()
    assert Conflict.objects.get().kind == Conflict.Kind.VANISHED


def test_field_that_is_no_longer_registered_is_told_and_the_rest_is_sent(
    site: Engine, appsync: AppSyncForTests
) -> None:
    Post.objects.create(title="a", rating=3)
    event = MutationEvent.objects.get()
    event.data = {"title": "a", "oldRating": 3}  # as an older release captured it
    event.save()
    Post.objects.create(title="b")
    site.drain()
    assert sorted(record["title"] for record in appsync.records("Post")) == ["a", "b"]
    conflict = Conflict.objects.get()
    assert (conflict.kind, conflict.local) == (Conflict.Kind.REJECTED, {"oldRating": 3})
    assert "oldRating" in conflict.reason
    assert not MutationEvent.objects.exists()


def test_field_that_got_another_wire_name_is_carried_over(site: Engine, appsync: AppSyncForTests) -> None:
    post = Post.objects.create(title="a")
    event = MutationEvent.objects.get()
    event.data = {"title": "a", "blogId": None, "published_at": "2026-01-02T03:04:05.000Z"}
    event.save()
    site.drain()
    record = appsync.record("Post", str(post.pk))
    assert record is not None
    assert record["publishedAt"] == "2026-01-02T03:04:05.000Z"
    assert not Conflict.objects.exists()
