"""Every shape of model, and a mirror of what AppSync is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.shop.mirror import EVERY_SHAPE, Mirror, registered


@pytest.fixture(autouse=True)
def every_shape() -> Iterator[None]:
    """The models of `tests.shop` that are not registered otherwise."""
    with registered(EVERY_SHAPE):
        yield


@pytest.fixture
def mirror(db: None) -> Mirror:
    """AppSync's side."""
    return Mirror()
