"""Text keys, self-references, SET_NULL, every scalar, choices that are no GraphQL names."""

from __future__ import annotations

import uuid

from django.db import models


class Supplier(models.Model):
    """Keyed by text."""

    code = models.CharField(primary_key=True, max_length=20)
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.code


class Article(models.Model):
    """Every scalar."""

    class Size(models.TextChoices):
        SMALL = "small"
        EXTRA_LARGE = "extra-large"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=50)
    supplier = models.ForeignKey(Supplier, models.SET_NULL, null=True, blank=True)
    part_of = models.ForeignKey("self", models.CASCADE, null=True, blank=True, related_name="parts")
    size = models.CharField(max_length=20, choices=Size.choices, blank=True, default="")
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True, blank=True)
    weight = models.FloatField(null=True, blank=True)
    in_stock = models.BooleanField(default=True)
    email = models.EmailField(blank=True, default="")
    url = models.URLField(blank=True, default="")
    available_on = models.DateField(null=True, blank=True)
    opens_at = models.TimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    labels = models.JSONField(default=list, blank=True)
    facts = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class Label(models.Model):
    """Must be unique, so that a remote record can be refused by the database."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    text = models.CharField(max_length=30, unique=True)

    def __str__(self) -> str:
        return self.text


# -- the shapes of models, for every way to write them (registered by the tests that need them) -----------------------


class Place(models.Model):
    """Written through its children, too."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=50)
    city = models.CharField(max_length=50, blank=True, default="")

    def __str__(self) -> str:
        return self.name


class OpenPlace(Place):
    """The same table under another name."""

    class Meta:
        proxy = True


class Restaurant(Place):
    """A table of its own, which is not synced."""

    stars = models.IntegerField(default=0)


class Bistro(Restaurant):
    """A grandchild."""

    has_terrace = models.BooleanField(default=False)


class Licence(models.Model):
    """A second parent, keyed by text."""

    number = models.CharField(primary_key=True, max_length=20)
    holder = models.CharField(max_length=50, blank=True, default="")

    def __str__(self) -> str:
        return self.number


class Kiosk(Place, Licence):
    """Two parents."""

    sells_beer = models.BooleanField(default=False)


class AccountQuerySet(models.QuerySet["Account"]):
    """Overrides what writes, as packages do."""

    def update(self, **values: object) -> int:
        """As Django's."""
        return super().update(**values)


class OpenAccounts(models.Manager.from_queryset(AccountQuerySet)):  # type: ignore[misc]  # made at run time
    """Hides rows."""

    def get_queryset(self) -> AccountQuerySet:
        """The open ones."""
        return AccountQuerySet(self.model, using=self._db, hints=self._hints).filter(is_open=True)


class Account(models.Model):
    """Unique fields, columns the database fills, and managers that hide rows."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(unique=True)
    branch = models.CharField(max_length=10, blank=True, default="")
    number = models.IntegerField(null=True, blank=True)
    balance = models.IntegerField(default=0)
    doubled = models.GeneratedField(
        expression=models.F("balance") * 2, output_field=models.IntegerField(), db_persist=True
    )
    status = models.CharField(max_length=10, db_default="new")
    facts = models.JSONField(null=True, blank=True)
    is_open = models.BooleanField(default=True)
    """Stays on this site."""

    objects = OpenAccounts()

    class Meta:
        base_manager_name = "objects"
        constraints = [models.UniqueConstraint(fields=["branch", "number"], name="shop_account_number")]

    def __str__(self) -> str:
        return self.email


class Card(models.Model):
    """Its key is a foreign key."""

    account = models.OneToOneField(Account, models.CASCADE, primary_key=True)
    pin = models.CharField(max_length=4, blank=True, default="")


class Seat(models.Model):
    """A key of two fields."""

    pk = models.CompositePrimaryKey("hall", "number")
    hall = models.CharField(max_length=20)
    number = models.IntegerField()
    taken_by = models.CharField(max_length=50, blank=True, default="")


class Step(models.Model):
    """Ordered within its article."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    article = models.ForeignKey(Article, models.CASCADE, related_name="steps")
    text = models.CharField(max_length=50)

    class Meta:
        order_with_respect_to = "article"


class Tagging(models.Model):
    """The join model of a many-to-many relation, written out."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    collection = models.ForeignKey("Collection", models.CASCADE)
    label = models.ForeignKey(Label, models.CASCADE)
    weight = models.IntegerField(default=1)


class Collection(models.Model):
    """Has labels."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=50)
    labels = models.ManyToManyField(Label, through=Tagging, related_name="collections")

    def __str__(self) -> str:
        return self.name


def unknown_supplier() -> Supplier:
    """Who stands in for a supplier that is gone."""
    return Supplier.objects.get_or_create(code="unknown", defaults={"name": "?"})[0]


class Parcel(models.Model):
    """Loses a supplier in every way there is."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sender = models.ForeignKey(Supplier, models.SET_NULL, null=True, related_name="sent")
    payer = models.ForeignKey(Supplier, models.SET_DEFAULT, null=True, default="house", related_name="paid")
    carrier = models.ForeignKey(Supplier, models.SET(unknown_supplier), null=True, related_name="carried")
    owner = models.ForeignKey(Supplier, models.CASCADE, null=True, related_name="owned")
    insurer = models.ForeignKey(Supplier, models.PROTECT, null=True, related_name="insured")
    customs = models.ForeignKey(Supplier, models.RESTRICT, null=True, related_name="cleared")
    depot = models.ForeignKey(Supplier, models.DO_NOTHING, null=True, related_name="stored", db_constraint=False)


class Remark(models.Model):
    """Not synced."""

    article = models.ForeignKey(Article, models.CASCADE, related_name="remarks")
    text = models.CharField(max_length=50)
