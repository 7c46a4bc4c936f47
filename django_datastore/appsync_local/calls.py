"""Functions that people give to the server: found by their names, and called though they may never return."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from django.db import connections
from django.utils.module_loading import import_string

from django_datastore.exceptions import ConfigurationError


def load(setting: str, value: object, wanted: str) -> Callable[[Any], Any]:
    """The function that a setting of `APPSYNC_LOCAL` is or names.

    Raises `ConfigurationError`, with what is `wanted` of it.
    """
    try:
        found = import_string(value) if value and isinstance(value, str) else value
    except ImportError as exc:
        raise ConfigurationError(f"APPSYNC_LOCAL[{setting!r}] cannot be imported: {exc}.") from exc
    if not callable(found):
        raise ConfigurationError(
            f"APPSYNC_LOCAL[{setting!r}] is missing or no callable. Name a function that {wanted}."
        )
    return found  # type: ignore[no-any-return]  # callable() does not say of what


def call(function: Callable[[Any], Any], argument: object, *, timeout_seconds: float, name: str) -> Any:
    """What the function returns or raises; `TimeoutError` if it does not in that time.

    Each call has a thread of its own, which is left behind then: the threads of a pool would all be taken some day, and
    the process would not end before they do.
    """
    answer: Future[Any] = Future()

    def run() -> None:
        try:
            try:
                found = function(argument)
            finally:
                connections.close_all()
        except Exception as exc:
            answer.set_exception(exc)
        except BaseException as exc:  # such as `sys.exit`, which is not to end the server
            answer.set_exception(RuntimeError(f"it ended with {type(exc).__name__}"))
        else:
            answer.set_result(found)

    threading.Thread(target=run, name=name, daemon=True).start()
    return answer.result(timeout_seconds)
