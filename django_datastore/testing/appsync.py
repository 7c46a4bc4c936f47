"""A local server that tests start, ask and torture: `LocalAppSync` in a thread, `LocalAppSyncProcess` in a process."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from django_datastore.appsync_local.conf import Settings
from django_datastore.appsync_local.injection.journal import Applied, Request
from django_datastore.appsync_local.server import DEFAULT_API_KEY, schema_of
from django_datastore.appsync_local.store import Values
from django_datastore.appsync_local.tls import Certificate, certificate_for
from django_datastore.testing.clock import ServerClock
from django_datastore.testing.faults import WAIT_SECONDS, FaultSwitches
from django_datastore.testing.inside import Inside
from django_datastore.testing.process import Child

if TYPE_CHECKING:
    from django_datastore.appsync_local.auth.identity import Identity
    from django_datastore.appsync_local.service import Service
    from django_datastore.schema.types import Schema


class AppSyncForTests(ABC):
    """A local server with a database of its own, for one test.

    `schema` is a `Schema`, an SDL text or the path of an SDL file; without one the project's settings say what is
    served, which by default are the registered models. `database` is a SQLite path or a URL, by default a temporary
    file. Other keywords are keys of `APPSYNC_LOCAL`. `stop` and `start` again keep the port and the records. With
    `tls=True` it speaks https and wss; clients that trust `ca_path` believe it.
    """

    def __init__(
        self,
        schema: Schema | str | Path | None = None,
        *,
        api_key: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] = DEFAULT_API_KEY,
        conflict: str | None = None,
        database: str | Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool | Certificate = False,
        **settings: Any,
    ) -> None:
        self.api_key = _first_key(api_key)
        """The (first) key that lets in."""
        self.schema = schema_of(schema) or Settings.from_django(API_KEY=api_key, **settings).load_schema()
        self._directory = Path(tempfile.mkdtemp(prefix="appsync-local-"))
        self.certificate = certificate_for(host, self._directory) if tls is True else tls or None
        self._url = ""
        self._options = {
            "schema": self.schema,
            "api_key": api_key,
            "conflict": conflict,
            "database": database or self._directory / "appsync.sqlite3",
            "host": host,
            "port": port,
            "tls": self.certificate or False,
            **settings,
        }
        self.clock = ServerClock(self._ask)
        """What the server takes for the time."""
        self.faults = FaultSwitches(self._ask)
        """What goes wrong."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @abstractmethod
    def _ask(self, path: str, *args: Any, **named: Any) -> Any:
        """Calls a method of the server's `Inside`."""

    # -- the server ----------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The endpoint, `http://127.0.0.1:<port>/graphql`; it stays the same over `stop` and `start`."""
        if not self._url:
            raise RuntimeError("The local server has no URL yet. Call start() first.")
        return self._url

    @property
    def realtime_url(self) -> str:
        """Where the sockets go."""
        return f"{self.url.replace('http', 'ws', 1)}/realtime"

    @property
    def ca_path(self) -> str | None:
        """The PEM file clients have to trust (`ssl`'s cafile, `NODE_EXTRA_CA_CERTS`); None without TLS."""
        return str(self.certificate.path) if self.certificate else None

    def start(self) -> None:
        """Starts listening; returns when clients can connect."""
        self._url = self._ask("start")

    def stop(self) -> None:
        """Stops listening and cuts every connection; records, port, faults and clock stay for the next `start`."""
        self._ask("stop")

    def close(self) -> None:
        """Stops for good, and removes the temporary database."""
        self._end()
        shutil.rmtree(self._directory, ignore_errors=True)

    @abstractmethod
    def _end(self) -> None:
        """Ends whatever runs."""

    # -- records -------------------------------------------------------------------------------------------------------

    def load(self, model: str, records: Iterable[Mapping[str, Any]] | str | Path) -> int:
        """Stores records as they were elsewhere: all of them or none; how many.

        They come as dicts, or as a file of JSON lines. `_version`, `_lastChangedAt` and `_deleted` may be given.
        Subscribers are told nothing. Raises `LoadError`.
        """
        found = Path(records) if isinstance(records, str | Path) else list(records)
        return int(self._ask("load", model, found))

    def records(self, model: str) -> list[Values]:
        """All records and tombstones of a model, in the order they came."""
        found: list[Values] = self._ask("records", model)
        return found

    def record(self, model: str, *key: str) -> Values | None:
        """One record or its tombstone."""
        found: Values | None = self._ask("record", model, *key)
        return found

    def execute(
        self, document: str, variables: Mapping[str, Any] | None = None, identity: Identity | None = None
    ) -> dict[str, Any]:
        """Runs a document as another device would, subscribers included; by default one that may do everything.

        It goes past HTTP and past the faults of requests and fields; its events have theirs.
        """
        found: dict[str, Any] = self._ask("execute", document, variables, identity)
        return found

    # -- what happened -------------------------------------------------------------------------------------------------

    def applied(
        self, operation: str | None = None, *, model: str | None = None, key: str | tuple[str, ...] | None = None
    ) -> list[Applied]:
        """The mutations that were applied, in order: all, or those of an operation, of a model, of a record."""
        wanted = (key,) if isinstance(key, str) else key
        found: list[Applied] = self._ask("journal.applied")
        return [
            item
            for item in found
            if operation in (None, item.operation) and model in (None, item.model) and wanted in (None, item.key)
        ]

    def requests(self, operation: str | None = None, *, outcome: str | None = None) -> list[Request]:
        """The HTTP requests that came: all, or those with this root field, or with this outcome.

        An outcome is `ok`, `errors` (an answer with errors in it), `refused` (an HTTP error) or `lost`.
        """
        found: list[Request] = self._ask("journal.requests")
        return [
            item
            for item in found
            if (operation is None or operation in item.operations) and outcome in (None, item.outcome)
        ]

    def settle(self, timeout_seconds: float = WAIT_SECONDS) -> None:
        """Returns once no request is under way, also none that its client has given up; raises `TimeoutError`."""
        if not self._ask("journal.settle", timeout_seconds):
            raise TimeoutError(f"A request is still under way after {timeout_seconds} s.")

    def forget(self) -> None:
        """Begins anew to count what is applied and what is requested."""
        self._ask("journal.clear")

    def watching(self, subscription: str) -> int:
        """How many watch a subscription such as `onCreatePost`."""
        return int(self._ask("watching", subscription))

    # -- lines ---------------------------------------------------------------------------------------------------------

    def cut_sockets(self) -> int:
        """Cuts every socket without a close frame; how many."""
        return int(self._ask("cut_sockets"))

    def close_sockets(self, code: int = 1001) -> int:
        """Closes every socket with this code; how many."""
        return int(self._ask("close_sockets", code))

    @contextmanager
    def refusing_connections(self) -> Iterator[None]:
        """Inside, nobody can connect, and open HTTP connections are cut; open sockets stay."""
        self._ask("refuse_connections")
        try:
            yield
        finally:
            self._ask("accept_connections")


