from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db.models import Q

from django_datastore import ModelSync
from django_datastore.observe import access
from tests.shop.models import Supplier

pytestmark = pytest.mark.django_db


def user_with_permission() -> User:
    user = User.objects.create_user("viewer")
    user.user_permissions.add(Permission.objects.get(codename="view_supplier"))
    return user


class OwnSync(ModelSync):
    def observable_by(self, user: Any) -> Q:
        return Q(code=user.username)


class FailingSync(ModelSync):
    def observable_by(self, user: Any) -> Q:
        raise LookupError("no such tenant")


class ForgetfulSync(ModelSync):
    def observable_by(self, user: Any) -> Q:
        return None  # type: ignore[return-value]  # what a hook without a return statement does


@pytest.mark.parametrize("user", [None, AnonymousUser(), User(username="nobody")])
def test_nobody_may_watch_by_default(user: Any) -> None:
    if isinstance(user, User):
        user.save()
    assert access.observable(user, ModelSync(Supplier)) is None


def test_the_view_permission_lets_watch_every_row() -> None:
    assert access.observable(user_with_permission(), ModelSync(Supplier)) == Q()


def test_observable_by_narrows_the_rows() -> None:
    assert access.observable(user_with_permission(), OwnSync(Supplier)) == Q(code="viewer")


def test_observable_by_does_not_stand_for_the_permission() -> None:
    assert access.observable(User.objects.create_user("viewer"), OwnSync(Supplier)) is None


def test_a_disabled_user_may_not_watch() -> None:
    user = user_with_permission()
    user.is_active = False
    assert access.observable(user, ModelSync(Supplier)) is None


class OwnKeySync(ModelSync):
    def observable_by(self, user: Any) -> Q:
        return Q(name="public") | Q(code=user.pk)


@pytest.mark.parametrize(
    "policy",
    [
        Q(code=None),
        ~Q(code=None),
        Q(name="public") | Q(code__exact=None),
        Q(name="public") & ~(Q(name="x") | Q(name__iexact=None)),
        Q(article__name=None),
    ],
)
def test_a_comparison_with_none_lets_nobody_in(
    policy: Q, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sync = ModelSync(Supplier)
    monkeypatch.setattr(sync, "observable_by", lambda user: policy)
    assert access.observable(user_with_permission(), sync) is None
    assert "__isnull" in caplog.text


def test_a_visitor_without_a_key_does_not_own_what_nobody_owns(monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = AnonymousUser()
    monkeypatch.setattr(visitor, "has_perm", lambda name: True)  # the model is public
    assert access.observable(visitor, OwnKeySync(Supplier)) is None
    user = user_with_permission()
    assert access.observable(user, OwnKeySync(Supplier)) == Q(name="public") | Q(code=user.pk)


def test_rows_without_a_value_are_watched_where_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    sync = ModelSync(Supplier)
    monkeypatch.setattr(sync, "observable_by", lambda user: Q(name__isnull=True))
    assert access.observable(user_with_permission(), sync) == Q(name__isnull=True)


@pytest.mark.parametrize("factory", [FailingSync, ForgetfulSync])
def test_a_hook_that_fails_lets_nobody_in(factory: type[ModelSync]) -> None:
    assert access.observable(user_with_permission(), factory(Supplier)) is None
