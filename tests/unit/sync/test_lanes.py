"""Claim, lease, settle: order in a record, parents first, nobody sends twice, a lost worker blocks nobody for long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from django_datastore.exceptions import LeaseLost, SyncError
from django_datastore.models import MutationEvent, RecordMetadata
from django_datastore.sync import backoff, lanes, lease
from testproject.blog.models import Blog, Comment, Post

pytestmark = pytest.mark.django_db(transaction=True)
State = MutationEvent.State
MINUTE = timedelta(minutes=1)


def claim(owner: str = "me", limit: int = 10, duration: timedelta = MINUTE) -> list[tuple[str, str]]:
    return [(event.operation, event.model) for event in lanes.claim(owner=owner, limit=limit, lease=duration)]


def test_child_is_not_due_before_its_parents_create_is_acknowledged() -> None:
    blog = Blog.objects.create(name="B")
    post = Post.objects.create(title="T", blog=blog)
    Comment.objects.create(content="C", post=post)
    assert claim() == [("create", "blog.blog")]
    assert claim() == []
    MutationEvent.objects.filter(model="blog.blog").delete()
    assert claim() == [("create", "blog.post")]


def test_child_of_an_acknowledged_parent_does_not_wait_for_the_parents_update() -> None:
    blog = Blog.objects.create(name="B")
    RecordMetadata.objects.create(model="blog.blog", record_key=f'["{blog.pk}"]', version=1)
    MutationEvent.objects.all().delete()
    blog.name = "C"
    blog.save()
    Post.objects.create(title="T", blog=blog)
    assert sorted(claim()) == [("create", "blog.post"), ("update", "blog.blog")]


def test_parked_head_holds_its_own_lane_and_its_children_only() -> None:
    blog = Blog.objects.create(name="B")
    Post.objects.create(title="child", blog=blog)
    MutationEvent.objects.filter(model="blog.blog").update(state=State.PARKED)
    Post.objects.create(title="other")
    assert claim() == [("create", "blog.post")]
    assert claim() == []


def test_second_entry_of_a_lane_waits_for_the_first() -> None:
    post = Post.objects.create(title="T")
    assert claim() == [("create", "blog.post")]
    post.title = "U"
    post.save()
    assert claim("other") == []


def test_claimed_entries_belong_to_one_worker_until_the_lease_ends() -> None:
    Post.objects.create(title="T")
    now = timezone.now()
    assert len(lanes.claim(owner="one", limit=5, lease=MINUTE, now=now)) == 1
    assert lanes.recover_expired(now + MINUTE / 2) == 0
    assert lanes.claim(owner="two", limit=5, lease=MINUTE, now=now + MINUTE / 2) == []
    assert lanes.recover_expired(now + 2 * MINUTE) == 1
    taken = lanes.claim(owner="two", limit=5, lease=MINUTE, now=now + 2 * MINUTE)
    assert [event.outcome_unknown for event in taken] == [True]


def test_worker_that_overslept_can_settle_nothing() -> None:
    Post.objects.create(title="T")
    now = timezone.now()
    slow = lanes.claim(owner="slow", limit=5, lease=MINUTE, now=now)
    lanes.recover_expired(now + 2 * MINUTE)
    quick = lanes.claim(owner="quick", limit=5, lease=MINUTE, now=now + 2 * MINUTE)
    with transaction.atomic():
        assert lanes.owned(slow) == []
        assert lanes.owned(quick) == quick
        with pytest.raises(LeaseLost):
            lanes.assert_owned(slow[0])


def test_given_back_entries_are_as_if_never_claimed() -> None:
    Post.objects.create(title="T")
    lanes.give_back(lanes.claim(owner="me", limit=5, lease=MINUTE))
    event = MutationEvent.objects.get()
    assert (event.state, event.attempts, event.outcome_unknown) == (State.PENDING, 0, False)


def test_released_entry_is_due_at_its_time_and_not_before() -> None:
    Post.objects.create(title="T")
    now = timezone.now()
    (event,) = lanes.claim(owner="me", limit=5, lease=MINUTE, now=now)
    lanes.release(event, lanes.Retry(SyncError("busy"), now + MINUTE, outcome_unknown=True))
    assert lanes.claim(owner="me", limit=5, lease=MINUTE, now=now) == []
    assert len(lanes.claim(owner="me", limit=5, lease=MINUTE, now=now + MINUTE)) == 1


def test_claim_takes_the_oldest_first_and_no_more_than_asked() -> None:
    posts = [Post.objects.create(title=str(number)) for number in range(5)]
    keys = [event.record_key for event in lanes.claim(owner="me", limit=3, lease=MINUTE)]
    assert keys == [f'["{post.pk}"]' for post in posts[:3]]


# -- the lease of a process -------------------------------------------------------------------------------------------


def test_lease_has_one_holder_and_passes_on_when_released() -> None:
    held = lease.acquire("job", owner="one", duration=MINUTE)
    assert held is not None
    assert lease.acquire("job", owner="two", duration=MINUTE) is None
    assert lease.acquire("job", owner="one", duration=MINUTE) is None, "another thread of the same process"
    held.release()
    assert lease.acquire("job", owner="two", duration=MINUTE) is not None
    with pytest.raises(LeaseLost):
        held.renew()


def test_expired_lease_can_be_taken() -> None:
    assert lease.acquire("job", owner="one", duration=timedelta(seconds=-1)) is not None
    assert not lease.is_held("job")
    assert lease.acquire("job", owner="two", duration=MINUTE) is not None
    assert lease.is_held("job")


@pytest.mark.parametrize(("attempt", "low", "high"), [(1, 200, 300), (5, 3200, 3300), (30, 300_000, 300_000)])
def test_backoff_doubles_up_to_five_minutes(attempt: int, low: int, high: int) -> None:
    assert timedelta(milliseconds=low) <= backoff.delay(attempt) <= timedelta(milliseconds=high)
