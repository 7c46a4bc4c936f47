"""What the command says once it serves: one line for programs, and for people how to go on from there."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from django_datastore.appsync_local import databases
from django_datastore.appsync_local.about import realtime_url
from django_datastore.appsync_local.about.amplify import configuration
from django_datastore.appsync_local.conf import Settings
from django_datastore.appsync_local.service import Service
from django_datastore.appsync_local.tls import Certificate

_WRAPPER = textwrap.TextWrapper(width=100, subsequent_indent=" " * 14, break_long_words=False)
_REGISTERED = Settings.SCHEMA
_PLAIN = "Browsers      Amplify opens sockets with wss, so browsers need TLS: add --tls"
_TRUST = """Certificate   {path}
Browsers      open {endpoint} once and accept the certificate, or
              chromium --ignore-certificate-errors-spki-list={spki_hash}
Node          NODE_EXTRA_CA_CERTS={path}
curl          --cacert {path}"""
_TRUST_OWN = "Certificate   {path}"


def first_line(service: Service, endpoint: str) -> str:
    """The line programs read."""
    key = _key(service)
    return f"AppSync at {endpoint} with {f'API key {key}' if key else f'auth mode {service.settings.AUTH_MODE}'}"


def details(service: Service, endpoint: str, certificate: Certificate | None) -> Iterator[str]:
    """The lines for people."""
    yield f"Realtime      {realtime_url(endpoint)}"
    yield _WRAPPER.fill(f"Models        {', '.join(service.executable.api.schema.models)}")
    yield f"Schema        {_schema(service.settings)}"
    yield f"Database      {databases.describe(service.alias)}"
    yield f"Auth modes    {', '.join(service.settings.auth_modes)}"
    yield _certificate(endpoint, certificate)
    yield "\nAmplify (aws-amplify v6):\n\n"
    yield textwrap.indent(configuration(service.settings, endpoint, _key(service)), "    ")
    yield f"\nOpen {endpoint} for examples. Stop with Ctrl+C."


def _key(service: Service) -> str | None:
    return next(iter(service.settings.api_keys), None)


def _schema(settings: Settings) -> str:
    return "the models registered with DataStore" if settings.SCHEMA == _REGISTERED else str(settings.SCHEMA)


def _certificate(endpoint: str, certificate: Certificate | None) -> str:
    if certificate is None:
        return _PLAIN
    if not certificate.is_self_made:
        return _TRUST_OWN.format(path=certificate.path)
    return _TRUST.format(path=certificate.path, endpoint=endpoint, spki_hash=certificate.spki_hash)
