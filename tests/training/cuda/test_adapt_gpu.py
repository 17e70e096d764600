"""The number of rays of the next step against the same arithmetic in Python."""

from __future__ import annotations

import pytest
import torch

from ultrafield.field.samples import FixedSamples

pytest.importorskip("triton", reason="needs Triton")


def some_samples(number: int, complete: int, device: str) -> FixedSamples:
    """So many samples along 50 rays, so many of which are complete."""
    offsets = torch.linspace(0, number, 51).long()
    columns = (offsets, torch.zeros(8), torch.zeros(8), torch.zeros(8, dtype=torch.int32), torch.arange(50) < complete)
    return FixedSamples(*(column.to(device) for column in columns))


@pytest.mark.parametrize(
    ("rays", "marched", "visible", "wanted"),
    [
        (1000, (4000, 40), (200, 40), (1000 + 8100 / 100) / 2),  # marched samples limit: 100 on each ray
        (1000, (400, 40), (800, 40), (1000 + 3000 / 20) / 2),  # visible samples limit: 20 on each
        (1000, (400, 40), (200, 50), (1000 + 3000 / 4) / 2),
        (1, (4000, 1), (800, 40), 30),  # fewest
        (20_000, (40, 40), (40, 40), 5000),  # most
        (100, (0, 0), (0, 0), 5000),  # no ray has any
        (4000, (400, 0), (10, 0), (4000 + 8100 / 400) / 2),  # no ray has all
    ],
)
def test_half_of_the_way_to_what_fills_both(kernel_device, rays, marched, visible, wanted):
    from ultrafield.training.cuda.kernels.adapt_gpu import adapt_rays_gpu

    live = torch.tensor([rays], device=kernel_device)
    both = (some_samples(*pair, kernel_device) for pair in (marched, visible))
    adapt_rays_gpu(live, *both, room=9000, aim=3000, fewest=30, most=5000)
    assert live.tolist() == [int(wanted)]
