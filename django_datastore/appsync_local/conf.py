"""The `APPSYNC_LOCAL` setting, read once, checked, with defaults. Doors and `from_settings()` constructors read it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from django_datastore.appsync_local.graphql.limits import EXECUTION_SECONDS, ConnectionLimits, Limits
from django_datastore.appsync_local.paging import MAX_PAGE_BYTES
from django_datastore.exceptions import ConfigurationError, SchemaError
from django_datastore.schema import naming
from django_datastore.schema.sdl import parse_sdl
from django_datastore.schema.types import Schema


class ConflictHandler(StrEnum):
    """AppSync's names for what handles conflicts."""

    AUTOMERGE = "AUTOMERGE"
    OPTIMISTIC_CONCURRENCY = "OPTIMISTIC_CONCURRENCY"
    LAMBDA = "LAMBDA"


ALIAS = "appsync_local"
"""The database alias the server uses where `DATABASES` has it."""
API_KEY_MODE = "API_KEY"
AUTH_MODES = (API_KEY_MODE, "AWS_IAM", "AMAZON_COGNITO_USER_POOLS", "OPENID_CONNECT", "AWS_LAMBDA")
"""AppSync's names for the ways in."""
CONFLICT_HANDLERS = {
    "automerge": ConflictHandler.AUTOMERGE,
    "optimistic": ConflictHandler.OPTIMISTIC_CONCURRENCY,
    "lambda": ConflictHandler.LAMBDA,
    **{str(item): item for item in ConflictHandler},
}
"""What `CONFLICT` can be: our names and AppSync's."""
_POSITIVE = (
    "CONNECTION_TIMEOUT_SECONDS",
    "KEEP_ALIVE_SECONDS",
    "CONNECTION_INIT_TIMEOUT_SECONDS",
    "CONNECTION_LIFETIME_SECONDS",
    "SUBSCRIPTIONS_PER_CONNECTION",
)


