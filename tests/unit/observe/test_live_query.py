from __future__ import annotations

import json
import random
import uuid
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef, Q
from django.test.utils import isolate_apps

from django_datastore import ModelSync, registry
from django_datastore.exceptions import InvalidPredicate
from django_datastore.observe.changes import Batch, Entry, Reader
from django_datastore.observe.live_query import Diff, LiveQuery, Observation, Selection, State
from django_datastore.predicates import sort as sorting
from django_datastore.types import OpType
from testproject.blog.models import Blog, Comment, Post

pytestmark = pytest.mark.django_db


class Watched:
    """A live query with a reader of its own, and a browser that applies what it is told."""

    def __init__(self, q: Q | None = None, sort: tuple[str, ...] = ("title",), model: str = "Post") -> None:
        sync = registry.get(model)
        self.reader = Reader("default")
        self.reader.start()
        self.query = LiveQuery(Selection(sync, q, "default"), sorting.parse(sort, sync))
        self.state: State = self.query.load(is_synced=True, cursor=self.reader.cursor)
        self.shown = [item["id"] for item in (self.state.items[key].record for _, key in self.state.order)]

    def step(self, *, refresh: bool = False) -> Diff | None:
        batch = self.reader.read()
        self.state, diff = self.query.advance(self.state, batch, is_synced=True, cursor=0, refresh=refresh)
        self.reader.accept(batch)
        if diff is not None:
            self.apply(diff)
        return diff

    def apply(self, diff: Diff) -> None:
        """As `datastore.js` does: deletes and upserts out, upserts in at their positions, in rising order."""
        upserts = [item["id"] for _, item in diff.upserts]
        gone = {key.strip('[]"') for key in diff.deletes} | set(upserts)
        self.shown = [key for key in self.shown if key not in gone]
        for (position, _), key in zip(diff.upserts, upserts, strict=True):
            self.shown.insert(position, key)

    @property
    def titles(self) -> list[str]:
        return [item.title for item in self.state.elements()]


def posts(**ratings: int) -> dict[str, Post]:
    return {title: Post.objects.create(title=title, rating=rating) for title, rating in ratings.items()}


def test_rows_that_come_to_match_enter_and_others_leave() -> None:
    found = posts(a=1, b=5)
    watched = Watched(Q(rating__gte=3))
    assert watched.titles == ["b"]
    found["a"].rating = 4
    found["a"].save()
    found["b"].rating = 0
    found["b"].save()
    watched.step()
    assert watched.titles == ["a"]
    assert watched.shown == [str(found["a"].pk)]


def test_an_edit_of_the_sort_field_moves_the_row() -> None:
    found = posts(a=1, b=2, c=3)
    watched = Watched(sort=("-rating",))
    assert watched.titles == ["c", "b", "a"]
    found["a"].rating = 9
    found["a"].save()
    diff = watched.step()
    assert watched.titles == ["a", "c", "b"]
    assert diff is not None
    assert [position for position, _ in diff.upserts] == [0]


def test_without_a_sort_order_rows_keep_their_place_and_new_ones_come_last() -> None:
    posts(a=1, b=1, c=1)
    watched = Watched(sort=())
    before = watched.titles
    middle = Post.objects.get(title=before[1])
    middle.rating = 7
    middle.save()
    Post.objects.create(title="new")
    watched.step()
    assert watched.titles == [*before, "new"]


@pytest.mark.parametrize("q", [None, Q(rating__gt=0)])
def test_a_delete_and_insert_of_one_key_in_one_window_leaves_the_row(q: Q | None) -> None:
    post = posts(a=1)["a"]
    watched = Watched(q)
    key = post.pk
    post.delete()
    Post.objects.create(pk=key, title="again", rating=2)
    watched.step()
    assert watched.titles == ["again"]


def test_leaving_and_matching_again_in_one_window_leaves_the_row() -> None:
    post = posts(a=5)["a"]
    watched = Watched(Q(rating=5))
    for rating in (1, 5):
        post.rating = rating
        post.save()
    assert watched.step() is None
    assert watched.titles == ["a"]


def test_an_insert_that_is_gone_again_is_nothing() -> None:
    watched = Watched()
    Post.objects.create(title="short").delete()
    assert watched.step() is None


def test_changes_of_other_models_cost_nothing_and_tell_nothing() -> None:
    watched = Watched()
    Blog.objects.create(name="b")
    assert watched.step() is None


def test_a_condition_on_a_related_row_follows_that_row() -> None:
    blog = Blog.objects.create(name="dull")
    Post.objects.create(title="a", blog=blog)
    watched = Watched(Q(blog__name="great"))
    assert watched.titles == []
    blog.name = "great"
    blog.save()
    watched.step()
    assert watched.titles == ["a"]
    blog.name = "dull"
    blog.save()
    watched.step()
    assert watched.titles == []


