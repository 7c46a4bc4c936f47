"""The pages of the test project: the demo at `/`, Django's admin at `/admin/`."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

admin.site.site_header = admin.site.site_title = "django_datastore demo"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("testproject.blog.urls")),
]
