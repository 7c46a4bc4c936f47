"""Which faults happen to what, when, and how often."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_datastore.appsync_local.injection.faults import Fault, Faults, OnField, OnRequest, Place, Subject, Where

CREATE = Subject("createPost", "mutation", "create", "Post", ("p1",), {"id": "p1", "rating": 3})
SYNC = Subject("syncPosts", "query", "sync", "Post", None, {"limit": 1000})
EVENT = Subject("onCreatePost", "subscription", "create", "Post", ("p1",), {"rating": 3}, mutation="createPost")


@pytest.mark.parametrize(
    ("where", "subject", "is_found"),
    [
        ({}, CREATE, True),
        ({"operation": "createPost"}, CREATE, True),
        ({"operation": "createBlog"}, CREATE, False),
        ({"operation": "createPost"}, EVENT, True),  # an event is found by its mutation
        ({"operation": "onCreatePost"}, EVENT, True),
        ({"kind": "mutation"}, CREATE, True),
        ({"kind": "create"}, CREATE, True),
        ({"kind": "create"}, SYNC, False),
        ({"model": "Post"}, SYNC, True),
        ({"model": "Blog"}, SYNC, False),
        ({"key": ("p1",)}, CREATE, True),
        ({"key": ("p2",)}, CREATE, False),
        ({"key": ("p1",)}, SYNC, False),  # a query for many is about no record
        ({"matching": {"rating": {"gt": 2}}}, CREATE, True),
        ({"matching": {"rating": {"gt": 3}}}, CREATE, False),
        ({"when": lambda subject: subject.values["rating"] == 3}, CREATE, True),
        ({"beyond": 999}, SYNC, True),
        ({"beyond": 1000}, SYNC, False),
        ({"beyond": 99}, Subject("syncPosts", "query", "sync", "Post"), True),  # 100 is the default
        ({"beyond": 1}, CREATE, False),
        ({"operation": "createPost", "key": ("p1",), "model": "Blog"}, CREATE, False),  # all of it has to be true
    ],
)
def test_condition_finds_what_it_names(where: dict[str, Any], subject: Subject, is_found: bool):
    assert Where(**where).finds([subject]) is is_found


def test_condition_finds_one_alias_among_many():
    other = Subject("createPost", "mutation", "create", "Post", ("p2",))
    assert Where(operation="createPost", key=("p1",)).finds([other, CREATE])
    assert not Where(operation="createPost", key=("p3",)).finds([other, CREATE])


def test_only_a_fault_about_everything_finds_what_is_no_document():
    assert Where().finds([])
    assert not Where(model="Post").finds([])


def test_condition_with_an_unknown_operator_is_refused_at_once():
    with pytest.raises(ValueError, match="near"):
        Where(matching={"rating": {"near": 3}})


@given(after=st.integers(0, 5), times=st.none() | st.integers(0, 5), seen=st.integers(0, 15))
def test_fault_happens_after_some_and_so_often(after: int, times: int | None, seen: int):
    faults = Faults()
    number = faults.add(Fault(OnRequest(), after=after, times=times))
    happened = [bool(faults.take(Place.REQUEST, [CREATE])) for _ in range(seen)]
    expected = [index >= after and (times is None or index < after + times) for index in range(seen)]
    assert happened == expected
    assert faults.hits(number) == sum(expected)


def test_fault_happens_at_its_place_only():
    faults = Faults()
    faults.add(Fault(OnField("InternalFailure")))
    assert not faults.take(Place.REQUEST, [CREATE])
    assert not faults.has(Place.REQUEST)
    assert len(faults.take(Place.FIELD, [CREATE])) == 1


def test_request_that_is_not_meant_counts_neither_as_hit_nor_as_passed():
    faults = Faults()
    number = faults.add(Fault(OnRequest(), Where(model="Post"), after=1))
    other = Subject("createBlog", "mutation", "create", "Blog")
    assert [bool(faults.take(Place.REQUEST, [it])) for it in (other, CREATE, other, CREATE)] == [
        False,
        False,
        False,
        True,
    ]
    assert faults.hits(number) == 1


def test_fault_that_is_off_keeps_its_count():
    faults = Faults()
    number = faults.add(Fault(OnRequest()))
    faults.take(Place.REQUEST, [CREATE])
    faults.remove(number)
    faults.remove(number)
    assert not faults.take(Place.REQUEST, [CREATE])
    assert faults.hits(number) == 1


def test_wait_returns_when_it_happens():
    faults = Faults()
    number = faults.add(Fault(OnRequest()))
    thread = threading.Thread(target=faults.take, args=(Place.REQUEST, [CREATE]))
    thread.start()
    assert faults.wait(number, 1, 10)
    thread.join()


def test_wait_ends_without_a_hit():
    faults = Faults()
    number = faults.add(Fault(OnRequest()))
    assert not faults.wait(number, 1, 0)
    faults.remove(number)
    assert not faults.wait(number, 1, 10)  # it can no more happen


def test_held_reply_is_a_hit_once_it_is_there():
    faults = Faults()
    number = faults.add(Fault(OnRequest(holds="reply"), times=1))
    assert faults.take(Place.REQUEST, [CREATE])
    assert not faults.take(Place.REQUEST, [CREATE])  # once
    assert faults.hits(number) == 0
    faults.hit(number)
    assert faults.hits(number) == 1
    faults.remove(number)
    faults.hit(number)
    assert faults.hits(number) == 1


def test_release_is_called_once_it_is_off_or_at_once():
    faults, released = Faults(), []
    number = faults.add(Fault(OnRequest()))
    faults.on_release(number, lambda: released.append("waited"))
    assert released == []
    faults.clear()
    faults.on_release(number, lambda: released.append("late"))
    assert released == ["waited", "late"]