def test_a_condition_on_many_rows_gives_each_row_once() -> None:
    post = Post.objects.create(title="a")
    watched = Watched(Q(comments__content__startswith="so"))
    for content in ("so", "so what"):
        Comment.objects.create(post=post, content=content)
    watched.step()
    assert watched.titles == ["a"]


def test_what_the_log_cannot_tell_is_read_anew_on_refresh() -> None:
    post = Post.objects.create(title="a")
    watched = Watched(Q(Exists(Comment.objects.filter(post=OuterRef("pk")))))
    assert watched.query.selection.is_volatile
    Comment.objects.create(post=post, content="c")
    watched.step(refresh=True)
    assert watched.titles == ["a"]


def test_the_first_sync_is_told_even_if_no_row_changed() -> None:
    query = Watched().query
    state = query.load(is_synced=False, cursor=0)
    reader = Reader("default")
    reader.start()
    after, diff = query.advance(state, reader.read(), is_synced=True, cursor=0)
    assert diff is not None
    assert (diff.upserts, diff.deletes, diff.is_synced, after.is_synced) == ((), (), True, True)


def test_states_are_the_callers_own() -> None:
    Post.objects.create(title="a", tags=["x"])
    watched = Watched()
    watched.state.elements()[0].tags.append("y")
    assert watched.state.elements()[0].tags == ["x"]


def test_equal_queries_have_one_identity() -> None:
    sync = registry.get("Post")
    order = sorting.parse(["title"], sync)

    def identity(q: Q) -> tuple[Any, ...]:
        return LiveQuery(Selection(sync, q, "default"), order).identity()

    assert identity(Q(rating=1)) == identity(Q(rating=1))
    assert identity(Q(rating=1)) != identity(Q(rating=2))
    assert identity(Q(rating=1)) != Observation(Selection(sync, Q(rating=1), "default")).identity()


def test_what_a_predicate_says_stays_when_its_lists_change() -> None:
    posts(a=1, b=5)
    ratings = [1]
    watched = Watched(Q(rating__in=ratings))
    before = watched.query.identity()
    ratings[:] = [5]
    assert watched.query.identity() == before
    Post.objects.filter(rating=5).update(title="B")
    watched.step()
    assert watched.titles == ["a"]


def test_values_that_can_be_read_once_are_kept() -> None:
    posts(a=1, b=5)
    watched = Watched(Q(rating__in=(number for number in [1, 5])))
    watched.query.identity()
    assert Watched(watched.query.selection.q).titles == ["a", "b"]


@pytest.mark.parametrize("q", [Q(colour="red"), Q(rating="many"), Q(pk="no uuid")])
def test_a_predicate_the_model_cannot_have_is_refused(q: Q) -> None:
    with pytest.raises(InvalidPredicate, match="Post"):
        Selection(registry.get("Post"), q, "default").identity()


@pytest.mark.parametrize("seed", range(6))
def test_a_browser_that_follows_the_diffs_shows_what_a_new_query_shows(seed: int) -> None:
    chance = random.Random(seed)
    watched = Watched(Q(rating__gte=3) | Q(rating=None), sort=("-rating", "title"))
    for _ in range(25):
        with transaction.atomic():
            for _ in range(chance.choice([1, 2, 40])):
                change_something(chance)
        watched.step()
        fresh = Watched(watched.query.selection.q, sort=("-rating", "title"))
        assert watched.shown == fresh.shown


def change_something(chance: random.Random) -> None:
    existing = list(Post.objects.order_by("title", "pk")[:60])
    rating = chance.choice([None, 1, 2, 3, 4, 5])
    if not existing or chance.random() < 0.4:
        key = uuid.UUID(int=chance.getrandbits(128), version=4)
        Post.objects.create(pk=key, title=f"{chance.random()}", rating=rating)
        return
    post = chance.choice(existing)
    if chance.random() < 0.3:
        post.delete()
        return
    post.rating = rating
    post.save()


class Observed:
    """An observation with a reader of its own."""

    def __init__(self, q: Q | None = None) -> None:
        self.reader = Reader("default")
        self.reader.start()
        self.observation = Observation(Selection(registry.get("Post"), q, "default"))

    def step(self) -> list[tuple[OpType, str]]:
        batch = self.reader.read()
        self.reader.accept(batch)
        return [(item.op_type, item.element.title) for item in self.observation.changes(batch)]


