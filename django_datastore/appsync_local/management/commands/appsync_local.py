"""`manage.py appsync_local`: serve an AppSync-compatible API on this machine."""

from __future__ import annotations

import errno
import os
import secrets
import sys
from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import IO, Any, cast

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import Error as DatabaseError

from django_datastore.appsync_local import databases, transfer
from django_datastore.appsync_local.about import announcement
from django_datastore.appsync_local.conf import API_KEY_MODE, CONFLICT_HANDLERS, Settings
from django_datastore.appsync_local.server import WebServer, endpoint_of, listen
from django_datastore.appsync_local.service import Service
from django_datastore.appsync_local.tls import Certificate, certificate_for, own_certificate
from django_datastore.exceptions import DataStoreError

_EXAMPLES = """examples:
  appsync_local                                   the registered models, on 127.0.0.1:8001
  appsync_local 9000 --schema models.graphql      an Amplify schema, on port 9000
  appsync_local --tls                             for Amplify in a browser
  appsync_local --load seed.jsonl                 with records to begin with
  appsync_local --dump backup.jsonl.gz            writes all records to a file, and ends
"""
_LISTEN_HINTS = {
    errno.EADDRINUSE: "Is it running already? Another port: `appsync_local 8002`, or 0 for a free one.",
    errno.EACCES: "Ports below 1024 are for administrators: choose another.",
    errno.EADDRNOTAVAIL: "This machine does not have that address: 127.0.0.1 is this machine only, 0.0.0.0 all of it.",
}


