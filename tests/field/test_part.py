"""A part of a field alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_scene import BOXES, ring

from ultrafield.config import GeometryConfig, HashGridConfig
from ultrafield.field import RadianceField
from ultrafield.field.part import part_of_field
from ultrafield.field.render import render_view

LEFT = BOXES[1]


class Boxes(RadianceField):
    """Opaque boxes, whose colour the network makes up."""

    def geometry(self, positions: Tensor, encoded: Tensor | None = None) -> tuple[Tensor, Tensor]:
        _, vectors = super().geometry(positions)
        inside = torch.zeros(len(positions), dtype=torch.bool)
        for low, high in torch.tensor(BOXES, dtype=torch.float32):
            inside |= ((positions >= low) & (positions <= high)).all(dim=1)
        return 400.0 * inside, vectors


@pytest.fixture(scope="module")
def field() -> RadianceField:
    config = GeometryConfig(grid=HashGridConfig(2, 2, 8, 4, 8), hidden=16, occupancy_resolution=16)
    return Boxes(
        config, cascades=1, near=0.1, far=4.0, background=torch.ones(3), generator=torch.Generator().manual_seed(0)
    )


def surface_points() -> tuple[np.ndarray, np.ndarray]:
    """Points all over the boxes [N, 3], and which of them lie on the left one."""
    rng = np.random.default_rng(0)
    points, owner = [], []
    for number, (low, high) in enumerate(BOXES):
        inside = rng.uniform(low, high, (4000, 3))
        axis, side = rng.integers(0, 3, 4000), rng.integers(0, 2, 4000)
        inside[np.arange(4000), axis] = np.where(side, high[axis], low[axis])
        points.append(inside)
        owner += [number == 1] * 4000
    return np.concatenate(points).astype(np.float32), np.array(owner)


def test_a_part_is_seen_alone_and_from_where_others_hid_it(field: RadianceField) -> None:
    points, chosen = surface_points()
    part = part_of_field(field, points, chosen, cell=0.01, reach=0.05)
    cameras = ring(6)
    middle = LEFT.mean(axis=0)
    for index in range(6):
        whole, alone = render_view(field, cameras, index), render_view(part, cameras, index)
        assert (alone.opacity > 0.5).sum() < (whole.opacity > 0.5).sum()
        seen = alone.opacity > 0.9
        assert seen.sum() > 50
        same = (alone.opacity > 0.995) & (np.abs(whole.depth - alone.depth) < 1e-3)
        assert same.sum() > 50
        np.testing.assert_allclose(whole.color[same], alone.color[same], atol=0.02)
        assert (alone.color[alone.opacity == 0] == 0).all()  # no background of its own
        inside = alone.depth[seen]
        distance = np.linalg.norm(cameras.c2w[index, :, 3] - middle)
        assert np.abs(inside - distance).max() < 0.35
    assert (render_view(field, cameras, 0).color[0, 0] == 1).all()


def test_all_of_the_points_are_the_whole_field(field: RadianceField) -> None:
    points, chosen = surface_points()
    part = part_of_field(field, points, np.ones_like(chosen), cell=0.02, reach=0.1)
    whole, alone = (render_view(item, ring(2), 0) for item in (field, part))
    np.testing.assert_allclose(whole.opacity, alone.opacity, atol=1e-3)
    np.testing.assert_allclose(whole.depth, alone.depth, atol=1e-3)


def test_cells_outside_of_the_grid_are_empty(field: RadianceField) -> None:
    points, chosen = surface_points()
    part = part_of_field(field, points, chosen, cell=0.01, reach=0.03)
    places = torch.tensor([[-9.0, 0, 0], [9.0, 0, 0], [-0.25, 0.0, -0.1], [0.25, 0.0, -0.1]])
    assert part.holds(places).tolist() == [False, False, True, False]
    assert part.geometry(places)[0].tolist()[3] == 0


def test_a_grid_has_no_more_cells_than_fit(field: RadianceField, monkeypatch: pytest.MonkeyPatch) -> None:
    from ultrafield.field import part as module

    monkeypatch.setattr(module, "_MOST_CELLS", 1000)
    points, chosen = surface_points()
    assert part_of_field(field, points, chosen, cell=1e-4, reach=0.05).kept.numel() < 2500
