"""The `APPSYNC_LOCAL` setting, read once, checked, with defaults. Doors and `from_settings()` constructors read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from django_datastore.exceptions import ConfigurationError
from django_datastore.schema import naming
from django_datastore.schema.sdl import parse_sdl
from django_datastore.schema.types import Schema

ALIAS = "appsync_local"
"""The database alias the server uses where `DATABASES` has it."""
CONFLICT_HANDLERS = ("automerge", "optimistic")


@dataclass(frozen=True)
class Settings:
    """The keys of `APPSYNC_LOCAL`."""

    SCHEMA: str = "django_datastore.registry.as_schema"
    """The data model: the path of an Amplify SDL file, or the dotted path of a callable that returns a `Schema`."""
    API_KEY: str | tuple[str, ...] | list[str] | None = None
    """The key clients send, or several. Without one nobody gets in."""
    CONFLICT: str = "automerge"
    """What happens to a mutation with an old `_version`: `automerge` or `optimistic` (refused)."""
    DATABASE: str | None = None
    """The alias in `DATABASES`; by default `appsync_local` where there is one, else `default`."""
    BASE_TABLE_TTL: int = 43_200
    """Minutes a deleted record is kept as tombstone; 0 removes it at once."""
    DELTA_SYNC_TABLE_TTL: int = 30
    """Minutes a change is kept in the delta log. A client away for longer gets a base sync."""
    CONNECTION_TIMEOUT_SECONDS: int = 300
    """What clients are told to wait for a keep-alive before they call the socket dead."""
    KEEP_ALIVE_SECONDS: float = 60
    """How often a keep-alive is sent on every socket."""

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
        """The project's settings, with what the command line says on top (None says nothing)."""
        found = cls.from_mapping(getattr(django_settings, "APPSYNC_LOCAL", {}))
        found = replace(found, **{key: value for key, value in overrides.items() if value is not None})
        found.validate()
        return found

    def validate(self) -> None:
        """Raises `ConfigurationError` for values the server cannot work with."""
        if self.CONFLICT not in CONFLICT_HANDLERS:
            hint = naming.did_you_mean(str(self.CONFLICT), CONFLICT_HANDLERS)
            raise ConfigurationError(
                f"APPSYNC_LOCAL['CONFLICT'] is {self.CONFLICT!r}; supported: {', '.join(CONFLICT_HANDLERS)}.{hint}"
            )
        for key in ("BASE_TABLE_TTL", "DELTA_SYNC_TABLE_TTL"):
            minutes = getattr(self, key)
            if not isinstance(minutes, int) or minutes < 0:
                raise ConfigurationError(f"APPSYNC_LOCAL[{key!r}] is {minutes!r}; it must be 0 or more minutes.")

    @property
    def alias(self) -> str:
        """The database alias in force."""
        return self.DATABASE or (ALIAS if ALIAS in django_settings.DATABASES else "default")

    @property
    def api_keys(self) -> tuple[str, ...]:
        """Every key that lets in."""
        keys = (self.API_KEY,) if isinstance(self.API_KEY, str) else tuple(self.API_KEY or ())
        return tuple(key for key in keys if key)

    def load_schema(self) -> Schema:
        """The data model; raises `ConfigurationError` or `SchemaError`."""
        if self.SCHEMA.endswith((".graphql", ".gql", ".graphqls")) or "/" in self.SCHEMA:
            return load_sdl(self.SCHEMA)
        try:
            found = import_string(self.SCHEMA)
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
    return parse_sdl(text)
