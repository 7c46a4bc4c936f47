"""Instance writes: whatever way a row is saved, row and outbox tell the same story."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from asgiref.sync import async_to_sync
from django.core import serializers
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Lower
from django.db.models.signals import ModelSignal, post_save, pre_save
from django.test.utils import CaptureQueriesContext

from django_datastore import DataStore, muted, registry
from django_datastore.exceptions import ConditionFailed, InvalidPredicate
from django_datastore.models import Change, MutationEvent
from testproject.blog.models import Blog, Comment, Post
from tests.shop.mirror import AccountSync, Mirror, outbox
from tests.shop.models import (
    Account,
    Article,
    Bistro,
    Card,
    Kiosk,
    Label,
    Licence,
    OpenPlace,
    Place,
    Remark,
    Restaurant,
    Seat,
    Step,
    Supplier,
)
from tests.upserts import on

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def receiving(signal: ModelSignal, sender: type[models.Model], receiver: Callable[..., None]) -> Iterator[None]:
    """With a receiver of the site's own."""
    signal.connect(receiver, sender=sender, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=sender)


# -- arguments and values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"force_update": True},
        {"update_fields": ["balance"]},
        {"update_fields": {"balance", "branch"}},
        {"using": "default"},
    ],
)
def test_save_of_a_change_tells_what_was_written(arguments: dict[str, Any], mirror: Mirror) -> None:
    account = Account.objects.create(email="a@b.de")
    mirror.acknowledge_all()
    account.balance, account.branch, account.facts = 3, "north", {"a": 1}
    account.save(**arguments)
    mirror.check()
    assert [operation for operation, *_ in outbox()] == ["update"]


@pytest.mark.parametrize("force_insert", [True, (Place,), False])
def test_save_of_something_new_is_a_create_with_every_table(force_insert: Any, mirror: Mirror) -> None:
    Restaurant(name="R").save(force_insert=force_insert)
    assert [(operation, model) for operation, model, _ in outbox()] == [("create", "shop.place")]
    mirror.check()


@pytest.mark.parametrize(
    "value",
    [F("balance") + 1, Value(7), Case(When(balance__gt=2, then=Value(9)), default=Value(1))],
    ids=["F", "Value", "Case"],
)
def test_an_expression_is_told_as_what_it_became(value: Any, mirror: Mirror) -> None:
    account = Account.objects.create(email="a@b.de", balance=3)
    mirror.acknowledge_all()
    account.balance = value
    account.save()
    mirror.check()
    assert len(outbox()) == 1


def test_a_function_in_a_create_is_told_as_what_it_became(mirror: Mirror) -> None:
    Account.objects.create(email="a@b.de", branch=Lower(Value("NORTH")))
    assert outbox()[0][2]["branch"] == "north"
    mirror.check()


def test_a_default_of_the_database_is_told(mirror: Mirror) -> None:
    Account.objects.create(email="a@b.de")
    assert outbox()[0][2]["status"] == "new"


def test_json_that_python_holds_for_equal_is_told(mirror: Mirror) -> None:
    post = Post.objects.create(title="T", metadata={"on": 1})
    mirror.acknowledge_all()
    post.metadata = {"on": True}
    post.save()
    mirror.check()
    assert outbox() == [("update", "blog.post", {"metadata": '{"on": true}'})]


def test_the_order_with_respect_to_a_parent_is_told(mirror: Mirror) -> None:
    article = Article.objects.create(name="A")
    first, second = (Step.objects.create(article=article, text=text) for text in "ab")
    mirror.check()
    article.set_step_order([second.pk, first.pk])
    mirror.check()
    assert Step.objects.get(pk=first.pk)._order == 1


class Rounded(models.CharField):  # type: ignore[type-arg]
    """Stores something else than the instance has, as fields of third parties do."""

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        """In capitals."""
        return str(getattr(model_instance, self.attname)).upper()


