"""The checks tell what would write past the captures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, models

from django_datastore import checks
from django_datastore.storage.capture import uncaptured
from testproject.blog.models import Post
from tests.shop.models import Account, Place


class Rewriting(models.QuerySet[Any]):
    """Writes by itself."""

    def update(self, **values: Any) -> int:
        """By hand."""
        with connection.cursor() as cursor:
            cursor.execute("UPDATE shop_place SET name = 'x'")
        return 1


class Handing(models.QuerySet[Any]):
    """Adds something and hands on."""

    def update(self, **values: Any) -> int:
        """With a word."""
        return super().update(**values)

    def bulk_create(self, objs: Any, *arguments: Any, **options: Any) -> list[Any]:
        """By the class."""
        return models.QuerySet.bulk_create(self, objs, *arguments, **options)


class Refusing(models.QuerySet[Any]):
    """Writes nothing."""

    def update(self, **values: Any) -> int:
        """Never."""
        raise NotImplementedError


class Inheriting(Rewriting):
    """As its parent does."""


def manager_of(found: Callable[[Any], Any]) -> models.Manager[Any]:
    """A manager of places with this `get_queryset`."""

    class Own(models.Manager[Any]):
        def get_queryset(self) -> Any:
            return found(self)

    manager = Own()
    manager.model = Place
    return manager


@pytest.mark.parametrize(
    ("queryset", "codes"),
    [(Rewriting, ["W031"]), (Inheriting, ["W031"]), (Handing, []), (Refusing, []), (models.QuerySet, [])],
)
def test_an_override_that_hands_nothing_on_is_told(queryset: type[models.QuerySet[Any]], codes: list[str]) -> None:
    found = list(uncaptured._of_manager(Place, manager_of(lambda manager: queryset(Place))))
    assert [problem.code for problem in found] == codes
    assert all("Rewriting.update()" in problem.message for problem in found)


def test_a_manager_that_gives_no_queryset_is_told() -> None:
    (found,) = uncaptured._of_manager(Place, manager_of(lambda manager: ["rows"]))
    assert found.code == "W030"
    assert "gives a list" in found.message


def test_a_manager_that_needs_more_than_a_check_has_is_left_alone() -> None:
    def fail(manager: Any) -> Any:
        raise LookupError("no tenant")

    assert list(uncaptured._of_manager(Place, manager_of(fail))) == []


def test_a_model_that_saves_by_itself_is_told() -> None:
    class ByHand(Place):
        class Meta:
            proxy = True
            app_label = "shop"

        def save_base(self, *arguments: Any, **options: Any) -> None:
            """By hand."""
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO shop_place VALUES (1)")

    assert [problem.code for problem in uncaptured.problems(ByHand)] == ["W031"]


def test_models_that_hide_rows_and_hand_writes_on_are_fine() -> None:
    assert list(uncaptured.problems(Account)) == []
    assert list(uncaptured.problems(Post)) == []
    assert not [item for item in checks.check_models() if str(item.id).endswith(("W030", "W031"))]
