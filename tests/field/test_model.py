"""Fields: contraction, harmonics, and that the feature head may be applied after compositing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from ultrafield.config import FeatureConfig, GeometryConfig, HashGridConfig
from ultrafield.field.mlp import spherical_harmonics, truncated_exp
from ultrafield.field.model import FeatureField, RadianceField, to_unit_cube
from ultrafield.field.volrend import accumulate

TINY = HashGridConfig(levels=2, features=2, log2_entries=8, base_resolution=4, max_resolution=8)


def test_harmonics_equal_scipy_up_to_sign_and_order():
    directions = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    x, y, z = directions.double().numpy().T
    theta, phi = np.arccos(z), np.arctan2(y, x)
    expected = []
    for degree in range(4):
        for order in range(-degree, degree + 1):
            value = sph_harm_y(degree, abs(order), theta, phi)
            real = value.real if order >= 0 else value.imag
            expected.append(real * (1 if order == 0 else 2**0.5))
    found = spherical_harmonics(directions).numpy()
    np.testing.assert_allclose(np.abs(found), np.abs(np.stack(expected, axis=1)), atol=1e-5)


@pytest.mark.parametrize(
    ("representation", "cascades", "surface"),
    [("auto", 1, True), ("auto", 3, False), ("surface", 3, True), ("density", 1, False)],
)
def test_surroundings_are_a_density_unless_asked_otherwise(representation, cascades, surface):
    config = GeometryConfig(grid=TINY, representation=representation)
    generator = torch.Generator().manual_seed(0)
    field = RadianceField(config, cascades=cascades, near=0.1, far=2.0, background=None, generator=generator)
    assert (field.level_set is not None) == surface


def test_contraction_keeps_the_middle_linear_and_everything_inside():
    middle = torch.tensor([[-0.5, 0.0, 0.5], [0.25, 0.1, -0.2]])
    torch.testing.assert_close(to_unit_cube(middle, bounded=False), middle * 0.5 + 0.5)
    far = torch.randn(100, 3, generator=torch.Generator().manual_seed(0)) * 1e4
    unit = to_unit_cube(far, bounded=False)
    assert bool(((unit > 0) & (unit < 1)).all())
    ray = torch.linspace(0, 50, 200)[:, None] * torch.tensor([[0.3, -0.8, 0.5]])
    assert bool((to_unit_cube(ray, bounded=False)[1:, 0].diff() > 0).all())


def test_truncated_exp_bounds_value_and_gradient():
    x = torch.tensor([-20.0, 0.0, 20.0], requires_grad=True)
    y = truncated_exp(x)
    y.sum().backward()
    np.testing.assert_allclose(y.detach(), np.exp([-20.0, 0.0, 15.0]), rtol=1e-5)
    np.testing.assert_allclose(x.grad, np.exp([-15.0, 0.0, 15.0]), rtol=1e-5)


@pytest.mark.parametrize("bottleneck", [0, 5])
def test_head_after_compositing_equals_head_per_sample(bottleneck):
    config = FeatureConfig(grid=TINY, hidden=8, dim=6, bottleneck=bottleneck)
    generator = torch.Generator().manual_seed(0)
    field = FeatureField(config, bounded=True, generator=generator)
    with torch.no_grad():
        field.grid.table.normal_(generator=generator)
    positions = torch.rand(9, 3, generator=generator) - 0.5
    weights = torch.rand(9, generator=generator) * 0.2
    offsets = torch.tensor([0, 4, 4, 9])
    sums = accumulate(weights, torch.ones(9, 1), offsets)[:, 0]
    after = field.finish(accumulate(weights, field.hidden(positions), offsets), sums)
    per_sample = accumulate(weights, field(positions), offsets) + (1 - sums)[:, None] * 6**-0.5
    torch.testing.assert_close(after, per_sample)
    torch.testing.assert_close(after[1].norm(), torch.tensor(1.0))  # nothing but background
