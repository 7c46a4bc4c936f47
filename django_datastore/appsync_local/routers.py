"""Keeps the server's tables in its own database, and everybody else's out of it."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from django_datastore.appsync_local import databases
from django_datastore.appsync_local.conf import ALIAS, Settings

APP_LABEL = "appsync_local"


class AppSyncLocalRouter:
    """Put it into `DATABASE_ROUTERS` when `DATABASES` has an alias of the server's own."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        """The server's alias for its own models."""
        return Settings.from_django().alias if model._meta.app_label == APP_LABEL else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """The server's tables on its alias only, and on an alias of its own nothing else."""
        if databases.is_private(db):
            return app_label == APP_LABEL
        if app_label == APP_LABEL:
            return db == Settings.from_django().alias
        return False if db == ALIAS else None
