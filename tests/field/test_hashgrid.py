"""The hash grid against a slow, literal implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrafield.config import HashGridConfig
from ultrafield.field.hashgrid import HashGrid, encode
from ultrafield.field.kernels.hashgrid_torch import encode_torch
from ultrafield.field.layout import grid_layout

SMALL = HashGridConfig(levels=3, features=2, log2_entries=9, base_resolution=4, max_resolution=16)


def literal_encode(x: np.ndarray, table: np.ndarray, layout) -> np.ndarray:
    """Müller et al. 2022, section 3, one sample and one corner at a time, in float64 and Python integers."""
    out = np.zeros((len(x), layout.channels))
    for s, position in enumerate(np.clip(x.astype(np.float64), 0, 1)):
        for level, resolution in enumerate(layout.resolutions.tolist()):
            size = int(layout.offsets[level + 1] - layout.offsets[level])
            cell = np.minimum(np.floor(np.float32(position) * np.float32(resolution)), resolution - 1).astype(int)
            inner = position * resolution - cell
            for corner in np.ndindex(2, 2, 2):
                weight = np.prod(np.where(corner, inner, 1 - inner))
                i, j, k = (int(c + d) for c, d in zip(cell, corner, strict=True))
                if layout.hashed[level]:
                    row = (i ^ (j * 2654435761 % 2**32) ^ (k * 805459861 % 2**32)) % size
                else:
                    row = i + (resolution + 1) * (j + (resolution + 1) * k)
                columns = slice(level * layout.features, (level + 1) * layout.features)
                out[s, columns] += weight * table[layout.offsets[level] + row]
    return out


def random_grid(config: HashGridConfig, seed: int = 0) -> HashGrid:
    generator = torch.Generator().manual_seed(seed)
    grid = HashGrid(config, generator=generator)
    with torch.no_grad():
        grid.table.normal_(generator=generator)
    return grid


def test_layout_is_dense_where_vertices_fit_and_hashed_elsewhere():
    layout = grid_layout(HashGridConfig(levels=6, features=4, log2_entries=14, base_resolution=16, max_resolution=512))
    assert layout.resolutions.tolist() == [16, 32, 64, 128, 256, 512]
    assert layout.hashed.tolist() == [False, True, True, True, True, True]
    assert np.diff(layout.offsets).tolist() == [17**3] + [1 << 14] * 5
    assert layout.channels == 24


@pytest.mark.parametrize("count", [0, 1, 7, 300])
@pytest.mark.parametrize("backend", [encode, encode_torch])
def test_forward_equals_the_literal_sum(backend, count):
    grid = random_grid(SMALL)
    x = torch.rand(count, 3, generator=torch.Generator().manual_seed(1)) * 1.2 - 0.1
    found = backend(x, grid.table, grid.layout)
    assert found.shape == (count, grid.layout.channels)
    # float32 positions times a resolution of 16 carry about 1e-6 of a cell.
    np.testing.assert_allclose(
        found.detach(), literal_encode(x.numpy(), grid.table.detach().numpy(), grid.layout), atol=2e-5
    )


def test_vertices_return_their_rows_and_the_far_border_is_inside():
    config = HashGridConfig(levels=1, features=1, log2_entries=12, base_resolution=4, max_resolution=4)
    grid = random_grid(config)
    axis = torch.linspace(0, 1, 5)
    x = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    rows = x[:, 0] * 4 + 5 * (x[:, 1] * 4 + 5 * x[:, 2] * 4)
    torch.testing.assert_close(encode(x, grid.table, grid.layout), grid.table[rows.long()])


@pytest.mark.parametrize("features", [1, 2, 4])
def test_gradients_equal_autograd(features):
    config = HashGridConfig(levels=4, features=features, log2_entries=10, base_resolution=4, max_resolution=64)
    grid = random_grid(config)
    x = torch.rand(1000, 3, generator=torch.Generator().manual_seed(2)) * 1.1 - 0.05
    upstream = torch.randn(1000, config.levels * features, generator=torch.Generator().manual_seed(3))
    found, expected = [], []
    for backend, out in ((encode, found), (encode_torch, expected)):
        position = x.clone().requires_grad_()
        encoded = backend(position, grid.table, grid.layout)
        out += torch.autograd.grad(encoded, [position, grid.table], upstream)
    for one, other in zip(found, expected, strict=True):
        # Sums of up to thousands of float32 terms, in another order.
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_table_gradient_is_the_same_every_time():
    grid = random_grid(SMALL)
    x = torch.rand(5000, 3, generator=torch.Generator().manual_seed(4))
    first, second = (
        torch.autograd.grad(encode(x, grid.table, grid.layout).square().sum(), grid.table)[0] for _ in range(2)
    )
    assert torch.equal(first, second)


def test_positions_of_a_wrong_shape_are_refused():
    grid = random_grid(SMALL)
    with pytest.raises(ValueError, match=r"x: expected shape \[\*, 3\], got \[4, 2\]"):
        encode(torch.zeros(4, 2), grid.table, grid.layout)


def test_a_table_of_another_layout_is_refused():
    grid = random_grid(SMALL)
    with pytest.raises(ValueError, match="table: expected shape"):
        encode(torch.zeros(4, 3), grid.table[:-1], grid.layout)
