"""Scalar products of pairs in Triton against plain PyTorch, forward and backward."""

from __future__ import annotations

import pytest
import torch

from ultrafield.training.contrast.similarity import pair_similarity_torch, take

pytestmark = pytest.mark.usefixtures("poisoned")


@pytest.mark.parametrize(
    ("rows", "channels", "count"),
    [(1, 1, 1), (5, 3, 0), (7, 13, 140), (50, 128, 333), (9, 100, 65), (4, 256, 33), (3, 300, 20)],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-13)])  # order of the sums
def test_value_and_gradient(rows, channels, count, dtype, tolerance, kernel_device):
    from ultrafield.training.contrast.kernels.similarity_gpu import similarity_gpu, similarity_gradient_gpu

    generator = torch.Generator().manual_seed(rows)
    features = torch.randn(rows, channels, generator=generator, dtype=dtype) / channels**0.5
    pairs = torch.randint(0, rows, (count, 2), generator=generator)
    weight = torch.randn(count, generator=generator, dtype=dtype)
    leaf = features.clone().requires_grad_()
    expected = pair_similarity_torch(leaf, pairs)
    (expected * weight).sum().backward()
    features, pairs, weight = (tensor.to(kernel_device) for tensor in (features, pairs, weight))
    options = {"atol": tolerance, "rtol": tolerance}
    torch.testing.assert_close(similarity_gpu(features, pairs).cpu(), expected.detach(), **options)
    torch.testing.assert_close(similarity_gradient_gpu(features, pairs, weight).cpu(), leaf.grad, **options)


def test_padding_has_no_similarity_and_no_gradient(kernel_device):
    from ultrafield.training.contrast.kernels.similarity_gpu import similarity_gpu, similarity_gradient_gpu

    features = torch.tensor([[1.0, 2.0], [torch.nan, 1.0], [3.0, 0.5]], device=kernel_device)
    pairs = torch.tensor([[-1, 1], [1, -1], [-1, -1], [0, 3], [0, 2], [0, 2]], device=kernel_device)
    assert similarity_gpu(features, pairs).tolist() == [0, 0, 0, 0, 4, 4]
    gradient = torch.tensor([1.0, 1, 1, 1, 2, 0], device=kernel_device)
    assert similarity_gradient_gpu(features, pairs, gradient).tolist() == [[6, 1], [0, 0], [2, 4]]


def test_nan_stays_where_it_is(kernel_device):
    from ultrafield.training.contrast.kernels.similarity_gpu import similarity_gpu

    features = torch.tensor([[torch.nan, 1.0], [1.0, 1.0], [2.0, 0.0]], device=kernel_device)
    pairs = torch.tensor([[0, 1], [1, 2]], device=kernel_device)
    assert similarity_gpu(features, pairs).isnan().tolist() == [True, False]


def test_strided_inputs(kernel_device):
    from ultrafield.training.contrast.kernels.similarity_gpu import similarity_gpu, similarity_gradient_gpu

    features = torch.arange(12.0, device=kernel_device).reshape(3, 4).T
    pairs = torch.tensor([[0, 1, 2], [2, 2, 0]], device=kernel_device).T
    assert torch.equal(similarity_gpu(features, pairs), pair_similarity_torch(features, pairs))
    ones = torch.ones((), device=kernel_device).expand(3)
    gradient = similarity_gradient_gpu(features, pairs, ones)
    assert torch.equal(gradient, torch.stack([2 * features[2], features[2], 2 * features[0] + features[1], 0 * ones]))


@pytest.mark.parametrize("count", [0, 1, 600])
def test_values_taken_at_indices(count, kernel_device):
    from ultrafield.training.contrast.kernels.similarity_gpu import take_gpu, take_gradient_gpu

    generator = torch.Generator().manual_seed(count)
    values = torch.randn(7, generator=generator, dtype=torch.float64)
    index = torch.randint(-1, 7, (count,), generator=generator)
    gradient = torch.randn(count, generator=generator, dtype=torch.float64)
    gradient[::3] = 0
    leaf = values.clone().requires_grad_()
    expected = take(leaf, index)
    found = take_gpu(values.to(kernel_device), index.to(kernel_device))
    assert torch.equal(found.cpu(), expected)
    expected.backward(gradient)
    found = take_gradient_gpu(index.to(kernel_device), gradient.to(kernel_device), 7)
    torch.testing.assert_close(found.cpu(), leaf.grad, rtol=1e-12, atol=1e-12)  # order of the sums
