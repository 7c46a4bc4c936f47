"""The demo and the test host: a small blog that syncs with AppSync."""

from testproject.celery import app as celery_app

__all__ = ["celery_app"]
