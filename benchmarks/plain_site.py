"""The local server's peer: plain Django views over a table of their own, without middleware, on the same uvicorn.

`python -m benchmarks.plain_site` prints its URL and serves until it is told to stop.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
import uvicorn
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

PAGE = 1_000
_COLUMNS = ("id", "title", "rating", "tags", "published_at", "shelf_id", "created_at", "updated_at")
_METADATA = ("version", "last_changed_at", "deleted")


@contextmanager
def running_site(database: str) -> Iterator[str]:
    """The site in a process of its own, on the database of that name; yields its URL."""
    environment = {**os.environ, "BENCH_SITE_DATABASE": database}
    command = [sys.executable, "-m", "benchmarks.plain_site"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield (process.stdout.readline() if process.stdout else "").strip()
        finally:
            process.terminate()


def books(request: HttpRequest) -> JsonResponse:
    """The first page, as a developer would write it."""
    from benchmarks.models import ServedBook

    rows = ServedBook.objects.order_by("id")[:PAGE].values(*_COLUMNS, *_METADATA)
    return JsonResponse({"items": list(rows), "nextToken": None})


@csrf_exempt
def create(request: HttpRequest) -> JsonResponse:
    """Stores one book and answers it."""
    from benchmarks.models import ServedBook

    values: dict[str, Any] = json.loads(request.body)
    book = ServedBook.objects.create(**values)
    return JsonResponse({name: getattr(book, name) for name in (*_COLUMNS, *_METADATA)})


urlpatterns = [path("books", books), path("create", create)]


def main() -> None:
    """Serves on a free port."""
    settings.DATABASES["default"]["NAME"] = os.environ["BENCH_SITE_DATABASE"]
    settings.DATABASES["default"]["CONN_MAX_AGE"] = None
    settings.ROOT_URLCONF = "benchmarks.plain_site"
    settings.MIDDLEWARE = []
    settings.ALLOWED_HOSTS = ["*"]
    django.setup()
    from django_datastore.appsync_local.server import listen

    listening = listen("127.0.0.1", 0)
    # WSGI: its threads stay, and with them their connections to the database
    config = uvicorn.Config(
        get_wsgi_application(), interface="wsgi", lifespan="off", log_level="warning", timeout_keep_alive=60
    )
    print("http://{}:{}".format(*listening.getsockname()), flush=True)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