@dataclass(frozen=True)
class Settings:
    """The keys of `APPSYNC_LOCAL`."""

    SCHEMA: str | Path = "django_datastore.registry.as_schema"
    """The data model: the path of an Amplify SDL file, or the dotted path of a callable that returns a `Schema`."""
    API_KEY: str | Mapping[str, Any] | tuple[Any, ...] | list[Any] | None = None
    """The key clients send, or several; `{"key": …, "expires": …}` is one that expires. Without one nobody gets in."""
    AUTH_MODE: str = API_KEY_MODE
    """The default auth mode. Models without `@auth` rules are open to it, and to no other."""
    ADDITIONAL_AUTH_MODES: Sequence[str] = ()
    """Further auth modes, for models whose `@auth` rules name them."""
    USER_POOL: Any = None
    """For AMAZON_COGNITO_USER_POOLS: `{"issuer": …, "jwks": …, "client_ids": […]}`, an object with them, or a list."""
    OPENID_PROVIDER: Any = None
    """For OPENID_CONNECT: the same as `USER_POOL`."""
    IAM_CREDENTIALS: tuple[Any, ...] | list[Any] = ()
    """For AWS_IAM: access keys that may sign, each `{"access_key_id": …, "secret_access_key": …, "role": …}`."""
    REGION: str = "us-east-1"
    """For AWS_IAM: the region signatures are made for."""
    LAMBDA_AUTHORIZER: Any = None
    """For AWS_LAMBDA: a callable, or the dotted path of one, that answers as a Lambda authorizer does."""
    LAMBDA_AUTHORIZER_TTL_SECONDS: int = 0
    """How long an answer of the authorizer is kept, unless it says so itself."""
    LAMBDA_AUTHORIZER_PATTERN: str | None = None
    """A regular expression tokens must match before the authorizer is asked."""
    CONFLICT: str | Mapping[str, str] = "automerge"
    """What happens to a mutation with an old `_version`: `automerge`, `optimistic` (refused) or `lambda`, or AppSync's
    names for them; as a mapping by model, where `*` stands for the others."""
    CONFLICT_HANDLER: Any = None
    """For `lambda`: a callable, or the dotted path of one, that answers as AppSync's Lambda conflict handlers do."""
    CONFLICT_HANDLER_TIMEOUT_SECONDS: float = 10
    """How long the conflict handler may take for one mutation."""
    SET_FIELDS: Sequence[str] = ()
    """Fields such as `Player.interests` whose lists the database keeps as sets: `automerge` unites those."""
    DATABASE: str | None = None
    """The alias in `DATABASES`; by default `appsync_local` where there is one, else `default`."""
    BASE_TABLE_TTL: int = 43_200
    """Minutes a deleted record is kept as tombstone; 0 removes it at once."""
    DELTA_SYNC_TABLE_TTL: int = 30
    """Minutes a change is kept in the delta log. A client away for longer gets a base sync."""
    BASE_SYNC_TOMBSTONES: bool = True
    """Whether a base sync shows deleted records, too, as long as their tombstones live."""
    PAGE_BYTES: int = MAX_PAGE_BYTES
    """Bytes of records read for a page, as JSON, before it ends with a `nextToken`; 0 for no limit but the count."""
    CONNECTION_TIMEOUT_SECONDS: int = 300
    """What clients are told to wait for a keep-alive before they call the socket dead."""
    KEEP_ALIVE_SECONDS: float = 60
    """How often a keep-alive is sent on every socket."""
    CONNECTION_INIT_TIMEOUT_SECONDS: float = 15
    """A socket that has not sent `connection_init` by then is closed."""
    CONNECTION_LIFETIME_SECONDS: float = 86_400
    """A socket is closed after this time, whatever it does; AppSync's is 24 hours."""
    SUBSCRIPTIONS_PER_CONNECTION: int = 100
    """Subscriptions a socket may have at a time."""
    SHARE_EVENTS: bool = False
    """Whether the sockets of all server processes on the database get the events of each. Several processes need it."""

    RESOLVER_COUNT_LIMIT: int = 10_000
    """Resolvers a request may call, 1 to 10,000: one for each root field and for each relation of each record."""
    QUERY_DEPTH_LIMIT: int = 0
    """Levels of fields a document may nest, 1 to 75; 0 for no limit."""
    INTROSPECTION: bool = True
    """Whether `__schema` and `__type` are answered."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Checked settings; raises `ConfigurationError` that names the nearest key for an unknown one."""
        known = [item.name for item in fields(cls)]
        for key in values:
            if key not in known:
                hint = naming.did_you_mean(str(key).upper(), known) or f" Known keys: {', '.join(known)}."
                raise ConfigurationError(f"APPSYNC_LOCAL has no key {key!r}.{hint}")
        found = cls(**values)
        found.validate()
        return found

    @classmethod
    def from_django(cls, **overrides: Any) -> Settings:
        """The project's settings, with what the command line or a test says on top (None says nothing)."""
        on_top = {key: value for key, value in overrides.items() if value is not None}
        return cls.from_mapping({**getattr(django_settings, "APPSYNC_LOCAL", {}), **on_top})

    def validate(self) -> None:
        """Raises `ConfigurationError` for values the server cannot work with."""
        self._validate_conflict()
        if self.DATABASE is not None and self.DATABASE not in django_settings.DATABASES:
            known = ", ".join(django_settings.DATABASES)
            raise ConfigurationError(f"APPSYNC_LOCAL['DATABASE'] is {self.DATABASE!r}; DATABASES has: {known}.")
        for key in ("BASE_TABLE_TTL", "DELTA_SYNC_TABLE_TTL"):
            minutes = getattr(self, key)
            if not isinstance(minutes, int) or minutes < 0:
                raise ConfigurationError(f"APPSYNC_LOCAL[{key!r}] is {minutes!r}; it must be 0 or more minutes.")
        for key in _POSITIVE:
            if not isinstance(getattr(self, key), int | float) or getattr(self, key) <= 0:
                raise ConfigurationError(f"APPSYNC_LOCAL[{key!r}] is {getattr(self, key)!r}; it must be more than 0.")
        if not isinstance(self.PAGE_BYTES, int) or self.PAGE_BYTES < 0:
            raise ConfigurationError(f"APPSYNC_LOCAL['PAGE_BYTES'] is {self.PAGE_BYTES!r}; it must be 0 or more bytes.")
        self._validate_auth()
        for key, lowest, highest in (("RESOLVER_COUNT_LIMIT", 1, 10_000), ("QUERY_DEPTH_LIMIT", 0, 75)):
            number = getattr(self, key)
            if not isinstance(number, int) or not lowest <= number <= highest:
                raise ConfigurationError(f"APPSYNC_LOCAL[{key!r}] is {number!r}; it must be {lowest} to {highest:,}.")

    def _validate_conflict(self) -> None:
        for name in self.CONFLICT.values() if isinstance(self.CONFLICT, Mapping) else [self.CONFLICT]:
            if name not in CONFLICT_HANDLERS:
                hint = naming.did_you_mean(str(name), CONFLICT_HANDLERS)
                known = ", ".join(CONFLICT_HANDLERS)
                raise ConfigurationError(f"APPSYNC_LOCAL['CONFLICT'] is {name!r}; supported: {known}.{hint}")
        seconds = self.CONFLICT_HANDLER_TIMEOUT_SECONDS
        if not isinstance(seconds, int | float) or not 0 < seconds <= EXECUTION_SECONDS:
            raise ConfigurationError(
                f"APPSYNC_LOCAL['CONFLICT_HANDLER_TIMEOUT_SECONDS'] is {seconds!r}; "
                f"it must be more than 0 and at most {EXECUTION_SECONDS} seconds."
            )
        if isinstance(self.SET_FIELDS, str):
            raise ConfigurationError("APPSYNC_LOCAL['SET_FIELDS'] is a text; write a list, e.g. ['Player.interests'].")

    def _validate_auth(self) -> None:
        keys = self.API_KEY if isinstance(self.API_KEY, list | tuple | set) else [self.API_KEY]
        if not all(key is None or isinstance(key, str | Mapping) for key in keys):
            raise ConfigurationError(
                "APPSYNC_LOCAL['API_KEY'] is a text, {'key': ..., 'expires': ...}, or a list of such."
            )
        if isinstance(self.ADDITIONAL_AUTH_MODES, str):
            raise ConfigurationError("APPSYNC_LOCAL['ADDITIONAL_AUTH_MODES'] is a text; write a list of auth modes.")
        for mode in self.auth_modes:
            if mode not in AUTH_MODES:
                hint = naming.did_you_mean(str(mode), AUTH_MODES)
                known = ", ".join(AUTH_MODES)
                raise ConfigurationError(f"APPSYNC_LOCAL knows no auth mode {mode!r}; supported: {known}.{hint}")
        ttl = self.LAMBDA_AUTHORIZER_TTL_SECONDS
        if not isinstance(ttl, int) or not 0 <= ttl <= 3600:
            raise ConfigurationError(
                f"APPSYNC_LOCAL['LAMBDA_AUTHORIZER_TTL_SECONDS'] is {ttl!r}; it must be 0 to 3,600 seconds."
            )

    @property
    def auth_modes(self) -> tuple[str, ...]:
        """Every auth mode that lets in, the default one first."""
        return tuple(dict.fromkeys((self.AUTH_MODE, *self.ADDITIONAL_AUTH_MODES)))

    @property
    def limits(self) -> Limits:
        """What a request may cost."""
        return Limits(self.RESOLVER_COUNT_LIMIT, self.QUERY_DEPTH_LIMIT, self.INTROSPECTION)

    @property
    def connection_limits(self) -> ConnectionLimits:
        """What one socket may do."""
        return ConnectionLimits(
            subscriptions=self.SUBSCRIPTIONS_PER_CONNECTION,
            init_timeout_seconds=self.CONNECTION_INIT_TIMEOUT_SECONDS,
            lifetime_seconds=self.CONNECTION_LIFETIME_SECONDS,
            keep_alive_seconds=self.KEEP_ALIVE_SECONDS,
            timeout_ms=int(self.CONNECTION_TIMEOUT_SECONDS * 1000),
        )

    def conflict_handler(self, model: str) -> ConflictHandler:
        """What handles the conflicts of a model."""
        if isinstance(self.CONFLICT, Mapping):
            return CONFLICT_HANDLERS[self.CONFLICT.get(model) or self.CONFLICT.get("*", "automerge")]
        return CONFLICT_HANDLERS[self.CONFLICT]

    def check_names(self, schema: Schema) -> None:
        """Raises `ConfigurationError` for a model or field that a setting names and the data model does not have."""
        names = [name for name in self.CONFLICT if name != "*"] if isinstance(self.CONFLICT, Mapping) else []
        for key, text in [("CONFLICT", name) for name in names] + [("SET_FIELDS", name) for name in self.SET_FIELDS]:
            model, _, field = text.partition(".")
            known = schema.models.get(model)
            found = known.by_name.get(field) if known else None
            if known is None or (key == "SET_FIELDS" and (found is None or not found.is_list)):
                what = "list of a model" if key == "SET_FIELDS" else "model"
                raise ConfigurationError(f"APPSYNC_LOCAL[{key!r}] names {text!r}, which is no {what} in the schema.")

    @property
    def set_fields(self) -> Mapping[str, frozenset[str]]:
        """By model, the lists that are sets."""
        pairs = [text.partition(".")[::2] for text in self.SET_FIELDS]
        return {model: frozenset(name for other, name in pairs if other == model) for model, _ in pairs}

    @property
    def token_key(self) -> bytes:
        """What `nextToken`s are signed with, the same in every process of a project."""
        return hashlib.sha256(b"appsync_local.paging:" + str(django_settings.SECRET_KEY).encode()).digest()

    @property
    def alias(self) -> str:
        """The database alias in force."""
        return self.DATABASE or (ALIAS if ALIAS in django_settings.DATABASES else "default")

    @property
    def api_key_entries(self) -> tuple[str | Mapping[str, Any], ...]:
        """Every entry of `API_KEY`."""
        keys = (self.API_KEY,) if isinstance(self.API_KEY, str | Mapping) else tuple(self.API_KEY or ())
        return tuple(key for key in keys if key)

    @property
    def api_keys(self) -> tuple[str, ...]:
        """Every key that lets in, or did before it expired."""
        return tuple(item if isinstance(item, str) else str(item.get("key")) for item in self.api_key_entries)

    def load_schema(self) -> Schema:
        """The data model; raises `ConfigurationError` or `SchemaError`."""
        name = str(self.SCHEMA)
        if isinstance(self.SCHEMA, Path) or name.endswith((".graphql", ".gql", ".graphqls")) or "/" in name:
            return load_sdl(name)
        try:
            found = import_string(name)
        except ImportError as exc:
            raise ConfigurationError(
                f"APPSYNC_LOCAL['SCHEMA'] is {self.SCHEMA!r}, which cannot be imported: {exc}. "
                "Name an Amplify SDL file (models.graphql) or a callable that returns a Schema."
            ) from exc
        schema = found() if callable(found) else found
        if not isinstance(schema, Schema):
            raise ConfigurationError(f"APPSYNC_LOCAL['SCHEMA'] ({self.SCHEMA!r}) gave {schema!r}, which is no Schema.")
        if not schema.models:
            raise ConfigurationError(
                "There is nothing to serve: no model is registered with DataStore. "
                "Register one in a datastore.py, or serve an SDL file with --schema models.graphql."
            )
        return schema


def load_sdl(path: str | Path) -> Schema:
    """The data model of an SDL file; raises `ConfigurationError` or `SchemaError`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"Cannot read the schema {str(path)!r}: {exc}") from exc
    try:
        return parse_sdl(text)
    except SchemaError as exc:
        raise SchemaError(f"{path}: {exc}") from exc
