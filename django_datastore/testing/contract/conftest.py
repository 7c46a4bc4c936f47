"""Makes the suite run by itself: `pytest --pyargs django_datastore.testing.contract`."""

from __future__ import annotations

import os

import pytest

from django_datastore.testing.contract.fixtures import *  # noqa: F403
from django_datastore.testing.contract.fixtures import target_from


def pytest_configure(config: pytest.Config) -> None:
    """Skipped tests are listed with their reasons, whatever the project's own options are."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and not {"s", "a", "A"} & set(reporter.reportchars):
        reporter.reportchars += "s"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which APIs were tested."""
    for group, handler in (("", "AUTOMERGE"), ("OPTIMISTIC_", "OPTIMISTIC_CONCURRENCY")):
        found = target_from(os.environ, group)
        terminalreporter.write_line(f"AppSync contract, {handler}: {found.endpoint if found else 'not tested'}")
