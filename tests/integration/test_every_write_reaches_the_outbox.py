"""Any sequence of writes, by any way Django has, with rollbacks: rows and outbox tell the same story."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, models, transaction
from django.db.models import Case, Count, F, ProtectedError, QuerySet, RestrictedError, Value, When
from django.db.models.functions import Concat
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from django_datastore import registry
from django_datastore.models import Change, MutationEvent, RecordMetadata
from testproject.blog.models import Blog, Comment, Post
from tests.shop.mirror import EVERY_SHAPE, Mirror, Records, registered
from tests.shop.models import (
    Account,
    Article,
    Bistro,
    Card,
    Kiosk,
    Label,
    Licence,
    OpenPlace,
    Parcel,
    Place,
    Restaurant,
    Seat,
    Step,
    Supplier,
)
from tests.upserts import on

pytestmark = pytest.mark.django_db(transaction=True)

_CHILDREN_FIRST: list[type[models.Model]] = [
    Comment, Post, Blog, Card, Account, Seat, Kiosk, Bistro, Restaurant, Place, Licence, Step, Parcel, Article,
    Supplier, MutationEvent, RecordMetadata, Change,
]  # fmt: skip

_KEYS = [uuid.UUID(int=number) for number in (1, 2, 3)]
keys = st.sampled_from(_KEYS)
some_keys = st.lists(keys, max_size=4)
codes = st.sampled_from(["a", "b", "unknown"])
small = st.integers(0, 2)
texts = st.sampled_from(["", "x", "y"])
ratings = st.none() | small | st.just(F("rating")) | st.just(Case(When(title="x", then=Value(1)), default=Value(2)))
new_ratings = st.none() | small | st.just(Value(2))
facts = st.sampled_from([None, {"a": 1}, {"a": True}, {"a": 1.0}, [], [0], [False]])

_REFUSALS = (DatabaseError, ValidationError, ProtectedError, RestrictedError)
"""What Django, the database or we refuse at times; nothing may be told then."""


@contextmanager
def at_will() -> Iterator[None]:
    """A write that may be refused, as a part of its own of the running transaction."""
    try:
        with transaction.atomic():
            yield
    except _REFUSALS:
        pass


class Site(RuleBasedStateMachine):
    """Somebody who writes, and sometimes thinks better of it; and AppSync, which takes what waits."""

    def __init__(self) -> None:
        super().__init__()
        for model in _CHILDREN_FIRST:
            QuerySet(model)._raw_delete("default")
        self.mirror = Mirror()
        self.blocks: list[tuple[ExitStack, Records]] = []

    def teardown(self) -> None:
        while self.blocks:
            self.leave(keep=False)

    # -- transactions --------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.blocks) < 3)
    @rule()
    def enter(self) -> None:
        stack = ExitStack()
        stack.enter_context(transaction.atomic())
        self.blocks.append((stack, dict(self.mirror.acknowledged)))

    @precondition(lambda self: bool(self.blocks))
    @rule(keep=st.booleans())
    def leave(self, keep: bool) -> None:
        stack, acknowledged = self.blocks.pop()
        if not keep:
            transaction.set_rollback(True)
            self.mirror.acknowledged = acknowledged
        stack.close()

    # -- AppSync -------------------------------------------------------------------------------------------------------

    @rule()
    def acknowledge_all(self) -> None:
        self.mirror.acknowledge_all()

    @rule(count=small)
    def claim(self, count: int) -> None:
        heads = MutationEvent.objects.order_by("id").values("pk")[:count]
        found = [head["pk"] for head in heads]
        MutationEvent.objects.filter(pk__in=found).update(state=MutationEvent.State.IN_FLIGHT)

    @invariant()
    def row_and_outbox_tell_the_same_story(self) -> None:
        self.mirror.check()

    # -- blogs, posts, comments ----------------------------------------------------------------------------------------

    @rule(key=keys, title=texts, rating=new_ratings, metadata=facts, blog=st.none() | keys, forced=st.booleans())
    def save_post(self, key: Any, title: str, rating: Any, metadata: Any, blog: Any, forced: bool) -> None:
        with at_will():
            if blog is not None:
                Blog.objects.get_or_create(pk=blog, defaults={"name": "B"})
            post = Post(id=key, title=title, rating=rating, metadata=metadata, blog_id=blog)
            post.save(**({"force_insert": True} if forced else {}))

    @rule(key=keys, title=texts, rating=ratings, deferred=st.booleans(), named=st.booleans())
    def change_post(self, key: Any, title: str, rating: Any, deferred: bool, named: bool) -> None:
        post = (Post.objects.only("title", "rating") if deferred else Post.objects).filter(pk=key).first()
        if post is not None:
            post.title, post.rating = title, rating
            post.save(update_fields=["rating"] if named else None)

    @rule(title=texts, rating=ratings, metadata=facts)
    def update_posts(self, title: str, rating: Any, metadata: Any) -> None:
        Post.objects.filter(title=title).update(rating=rating, metadata=metadata)

    @rule(rating=ratings)
    def update_posts_over_relations(self, rating: Any) -> None:
        Post.objects.filter(comments__isnull=True, blog__name="B").update(rating=rating)
        commented = Post.objects.annotate(n=Count("comments")).filter(n__gt=0)
        commented.update(title=Concat("title", Value("!")))

    @rule(picked=some_keys, ignore=st.booleans())
    def make_posts(self, picked: list[Any], ignore: bool) -> None:
        with at_will():
            rows = (Post(id=key, title="x", rating=1) for key in picked)
            Post.objects.bulk_create(rows, ignore_conflicts=ignore, batch_size=2)

    @rule(picked=some_keys, rating=small)
    def upsert_posts(self, picked: list[Any], rating: int) -> None:
        rows = [Post(id=key, title="u", rating=rating) for key in dict.fromkeys(picked)]
        Post.objects.bulk_create(rows, update_conflicts=True, update_fields=["rating"], **on("id"))

    @rule(metadata=facts)
    def bulk_update_posts(self, metadata: Any) -> None:
        posts = list(Post.objects.all())
        for post in posts:
            post.metadata = metadata
        Post.objects.bulk_update(posts, ["metadata"])

    @rule(blog=keys, picked=some_keys, clear=st.booleans())
    def set_posts(self, blog: Any, picked: list[Any], clear: bool) -> None:
        found, _ = Blog.objects.update_or_create(pk=blog, defaults={"name": "B"})
        found.posts.set(Post.objects.filter(pk__in=picked), clear=clear)

    @rule(key=keys, content=texts)
    def comment(self, key: Any, content: str) -> None:
        if (post := Post.objects.filter(pk=key).first()) is not None:
            post.comments.create(content=content)

    @rule(key=keys)
    def delete_post(self, key: Any) -> None:
        for post in Post.objects.filter(pk=key):
            post.delete()

    @rule(title=texts)
    def delete_posts(self, title: str) -> None:
        Post.objects.filter(title=title).delete()
        Blog.objects.filter(posts__title=title).delete()

    # -- unique fields, composite keys, keys of text -------------------------------------------------------------------

    @rule(picked=st.lists(codes, min_size=1, max_size=3, unique=True), balance=small, by_email=st.booleans())
    def upsert_accounts(self, picked: list[str], balance: int, by_email: bool) -> None:
        rows = [Account(email=f"{code}@b.de", branch=code, number=1, balance=balance) for code in picked]
        fields = ["email"] if by_email else ["branch", "number"]
        with at_will():
            Account.objects.bulk_create(rows, update_conflicts=True, update_fields=["balance"], **on(*fields))

    @rule(is_open=st.booleans())
    def hide_accounts(self, is_open: bool) -> None:
        QuerySet(Account).update(is_open=is_open, balance=F("balance") + 1)
        for account in Account.objects.all():
            Card.objects.update_or_create(account=account, defaults={"pin": str(account.balance % 10)})

    @rule(code=codes)
    def delete_account(self, code: str) -> None:
        QuerySet(Account).filter(email=f"{code}@b.de").delete()

    @rule(hall=codes, number=small, taken_by=texts)
    def take_seat(self, hall: str, number: int, taken_by: str) -> None:
        Seat.objects.update_or_create(hall=hall, number=number, defaults={"taken_by": taken_by})

    @rule(hall=codes, other=codes)
    def move_seats(self, hall: str, other: str) -> None:
        with at_will():
            Seat.objects.filter(hall=hall).update(hall=other)

    @rule(hall=codes, number=small)
    def delete_seats(self, hall: str, number: int) -> None:
        Seat.objects.filter(hall=hall, number__gte=number).delete()

    # -- several tables ------------------------------------------------------------------------------------------------

    @rule(model=st.sampled_from([Place, OpenPlace, Restaurant, Bistro]), key=keys, name=texts)
    def save_place(self, model: type[Place], key: Any, name: str) -> None:
        with at_will():
            model(id=key, name=name).save()

    @rule(key=keys, number=codes, name=texts)
    def save_kiosk(self, key: Any, number: str, name: str) -> None:
        with at_will():
            Kiosk(id=key, number=number, name=name, holder=name).save()

    @rule(model=st.sampled_from([OpenPlace, Restaurant, Bistro, Kiosk]), city=texts)
    def update_places(self, model: Any, city: str) -> None:
        model.objects.exclude(name="x").update(city=city, name=Concat("name", Value("?")))

    @rule(model=st.sampled_from([Place, Restaurant, Kiosk, Licence]), keep=st.booleans())
    def delete_place(self, model: Any, keep: bool) -> None:
        if (found := model.objects.first()) is not None:
            found.delete(keep_parents=keep)

    # -- children that stay --------------------------------------------------------------------------------------------

    @rule(key=keys, role=st.sampled_from(["sender", "payer", "carrier", "owner", "insurer"]), code=codes)
    def send_parcel(self, key: Any, role: str, code: str) -> None:
        Supplier.objects.get_or_create(code="house")
        Supplier.objects.get_or_create(code=code)
        Parcel.objects.update_or_create(id=key, defaults={"payer_id": None, f"{role}_id": code})

    @rule(code=codes)
    def delete_supplier(self, code: str) -> None:
        with at_will():
            Supplier.objects.filter(code=code).delete()

    @rule(code=codes, other=codes)
    def rename_supplier(self, code: str, other: str) -> None:
        with at_will():
            Supplier.objects.filter(code=code, paid=None, sent=None, carried=None, owned=None, insured=None).update(
                code=other, name="renamed"
            )

    @rule(texts_=st.lists(texts, min_size=1, max_size=3), backwards=st.booleans())
    def order_steps(self, texts_: list[str], backwards: bool) -> None:
        article, _ = Article.objects.get_or_create(name="A")
        made = [Step.objects.create(article=article, text=text) for text in texts_]
        if backwards:
            article.set_step_order([step.pk for step in reversed(made)])


def test_any_sequence_of_writes_tells_the_story_of_the_rows() -> None:
    assert Label in {synced.model for synced in registry.all()}
    with registered(EVERY_SHAPE):
        run_state_machine_as_test(
            Site,
            settings=settings(
                max_examples=20,
                stateful_step_count=20,
                report_multiple_bugs=False,
                phases=[Phase.reuse, Phase.generate],  # shrinking takes minutes: a database is behind every step
                suppress_health_check=list(HealthCheck),
            ),
        )
