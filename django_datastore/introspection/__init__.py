"""From a Django model to its `ModelSchema`, and from its values to wire values and back.

A field that cannot be expressed is left out and becomes a `Problem`, which the system checks report with its way out.
"""

from django_datastore.introspection.declarations import Declarations, complaints
from django_datastore.introspection.problems import Problem
from django_datastore.introspection.synced_model import SyncedModel
from django_datastore.introspection.values import FieldBinding

__all__ = ["Declarations", "FieldBinding", "Problem", "SyncedModel", "complaints"]
