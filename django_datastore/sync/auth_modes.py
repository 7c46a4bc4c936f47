"""Which credentials a request carries: from the settings to an `Auth`. One auth mode today, a strategy's list later."""

from __future__ import annotations

from django_datastore.appsync.auth import Auth, auth_for
from django_datastore.conf import Settings


def default_auth(settings: Settings) -> Auth:
    """The credentials of the default auth mode. Raises `ConfigurationError`."""
    return auth_for(settings.AUTH_MODE, api_key=settings.API_KEY)
