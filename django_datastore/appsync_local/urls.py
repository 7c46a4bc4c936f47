"""HTTP routes: `path("", include("django_datastore.appsync_local.urls"))` serves `/graphql`."""

from __future__ import annotations

from django.urls import path

from django_datastore.appsync_local.views import graphql

app_name = "appsync_local"
urlpatterns = [path("graphql", graphql, name="graphql")]
