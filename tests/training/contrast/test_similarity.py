"""Scalar products of pairs against plain PyTorch, forward and backward."""

from __future__ import annotations

import pytest
import torch

from ultrafield.training.contrast.similarity import pair_similarity, pair_similarity_torch, take


@pytest.mark.parametrize(("rows", "channels", "count"), [(1, 1, 1), (5, 3, 0), (7, 13, 40), (50, 128, 333)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-14)])  # order of the sums
def test_value_and_gradient(rows, channels, count, dtype, tolerance):
    generator = torch.Generator().manual_seed(rows)
    features = torch.randn(rows, channels, generator=generator, dtype=dtype)
    features /= channels**0.5
    pairs = torch.randint(0, rows, (count, 2), generator=generator)
    weight = torch.randn(count, generator=generator, dtype=dtype)
    results = []
    for function in (pair_similarity, pair_similarity_torch):
        leaf = features.clone().requires_grad_()
        products = function(leaf, pairs)
        (products * weight).sum().backward()
        results.append((products.detach(), leaf.grad))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=tolerance * 10, rtol=tolerance * 10)


def test_gradcheck():
    features = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    pairs = torch.tensor([[0, 1], [1, 0], [2, 2], [3, 5], [0, 1]])
    assert torch.autograd.gradcheck(lambda f: pair_similarity(f, pairs), (features,))


def test_strided_inputs_and_gradients():
    pairs = torch.tensor([[0, 1, 2], [2, 2, 0]]).T
    gradients = []
    for function in (pair_similarity, pair_similarity_torch):
        features = torch.arange(12.0).reshape(4, 3).requires_grad_()
        function(features.T, pairs).sum().backward()  # the gradient of a sum is an expanded scalar
        gradients.append(features.grad)
    assert torch.equal(*gradients)


def test_nan_stays_where_it_is():
    features = torch.tensor([[torch.nan, 1.0], [1.0, 1.0], [2.0, 0.0]])
    assert pair_similarity(features, torch.tensor([[0, 1], [1, 2]])).isnan().tolist() == [True, False]


def test_bad_shapes():
    with pytest.raises(ValueError, match=r"features: expected shape \[\*, \*\], got \[3\]"):
        pair_similarity(torch.zeros(3), torch.zeros(1, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"pairs: expected shape \[\*, 2\], got \[2\]"):
        pair_similarity(torch.zeros(3, 1), torch.zeros(2, dtype=torch.int64))
    for outside in (-1, 3):
        with pytest.raises(ValueError, match=rf"pairs: expected row indices in \[0, 3\), found {outside}"):
            pair_similarity(torch.zeros(3, 1), torch.tensor([[0, outside]]))


def test_gradients_do_not_depend_on_the_number_of_threads() -> None:
    import numba

    generator = torch.Generator().manual_seed(0)
    features = torch.randn(50, 33, generator=generator)
    pairs = torch.randint(50, (2000, 2), generator=generator)
    weights = torch.randn(2000, generator=generator)
    threads, found = numba.get_num_threads(), []
    try:
        for count in {1, threads}:
            numba.set_num_threads(count)
            leaf = features.clone().requires_grad_()
            found.append(torch.autograd.grad(pair_similarity(leaf, pairs), leaf, weights)[0])
    finally:
        numba.set_num_threads(threads)
    assert all(torch.equal(gradient, found[0]) for gradient in found)
    wide = features.double().requires_grad_()
    exact = torch.autograd.grad(pair_similarity_torch(wide, pairs), wide, weights.double())[0]
    torch.testing.assert_close(found[0].double(), exact, rtol=1e-4, atol=1e-4)


def test_nothing_is_taken_from_nothing() -> None:
    values = torch.zeros(0, requires_grad=True)
    taken = take(values, torch.full((3,), -1))
    assert taken.tolist() == [0, 0, 0]
    assert torch.autograd.grad(taken.sum(), values)[0].shape == (0,)
