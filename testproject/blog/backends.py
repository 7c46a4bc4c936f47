"""Lets everyone watch the demo's blog."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend

PUBLIC = frozenset({"blog.view_blog", "blog.view_post", "blog.view_comment"})


class PublicBlogBackend(BaseBackend):
    """Grants the `view` permission of the blog's models to every visitor, logged in or not.

    Watching a model needs its `view` permission, and by default nobody has it. This blog is public, so it says so
    here, in Django's own words; a real site would grant the permission to users or groups, and narrow rows with
    `observable_by`.
    """

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return perm in PUBLIC
