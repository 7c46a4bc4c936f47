"""AWS Amplify DataStore's programming model for Django: local-first models that sync with AppSync.

import django_datastore as datastore

@datastore.register(Post)
class PostSync(datastore.ModelSync):
    exclude = ["draft_notes"]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from django_datastore.types import VERSION

__version__ = VERSION

if TYPE_CHECKING:
    from django.db.models import Model

    from django_datastore.datastore import DataStore as DataStore
    from django_datastore.options import ModelSync as ModelSync
    from django_datastore.storage.capture import capturing as capturing
    from django_datastore.storage.outbox.entries import muted as muted
    from django_datastore.sync.conflict import DISCARD as DISCARD

    S = TypeVar("S", bound=type[ModelSync])

__all__ = ["DISCARD", "DataStore", "ModelSync", "capturing", "muted", "register", "unregister"]

_HOMES = {
    "DataStore": "django_datastore.datastore",
    "ModelSync": "django_datastore.options",
    "DISCARD": "django_datastore.sync.conflict",
    "capturing": "django_datastore.storage.capture",
    "muted": "django_datastore.storage.outbox.entries",
}


@overload
def register(model: type[Model]) -> Callable[[S], S]: ...
@overload
def register(model: type[Model], model_sync: type[ModelSync]) -> type[ModelSync]: ...


def register(model: type[Model], model_sync: Any = None) -> Any:
    """Sync `model`: `register(Post)`, `register(Post, PostSync)`, or as decorator of a `ModelSync` subclass.

    Call it in a `datastore.py` of an installed app, which is found as `admin.py` is. Raises `AlreadyRegistered`, and
    `ConfigurationError` for something that is no concrete model; what cannot be synced is reported by system checks.
    """
    from django_datastore import registry
    from django_datastore.options import ModelSync

    if model_sync is not None:
        registry.register(model, model_sync)
        return model_sync
    registry.register(model, ModelSync)

    def decorate(found: S) -> S:
        registry.unregister(model)
        registry.register(model, found)
        return found

    return decorate


def unregister(model: type[Model]) -> None:
    """Stop syncing `model`. Its unsent mutations stay in the outbox. Raises `ModelNotRegistered`."""
    from django_datastore import registry

    registry.unregister(model)


def __getattr__(name: str) -> Any:
    """The public names that need Django's app registry are imported when they are asked for."""
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'django_datastore' has no attribute {name!r}")
