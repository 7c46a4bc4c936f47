from __future__ import annotations

import django_datastore as datastore
from tests.shop.models import Article, Label, Supplier

datastore.register(Supplier)
datastore.register(Label)


@datastore.register(Article)
class ArticleSync(datastore.ModelSync):
    types = {"labels": "[String]"}