class LocalAppSync(AppSyncForTests):
    """A local server in a thread of this process."""

    def __init__(self, schema: Schema | str | Path | None = None, **options: Any) -> None:
        now = options.pop("now", None)
        super().__init__(schema, **options)
        self._inside = Inside(**self._options, now=now)

    __init__.__doc__ = AppSyncForTests.__doc__

    @property
    def service(self) -> Service:
        """The running API; raises `RuntimeError` while stopped."""
        return self._inside.server.service

    def _ask(self, path: str, *args: Any, **named: Any) -> Any:
        return self._inside.ask(path, *args, **named)

    def _end(self) -> None:
        self._inside.close()


class LocalAppSyncProcess(AppSyncForTests):
    """A local server in a process of its own, which can be killed.

    It takes no functions of the test but those at the top level of a module: they are sent by their names.
    """

    _child: Child | None = None

    def start(self) -> None:
        """Starts listening, in a new process where there is none; returns when clients can connect."""
        if self._child is None or not self._child.is_alive:
            self._child = Child(self._options)
        super().start()
        self._options["port"] = int(self._url.split(":")[-1].split("/")[0])

    def kill(self) -> None:
        """Ends the process as a power cut does. Records and port stay for the next `start`, the rest is lost."""
        if self._child is not None:
            self._child.kill()

    def _ask(self, path: str, *args: Any, **named: Any) -> Any:
        if self._child is None:
            raise RuntimeError("The local server has not been started. Call start() first.")
        return self._child.ask(path, *args, **named)

    def _end(self) -> None:
        if self._child is not None and self._child.is_alive:
            self._child.end()


def _first_key(found: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]) -> str:
    entry = found if isinstance(found, str | Mapping) else found[0]
    return entry if isinstance(entry, str) else str(entry["key"])
