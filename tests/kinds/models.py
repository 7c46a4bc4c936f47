"""A column of every kind Django has, and fields of somebody's own."""

# ruff: noqa: DJ001 - null text is a value that crosses, too

from __future__ import annotations

import enum
import uuid
from typing import Any

from django.contrib.postgres.fields import ArrayField, DateRangeField
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F


class Suit(enum.Enum):
    """A plain enum, as projects have them."""

    HEARTS = "h"
    SPADES = "s"


class UpperField(models.CharField):
    """Text that the column holds in capitals."""

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return value if value is None else value.upper()


class SuitField(models.CharField):
    """An enum in Python, its value in the column."""

    def from_db_value(self, value: Any, *_: Any) -> Any:
        return None if value is None else Suit(value)

    def to_python(self, value: Any) -> Any:
        return value if value is None or isinstance(value, Suit) else Suit(value)

    def get_prep_value(self, value: Any) -> Any:
        return value.value if isinstance(value, Suit) else value


class BrokenField(models.CharField):
    """What a careless person writes: rubbish for some values, an error for others."""

    def get_prep_value(self, value: Any) -> Any:
        return object() if value == "rubbish" else value if value is None else value + ""

    def to_python(self, value: Any) -> Any:
        return value if value is None else {"fine": "fine"}[value]


class Point:
    """A value of a class no database knows."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    def __hash__(self) -> int:
        return hash((self.x, self.y))


class PointField(models.Field):
    """A field of a class of its own, as geographic ones are."""

    def db_type(self, connection: Any) -> str:
        return "varchar(40)"

    def from_db_value(self, value: Any, *_: Any) -> Any:
        return self.to_python(value)

    def to_python(self, value: Any) -> Any:
        if value is None or isinstance(value, Point):
            return value
        x, y = value.split(";")
        return Point(int(x), int(y))

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else f"{value.x};{value.y}"

    def value_to_string(self, obj: Any) -> Any:
        return self.get_prep_value(self.value_from_object(obj))


class Thing(models.Model):
    """One column of each kind."""

    class Color(models.TextChoices):
        RED = "red"
        DARK_BLUE = "dark-blue"

    class Level(models.IntegerChoices):
        LOW = 1
        HIGH = 2

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    text = models.CharField(max_length=50, null=True, blank=True)
    body = models.TextField(null=True, blank=True)
    slug = models.SlugField(null=True, blank=True)
    email = models.EmailField(blank=True, default="")
    contact = models.EmailField()
    nickname = models.CharField(max_length=20, default="nobody")
    url = models.URLField(null=True, blank=True)
    path = models.FilePathField(path="/", null=True, blank=True)
    file = models.FileField(null=True, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    color = models.CharField(max_length=20, choices=Color.choices, null=True, blank=True)
    level = models.IntegerField(choices=Level.choices, null=True, blank=True)
    small = models.SmallIntegerField(null=True, blank=True)
    number = models.IntegerField(null=True, blank=True)
    big = models.BigIntegerField(null=True, blank=True)
    positive = models.PositiveIntegerField(null=True, blank=True)
    positive_big = models.PositiveBigIntegerField(null=True, blank=True)
    rate = models.FloatField(null=True, blank=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True, blank=True)
    exact = models.DecimalField(max_digits=30, decimal_places=10, null=True, blank=True)
    whole = models.DecimalField(max_digits=9, decimal_places=0, null=True, blank=True)
    flag = models.BooleanField(null=True, blank=True)
    token = models.UUIDField(null=True, blank=True)
    moment = models.DateTimeField(null=True, blank=True)
    day = models.DateField(null=True, blank=True)
    time = models.TimeField(null=True, blank=True)
    span = models.DurationField(null=True, blank=True)
    blob = models.BinaryField(null=True, blank=True)
    facts = models.JSONField(null=True, blank=True)
    required_facts = models.JSONField(default=dict)
    rich = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    upper = UpperField(max_length=20, null=True, blank=True)
    suit = SuitField(max_length=1, null=True, blank=True)
    broken = BrokenField(max_length=20, null=True, blank=True)
    point = PointField(null=True, blank=True)
    doubled = models.GeneratedField(
        expression=F("level") + F("level"), output_field=models.BigIntegerField(), db_persist=True
    )

    def __str__(self) -> str:
        return str(self.pk)


class Lists(models.Model):
    """PostgreSQL's own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    words = ArrayField(models.CharField(max_length=20), null=True)
    days = ArrayField(models.DateField(), null=True)
    moments = ArrayField(models.DateTimeField(), null=True)
    keys = ArrayField(models.UUIDField(), null=True)
    amounts = ArrayField(models.DecimalField(max_digits=8, decimal_places=2), null=True)
    matrix = ArrayField(ArrayField(models.IntegerField()), null=True)
    period = DateRangeField(null=True)

    class Meta:
        required_db_vendor = "postgresql"

    def __str__(self) -> str:
        return str(self.pk)


class LongKey(models.Model):
    """Keyed by text longer than keys can be, on MariaDB even as column: it has no table."""

    url = models.CharField(primary_key=True, max_length=5000)

    class Meta:
        managed = False

    def __str__(self) -> str:
        return self.url[:50]
