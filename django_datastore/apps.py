"""The switchboard: the only place where signals are connected, so that the rooms below need not know each other."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db import models
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
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
        from django_datastore.observe import changes
        from django_datastore.storage.announcements import announcer
        from django_datastore.storage.messages import storage_mutated
        from django_datastore.sync import outbox

        checks.register_checks()
        storage_mutated.connect(outbox.on_storage_mutated, dispatch_uid="django_datastore.outbox")
        storage_mutated.connect(changes.on_storage_mutated, dispatch_uid="django_datastore.observe")
        announcer.listen(consumers.announce_changes)
        announcer.listen(tasks.nudge)
        events.model_registered.connect(_on_registered, dispatch_uid="django_datastore.registered")
        events.model_unregistered.connect(_on_unregistered, dispatch_uid="django_datastore.unregistered")
        autodiscover_modules("datastore")


def _on_registered(sender: type[models.Model], **_: Any) -> None:
    from django_datastore.storage import querysets, receivers

    sender.save_base = receivers.atomic_save_base(sender.save_base)  # type: ignore[method-assign]
    querysets.install(sender)
    for cls in _with_proxies(sender):
        for signal, receiver in _receivers():
            signal.connect(receiver, sender=cls, dispatch_uid=f"django_datastore.{receiver.__name__}")


def _on_unregistered(sender: type[models.Model], **_: Any) -> None:
    from django_datastore.storage import querysets

    sender.save_base = sender.save_base.__wrapped__  # type: ignore[method-assign,attr-defined]
    querysets.uninstall(sender)
    for cls in _with_proxies(sender):
        for signal, receiver in _receivers():
            signal.disconnect(receiver, sender=cls, dispatch_uid=f"django_datastore.{receiver.__name__}")


def _receivers() -> list[tuple[Any, Any]]:
    from django_datastore.storage import receivers

    return [
        (pre_save, receivers.before_save),
        (post_save, receivers.after_save),
        (pre_delete, receivers.before_delete),
        (post_delete, receivers.after_delete),
    ]


def _with_proxies(model: type[models.Model]) -> list[type[models.Model]]:
    proxies = [item for item in apps.get_models() if item._meta.proxy and item._meta.concrete_model is model]
    return [model, *proxies]
