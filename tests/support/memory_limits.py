"""Limits of memory for a test; the process gets its own back afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ultrafield.budget import limit_memory


@pytest.fixture
def default_memory() -> Iterator[None]:
    """The test may choose a limit."""
    yield
    limit_memory(None)


@pytest.fixture
def little_memory(default_memory: None) -> None:
    """Half a GiB."""
    limit_memory(0.5)


@pytest.fixture
def one_gibibyte(default_memory: None) -> None:
    """One GiB."""
    limit_memory(1)
