from __future__ import annotations

from django.apps import AppConfig


class KindsConfig(AppConfig):
    name = "tests.kinds"
    default_auto_field = "django.db.models.BigAutoField"
