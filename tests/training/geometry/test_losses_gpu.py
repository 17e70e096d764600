"""The kernels of the losses against plain PyTorch in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ultrafield.config import GeometryConfig
from ultrafield.training.geometry.losses import ray_losses

pytest.importorskip("triton", reason="needs Triton")

SETTINGS = GeometryConfig(opacity_weight=0.5, distortion_weight=2.0)
LEAST = 1e-6


def random_rays(count: int, *, gains: bool, spread: bool, random_background: bool) -> dict[str, Tensor | None]:
    """What a step has rendered, for some channels brighter than white, and photographs, some of them white."""
    generator = torch.Generator().manual_seed(count)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    target = (1.3 * uniform(count, 3)).clamp(max=1.0)
    opacity = (1.4 * uniform(count) - 0.2).clamp(-0.01, 1.01)  # sums of float32 may lie beyond 0 and 1
    return {
        "color": uniform(count, 3),
        "opacity": opacity,
        "target": target,
        "background": uniform(count, 3) if random_background else uniform(3),
        "counted": torch.rand(count, generator=generator) < 0.7,
        "spread": uniform(count) if spread else None,
        "gains": 0.5 + uniform(count, 3) if gains else None,
    }


def gradients_of(losses: Tensor, rays: dict[str, Tensor | None]) -> dict[str, Tensor]:
    asked = {name: value for name, value in rays.items() if value is not None and value.requires_grad}
    upstream = torch.tensor([1.0, -0.7, 0.3], dtype=losses.dtype, device=losses.device)[: len(losses)]
    return dict(zip(asked, torch.autograd.grad(losses, tuple(asked.values()), upstream), strict=True))


def prepared(rays: dict[str, Tensor | None], device: str, dtype: torch.dtype) -> dict[str, Tensor | None]:
    """The same elsewhere, with gradients of what is learned."""
    learned = ("color", "opacity", "spread", "gains")
    moved = {name: value if value is None else value.to(device) for name, value in rays.items()}
    kinds = {name: value if value is None or name == "counted" else value.to(dtype) for name, value in moved.items()}
    return {
        name: value.requires_grad_() if value is not None and name in learned else value
        for name, value in kinds.items()
    }


@pytest.mark.parametrize("random_background", [False, True])
@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("gains", [False, True])
@pytest.mark.parametrize("count", [1, 300])
def test_losses_of_rays_and_their_gradients(kernel_device, count, gains, spread, random_background):
    from ultrafield.training.geometry.kernels.losses_gpu import ray_losses_gpu

    rays = random_rays(count, gains=gains, spread=spread, random_background=random_background)
    exact, given = prepared(rays, "cpu", torch.float64), prepared(rays, kernel_device, torch.float32)
    wanted = torch.stack(list(ray_losses(settings=SETTINGS, **exact).values()))
    for name in given:  # what does not count must not matter
        value = given[name]
        if value is not None and value.ndim and len(value) == count and name != "counted":
            value.data[~given["counted"]] = torch.nan
    found = ray_losses_gpu(**given, least=LEAST, weights=(0.5, 2.0))
    # Means of float32 numbers around one.
    torch.testing.assert_close(found[: len(wanted)].cpu().double(), wanted, rtol=1e-5, atol=1e-6)
    assert spread or float(found[2].detach()) == 0
    gradients, expected = gradients_of(found, given), gradients_of(wanted, exact)
    assert gradients.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name].cpu().double(), gradient, rtol=1e-5, atol=1e-6)


def test_columns_of_one_table(kernel_device):
    from ultrafield.training.geometry.kernels.losses_gpu import ray_losses_gpu

    rays = prepared(random_rays(40, gains=True, spread=True, random_background=True), kernel_device, torch.float32)
    options = {"least": LEAST, "weights": (0.5, 2.0)}
    table = torch.cat([rays["color"], rays["opacity"][:, None]], dim=1).detach().requires_grad_()
    color, opacity = table.split([3, 1], dim=1)
    found = ray_losses_gpu(**rays | {"color": color, "opacity": opacity[:, 0]}, **options)
    expected = ray_losses_gpu(**rays, **options)
    assert torch.equal(found, expected)
    (gradient,) = torch.autograd.grad(found.sum(), table)
    parts = torch.autograd.grad(expected.sum(), (rays["color"], rays["opacity"]))
    assert torch.equal(gradient, torch.cat([parts[0], parts[1][:, None]], dim=1))


@pytest.mark.parametrize("count", [0, 5])
def test_where_no_ray_counts_nothing_is_lost(kernel_device, count):
    from ultrafield.training.geometry.kernels.losses_gpu import ray_losses_gpu

    rays = random_rays(count, gains=True, spread=True, random_background=False) | {"counted": torch.zeros(count) > 0}
    given = prepared(rays, kernel_device, torch.float32)
    found = ray_losses_gpu(**given, least=LEAST, weights=(0.5, 2.0))
    assert found.tolist() == [0, 0, 0]
    assert not any(bool(gradient.any()) for gradient in gradients_of(found, given).values())
