"""The Triton hash grid against the plain one and the CPU's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrafield.config import HashGridConfig
from ultrafield.field.hashgrid import encode
from ultrafield.field.kernels.hashgrid_torch import encode_torch
from ultrafield.field.layout import GridLayout, grid_layout

pytest.importorskip("triton", reason="needs Triton")

from ultrafield.field.kernels import hashgrid_gpu
from ultrafield.field.kernels.hashgrid_gpu import (
    encode_backward_table_gpu,
    encode_backward_x_gpu,
    encode_forward_gpu,
    encode_gpu,
)

# Float32 positions times the resolution, and sums in another order.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def layout_of(features: int, levels: int = 3) -> GridLayout:
    """One dense level, the rest hashed; an odd number of levels leaves a program's last one empty."""
    return grid_layout(HashGridConfig(levels, features, 9, 4, 64))


def inputs(layout: GridLayout, count: int, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Positions in runs along a line, some of them outside; a table; a gradient."""
    generator = torch.Generator().manual_seed(count)
    along = torch.linspace(-0.05, 0.9, count)[:, None]
    x = torch.rand(3, generator=generator) * 0.3 + along * torch.tensor([1, 0.7, 0.3])
    x[::5] = torch.rand(len(x[::5]), 3, generator=generator) * 1.2 - 0.1
    table = torch.randn(int(layout.offsets[-1]), layout.features, generator=generator)
    grad = torch.randn(count, layout.channels, generator=generator)
    return x.to(device), table.to(device), grad.to(device)


@pytest.mark.parametrize("features", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("count", [0, 1, 97])
def test_forward_and_gradients_equal_the_plain_ones(features, count, kernel_device):
    layout = layout_of(features)
    x, table, grad = inputs(layout, count, kernel_device)
    found, expected = [], []
    for backend, out in ((encode_gpu, found), (encode_torch, expected)):
        position, rows = x.clone().requires_grad_(), table.clone().requires_grad_()
        encoded = backend(position, rows, layout)
        out += [encoded.detach(), *torch.autograd.grad(encoded, [position, rows], grad)]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **TOLERANCE)


@pytest.mark.parametrize("resolution", [4, 1024, 1 << 20])
def test_rows_are_those_of_the_cpu_bit_for_bit(resolution, kernel_device):
    # Each row holds its own number, and positions lie on vertices: what comes back is the row.
    layout = grid_layout(HashGridConfig(1, 1, 12, resolution, resolution))
    table = torch.arange(int(layout.offsets[-1]), dtype=torch.float32)[:, None]
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, resolution, (400, 3), generator=generator) / resolution
    found = encode_gpu(x.to(kernel_device), table.to(kernel_device), layout)
    assert torch.equal(found.cpu(), encode(x, table, layout))


@pytest.mark.parametrize("run", [1, 3, 8])
def test_merging_neighbours_changes_nothing(run, kernel_device, monkeypatch):
    monkeypatch.setitem(hashgrid_gpu._BACKWARD, "RUN", run)
    layout = layout_of(4)
    _, table, grad = inputs(layout, 77, kernel_device)
    # Long runs in one cell, a return to an earlier cell, and a last run cut short.
    x = torch.linspace(0.2, 0.4, 77)[:, None].repeat(1, 3)
    x[40:] = 0.21
    rows = table.clone().requires_grad_()
    x = x.to(kernel_device)
    (expected,) = torch.autograd.grad(encode_torch(x, rows, layout), rows, grad)
    torch.testing.assert_close(encode_backward_table_gpu(x, grad, layout), expected, **TOLERANCE)


def test_table_gradient_is_added_to_what_is_there(kernel_device):
    layout = layout_of(4)
    x, _, grad = inputs(layout, 33, kernel_device)
    out = torch.ones(int(layout.offsets[-1]), 4, device=kernel_device)
    assert encode_backward_table_gpu(x, grad, layout, out=out) is out
    torch.testing.assert_close(out - 1, encode_backward_table_gpu(x, grad, layout), **TOLERANCE)


@pytest.mark.parametrize("live", [0, 70, 1000])
def test_rows_that_are_not_live_are_zero_and_unread(live, kernel_device, monkeypatch):
    layout = layout_of(4)
    x, table, grad = inputs(layout, 150, kernel_device)
    used = min(live, 150)
    x[used:], grad[used:] = torch.nan, torch.nan
    count = torch.tensor([live], device=kernel_device)
    fresh = torch.Tensor.new_empty

    def poisoned(self: torch.Tensor, *shape, **options) -> torch.Tensor:
        out = fresh(self, *shape, **options)
        return out.fill_(torch.nan) if out.is_floating_point() else out

    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned)
    encoded = encode_forward_gpu(x, table, layout, count)
    slopes = encode_backward_x_gpu(x, table, grad, layout, count)
    torch.testing.assert_close(encoded[:used], encode_forward_gpu(x[:used], table, layout))
    torch.testing.assert_close(slopes[:used], encode_backward_x_gpu(x[:used], table, grad[:used], layout))
    assert not encoded[used:].any()
    assert not slopes[used:].any()
    torch.testing.assert_close(
        encode_backward_table_gpu(x, grad, layout, count),
        encode_backward_table_gpu(x[:used], grad[:used], layout),
        **TOLERANCE,
    )


@pytest.mark.parametrize("live", [0, 3, 9])
def test_the_cpu_knows_live_rows_too(live):
    layout = layout_of(2)
    x, table, _ = inputs(layout, 7, "cpu")
    found = encode(x, table, layout, torch.tensor([live]))
    assert torch.equal(found[:live], encode(x[:live], table, layout))
    assert not found[live:].any()
    assert found.shape == (7, layout.channels)


def test_levels_are_copied_to_a_device_once(kernel_device):
    layout, device = layout_of(4), torch.device(kernel_device)
    assert layout.on(device) is layout.on(device)
    masks = layout.on(device)[2].cpu().numpy()
    assert np.array_equal(masks, [-1, 511, 511])
