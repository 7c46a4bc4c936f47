"""May this user watch this model, and which rows of it? Asked by doors, in a thread. The default is no."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth import get_permission_codename
from django.db.models import Q

from django_datastore.exceptions import InvalidPredicate
from django_datastore.introspection import SyncedModel
from django_datastore.observe.live_query import Selection
from django_datastore.predicates import lookups
from django_datastore.storage.transactions import outbox_alias

logger = logging.getLogger(__name__)


def observable(user: Any, sync: SyncedModel) -> Q | None:
    """The rows the user may watch, or None for none at all.

    It takes the model's `view` permission, and the registration's `observable_by` narrows the rows. A hook that
    fails or answers anything but a `Q` lets nobody in, and so does one that compares with None: for Django
    `Q(author=None)` is every row without an author, which is not what `Q(author=user.pk)` means to a visitor without
    a key.
    """
    meta = sync.model._meta
    if user is None or not user.has_perm(f"{meta.app_label}.{get_permission_codename('view', meta)}"):
        return None
    try:
        found: object = sync.observable_by(user)
    except Exception:  # whatever the site's hook raises: nobody gets in by an error
        logger.exception("observable_by of %s failed; the user may not watch", sync.label)
        return None
    if not isinstance(found, Q):
        logger.error(
            "observable_by of %s returned %s, not a Q; the user may not watch", sync.label, type(found).__name__
        )
        return None
    found = lookups.detached(found)
    if (compared := _compared_with_none(found, sync)) is not None:
        logger.error(
            "observable_by of %s compares %r with None, which would select every row without one; the user may not "
            "watch. Leave the condition out for users who have no value, or say __isnull where such rows are meant",
            *(sync.label, compared),
        )
        return None
    return found


def _compared_with_none(policy: Q, sync: SyncedModel) -> str | None:
    return next((text for text, value in lookups.leaves(sync.model, policy) if value is None), None)


def is_readable(policy: Q, sync: SyncedModel) -> bool:
    """Whether the database can read what `observable_by` answered; if not, the log says why."""
    try:
        Selection(sync, policy, outbox_alias()).identity()
    except InvalidPredicate:
        logger.exception("observable_by of %s cannot be read; the user may not watch", sync.label)
        return False
    return True
