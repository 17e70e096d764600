"""What the suite replaces in Triton's interpreter computes what Triton's own does."""

from __future__ import annotations

import pytest
import torch
from quick_interpreter import REPLACED

from ultrafield.config import HashGridConfig
from ultrafield.field.volrend import render_weights

pytest.importorskip("triton", reason="needs Triton")
if not REPLACED:
    pytest.skip("kernels run on the GPU", allow_module_level=True)

from ultrafield.field.kernels.hashgrid_gpu import encode_forward_gpu
from ultrafield.field.kernels.volrend_gpu import render_weights_gpu
from ultrafield.field.layout import grid_layout


@pytest.fixture
def triton_itself(monkeypatch: pytest.MonkeyPatch):
    """A function after whose call the interpreter is as Triton made it."""

    def restore() -> None:
        for target, name, value in REPLACED:
            monkeypatch.setattr(target, name, value)

    return restore


def test_a_table_is_read_bit_for_bit_the_same(triton_itself) -> None:
    generator = torch.Generator().manual_seed(0)
    layout = grid_layout(HashGridConfig(2, 2, 9, 4, 64))
    table = torch.randn(int(layout.offsets[-1]), layout.features, generator=generator)
    positions = torch.rand(70, 3, generator=generator)
    quick = encode_forward_gpu(positions, table, layout)
    assert quick.abs().max() > 0
    triton_itself()
    assert torch.equal(encode_forward_gpu(positions, table, layout), quick)


def test_scans_differ_by_rounding_at_most(triton_itself) -> None:
    generator = torch.Generator().manual_seed(1)
    sigma, delta = 30 * torch.rand(53, generator=generator), 0.1 * torch.rand(53, generator=generator)
    offsets = torch.tensor([0, 3, 3, 53])
    quick = render_weights_gpu(sigma, delta, offsets)
    triton_itself()
    own = render_weights_gpu(sigma, delta, offsets)
    torch.testing.assert_close(quick, own, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(own, render_weights(sigma, delta, offsets), rtol=1e-5, atol=1e-6)
