"""Models whose rows are hard to write; tests register them (see `registered`)."""

from django.apps import AppConfig


class OddConfig(AppConfig):
    name = "tests.odd"
    label = "odd"
    default_auto_field = "django.db.models.BigAutoField"
