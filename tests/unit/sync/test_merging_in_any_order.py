"""A law: any order and duplication of pages, first or not, and events of any history ends in the server's state."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_datastore.models import Change, Conflict, MutationEvent, RecordMetadata
from django_datastore.sync import merger
from django_datastore.sync.classifying import Source
from django_datastore.types import WireRecord
from testproject.blog.models import Blog, Comment, Post
from tests.unit.sync.wires import arrive, key, merge

MODELS = (Blog, Post, Comment)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["Blog", "Post", "Comment"]),
        st.integers(1, 3),
        st.sampled_from(["write", "write", "write", "delete"]),
        st.integers(0, 3),
    ),
    max_size=14,
)


class Server:
    """A valid history of records: a parent is there when somebody points to it, and goes after its children."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], WireRecord] = {}
        self.history: list[tuple[str, WireRecord]] = []

    def step(self, model: str, number: int, what: str, parent: int) -> None:
        old = self.records.get((model, number))
        if what == "delete":
            if old is None or old["_deleted"] or self._has_children(model, number):
                return
            self._put(model, number, {**old, "_deleted": True})
        elif old is None or not old["_deleted"]:
            self._put(model, number, {**self._fields(model, parent), "id": key(number), "_deleted": None})

    def _fields(self, model: str, parent: int) -> WireRecord:
        if model == "Blog":
            return {"name": f"n{parent}"}
        above, field = ("Blog", "blogPostsId") if model == "Post" else ("Post", "postCommentsId")
        is_there = (above, parent) in self.records and not self.records[above, parent]["_deleted"]
        text = {"title": f"t{parent}"} if model == "Post" else {"content": f"c{parent}"}
        return {**text, field: key(parent) if is_there else None}

    def _has_children(self, model: str, number: int) -> bool:
        field = {"Blog": "blogPostsId", "Post": "postCommentsId"}.get(model, "")
        return any(
            record.get(field) == key(number) and not record["_deleted"] for record in self.records.values() if field
        )

    def _put(self, model: str, number: int, record: WireRecord) -> None:
        version = self.records.get((model, number), {"_version": 0})["_version"] + 1
        record = {**record, "_version": version, "_lastChangedAt": 1000 + len(self.history)}
        self.records[model, number] = record
        self.history.append((model, record))

    @staticmethod
    def numbers(wires: list[WireRecord]) -> list[int]:
        return sorted({int(record["id"][-12:]) for record in wires})

    def living(self) -> dict[tuple[str, str], tuple[Any, ...]]:
        return {
            (model, record["id"]): tuple(
                record.get(name) for name in ("name", "title", "content", "blogPostsId", "postCommentsId")
            )
            for (model, _), record in self.records.items()
            if not record["_deleted"]
        }


def stored() -> dict[tuple[str, str], tuple[Any, ...]]:
    def text(value: Any) -> str | None:
        return None if value is None else str(value)

    found: dict[tuple[str, str], tuple[Any, ...]] = {}
    for blog in Blog.objects.all():
        found["Blog", str(blog.pk)] = (blog.name, None, None, None, None)
    for post in Post.objects.all():
        found["Post", str(post.pk)] = (None, post.title, None, text(post.blog_id), None)
    for comment in Comment.objects.all():
        found["Comment", str(comment.pk)] = (None, None, comment.content, None, text(comment.post_id))
    return found


def empty() -> None:
    for table in (Comment, Post, Blog, RecordMetadata, Conflict, Change, MutationEvent):
        table._base_manager.all()._raw_delete("default")  # type: ignore[attr-defined]


@pytest.mark.django_db(transaction=True)
@settings(max_examples=40)
@given(STEPS, st.randoms(use_true_random=False))
def test_any_order_of_any_history_ends_in_the_servers_state(steps: list[Any], chance: random.Random) -> None:
    empty()
    server = Server()
    for step in steps:
        server.step(*step)
    messages = [*server.history, *server.history[::2]]
    chance.shuffle(messages)
    models = {model.__name__: model for model in MODELS}
    while messages:
        size = chance.randint(1, 4)
        batch, messages = messages[:size], messages[size:]
        door = chance.choice([arrive, merge, partial(merge, source=Source.EVENT)])
        for name, model in models.items():
            wires = [record for kind, record in batch if kind == name]
            if wires and door(model, *wires).incomplete:  # an event's null may be an unknown value
                merge(model, *(server.records[name, number] for number in server.numbers(wires)))
    merger.retry_holds()
    assert stored() == server.living()
    assert not RecordMetadata.objects.exclude(hold="").exists()
    assert not MutationEvent.objects.exists()
    assert not Conflict.objects.exists()