class Command(BaseCommand):
    """Runs the local AppSync server until it is told to stop."""

    help = (
        "Serves an AppSync-compatible GraphQL API: queries, sync, mutations with conflict detection, subscriptions. "
        "Without --schema it serves the models that are registered with DataStore."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The parser, with examples that keep their lines."""
        return super().create_parser(prog_name, subcommand, epilog=_EXAMPLES, formatter_class=_Formatter, **kwargs)

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
        parser.add_argument(
            "--share-events", action="store_true", help="sockets hear of what other processes on the database change"
        )
        tls = parser.add_argument_group("TLS", "Amplify in browsers opens its sockets with wss, so it needs this.")
        tls.add_argument("--tls", action="store_true", help="serve https and wss, with a certificate made here")
        tls.add_argument(
            "--tls-dir", metavar="DIR", help="where that certificate is kept; by default with the user's data"
        )
        tls.add_argument("--cert", metavar="FILE", help="serve https and wss with this certificate (PEM)")
        tls.add_argument("--key", metavar="FILE", help="its key (PEM), by default in the same file")
        records = parser.add_argument_group("records", "One JSON object a line; packed if the name ends in .gz.")
        records.add_argument(
            "--load",
            metavar="FILE",
            help="store these records first, all or none; those already there stay as they are",
        )
        records.add_argument("--exit", action="store_true", help="end after --load, do not serve")
        records.add_argument(
            "--dump", metavar="FILE", nargs="?", const="-", help="write all records and tombstones there, and end"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Makes the API the options describe, and does with it what they say."""
        address = _address(options["address"])
        if options["exit"] and not options["load"]:
            raise CommandError("--exit goes with --load: name the file to load.")
        alias: str | None = None
        try:
            certificate = _certificate(address[0], options)
            alias = databases.open_private(options["database"]) if options["database"] else None
            service = Service.from_settings(_settings(options, alias))
            try:
                self._run(service, address, certificate, options)
            finally:
                service.close()
        except (DataStoreError, ImproperlyConfigured) as exc:
            raise CommandError(str(exc)) from exc
        finally:
            if alias is not None:
                databases.close_private(alias)

    def _run(
        self, service: Service, address: tuple[str, int], certificate: Certificate | None, options: dict[str, Any]
    ) -> None:
        _migrate(service)
        loaded = _load(service, options["load"]) if options["load"] else None
        if options["dump"]:
            self._dump(service, options["dump"])
        elif options["exit"]:
            self.stdout.write(loaded or "")
        else:
            self._serve(service, address, certificate, loaded, options["verbosity"])

    def _serve(
        self,
        service: Service,
        address: tuple[str, int],
        certificate: Certificate | None,
        loaded: str | None,
        verbosity: int,
    ) -> None:
        try:
            listening = listen(*address)
        except OSError as exc:
            hint = _LISTEN_HINTS.get(exc.errno or 0, "")
            raise CommandError(f"Cannot listen on {address[0]}:{address[1]}: {exc.strerror}. {hint}".strip()) from exc
        endpoint = endpoint_of(listening, tls=certificate is not None)

        def announce() -> None:
            self.stdout.write(announcement.first_line(service, endpoint))
            if loaded:
                self.stdout.write(loaded)
            if verbosity > 1 or (verbosity and self.stdout.isatty()):
                for line in announcement.details(service, endpoint, certificate):
                    self.stdout.write(line)
            self.stdout.flush()

        WebServer(service, on_started=announce, certificate=certificate).run(sockets=[listening])

    def _dump(self, service: Service, target: str) -> None:
        try:
            if target == "-":
                count = transfer.dump_to(service, _Output(self.stdout))
            else:
                count = transfer.dump(service, Path(target))
        except BrokenPipeError:  # whoever read has read enough; what Python would still flush goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
        except OSError as exc:
            raise CommandError(f"Cannot write {target!r}: {exc.strerror}.") from exc
        others = transfer.left_out(service)
        if others:
            names = ", ".join(f"{name} ({number})" for name, number in others.items())
            self.stderr.write(f"Left out, because the schema does not have their models: {names}.")
        if target != "-":
            self.stdout.write(f"Wrote {count:,} records to {target}.")


class _Formatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Keeps the lines of the examples, and Django's own options last."""


class _Output:
    """The command's output for bytes: a file's own buffer, or whatever else takes text."""

    def __init__(self, output: Any) -> None:
        self._output = output
        self._buffer = cast("IO[bytes] | None", getattr(output, "buffer", None))

    def write(self, content: bytes) -> int:
        """Writes UTF-8."""
        if self._buffer is not None:
            return self._buffer.write(content)
        self._output.write(content.decode(), ending="")
        return len(content)


def _settings(options: dict[str, Any], alias: str | None) -> Settings:
    given = {"SCHEMA": options["schema"], "CONFLICT": options["conflict"], "DATABASE": alias}
    given["SHARE_EVENTS"] = options["share_events"] or None
    found = Settings.from_django(API_KEY=options["api_key"], **given)
    if API_KEY_MODE in found.auth_modes and not found.api_keys:
        return Settings.from_django(API_KEY=f"da2-{secrets.token_hex(13)}", **given)
    return found


def _migrate(service: Service) -> None:
    try:
        service.migrate()
    except DatabaseError as exc:
        where = databases.describe(service.alias)
        raise CommandError(
            f"Cannot use the database ({where}): {str(exc).strip()}. "
            "It must exist, or its directory must for SQLite, and this user must be allowed to write."
        ) from exc


def _load(service: Service, path: str) -> str:
    loaded = transfer.load(service, Path(path))
    kept = f" {loaded.kept:,} were there already and stay as they are." if loaded.kept else ""
    return f"Loaded {loaded.stored:,} records from {path}.{kept}"


def _certificate(host: str, options: dict[str, Any]) -> Certificate | None:
    if options["key"] and not options["cert"]:
        raise CommandError("--key goes with --cert: name the certificate that belongs to the key.")
    if options["cert"]:
        return own_certificate(options["cert"], options["key"])
    if options["tls"] or options["tls_dir"]:
        return certificate_for(host, options["tls_dir"])
    return None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not port.isascii() or int(port) > 65535:
        raise CommandError(f"{text!r} is no address. Write host:port or a port, such as 127.0.0.1:8001.")
    return host.strip("[]") or "127.0.0.1", int(port)
