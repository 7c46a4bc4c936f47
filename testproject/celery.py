"""The Celery application of the test project; the package's shared tasks run on it.

celery -A testproject worker -P threads -c 2 -B
"""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

from testproject import broker

broker.register()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.settings")

app = Celery("testproject")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.task(name="testproject.answer")
def answer(path: str) -> None:
    """Proves that a worker takes tasks: whoever asks waits for the file."""
    Path(path).touch()
