"""What processes of a team are asked to do in tests, and a team of two on the CPU that all tests share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ultrafield.config import Config
from ultrafield.errors import SceneError
from ultrafield.field.hashgrid import HashGrid
from ultrafield.scene import Scene
from ultrafield.scene.share import own_views
from ultrafield.sharing import Member, Team
from ultrafield.training.contrast.mask_pool import MaskPool
from ultrafield.training.features.surface_cache import SurfaceCache
from ultrafield.training.features.vote_weights import VoteTable, vote_table
from ultrafield.training.pixels import pixel_pool


@pytest.fixture(scope="session")
def pair() -> Iterator[Team]:
    """Two processes on the CPU, this one and another."""
    failures: list[str] = []
    with Team(["cpu", "cpu"], fail=lambda text, code: failures.append(text)) as team:
        yield team
    assert failures == []


def here(team: Team) -> Member:
    """This process as a member of its team."""
    return Member(team.group, torch.device("cpu"))


def combine(member: Member, numbers: list[list[float]]) -> list[Any]:
    """Every way of putting the ranks' own numbers together."""
    group, own = member.group, torch.tensor(numbers[member.group.rank])
    added, largest, first = own.clone(), own.clone(), own.clone()
    group.add_up(added)
    group.keep_largest(largest)
    group.take_first(first)
    parts = group.collect(own[: 1 + group.rank])
    share = group.share(float(own[0]), own.device)
    return [added.tolist(), largest.tolist(), first.tolist(), [part.tolist() for part in parts], share]


def fail_or_linger(member: Member, fails: bool, text: str) -> None:
    """Fail as input does that cannot be used, or be busy for much longer than a test."""
    if fails:
        raise SceneError(text)
    time.sleep(600)


def table_of(member: Member, scene: Scene) -> VoteTable:
    """The votes on what the views of two balls show, whose pixels all lie at the same distance."""
    own = own_views(scene, member.group.rank, member.group.size)
    pool = pixel_pool(own, torch.device("cpu"))
    count = len(pool.colors)
    cache = SurfaceCache(torch.arange(count + 1), torch.full((count,), 1.4), torch.ones(count))
    return vote_table(pool, MaskPool(own), cache, 0.05, member.group)


def updates(member: Member, config: Config) -> list[np.ndarray]:
    """Parameters after three steps whose losses differ from process to process."""
    from ultrafield.training.cuda.adam import FusedAdam
    from ultrafield.training.cuda.update import Update

    field = small_field(config)
    optimizer = FusedAdam(field, lr=1e-2, beta2=0.99, sparse=True)
    generator, group = torch.Generator(), member.group
    update = Update(field, field.grid.table, optimizer, group, weight=(0.25, 0.75)[group.rank], generator=generator)
    for step in range(3):
        gradient, loss = pulls(field, group.rank, step)
        update.table_gradient += (0.25, 0.75)[group.rank] * gradient
        update.backward({"loss": loss})
        update.finish()
    return [value.detach().numpy() for value in field.parameters()]


class SmallField(nn.Module):
    """A table and a matrix."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.grid = HashGrid(config.geometry.grid, generator=generator)
        self.matrix = nn.Parameter(torch.rand(3, 5, generator=generator))


def small_field(config: Config) -> SmallField:
    """A field that is the same in every process."""
    return SmallField(config)


def pulls(field: SmallField, rank: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A gradient of the table, zero in most rows, and a loss of the matrix."""
    generator = torch.Generator().manual_seed(10 * rank + step)
    gradient = torch.randn(field.grid.table.shape, generator=generator)
    gradient[torch.rand(len(gradient), generator=generator) < 0.7] = 0
    return gradient, (torch.randn(3, 5, generator=generator) * field.matrix).sum()
