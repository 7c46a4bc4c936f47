"""What of it is synced."""

from __future__ import annotations

import django_datastore as datastore
from benchmarks.models import Book, Shelf

datastore.register(Shelf)


@datastore.register(Book)
class BookSync(datastore.ModelSync):
    types = {"tags": "[String]"}
