"""WebSocket routes for a Channels `URLRouter`: `/graphql` and `/graphql/realtime`."""

from __future__ import annotations

from django.urls import re_path

from django_datastore.appsync_local.consumers import RealtimeConsumer

websocket_urlpatterns = [re_path(r"^graphql(?:/realtime)?/?$", RealtimeConsumer.as_asgi())]  # type: ignore[arg-type]  # of ASGI
"""Both paths: Amplify's clients append `/realtime` to hosts that are not AWS's, gql's do not."""
