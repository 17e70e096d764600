"""Bottlenecks in one step, with padding, and the losses on padded and partly valid input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ultrafield.training.contrast import Pairs, euclidean_loss, ultrametric_loss
from ultrafield.training.contrast.losses import _Borders, _compare, _limits
from ultrafield.training.contrast.similarity import pair_similarity, take
from ultrafield.ultrametric import boruvka, bottlenecks, minimax

OPTIONS = {"temperature": 0.1, "border_penalty": 10.0}


def graph(seed, nodes=30, count=60, pairs=100):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(nodes, (count, 2), generator=generator)
    edges = edges[edges[:, 0] != edges[:, 1]]
    return edges, torch.rand(len(edges), generator=generator), torch.randint(nodes, (pairs, 2), generator=generator)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_minimax_of_the_tree(seed):
    edges, weights, pairs = graph(seed)
    assert torch.equal(bottlenecks(30, edges, weights, pairs), minimax(boruvka(30, edges, weights), pairs))


def test_padding_changes_no_other_answer():
    edges, weights, pairs = graph(5)
    expected = bottlenecks(30, edges, weights, pairs)
    spread = torch.full((2 * len(edges), 2), -1)
    spread[::2] = edges
    spread[1::4, 0] = 3  # one index of -1 is enough
    heavy = torch.full((len(spread),), -1.0)
    heavy[::2] = weights
    ends = torch.cat([pairs, torch.tensor([[-1, 2], [2, -1], [-1, -1]])])
    found = bottlenecks(30, spread, heavy, ends)
    assert torch.equal(found[:-3], torch.where(expected >= 0, 2 * expected, -1))
    assert found[-3:].tolist() == [-1, -1, -1]


@pytest.mark.parametrize("nodes", [0, 3])
def test_nothing_but_padding(nodes):
    none = torch.full((4, 2), -1)
    assert bottlenecks(nodes, none, torch.zeros(4), none).tolist() == [-1] * 4
    assert bottlenecks(nodes, none[:0], torch.zeros(0), none[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edges": torch.tensor([[0, 3]])}, r"edges: expected node indices in \[0, 3\), got 3"),
        ({"edges": torch.tensor([[1, 1]])}, "edges: edge 0 joins a node with itself"),
        ({"weights": torch.tensor([torch.nan])}, "weights: the weight of edge 0 is NaN"),
        ({"weights": torch.zeros(2)}, r"weights: expected shape \[1\], got \[2\]"),
        ({"pairs": torch.tensor([[0, 3]])}, r"pairs: expected node indices in \[0, 3\), got 3"),
        ({"pairs": torch.zeros(1, 2)}, "pairs: expected int64, got torch.float32"),
        ({"rounds": -1}, "rounds: expected at least 0, got -1"),
    ],
)
def test_bad_input(changes, message):
    arguments = {"edges": torch.tensor([[0, 1]]), "weights": torch.zeros(1), "pairs": torch.tensor([[0, 1]])}
    with pytest.raises(ValueError, match=message):
        bottlenecks(3, **(arguments | changes))


def test_padded_pairs_have_no_similarity():
    features = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    pairs = torch.tensor([[0, 1], [-1, 2], [2, -1], [3, 3], [-1, -1]])
    found = pair_similarity(features, pairs, padded=True)
    assert torch.equal(found[[0, 3]], pair_similarity(features, pairs[[0, 3]]))
    assert found[[1, 2, 4]].tolist() == [0, 0, 0]
    assert torch.autograd.gradcheck(lambda leaf: pair_similarity(leaf, pairs, padded=True), features)
    with pytest.raises(ValueError, match=r"pairs: expected row indices in \[0, 4\), found -2"):
        pair_similarity(features, torch.tensor([[0, -2]]), padded=True)


def test_values_taken_at_indices():
    values = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64, requires_grad=True)
    index = torch.tensor([2, -1, 0, 2])
    assert take(values, index).tolist() == [4, 0, 1, 4]
    assert torch.autograd.gradcheck(lambda leaf: take(leaf, index), values)


@pytest.mark.parametrize("count", [5, 25, 200])
def test_comparing_by_edge_is_comparing_by_pair(count):
    # CUDA tensors are compared edge by edge, others pair by pair.
    edges, _, ends = graph(count, nodes=20, count=count)
    ends[:4], ends[7] = -1, 3  # padding, and a pixel with itself
    edges[3] = -1
    options = {"generator": torch.Generator().manual_seed(count), "dtype": torch.float64}
    unit = torch.nn.functional.normalize(torch.randn(20, 4, **options), dim=1)
    borders = _Borders(1 + torch.rand(len(edges), **options), torch.rand(len(edges), **options))
    weight = torch.randn(len(ends), **options)
    results = []
    for compare in (compare_by_pair, _compare):
        leaf = unit.clone().requires_grad_()
        similarity, linked, broken = compare(leaf, edges, borders, ends, None)
        similarity = torch.where(linked, similarity, 0)
        gradient = torch.autograd.grad(similarity, leaf, weight)[0]
        results.append([similarity.detach(), linked, broken, gradient])
    assert results[0][1].any()
    assert not results[0][1].all()
    torch.testing.assert_close(results[1], results[0], rtol=1e-12, atol=1e-14)  # order of the sums


def compare_by_pair(unit, edges, borders, ends, rounds):
    """Each pair's own edge, compared and differentiated anew."""
    lengths = borders.lengths(pair_similarity(unit.detach(), edges, padded=True))
    limits, broken = _limits(len(unit), edges, lengths, ends, rounds)
    linked = (limits >= 0) | ((ends[:, 0] == ends[:, 1]) & (ends[:, 0] >= 0))
    candidates = torch.cat([edges, ends])
    weakest = torch.where(limits >= 0, limits, len(edges) + torch.arange(len(ends)))
    return pair_similarity(unit, candidates[weakest], padded=True), linked, broken


