"""What of the blog is synced with AppSync, and under which names."""

from __future__ import annotations

import django_datastore as datastore
from testproject.blog.models import Blog, Comment, Post

datastore.register(Blog)


@datastore.register(Post)
class PostSync(datastore.ModelSync):
    exclude = ["draft_notes"]
    names = {"blog": "blogPostsId"}
    types = {"tags": "[String]"}


@datastore.register(Comment)
class CommentSync(datastore.ModelSync):
    names = {"post": "postCommentsId"}
