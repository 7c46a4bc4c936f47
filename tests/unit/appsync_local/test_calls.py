"""Calls of functions that may take for ever."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from django_datastore.appsync_local.calls import call

NAME = "test-call"


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def asked(function: Any, timeout_seconds: float = 20) -> Any:
    return call(function, 3, timeout_seconds=timeout_seconds, name=NAME)


def test_its_answer_is_the_functions():
    assert asked(lambda number: number + 1) == 4


def test_its_exception_is_the_functions():
    with pytest.raises(ZeroDivisionError):
        asked(lambda number: number / 0)


def test_a_function_cannot_end_the_server():
    with pytest.raises(RuntimeError, match="SystemExit"):
        asked(sys.exit)


def test_functions_that_never_return_keep_neither_others_nor_the_process_waiting(released: threading.Event):
    for _ in range(20):
        with pytest.raises(TimeoutError):
            asked(lambda number: released.wait(), timeout_seconds=0.001)
    assert asked(str) == "3"
    left = [thread for thread in threading.enumerate() if thread.name == NAME and thread.is_alive()]
    assert len(left) >= 20
    assert all(thread.daemon for thread in left)
