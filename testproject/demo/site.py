"""The site before its processes start: databases, the admin user, the first records."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid5

LOGIN = ("admin", "admin")
NAMESPACE = UUID("6f0e7c64-94a3-4c0d-9d0e-3a5f1a5b7c10")
"""Seeds have the same keys on every site, as if the same device had made them."""
TITLES = [
    ("Working from the train", 5),
    ("What the outbox remembers", 4),
    ("A ship, a clinic, a shop with bad Wi-Fi", 5),
    ("Two people edit one title", 3),
    ("The tombstone that knew too much", 2),
]


def prepare() -> None:
    """Migrates both databases and, on a site without users, creates the admin and a few posts with the ORM."""
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    for database in ("default", "appsync_local"):
        call_command("migrate", database=database, verbosity=0, interactive=False)
    if not get_user_model().objects.exists():
        name, password = LOGIN
        get_user_model().objects.create_superuser(name, f"{name}@example.com", password)
        _seed()


def _seed() -> None:
    from django.utils import timezone

    from testproject.blog.models import Blog, Comment, Post

    blog = Blog.objects.create(id=uuid5(NAMESPACE, "blog"), name="Field notes")
    for place, (title, rating) in enumerate(TITLES):
        post = Post.objects.create(
            id=uuid5(NAMESPACE, title),
            title=title,
            rating=rating,
            status=Post.Status.PUBLISHED,
            published_at=timezone.now() - timedelta(days=place + 1),
            blog=blog,
        )
        if place == 0:
            Comment.objects.create(id=uuid5(NAMESPACE, "comment"), content="Sent from the tunnel.", post=post)
