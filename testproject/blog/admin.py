"""The blog in Django's admin: what is edited here is synced like everything else."""

from __future__ import annotations

from django.contrib import admin

from testproject.blog.models import Blog, Comment, Post


@admin.register(Blog)
class BlogAdmin(admin.ModelAdmin):
    search_fields = ["name"]


@admin.register(Post)
class PostAdmin(admin.ModelAdmin):
    list_display = ["title", "rating", "status", "published_at", "blog"]
    list_filter = ["status", "rating"]
    search_fields = ["title"]


@admin.register(Comment)
class CommentAdmin(admin.ModelAdmin):
    list_display = ["content", "post"]
