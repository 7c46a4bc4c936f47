"""The Django app of the local server."""

from __future__ import annotations

from django.apps import AppConfig


class AppSyncLocalConfig(AppConfig):
    """Tables, command and admin of the local AppSync server."""

    name = "django_datastore.appsync_local"
    label = "appsync_local"
    verbose_name = "Local AppSync"
    default_auto_field = "django.db.models.BigAutoField"