def test_an_observer_gets_every_change_in_order() -> None:
    observed = Observed()
    post = Post.objects.create(title="a")
    assert observed.step() == [(OpType.INSERT, "a")]
    post.title = "b"
    post.save()
    post.delete()
    assert observed.step() == [(OpType.DELETE, "b")]  # the update's row is gone when it is read


def test_an_observer_with_a_predicate_gets_what_matches() -> None:
    found = posts(a=1, b=5, c=5)
    observed = Observed(Q(rating__gte=3))
    for title, post in found.items():
        post.title = title.upper()
        post.save()
    found["a"].delete()
    found["b"].delete()
    assert observed.step() == [(OpType.UPDATE, "C"), (OpType.DELETE, "B")]


def test_the_delete_of_a_row_that_cannot_be_judged_is_kept_secret() -> None:
    post = Post.objects.create(title="a", draft_notes="mine")
    observed = Observed(Q(draft_notes="mine"))  # not synced, so not in the snapshot of the deleted row
    post.delete()
    assert observed.step() == []


@pytest.mark.skipif(connection.vendor == "mysql", reason="memory does not know how MariaDB's collation compares names")
def test_a_delete_is_told_if_the_related_row_allows_it() -> None:
    secret, public = Blog.objects.create(name="secret"), Blog.objects.create(name="public")
    observed = Observed(~Q(blog__name="secret"))
    for blog in (secret, public, None):
        Post.objects.create(title=f"of {blog}", blog=blog)
    observed.step()
    Post.objects.all().delete()
    assert sorted(observed.step()) == [(OpType.DELETE, "of None"), (OpType.DELETE, "of public")]


@pytest.mark.parametrize(
    ("q", "told"),
    [
        (~Q(blog__name="secret"), []),
        (Q(blog__name="secret"), []),
        (~Q(blog__name__in=["secret"]) & ~Q(title="x"), []),
        (Q(title="a") | ~Q(blog__name="secret"), [(OpType.DELETE, "a")]),  # the other condition decides
    ],
)
def test_the_delete_of_a_row_whose_related_row_is_gone_too_is_kept_secret(q: Q, told: list[tuple[OpType, str]]) -> None:
    blog = Blog.objects.create(name="secret")
    Post.objects.create(title="a", blog=blog)
    observed = Observed(q)
    blog.delete()
    assert observed.step() == told


def test_managers_of_related_models_hide_nothing_from_a_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database joins rows, whatever the managers of their model show."""
    blog = Blog.objects.create(name="public")
    Post.objects.create(title="a", blog=blog)
    observed = Observed(Q(blog__name="public"))
    empty = models.Manager.from_queryset(models.QuerySet)()
    empty.model = Blog
    monkeypatch.setattr(empty, "get_queryset", lambda: models.QuerySet(Blog).none())
    monkeypatch.setitem(Blog._meta.__dict__, "default_manager", empty)
    Post.objects.all().delete()
    assert observed.step() == [(OpType.DELETE, "a")]


@isolate_apps("tests.shop")
@pytest.mark.parametrize("q", [~Q(mail=""), Q(mail="a@b.example")])
def test_a_blank_that_crossed_as_null_is_no_default(q: Q) -> None:
    class Addressee(models.Model):
        id = models.UUIDField(primary_key=True)
        mail = models.EmailField(blank=True, default="a@b.example")

        class Meta:
            app_label = "shop"

    sync = ModelSync(Addressee)
    record = sync.to_wire(Addressee(pk=uuid.uuid4(), mail=""))
    assert record["mail"] is None
    batch = Batch({sync.label: [Entry(OpType.DELETE, f'["{record["id"]}"]', record)]}, (1,))
    assert Observation(Selection(sync, q, "default")).changes(batch) == []


def test_a_snapshot_that_tells_the_key_alone_can_be_sent() -> None:
    sync = registry.get(Post)
    key = str(uuid.uuid4())
    batch = Batch({sync.label: [Entry(OpType.DELETE, f'["{key}"]', None)]}, (1,))
    (change,) = Observation(Selection(sync, None, "default")).changes(batch)
    assert json.loads(change.body)["element"] == {"id": key}


def test_a_snapshot_with_a_value_the_model_no_longer_takes_harms_no_other() -> None:
    sync = registry.get(Post)
    records = [{"id": str(uuid.uuid4()), "title": "a", "rating": rating} for rating in ("many", 3)]
    entries = [Entry(OpType.DELETE, f'["{record["id"]}"]', record) for record in records]
    found = Observation(Selection(sync, Q(title="a"), "default")).changes(Batch({sync.label: entries}, (1,)))
    assert [json.loads(change.body)["element"].get("rating") for change in found] == [None, 3]
