"""The sync expression of a model as AppSync's filter. A person wrote it, so anything may go wrong in it."""

from __future__ import annotations

from django_datastore.exceptions import BadModel
from django_datastore.introspection import SyncedModel
from django_datastore.predicates import graphql
from django_datastore.predicates.graphql import Filter


def wire_filter(sync: SyncedModel) -> Filter | None:
    """The filter of sync queries and subscriptions; None for every record. Raises `BadModel` that names the model."""
    try:
        predicate = sync.sync_predicate
        return None if predicate is None else graphql.to_filter(predicate, sync)
    except Exception as exc:  # the person's code: whatever it raises, it stops no other model
        raise BadModel(
            f"Cannot use the sync_expression of {sync.label!r}: {type(exc).__name__}: {exc}",
            model=sync.name,
            recovery_suggestion="Mend sync_expression in the registration: a Q, or a method that returns one.",
        ) from exc
