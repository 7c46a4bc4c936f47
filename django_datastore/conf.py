"""The `DATASTORE` setting, read once, checked, with defaults. Doors and `from_settings()` constructors read it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.utils.functional import LazyObject, empty

from django_datastore.exceptions import ConfigurationError
from django_datastore.types import AuthMode


@dataclass(frozen=True)
class Settings:
    """The keys of `DATASTORE`. Names are Amplify's where Amplify has one; durations carry their unit."""

    ENDPOINT: str | None = None
    """The API's GraphQL URL. Without it everything stays local and the outbox keeps what is written."""
    AUTH_MODE: str = AuthMode.API_KEY
    """How requests prove who they are: with an API key, so far."""
    API_KEY: str | None = None
    """The key for auth mode `API_KEY`."""
    SYNC_PAGE_SIZE: int = 1000
    """Records a page of a sync query; AppSync allows 1,000 at most."""
    FULL_SYNC_INTERVAL: int = 1440
    """Minutes after which a delta sync becomes a base sync."""
    DELTA_SYNC_SECONDS: int = 600
    """How often models are asked for what changed while a listener hears of them."""
    POLL_SYNC_SECONDS: int = 15
    """How often models are asked for what changed while no listener hears of them."""
    MUTATION_BATCH_SIZE: int = 25
    """How many mutations go out in one GraphQL document."""
    MAX_ATTEMPTS: int = 10
    """Tries of a mutation that fails in an unknown or transient way before it is parked."""
    LEASE_SECONDS: float = 60.0
    """How long a worker owns what it claimed. Must be longer than REQUEST_TIMEOUT_SECONDS."""
    REQUEST_TIMEOUT_SECONDS: float = 30.0
    """How long one request to AppSync may take. AppSync itself gives up after 30 seconds."""
    SLICE_SECONDS: float = 15.0
    """How long one drain task works before it hands over to a fresh one."""
    POLL_SECONDS: float = 0.2
    """How often watchers look for changes made by other processes."""
    CHANGE_RETENTION_SECONDS: int = 3600
    """How long rows of the change log are kept for watchers that reconnect."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Checked settings; raises `ConfigurationError` that names the nearest key for an unknown one."""
        if not isinstance(values, Mapping):
            raise ConfigurationError(
                f"DATASTORE is {values!r}; it must be a dict, such as {{'ENDPOINT': 'https://…'}}."
            )
        known = {item.name for item in fields(cls)}
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(str(key).upper(), sorted(known), n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(sorted(known))}."
                raise ConfigurationError(f"DATASTORE has no key {key!r}. {hint}")
        found = cls(**values)
        found.validate()
        return found

    def validate(self) -> None:
        """Raises `ConfigurationError` for values of the wrong kind, and for those that cannot work together."""
        for item in fields(self):
            _require_kind(item.name, getattr(self, item.name), item.default)
        modes = [str(mode) for mode in AuthMode]
        if self.AUTH_MODE not in modes:
            near = difflib.get_close_matches(str(self.AUTH_MODE).upper(), modes, n=1, cutoff=0.3)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(
                f"DATASTORE['AUTH_MODE'] is {self.AUTH_MODE!r}; supported: {', '.join(modes)}.{hint}"
            )
        if self.ENDPOINT and self.AUTH_MODE == AuthMode.API_KEY and not self.API_KEY:
            raise ConfigurationError(
                "DATASTORE['API_KEY'] is missing, and AUTH_MODE is 'API_KEY'. Set it to a key of the API, e.g. from an "
                "environment variable."
            )
        if not 1 <= self.SYNC_PAGE_SIZE <= 1000:
            raise ConfigurationError(
                f"DATASTORE['SYNC_PAGE_SIZE'] is {self.SYNC_PAGE_SIZE!r}; AppSync takes 1 to 1000 records a page."
            )
        if self.MUTATION_BATCH_SIZE < 1:
            raise ConfigurationError(
                f"DATASTORE['MUTATION_BATCH_SIZE'] is {self.MUTATION_BATCH_SIZE!r}; it must be 1 or more."
            )
        for name in ("POLL_SYNC_SECONDS", "DELTA_SYNC_SECONDS"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"DATASTORE[{name!r}] is {getattr(self, name)!r}; it must be more than 0.")
        if self.LEASE_SECONDS <= self.REQUEST_TIMEOUT_SECONDS:
            raise ConfigurationError(
                f"DATASTORE['LEASE_SECONDS'] ({self.LEASE_SECONDS}) must be longer than REQUEST_TIMEOUT_SECONDS "
                f"({self.REQUEST_TIMEOUT_SECONDS}): else another worker takes over a request that is still running."
            )

    def require_endpoint(self) -> str:
        """The endpoint; `ConfigurationError` if there is none."""
        if not self.ENDPOINT:
            raise ConfigurationError(
                "DATASTORE['ENDPOINT'] is missing. Set it to the API's GraphQL URL, e.g. "
                "'https://….appsync-api.eu-west-1.amazonaws.com/graphql', or to what `manage.py appsync_local` prints."
            )
        return self.ENDPOINT


def _require_kind(name: str, value: object, default: object) -> None:
    """A value must be of its default's kind: a number for a number, else a text or None."""
    match default:
        case int():
            is_right, kind = isinstance(value, int) and not isinstance(value, bool), "a whole number"
        case float():
            is_right, kind = isinstance(value, int | float) and not isinstance(value, bool), "a number"
        case _:
            is_right, kind = value is None or isinstance(value, str), "a text"
    if not is_right:
        shown = "…" if name == "API_KEY" else repr(value)
        raise ConfigurationError(f"DATASTORE[{name!r}] is {shown}; it must be {kind}.")


def current() -> Settings:
    """The settings in force, as a value. Raises `ConfigurationError`."""
    return Settings.from_mapping(getattr(django_settings, "DATASTORE", {}))


if TYPE_CHECKING:
    _Lazy = LazyObject[Settings]
else:
    _Lazy = LazyObject  # subscriptable for the type checker only


class _LazySettings(_Lazy):
    def _setup(self) -> None:
        self._wrapped = current()


settings = cast(Settings, _LazySettings())
"""The settings in force."""


def _reload(*, setting: str, **_: object) -> None:
    if setting == "DATASTORE":
        cast(Any, settings)._wrapped = empty


setting_changed.connect(_reload, dispatch_uid="django_datastore.conf")
