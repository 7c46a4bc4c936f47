"""Where browsers connect: `ws/datastore/`, for a site's own routing or as a whole ASGI application."""

from __future__ import annotations

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

from django_datastore.consumers import DataStoreConsumer

websocket_urlpatterns = [path("ws/datastore/", DataStoreConsumer.as_asgi(), name="datastore")]
"""Add these to your `URLRouter`, behind the middleware that says who the user is and checks the origin."""


def application(django_application: Any) -> ProtocolTypeRouter:
    """An ASGI application: your pages over HTTP, and the WebSocket with Django's sessions and allowed hosts.

    application = routing.application(get_asgi_application())
    """
    websocket = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)))
    return ProtocolTypeRouter({"http": django_application, "websocket": websocket})
