"""Neighbouring pixels of equally large pictures: all distances sorted, against the k-d tree and the kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrafield.training.contrast import pixel_neighbors


@pytest.fixture(params=["k-d tree", "kernel"])
def nearest(request):
    """`pixel_neighbors` of tensors on either backend."""
    if request.param == "k-d tree":
        return pixel_neighbors
    device = request.getfixturevalue("kernel_device")
    request.getfixturevalue("poisoned")
    from ultrafield.training.contrast.kernels.pixel_graph_gpu import pixel_neighbors_gpu

    return lambda positions, neighbors: pixel_neighbors_gpu(positions.to(device), neighbors).cpu()


def assert_nearest(table, positions, neighbors):
    """Distances are the smallest ones in order, and all of a row's pixels differ."""
    assert table.shape == (*positions.shape[:2], neighbors)
    assert table.dtype == torch.int64
    for rows, points in zip(table, positions.double(), strict=True):
        distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
        distances[distances.isnan()] = torch.inf
        padding = torch.full((len(points), neighbors), torch.inf, dtype=torch.float64)
        expected = torch.cat([distances, padding], 1).sort(1).values[:, :neighbors]
        found = distances.gather(1, rows.clamp(min=0)).masked_fill(rows < 0, torch.inf)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)  # coordinates in float32
        assert ((rows >= 0) == expected.isfinite()).all()
        assert all(len(set(row)) == len(row) for row in ([i for i in row if i >= 0] for row in rows.tolist()))


@pytest.mark.parametrize(
    ("images", "points", "neighbors", "size"),
    [
        (2, 35, 5, 7),
        (1, 1, 3, 5),
        (3, 4, 6, 3),
        (1, 67, 10, 40),
        (1, 130, 2, 40),
        (2, 33, 1, 1000),
        (1, 9, 8, 1),
        (2, 0, 4, 1),
    ],
)
@pytest.mark.parametrize("dtype", [torch.int64, torch.float64])
def test_nearest_pixels(nearest, images, points, neighbors, size, dtype):
    generator = torch.Generator().manual_seed(points)
    positions = torch.randint(0, size, (images, points, 2), generator=generator).to(dtype)
    if dtype.is_floating_point:
        positions += 0.5
    assert_nearest(nearest(positions, neighbors), positions, neighbors)


def test_positions_between_pixels(nearest):
    positions = torch.rand(2, 41, 2, generator=torch.Generator().manual_seed(0))
    assert_nearest(nearest(positions, 6), positions, 6)


def test_twins_are_neighbours_and_nobody_is_its_own(nearest):
    positions = torch.tensor([[[5, 5], [1, 1], [5, 5], [1, 1], [9, 1]]])
    table = nearest(positions, 2)[0]
    assert table[:4, 0].tolist() == [2, 3, 0, 1]
    assert not (table == torch.arange(5)[:, None]).any()


def test_missing_pixels(nearest):
    positions = torch.tensor([[[5.0, 5], [torch.nan, 1], [6, 5], [torch.nan, torch.nan]], [[torch.nan, 0]] * 4])
    assert nearest(positions, 2).tolist() == [[[2, -1], [-1, -1], [0, -1], [-1, -1]], [[-1, -1]] * 4]


def test_arrays_in_array_out():
    positions = np.random.default_rng(0).integers(0, 50, (2, 40, 2))
    table = pixel_neighbors(positions, 3)
    assert isinstance(table, np.ndarray)
    assert table.tolist() == pixel_neighbors(torch.from_numpy(positions), 3).tolist()


@pytest.mark.parametrize(
    ("positions", "neighbors", "message"),
    [
        (np.zeros((3, 2)), 1, r"positions: expected shape \[\*, \*, 2\], got \[3, 2\]"),
        (np.zeros((1, 3, 2)), 0, "neighbors: expected at least 1, got 0"),
    ],
)
def test_bad_input(positions, neighbors, message):
    with pytest.raises(ValueError, match=message):
        pixel_neighbors(positions, neighbors)