def case(seed, nodes=20, comparisons=40):
    generator = np.random.default_rng(seed)
    features = torch.from_numpy(generator.standard_normal((nodes, 6)))
    edges, _, _ = graph(seed, nodes)
    pairs = Pairs(
        generator.integers(0, nodes, comparisons),
        generator.integers(0, nodes, comparisons),
        generator.integers(0, nodes, (comparisons, 3)),
    )
    return features, pairs, edges.numpy(), generator.random(len(edges)) < 0.4


def losses(features, pairs, edges, crossings):
    leaf = features.clone().requires_grad_()
    values = [euclidean_loss(leaf, pairs, temperature=0.1), ultrametric_loss(leaf, pairs, edges, crossings, **OPTIONS)]
    return *(value.detach() for value in values), *(torch.autograd.grad(value, leaf)[0] for value in values)


@pytest.mark.parametrize("tensors", [False, True])
def test_comparisons_that_are_not_valid_are_dropped(tensors):
    features, pairs, edges, crossings = case(0)
    valid = np.random.default_rng(1).random(len(pairs)) < 0.6
    expected = losses(
        features, Pairs(pairs.anchor[valid], pairs.positive[valid], pairs.negative[valid]), edges, crossings
    )
    for array in (pairs.anchor, pairs.positive, pairs.negative):
        array[~valid] = 12345  # never looked at
    marked = replace(pairs, valid=valid)
    if tensors:
        marked = Pairs(*map(torch.from_numpy, (pairs.anchor, pairs.positive, pairs.negative, valid)))
    found = losses(features, marked, edges, crossings)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)  # sums over more terms, in another order


def test_all_valid_is_the_same_and_none_is_zero():
    features, pairs, edges, crossings = case(1)
    expected = losses(features, pairs, edges, crossings)
    found = losses(features, replace(pairs, valid=np.ones(len(pairs), bool)), edges, crossings)
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    nothing = losses(features, replace(pairs, valid=np.zeros(len(pairs), bool)), edges, crossings)
    assert not any(value.any() for value in nothing)
    broken = replace(pairs, anchor=pairs.anchor - 1)
    with pytest.raises(ValueError, match=r"pairs: expected node indices in \[0, 20\), got -1"):
        ultrametric_loss(features, broken, edges, crossings, **OPTIONS)
    with pytest.raises(ValueError, match=r"pairs.valid: expected shape \[40\], got \[3\]"):
        euclidean_loss(features, replace(pairs, valid=np.ones(3, bool)), temperature=0.1)


def test_padded_edges_change_nothing():
    features, pairs, edges, crossings = case(2)
    expected = losses(features, pairs, edges, crossings)
    padded = np.concatenate([[[-1, -1]], edges, [[4, -1]]])
    flags = np.concatenate([[True], crossings, [False]])
    for one, other in zip(expected, losses(features, pairs, padded, flags), strict=True):
        assert torch.equal(one, other)
