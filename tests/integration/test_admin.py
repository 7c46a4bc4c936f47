"""The admin: the outbox can be read, retried and discarded; nothing can be edited by hand."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from django_datastore import registry
from django_datastore.models import Conflict, ModelMetadata, MutationEvent, RecordMetadata
from django_datastore.sync import merger
from testproject.blog.models import Blog, Comment, Post

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "admin:django_datastore_mutationevent_changelist"
RECORD = {"id": "00000000-0000-4000-8000-000000000001", "title": "a", "_version": 1, "_lastChangedAt": 1}


def act(client: Client, action: str, *events: MutationEvent) -> str:
    data = {"action": action, "_selected_action": [event.pk for event in events]}
    return client.post(reverse(LIST), data, follow=True).content.decode()


def park(**fields: Any) -> MutationEvent:
    Post.objects.create(**fields)
    MutationEvent.objects.update(state=MutationEvent.State.PARKED, last_error="<b>too long</b>", attempts=3)
    return MutationEvent.objects.get()


def test_outbox_is_listed_with_reason_and_escaped(admin_client: Client) -> None:
    event = park(title="T")
    page = admin_client.get(reverse(LIST)).content.decode()
    assert "&lt;b&gt;too long&lt;/b&gt;" in page
    detail = admin_client.get(reverse("admin:django_datastore_mutationevent_change", args=[event.pk])).content.decode()
    assert "&quot;title&quot;: &quot;T&quot;" in detail


def test_what_an_entry_waits_for_is_shown(admin_client: Client) -> None:
    blog = Blog.objects.create(name="B")
    Post.objects.create(title="T", blog=blog)
    event = MutationEvent.objects.get(model="blog.post")
    page = admin_client.get(reverse("admin:django_datastore_mutationevent_change", args=[event.pk])).content.decode()
    assert "Waits for" in page
    assert page.count(str(blog.pk)) == 2, "in the data, and in what it waits for"


def test_half_of_a_surrogate_pair_is_shown_escaped(admin_client: Client) -> None:
    event = park(title="T")
    event.data = {"tags": ["\ud800"]}
    event.save()
    page = admin_client.get(reverse("admin:django_datastore_mutationevent_change", args=[event.pk]))
    assert "\\ud800" in page.content.decode()


def test_retry_lets_parked_mutations_go_again(admin_client: Client) -> None:
    event = park(title="T")
    assert "1 mutation will be tried again." in act(admin_client, "retry", event)
    event.refresh_from_db()
    assert (event.state, event.attempts, event.last_error) == (MutationEvent.State.PENDING, 0, "")


def test_discard_gives_the_edit_up_and_leaves_a_trace(admin_client: Client) -> None:
    merger.merge_page(registry.get(Post), [RECORD])
    Post.objects.update(title="mine")
    assert "1 edit was given up." in act(admin_client, "discard", MutationEvent.objects.get())
    assert Post.objects.get().title == "a"
    assert not MutationEvent.objects.exists()
    assert Conflict.objects.get().kind == Conflict.Kind.DISCARDED


def test_discard_leaves_alone_what_is_in_flight(admin_client: Client) -> None:
    Post.objects.create(title="T")
    MutationEvent.objects.update(state=MutationEvent.State.IN_FLIGHT)
    assert "0 edits were given up." in act(admin_client, "discard", MutationEvent.objects.get())
    assert MutationEvent.objects.exists()


def test_staff_without_the_permission_are_offered_no_action(client: Client, django_user_model: Any) -> None:
    from django.contrib.auth.models import Permission

    user = django_user_model.objects.create_user("reader", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_mutationevent"))
    client.force_login(user)
    event = park(title="T")
    act(client, "discard", event)
    assert MutationEvent.objects.exists()


@pytest.mark.parametrize("name", ["modelmetadata", "recordmetadata", "conflict"])
def test_other_pages_show_and_cannot_be_edited(admin_client: Client, name: str) -> None:
    merger.merge_page(registry.get(Post), [RECORD])
    ModelMetadata.objects.update(last_sync=1, last_full_sync=1_700_000_000_000)
    assert admin_client.get(reverse(f"admin:django_datastore_{name}_changelist")).status_code == 200
    assert admin_client.get(reverse(f"admin:django_datastore_{name}_add")).status_code == 403


def test_held_record_is_listed_with_its_reason_and_tried_again(admin_client: Client) -> None:
    comment = {**RECORD, "content": "C", "postCommentsId": RECORD["id"]}
    merger.merge_page(registry.get(Comment), [comment])
    address = reverse("admin:django_datastore_recordmetadata_changelist")
    assert "which is not here yet" in admin_client.get(address).content.decode()
    held = RecordMetadata.objects.get()
    data = {"action": "retry", "_selected_action": [held.pk]}
    assert "0 records were stored." in admin_client.post(address, data, follow=True).content.decode()
    Post.objects.create(pk=RECORD["id"], title="made here")
    assert "1 record was stored." in admin_client.post(address, data, follow=True).content.decode()
    assert Comment.objects.get().content == "C"


def test_what_code_of_this_site_raised_is_shown_with_its_traceback(admin_client: Client) -> None:
    conflict = Conflict.objects.create(kind=Conflict.Kind.QUARANTINED, model="blog.post", traceback="in <module>")
    address = reverse("admin:django_datastore_conflict_change", args=[conflict.pk])
    assert "in &lt;module&gt;" in admin_client.get(address).content.decode()