def test_a_field_that_stores_another_value_than_the_instance_has_is_read_back(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, every_shape: None
) -> None:
    field: Any = Place._meta.get_field("city")
    monkeypatch.setattr(field, "__class__", Rounded)
    place = Place.objects.create(name="P", city="rome")
    mirror.check()
    place.city = "paris"
    place.save()
    Place.objects.bulk_create([Place(name="Q", city="oslo")])
    mirror.check()
    assert set(Place.objects.values_list("city", flat=True)) == {"PARIS", "OSLO"}


class Namesake(models.CharField):  # type: ignore[type-arg]
    """Sets other fields of the instance while it is saved."""

    def pre_save(self, model_instance: Any, add: bool) -> str:
        """Before its own value is taken; the columns before it have been taken, those behind it have not."""
        value = str(getattr(model_instance, self.attname))
        for name in {"name", "city"} - {self.attname}:
            setattr(model_instance, name, f"{value}'s")
        return value


@pytest.mark.parametrize("name", ["name", "city"])
def test_a_field_that_sets_other_fields_while_it_is_saved_tells_what_was_stored(
    name: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch, every_shape: None
) -> None:
    field: Any = Place._meta.get_field(name)
    monkeypatch.setattr(field, "__class__", Namesake)
    place = Place.objects.create(name="P", city="rome")
    mirror.check()
    place.name, place.city = "Q", "paris"
    place.save()
    mirror.check()
    place.name, place.city = "R", "oslo"
    place.save(update_fields=[name])
    Place.objects.bulk_create([Place(name="S", city="bonn"), Place(name="T", city="kyiv")])
    mirror.check()


def test_keys_of_other_types_than_the_column_are_the_same_records(mirror: Mirror) -> None:
    account = Account.objects.create(email="a@b.de")
    mirror.acknowledge_all()
    Account(id=str(account.pk), email="b@b.de").save(force_update=True)
    mirror.check()
    Account(id=str(account.pk)).delete()
    mirror.check()


# -- what is left out, and copies --------------------------------------------------------------------------------------


def test_a_deferred_field_is_not_told(mirror: Mirror) -> None:
    Post.objects.create(title="T", rating=1, metadata={"a": 1})
    mirror.acknowledge_all()
    for rows in (Post.objects.only("title"), Post.objects.defer("metadata")):
        post = rows.get()
        post.title += "!"
        post.save()
    mirror.check()
    assert outbox() == [("update", "blog.post", {"title": "T!!"})]


def test_a_copy_under_a_new_key_is_a_create(mirror: Mirror) -> None:
    post = Post.objects.create(title="T", rating=1)
    mirror.acknowledge_all()
    post.pk = uuid.uuid4()
    post.save()
    post.pk, post._state.adding = None, True
    post.save()
    mirror.check()
    assert [operation for operation, *_ in outbox()] == ["create", "create"]


def test_pickled_instances_and_querysets_are_captured(mirror: Mirror) -> None:
    Post.objects.create(title="T", blog=Blog.objects.create(name="B"))
    for post in pickle.loads(pickle.dumps(Post.objects.select_related("blog"))):
        post.rating = 4
        post.save()
    blog = pickle.loads(pickle.dumps(Blog.objects.prefetch_related("posts").get()))
    blog.posts.all()[0].delete()
    mirror.check()


def test_async_twins_are_captured(mirror: Mirror) -> None:
    async def write() -> None:
        post = await Post.objects.acreate(title="T")
        post.rating = 3
        await post.asave()
        await Post.objects.filter(pk=post.pk).aupdate(title="U")
        await Post.objects.abulk_create([Post(title="V")])
        await Post.objects.aget_or_create(title="W")
        await Post.objects.aupdate_or_create(title="W", defaults={"rating": 5})
        await post.adelete()

    async_to_sync(write)()
    mirror.check()
    assert Post.objects.count() == 2


