"""`manage.py appsync_local`: serve an AppSync-compatible API on this machine."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_datastore.appsync_local import databases
from django_datastore.appsync_local.conf import CONFLICT_HANDLERS, Settings
from django_datastore.appsync_local.server import WebServer, endpoint_of, listen
from django_datastore.appsync_local.service import Service
from django_datastore.exceptions import DataStoreError

_AMPLIFY = """Amplify.configure({{
  API: {{
    GraphQL: {{
      endpoint: '{endpoint}',
      region: 'us-east-1',
      defaultAuthMode: 'apiKey',
      apiKey: '{api_key}',
    }},
  }},
}});"""


class Command(BaseCommand):
    """Runs the local AppSync server until it is told to stop."""

    help = (
        "Serves an AppSync-compatible GraphQL API: queries, sync, mutations with conflict detection, subscriptions. "
        "Without --schema it serves the models that are registered with DataStore."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The command line."""
        parser.add_argument(
            "address", nargs="?", default="127.0.0.1:8001", help="host:port or port; port 0 picks a free one"
        )
        parser.add_argument("--schema", help="Amplify SDL file (models.graphql), or dotted path of a Schema")
        parser.add_argument("--api-key", help="the key clients send; by default the setting's, else a new one")
        parser.add_argument("--conflict", choices=CONFLICT_HANDLERS, help="what happens to outdated mutations")
        parser.add_argument(
            "--database", metavar="FILE|URL", help="SQLite file or postgres://user:password@host:port/name"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrates, listens, prints one line, serves."""
        host, port = _address(options["address"])
        alias: str | None = None
        try:
            if options["database"]:
                alias = databases.open_private(options["database"])
            settings = Settings.from_django(
                SCHEMA=options["schema"], CONFLICT=options["conflict"], API_KEY=options["api_key"], DATABASE=alias
            )
            if not settings.api_keys:
                settings = Settings.from_django(
                    SCHEMA=options["schema"],
                    CONFLICT=options["conflict"],
                    API_KEY=f"da2-{secrets.token_hex(13)}",
                    DATABASE=alias,
                )
            service = Service.from_settings(settings)
        except DataStoreError as exc:
            raise CommandError(str(exc)) from exc
        try:
            self._serve(service, host, port, options["verbosity"])
        finally:
            service.close()

    def _serve(self, service: Service, host: str, port: int, verbosity: int) -> None:
        service.migrate()
        try:
            listening = listen(host, port)
        except OSError as exc:
            raise CommandError(f"Cannot listen on {host}:{port}: {exc.strerror}. Is it running already?") from exc
        endpoint, api_key = endpoint_of(listening), service.settings.api_keys[0]

        def announce() -> None:
            self.stdout.write(f"AppSync at {endpoint} with API key {api_key}")
            if verbosity > 1:
                self.stdout.write(_AMPLIFY.format(endpoint=endpoint, api_key=api_key))
            self.stdout.flush()

        WebServer(service, on_started=announce).run(sockets=[listening])


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise CommandError(f"{text!r} is no address. Write host:port or a port, such as 127.0.0.1:8001.")
    return host.strip("[]") or "127.0.0.1", int(port)
