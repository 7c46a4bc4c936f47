"""Blog, Post and Comment: the models of Amplify's own example, as a Django developer writes them."""

from __future__ import annotations

import uuid

from django.db import models


class Blog(models.Model):
    """A blog, parent of posts."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200)

    def __str__(self) -> str:
        return self.name


class Post(models.Model):
    """A post of a blog."""

    class Status(models.TextChoices):
        DRAFT = "DRAFT"
        PUBLISHED = "PUBLISHED"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=200)
    rating = models.IntegerField(null=True, blank=True)
    status = models.CharField(max_length=20, choices=Status.choices, null=True, blank=True)  # noqa: DJ001 - as in Amplify's example
    tags = models.JSONField(null=True, blank=True)
    metadata = models.JSONField(null=True, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    blog = models.ForeignKey(Blog, models.CASCADE, null=True, blank=True, related_name="posts")
    draft_notes = models.TextField(blank=True, default="", help_text="Stays on this site: not synced.")

    def __str__(self) -> str:
        return self.title


class Comment(models.Model):
    """A comment on a post."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    content = models.TextField()
    post = models.ForeignKey(Post, models.CASCADE, null=True, blank=True, related_name="comments")

    def __str__(self) -> str:
        return self.content[:50]
