"""One model for each thing that keeps a row from being written, changed or deleted."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q


class Keyed(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.pk)


class Slot(Keyed):
    """A unique number that takes no null, with a column that stays here."""

    position = models.IntegerField(unique=True)
    label = models.CharField(max_length=20)
    seen_here = models.CharField(max_length=20, blank=True, default="no")


class Badge(Keyed):
    """A unique foreign key that takes no null: its value has no substitute."""

    slot = models.OneToOneField(Slot, models.PROTECT)


class Pair(Keyed):
    """Two columns that are unique together, one of which takes null."""

    left = models.CharField(max_length=5)
    right = models.CharField(max_length=5, null=True)  # noqa: DJ001 - the point

    class Meta:
        constraints = [models.UniqueConstraint(fields=["left", "right"], name="odd_pair_once")]


class Team(Keyed):
    name = models.CharField(max_length=20)
    captain = models.ForeignKey("Player", models.SET_NULL, null=True, related_name="+")


class Player(Keyed):
    name = models.CharField(max_length=20)
    team = models.ForeignKey(Team, models.CASCADE)


class Rectangle(Keyed):
    """A column that the database computes, and one that it fills in."""

    width = models.IntegerField()
    height = models.IntegerField()
    area = models.GeneratedField(
        expression=models.F("width") * models.F("height"), output_field=models.IntegerField(), db_persist=True
    )
    state = models.CharField(max_length=10, db_default="new")


class Limited(Keyed):
    """A rule over a synced column and one that stays here."""

    status = models.CharField(max_length=20, default="DRAFT")
    approved_by = models.CharField(max_length=20, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status="DRAFT") | ~Q(approved_by=""), name="odd_published_is_approved")
        ]


class Shouting(models.CharField):
    """A field of a person's own, which does not take every text, and fails when it is told to."""

    failures: ClassVar[list[Exception]] = []
    """What its next writes raise."""

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if self.failures:
            raise self.failures.pop()
        return super().get_db_prep_save(value, connection)

    def to_python(self, value: Any) -> Any:
        if value == "whisper":
            raise RuntimeError("cannot shout a whisper")
        return super().to_python(value)


class Shout(Keyed):
    text = Shouting(max_length=50)


class Price(Keyed):
    name = models.CharField(max_length=20)
    amount = models.DecimalField(max_digits=8, decimal_places=2)


class Depot(Keyed):
    """Not registered."""


class Note:
    """A default of a person's own, which fails when it is told to."""

    failures: ClassVar[list[Exception]] = []
    """What it raises next."""

    @classmethod
    def new(cls) -> str:
        if cls.failures:
            raise cls.failures.pop()
        return "new"


class Parcel(Keyed):
    """Columns that stay here and whose defaults may fail, or point to nothing; and a parcel that it is in."""

    label = models.CharField(max_length=20)
    inside = models.ForeignKey("self", models.CASCADE, null=True)
    depot = models.ForeignKey(Depot, models.CASCADE, default=uuid.UUID(int=1))
    note = models.CharField(max_length=20, default=Note.new)


class Guard(models.Model):
    """Not registered: keeps a slot from being deleted."""

    slot = models.ForeignKey(Slot, models.PROTECT)


class Remark(models.Model):
    """Not registered: goes with its slot."""

    slot = models.ForeignKey(Slot, models.CASCADE, null=True)
    text = models.CharField(max_length=20, default="")


class Echo(models.Model):
    """Not registered: goes with its remark."""

    remark = models.ForeignKey(Remark, models.CASCADE)
