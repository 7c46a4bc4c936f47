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


@pytest.mark.parametrize("factory", [FailingSync, ForgetfulSync])
def test_a_hook_that_fails_lets_nobody_in(factory: type[ModelSync]) -> None:
    assert access.observable(user_with_permission(), factory(Supplier)) is None
