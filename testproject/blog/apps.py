"""The demo's app."""

from __future__ import annotations

from django.apps import AppConfig


class BlogConfig(AppConfig):
    """Blog, Post and Comment, with the page that shows them."""

    name = "testproject.blog"
    default_auto_field = "django.db.models.BigAutoField"
