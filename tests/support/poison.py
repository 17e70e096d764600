"""Fixtures shared by the tests of graph operations."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill what `torch.empty` returns with nonsense, so that a kernel that leaves something out is found."""

    def empty(*shape, **options):
        tensor = torch.zeros(*shape, **options)
        return tensor.fill_(torch.nan if tensor.is_floating_point() else 0x55555555)

    monkeypatch.setattr(torch, "empty", empty)
