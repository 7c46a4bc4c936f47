"""The shell door: manage.py datastore, datastore_drain, datastore_listen."""

from __future__ import annotations

import io
import json
import signal
from contextlib import nullcontext
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from django_datastore import registry
from django_datastore.appsync_local.server import LocalServer
from django_datastore.models import MutationEvent
from django_datastore.sync import merger
from django_datastore.sync.engine import Engine
from testproject.blog.models import Comment, Post


def run(*args: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(*args, stdout=out, **options)
    return out.getvalue()


def test_drain_sends_what_is_due_and_says_what_is_left(site: Engine, appsync: LocalServer) -> None:
    Post.objects.create(title="T")
    assert run("datastore_drain") == "0 left, 0 parked\n"
    assert len(appsync.records("Post")) == 1


def test_drain_fails_with_the_reason_when_appsync_is_away(site: Engine, appsync: LocalServer) -> None:
    appsync.stop()
    Post.objects.create(title="T")
    with pytest.raises(CommandError, match="1 mutations could not be sent yet"):
        run("datastore_drain")
    assert MutationEvent.objects.count() == 1


def test_drain_watches_on_after_a_deadlock(site: Engine, appsync: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    stops: dict[int, Any] = {}
    failures = [OperationalError("deadlock detected")]
    drain = Engine.drain

    def drain_at_the_second_try(current: Engine) -> bool:
        if failures:
            raise failures.pop()
        drain(current)
        stops[signal.SIGTERM]()
        return False

    Post.objects.create(title="T")
    monkeypatch.setattr(signal, "signal", stops.__setitem__)
    monkeypatch.setattr(Engine, "drain", drain_at_the_second_try)
    assert run("datastore_drain", "--watch", interval=0) == "0 left, 0 parked\n"
    assert len(appsync.records("Post")) == 1


def test_stop_lets_the_outbox_rest_and_start_lets_it_go(site: Engine, appsync: LocalServer) -> None:
    run("datastore", "stop")
    Post.objects.create(title="T")
    with pytest.raises(CommandError, match="datastore start"):
        run("datastore_drain")
    assert "running: no" in run("datastore", "status")
    run("datastore", "start")
    run("datastore_drain")
    assert not MutationEvent.objects.exists()


def test_sync_says_what_it_did_and_status_when(site: Engine, appsync: LocalServer) -> None:
    appsync.execute('mutation { createPost(input: {title: "T"}) { id } }')
    assert "blog.post: 1 new, 0 updated, 0 deleted" in run("datastore", "sync", "Post")
    status = run("datastore", "status")
    assert "Post: synced 20" in status
    assert "Blog: synced never" in status


def test_sync_of_an_unknown_model_names_the_nearest(site: Engine) -> None:
    with pytest.raises(CommandError, match="Did you mean 'Post'"):
        run("datastore", "sync", "Posst")


def test_outbox_shows_what_waits(site: Engine) -> None:
    post = Post.objects.create(title="T")
    line = run("datastore", "outbox")
    assert "PENDING create blog.post" in line
    shown = json.loads(run("datastore", "outbox", "--json"))
    assert (shown["record_key"], shown["data"]) == (f'["{post.pk}"]', {"title": "T"})


def test_listen_once_catches_up_and_ends(site: Engine, appsync: LocalServer) -> None:
    appsync.execute('mutation { createPost(input: {title: "T"}) { id } }')
    assert "listener: live" in run("datastore_listen", "--once")
    assert Post.objects.get().title == "T"


def test_clear_refuses_to_lose_unsent_mutations_without_force(site: Engine, appsync: LocalServer) -> None:
    Post.objects.create(title="T")
    with pytest.raises(CommandError, match=r"would lose 1 mutations .*\(Post: 1\).*--force"):
        run("datastore", "clear", "--no-input")
    assert (Post.objects.count(), MutationEvent.objects.count()) == (1, 1)
    assert run("datastore", "clear", "--no-input", "--force") == "cleared; the next sync is a base sync\n"
    assert (Post.objects.count(), MutationEvent.objects.count()) == (0, 0)


@pytest.mark.parametrize(("answer", "left"), [("yes", 0), ("", 1), ("y", 1)])
def test_clear_asks_first(
    site: Engine, appsync: LocalServer, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    Post.objects.create(title="T")
    site.drain()
    monkeypatch.setattr("builtins.input", lambda question: answer)
    with nullcontext() if answer == "yes" else pytest.raises(CommandError, match="Nothing was cleared"):
        run("datastore", "clear")
    assert Post.objects.count() == left


@pytest.mark.django_db(transaction=True)
def test_without_an_endpoint_the_commands_say_what_to_set(settings: Any) -> None:
    settings.DATASTORE = {}
    for command in (("datastore_drain",), ("datastore_listen",), ("datastore", "sync"), ("datastore", "start")):
        with pytest.raises(CommandError, match=r"DATASTORE\['ENDPOINT'\] is missing"):
            run(*command)


def test_sync_retry_tries_again_what_is_held_back(appsync: LocalServer, site: Engine) -> None:
    key = "00000000-0000-4000-8000-000000000001"
    stamps = {"_version": 1, "_lastChangedAt": 1}
    merger.merge_page(registry.get(Comment), [{"id": key, "content": "C", "postCommentsId": key, **stamps}])
    assert run("datastore", "sync", "--retry") == "0 new, 0 updated, 0 deleted; 1 records are still held back\n"
    Post.objects.create(pk=key, title="made here")
    assert (
        run("datastore", "sync", "Comment", "--retry") == "1 new, 0 updated, 0 deleted; 0 records are still held back\n"
    )
