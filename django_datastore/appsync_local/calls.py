"""Calls of functions that people give to the server: they may take for ever, which must hold up nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from django.db import connections


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