def test_get_or_create_and_update_or_create_are_captured(mirror: Mirror) -> None:
    for _ in range(2):
        Account.objects.get_or_create(email="a@b.de", defaults={"balance": 1})
        Account.objects.update_or_create(email="c@b.de", defaults={"balance": F("balance") + 1}, create_defaults={})
    mirror.check()


def test_a_save_that_finds_its_row_only_when_it_writes_tells_all_of_it(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = Post.objects.create(title="T", rating=1)
    mirror.acknowledge_all()
    from django_datastore.storage.capture import stored

    look, looked = stored.row, []

    def look_too_early(*arguments: Any) -> Any:
        looked.append(arguments)
        return None if len(looked) == 1 else look(*arguments)

    monkeypatch.setattr(stored, "row", look_too_early)
    Post(id=post.pk, title="U").save(force_update=True)
    mirror.check()


# -- keys of every shape -----------------------------------------------------------------------------------------------


def test_a_composite_key_is_a_record_of_its_own(mirror: Mirror) -> None:
    seat = Seat.objects.create(hall="A", number=1)
    seat.taken_by = "me"
    seat.save()
    Seat(hall="A", number=2).save()
    mirror.check()
    assert MutationEvent.objects.count() == 2


def test_a_key_that_is_a_foreign_key_is_captured(mirror: Mirror) -> None:
    card = Card.objects.create(account=Account.objects.create(email="a@b.de"), pin="1")
    card.pin = "2"
    card.save()
    mirror.check()


# -- several tables ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [OpenPlace, Restaurant, Bistro])
def test_a_parent_written_through_others_is_captured(model: type[Place], mirror: Mirror) -> None:
    place = model.objects.create(name="P")  # type: ignore[attr-defined]  # every model has it
    mirror.acknowledge_all()
    place.name = "Q"
    place.save()
    mirror.check()
    place.city = "Rome"
    place.save(update_fields=["city"])
    mirror.check()
    place.delete()
    mirror.check()


def test_two_parents_are_both_captured(mirror: Mirror) -> None:
    kiosk = Kiosk.objects.create(name="K", number="1")
    kiosk.name, kiosk.holder = "L", "me"
    kiosk.save()
    mirror.check()
    assert {model for _, model, _ in outbox()} == {"shop.place", "shop.licence"}
    kiosk.delete(keep_parents=True)
    mirror.check()
    assert Licence.objects.exists()


# -- fixtures ----------------------------------------------------------------------------------------------------------


def test_deserialized_objects_saved_by_hand_are_captured(mirror: Mirror) -> None:
    restaurant = Restaurant.objects.create(name="R")
    text = serializers.serialize("json", [Place.objects.get(), restaurant, Article.objects.create(name="A")])
    restaurant.delete()
    Article.objects.all().delete()
    mirror.acknowledge_all()
    for _ in range(2):
        for item in serializers.deserialize("json", text):
            item.save()
        text = text.replace('"R"', '"S"')
    mirror.check()
    assert Restaurant.objects.get().name == "S"


# -- receivers ---------------------------------------------------------------------------------------------------------


def test_a_receiver_that_saves_the_new_row_again_makes_one_create_of_it(mirror: Mirror) -> None:
    def stamp(instance: Post, created: bool, **_: Any) -> None:
        if created:
            instance.title += "!"
            instance.save()
            Post.objects.filter(pk=instance.pk).update(rating=5)
            Comment.objects.create(post=instance, content="welcome")

    with receiving(post_save, Post, stamp):
        Post.objects.create(title="T")
    assert [(operation, model) for operation, model, _ in outbox()] == [
        ("create", "blog.post"),
        ("create", "blog.comment"),
    ]
    mirror.check()


def test_receivers_that_save_in_receivers_are_captured_in_order(mirror: Mirror) -> None:
    def count_down(instance: Post, **_: Any) -> None:
        if instance.rating:
            instance.rating -= 1
            instance.save()

    post = Post.objects.create(title="T")
    mirror.acknowledge_all()
    with receiving(post_save, Post, count_down):
        post.rating = 4
        post.save()
    mirror.check()
    assert Post.objects.get().rating == 0


@pytest.mark.parametrize(("signal", "rows"), [(pre_save, 0), (post_save, 1)])
def test_a_receiver_that_raises_and_is_caught_loses_what_plain_django_loses(
    signal: ModelSignal, rows: int, mirror: Mirror
) -> None:
    def veto(**_: Any) -> None:
        raise PermissionError

    with receiving(signal, Post, veto), transaction.atomic():
        Blog.objects.create(name="before")
        with pytest.raises(PermissionError):
            Post.objects.create(title="T")
        Blog.objects.create(name="after")
    assert (Blog.objects.count(), Post.objects.count()) == (2, rows)
    mirror.check()


# -- refusals ----------------------------------------------------------------------------------------------------------


REFUSED: dict[str, Callable[[], Any]] = {
    "a new row": lambda: Post(title="T", status="NONSENSE").save(),
    "a change": lambda: Post(id=Post.objects.get().pk, title="T", status="NONSENSE").save(),
    "an expression": lambda: Post(title="T", status=Value("NONSENSE")).save(),
    "create": lambda: Post.objects.create(title="T", status="NONSENSE"),
    "update": lambda: Post.objects.update(status="NONSENSE"),
    "update with an expression": lambda: Post.objects.update(status=Value("NONSENSE")),
    "bulk_create": lambda: Post.objects.bulk_create([Post(title="ok"), Post(title="T", status="NONSENSE")]),
    "bulk_create of an expression": lambda: Post.objects.bulk_create([Post(title="T", status=Value("NONSENSE"))]),
    "bulk_update": lambda: Post.objects.bulk_update([Post(id=Post.objects.get().pk, status="NONSENSE")], ["status"]),
    "bulk_update with an expression": lambda: Post.objects.bulk_update(
        [Post(id=Post.objects.get().pk, status=Lower(Value("NONSENSE")))], ["status"]
    ),
    "a key": lambda: Supplier.objects.create(code="", name="nobody"),
    "a second table": lambda: Kiosk.objects.create(name="K", number=""),
}


@pytest.mark.parametrize("write", REFUSED.values(), ids=REFUSED)
def test_a_refusal_leaves_the_transaction_usable_and_nothing_written(write: Callable[[], Any], mirror: Mirror) -> None:
    Post.objects.create(title="here")
    with transaction.atomic():
        Blog.objects.create(name="before")
        with pytest.raises(ValidationError):
            write()
        Blog.objects.create(name="after")
    assert (Blog.objects.count(), Post.objects.count(), Place.objects.count()) == (2, 1, 0)
    mirror.check()


def test_a_refusal_takes_back_no_failure_of_others(mirror: Mirror) -> None:
    Label.objects.create(text="taken")
    with pytest.raises(transaction.TransactionManagementError), transaction.atomic():
        with pytest.raises(IntegrityError):
            Label.objects.create(text="taken")
        with pytest.raises((ValidationError, transaction.TransactionManagementError)):
            Supplier.objects.create(code="", name="nobody")
        Label.objects.create(text="other")
    mirror.check()


def test_what_was_stored_past_us_does_not_keep_other_fields_from_being_saved(mirror: Mirror) -> None:
    post = Post.objects.create(title="T")
    mirror.acknowledge_all()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE blog_post SET status = 'NONSENSE'")
    post = Post.objects.get()
    post.title = "U"
    post.save()
    assert outbox() == [("update", "blog.post", {"title": "U"})]


class TogetherSync(AccountSync):
    """With fields that travel together."""

    together: ClassVar = [("email", "branch")]


@pytest.mark.parametrize(
    "write",
    [
        lambda account: account.save(),
        lambda account: account.save(update_fields=["branch"]),
        lambda account: Account.objects.update(branch=account.branch),
        lambda account: Account.objects.bulk_update([account], ["branch"]),
    ],
    ids=["save", "update_fields", "update", "bulk_update"],
)
def test_a_refusal_of_what_travels_along_leaves_the_transaction_usable(
    write: Callable[[Account], Any], mirror: Mirror
) -> None:
    registry.unregister(Account)
    registry.register(Account, TogetherSync)
    Account.objects.create(email="a@b.de", branch="north")
    mirror.acknowledge_all()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shop_account SET email = 'nonsense'")
    account = Account.objects.get()
    with transaction.atomic():
        account.number = 3
        account.save()
        account.branch = "south"
        with pytest.raises(ValidationError):
            write(account)
        Blog.objects.create(name="after")
    assert Account.objects.get().branch == "north"
    assert outbox() == [("update", "shop.account", {"number": 3}), ("create", "blog.blog", {"name": "after"})]


@pytest.mark.parametrize(
    "write",
    [
        lambda post: DataStore.save(post, Q(rating=5)),
        lambda post: DataStore.delete(post, Q(rating=5)),
        lambda post: DataStore.save(Post(title="new"), Q(rating=5)),
        lambda post: DataStore.save(Post(id=post.pk, title="T", status="NONSENSE"), Q(rating=1)),
    ],
    ids=["save", "delete", "a new row", "a refused value"],
)
def test_a_condition_that_fails_leaves_the_transaction_usable(write: Callable[[Post], Any], mirror: Mirror) -> None:
    post = Post.objects.create(title="T", rating=1)
    with transaction.atomic():
        with pytest.raises((ConditionFailed, InvalidPredicate, ValidationError)):
            write(post)
        Blog.objects.create(name="after")
    assert (Blog.objects.count(), Post.objects.get().title) == (1, "T")
    mirror.check()


# -- transactions ------------------------------------------------------------------------------------------------------


def test_a_savepoint_rolled_back_takes_its_entries_along(mirror: Mirror) -> None:
    with transaction.atomic():
        post = Post.objects.create(title="T")
        with pytest.raises(KeyError), transaction.atomic():
            post.title = "U"
            post.save()
            Post.objects.create(title="gone")
            raise KeyError
        Post.objects.filter(pk=post.pk).update(rating=4)
    mirror.check()
    assert outbox() == [("create", "blog.post", {"title": "T", "rating": 4})]


def test_writes_without_autocommit_are_captured(mirror: Mirror) -> None:
    transaction.set_autocommit(False)
    try:
        post = Post.objects.create(title="T")
        post.rating = 3
        post.save()
        transaction.commit()
        post.delete()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    mirror.check()
    assert Post.objects.count() == 1


# -- conditions --------------------------------------------------------------------------------------------------------


def conditions() -> dict[str, Any]:
    """The conditions that wait, by model."""
    return dict(MutationEvent.objects.values_list("model", "condition"))


def test_a_condition_belongs_to_one_write_of_one_record(mirror: Mirror) -> None:
    post = Post.objects.create(title="T", rating=1)
    mirror.acknowledge_all()

    def log(instance: Post, **_: Any) -> None:
        Comment.objects.create(content="saved")

    with receiving(post_save, Post, log), receiving(pre_save, Post, log):
        post.rating = 2
        DataStore.save(post, Q(rating=1))
    found = conditions()
    assert found["blog.post"] == {"and": [{"rating": {"eq": 1}}]}
    assert found["blog.comment"] is None


def test_a_condition_of_a_save_that_changes_nothing_is_not_left_to_receivers(mirror: Mirror) -> None:
    post = Post.objects.create(title="T", rating=1)
    mirror.acknowledge_all()

    def stamp(instance: Post, **_: Any) -> None:
        if instance.title == "T":
            instance.title = "stamped"
            instance.save()

    with receiving(post_save, Post, stamp):
        DataStore.save(post, Q(rating=1))
    assert conditions() == {"blog.post": None}


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_a_model_that_is_not_registered_costs_what_plain_django_costs(mirror: Mirror) -> None:
    article = Article.objects.create(name="A")
    with CaptureQueriesContext(connection) as queries:
        remark = Remark.objects.create(article=article, text="T")
        remark.save()
        Remark.objects.filter(pk=remark.pk).update(text="U")
        Remark.objects.bulk_update([remark], ["text"])
        remark.delete()
    statements = [query["sql"].split()[0] for query in queries if query["sql"].split()[0] not in _TRANSACTIONS]
    assert statements == ["INSERT", "UPDATE", "UPDATE", "UPDATE", "DELETE"]


_TRANSACTIONS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


def statements_of(write: Callable[[], Any]) -> int:
    """How many statements a write takes, but for those that begin and end transactions."""
    with CaptureQueriesContext(connection) as queries:
        write()
    return len([query for query in queries if query["sql"].split()[0] not in _TRANSACTIONS])


def test_a_write_costs_three_more_statements_and_two_on_postgresql(mirror: Mirror) -> None:
    blog, post = Blog.objects.create(name="B"), Post.objects.create(title="T")
    mirror.acknowledge_all()
    post.title = "U"
    entry_and_change = 1 if connection.vendor == "postgresql" else 2
    assert statements_of(post.save) == 1 + 1 + entry_and_change
    mirror.acknowledge_all()
    assert statements_of(lambda: Post.objects.create(title="V")) == 1 + entry_and_change
    assert statements_of(lambda: Post.objects.create(title="W", blog=blog)) == 1 + entry_and_change
    article = Article.objects.create(name="A")
    assert statements_of(lambda: Article.objects.create(name="B", part_of=article)) == 1 + 1 + entry_and_change


# -- muted -------------------------------------------------------------------------------------------------------------


def test_muted_writes_are_seen_by_watchers_and_not_sent(mirror: Mirror) -> None:
    with muted():
        post = Post.objects.create(title="T")
        post.title = "U"
        post.save()
        Post.objects.update(rating=3)
        Post.objects.bulk_create([Post(title="V")])
        Post.objects.all().delete()
    assert outbox() == []
    assert [entry[0] for change in Change.objects.order_by("id") for entry in change.entries] == [
        "INSERT",
        "UPDATE",
        "UPDATE",
        "INSERT",
        "DELETE",
        "DELETE",
    ]


def test_hidden_rows_are_captured_by_every_manager(mirror: Mirror) -> None:
    account = Account.objects.create(email="a@b.de")
    account.is_open = False
    account.save()
    mirror.acknowledge_all()
    plain: QuerySet[Account] = QuerySet(Account)
    plain.update(balance=3)
    mirror.check()
    plain.all().delete()
    mirror.check()


def test_muted_save_takes_what_appsync_would_refuse_and_tells_watchers() -> None:
    with muted():
        made = Article.objects.create(name="A", email="no address")
        made.email = "neither"
        made.save()
        Article.objects.filter(pk=made.pk).update(email="nor this")
        Article.objects.bulk_create([Article(name="B", email="nothing")])
        made.email = "nowhere"
        Article.objects.bulk_update([made], ["email"])
        upsert = {"update_conflicts": True, "update_fields": ["email"], **on("id")}
        Article.objects.bulk_create([Article(id=made.pk, name="A", email="nobody"), Article(name="C")], **upsert)
    assert not MutationEvent.objects.exists()
    changes = [entry[0] for change in Change.objects.order_by("id") for entry in change.entries]
    assert changes[:5] == ["INSERT", "UPDATE", "UPDATE", "INSERT", "UPDATE"]
    assert sorted(changes[5:]) == ["INSERT", "UPDATE"]
