"""The switchboard: the only place where signals are connected, so that the rooms below need not know each other."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _

from django_datastore import events


class DatastoreConfig(AppConfig):
    """`django_datastore` in INSTALLED_APPS."""

    name = "django_datastore"
    verbose_name = _("DataStore")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the rooms, then find every app's `datastore.py`."""
        from django_datastore import checks, consumers, tasks
        from django_datastore.storage import capture
        from django_datastore.storage.announcements import announcer

        checks.register_checks()
        capture.install()
        announcer.listen(consumers.announce_changes)
        announcer.listen(tasks.nudge)
        events.model_registered.connect(capture.on_registered, dispatch_uid="django_datastore.registered")
        events.model_unregistered.connect(capture.on_unregistered, dispatch_uid="django_datastore.unregistered")
        autodiscover_modules("datastore")
