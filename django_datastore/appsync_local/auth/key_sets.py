"""JSON Web Key Sets: the public keys of an issuer, from a URL, a file or at hand; kept, and asked for again in time."""

from __future__ import annotations

import json
import logging
import threading
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from django_datastore.exceptions import ConfigurationError

logger = logging.getLogger(__name__)

Source: TypeAlias = "str | Path | Mapping[str, Any] | Callable[[], Mapping[str, Any]]"
"""A URL, the path of a file, the key set itself, or a callable that returns it."""

KEEP_SECONDS = 300
"""How long keys are kept: one that its issuer has given up lets nobody in for longer."""
MAX_REFETCHES = 3
REFETCH_SECONDS = 10
"""A key nobody knows is asked for at once, but not more often than that in this time: a flood of forged tokens is no
flood of requests."""
_TIMEOUT_SECONDS = 5
_MAX_BYTES = 1_000_000


class KeySet:
    """The keys of one issuer by key ID."""

    def __init__(self, source: Source, *, now: Callable[[], int]) -> None:
        self._source = source
        self._now = now
        self._lock = threading.Lock()
        self._keys: dict[str, Mapping[str, Any]] = {}
        self._asked_at: deque[int] = deque(maxlen=MAX_REFETCHES)
        self.generation = 0
        """Goes up whenever the keys were read anew."""

    @property
    def may_wait(self) -> bool:
        """Whether reading the keys goes over the network."""
        return isinstance(self._source, str) and self._source.startswith(("http://", "https://"))

    def find(self, key_id: str) -> Mapping[str, Any] | None:
        """The key with that ID."""
        if key_id not in self._keys or self.is_old:
            with self._lock:
                if (key_id not in self._keys and self._may_ask()) or self.is_old:
                    self._load()
        return self._keys.get(key_id)

    @property
    def is_old(self) -> bool:
        """Whether the keys have to be asked for again, known as they may be."""
        return not self._asked_at or self._has_passed(self._asked_at[-1], KEEP_SECONDS)

    def _may_ask(self) -> bool:
        return len(self._asked_at) < MAX_REFETCHES or self._has_passed(self._asked_at[0], REFETCH_SECONDS)

    def _has_passed(self, since: int, seconds: int) -> bool:
        return not 0 <= self._now() - since < seconds * 1000

    def _load(self) -> None:
        self._asked_at.append(self._now())
        try:
            keys = self._read().get("keys", ())
            self._keys = {str(key["kid"]): key for key in keys if isinstance(key, Mapping) and "kid" in key}
            self.generation += 1
        except (OSError, ValueError, AttributeError, TypeError) as exc:
            logger.warning("The keys of an issuer cannot be read: %s", exc, extra={"action": "jwks_failed"})

    def _read(self) -> Mapping[str, Any]:
        source = self._source
        if callable(source):
            return source()
        if isinstance(source, Mapping):
            return source
        if self.may_wait:
            with urllib.request.urlopen(str(source), timeout=_TIMEOUT_SECONDS) as answer:
                found = json.loads(answer.read(_MAX_BYTES))
        else:
            found = json.loads(Path(source).read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("a key set is a JSON object")
        return found


def check_source(key: str, source: object) -> None:
    """Raises `ConfigurationError` for what can be no source of keys."""
    if not (callable(source) or isinstance(source, str | Path | Mapping)) or not source:
        raise ConfigurationError(f"APPSYNC_LOCAL[{key!r}] needs a jwks: a URL, a file, a key set or a callable.")
