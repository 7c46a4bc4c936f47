"""The site's ASGI application: pages, the admin, static files, and the WebSocket that browsers watch."""

from __future__ import annotations

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.settings")
django_application = get_asgi_application()

from django_datastore import routing  # noqa: E402 - needs the app registry, which the line above fills

application = routing.application(ASGIStaticFilesHandler(django_application))
