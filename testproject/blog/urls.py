"""The demo's page and the small JSON views behind it."""

from __future__ import annotations

from django.urls import path

from testproject.blog import views

app_name = "blog"
urlpatterns = [
    path("", views.page, name="page"),
    path("posts/", views.posts, name="posts"),
    path("posts/<uuid:pk>/", views.post, name="post"),
    path("outbox/", views.outbox, name="outbox"),
    path("line/", views.line, name="line"),
    path("device/", views.device, name="device"),
]
