"""The losses against slow oracles made of explicit loops, values and gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ultrafield.training.contrast import Pairs, contrastive_loss, euclidean_loss, ultrametric_loss

OPTIONS = {"temperature": 0.1, "border_penalty": 10.0}


def case(seed, nodes=14, dim=5, count=30, comparisons=20, negatives=3):
    """Random features, pairs, a sparse graph (with parallel edges and separate parts) and border weights."""
    generator = np.random.default_rng(seed)
    features = torch.from_numpy(generator.standard_normal((nodes, dim)))
    edges = generator.integers(0, nodes, (count, 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    crossings = generator.random(len(edges)) < 0.4
    pairs = Pairs(
        generator.integers(0, nodes, comparisons),
        generator.integers(0, nodes, comparisons),
        generator.integers(0, nodes, (comparisons, negatives)),
    )
    return features, pairs, edges, crossings


def cross_entropy(rows, temperature):
    """Mean of −log softmax of each row's first entry."""
    if not rows:
        return torch.zeros((), dtype=torch.float64)
    losses = [-torch.log_softmax(torch.stack(row) / temperature, 0)[0] for row in rows]
    return torch.stack(losses).mean()


def cosine(features, a, b):
    return torch.dot(features[a], features[b]) / (features[a].norm() * features[b].norm())


def bottleneck_edges(nodes, edges, lengths):
    """Limiting edge of each pair of nodes {(a, b): edge} by relaxation over intermediate nodes."""
    limit = {}
    for edge, (a, b) in enumerate(edges.tolist()):
        for pair in ((a, b), (b, a)):
            if pair not in limit or lengths[edge] < lengths[limit[pair]]:
                limit[pair] = edge
    for middle in range(nodes):
        for a in range(nodes):
            for b in range(nodes):
                if len({a, b, middle}) == 3 and (a, middle) in limit and (middle, b) in limit:
                    through = max(limit[a, middle], limit[middle, b], key=lambda edge: lengths[edge])
                    if (a, b) not in limit or lengths[through] < lengths[limit[a, b]]:
                        limit[a, b] = through
    return limit


def ultrametric_oracle(features, pairs, edges, crossings, temperature, border_penalty, border_factor=0.0):
    lengths = [1 - cosine(features.detach(), a, b).item() for a, b in edges]
    lengths = [
        length + border_factor * float(weight) * length + border_penalty * float(weight)
        for length, weight in zip(lengths, crossings, strict=True)
    ]
    limit = bottleneck_edges(len(features), edges, lengths)

    def similarity(a, b):
        if a == b:
            return cosine(features, a, a)  # 1, without a gradient
        return cosine(features, *edges[limit[a, b]]) if (a, b) in limit else None

    rows = []
    for anchor, positive, negatives in zip(pairs.anchor, pairs.positive, pairs.negative, strict=True):
        near = similarity(anchor, positive)
        far = [s for s in (similarity(anchor, negative) for negative in negatives) if s is not None]
        if near is not None and far:
            rows.append([near, *far])
    return cross_entropy(rows, temperature), len(rows)


def value_and_gradient(function, features):
    leaf = features.clone().requires_grad_()
    loss = function(leaf)
    loss.backward()
    return loss.detach(), leaf.grad


@pytest.mark.parametrize("negatives", [1, 3])
def test_weights_against_a_loop(negatives):
    generator = torch.Generator().manual_seed(negatives)
    positive = torch.randn(7, generator=generator, dtype=torch.float64)
    negative = torch.randn(7, negatives, generator=generator, dtype=torch.float64)
    weight = torch.rand(7, negatives, generator=generator, dtype=torch.float64)
    weight[weight < 0.4] = 0
    weight[0] = 0
    valid, linked = torch.arange(7) != 3, torch.rand(7, negatives, generator=generator) < 0.8

    def oracle(similarity):
        total = counted = torch.zeros((), dtype=torch.float64)
        for row in range(7):
            kept = [n for n in range(negatives) if weight[row, n] > 0 and linked[row, n]]
            if kept and valid[row]:
                logits = torch.stack([similarity[row, 0], *(similarity[row, 1 + n] for n in kept)]) / 0.1
                total = total - weight[row].mean() * torch.log_softmax(logits, 0)[0]
                counted = counted + weight[row].mean()
        return total / counted

    def found(similarity):
        return contrastive_loss(
            similarity[:, 0], similarity[:, 1:], 0.1, positive_valid=valid, negative_valid=linked, weight=weight
        )

    together = torch.cat([positive[:, None], negative], dim=1)
    for one, other in zip(value_and_gradient(found, together), value_and_gradient(oracle, together), strict=True):
        torch.testing.assert_close(one, other)


def test_comparisons_without_any_weight_are_worth_nothing():
    features, pairs, edges, crossings = case(1)
    nothing = Pairs(pairs.anchor, pairs.positive, pairs.negative, weight=np.zeros(pairs.negative.shape))
    for loss in (
        lambda leaf: euclidean_loss(leaf, nothing, temperature=0.1),
        lambda leaf: ultrametric_loss(leaf, nothing, edges, crossings, **OPTIONS),
    ):
        value, gradient = value_and_gradient(loss, features)
        assert value == 0
        assert not gradient.any()


def test_losses_take_the_weights_of_their_pairs():
    features, pairs, edges, crossings = case(2, negatives=1)
    weight = np.arange(len(pairs)) % 3  # weight 2 counts like two of weight 1, and weight 0 not at all
    weighed = Pairs(pairs.anchor, pairs.positive, pairs.negative, weight=weight[:, None].astype(float))
    rows = np.repeat(np.arange(len(pairs)), weight)
    repeated = Pairs(pairs.anchor[rows], pairs.positive[rows], pairs.negative[rows])
    for loss in (
        lambda given: lambda leaf: euclidean_loss(leaf, given, temperature=0.1),
        lambda given: lambda leaf: ultrametric_loss(leaf, given, edges, crossings, **OPTIONS),
    ):
        one, other = (value_and_gradient(loss(given), features) for given in (weighed, repeated))
        torch.testing.assert_close(one, other)


def test_weights_of_the_wrong_shape():
    with pytest.raises(ValueError, match="weight"):
        contrastive_loss(torch.zeros(2), torch.zeros(2, 3), 0.1, weight=torch.ones(2))


def test_contrastive_loss_by_hand():
    positive, negative = torch.tensor([1.0, 0.5]), torch.tensor([[0.0, 0.0], [0.5, 0.0]])
    expected = (math.log(1 + 2 * math.exp(-2)) + math.log(2 + math.exp(-1))) / 2
    assert contrastive_loss(positive, negative, 0.5).item() == pytest.approx(expected, rel=1e-6)


def test_contrastive_loss_drops_what_is_not_valid():
    positive = torch.tensor([1.0, 0.5, 0.25], requires_grad=True)
    negative = torch.tensor([[0.0, torch.nan], [0.5, 0.0], [0.1, 0.2]], requires_grad=True)
    loss = contrastive_loss(
        positive,
        negative,
        1.0,
        positive_valid=torch.tensor([True, False, True]),
        negative_valid=torch.tensor([[True, False], [True, True], [False, False]]),
    )
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-6)
    loss.backward()
    assert positive.grad[1:].tolist() == [0, 0]
    assert negative.grad.isfinite().all()
    assert negative.grad.count_nonzero() == 1


@pytest.mark.parametrize("seed", range(4))
def test_euclidean_loss_and_gradient(seed):
    features, pairs, _, _ = case(seed)

    def oracle(leaf):
        rows = [
            [cosine(leaf, anchor, other) for other in (positive, *negatives)]
            for anchor, positive, negatives in zip(pairs.anchor, pairs.positive, pairs.negative, strict=True)
        ]
        return cross_entropy(rows, 0.1)

    found = value_and_gradient(lambda leaf: euclidean_loss(leaf, pairs, temperature=0.1), features)
    torch.testing.assert_close(found, value_and_gradient(oracle, features), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("count", [0, 10, 20, 60])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("borders", [(10.0, 0.0), (0.0, 1.5), (0.3, 0.7), (0.0, 0.0)])
def test_ultrametric_loss_and_gradient(count, soft, borders):
    options = {"temperature": 0.1, "border_penalty": borders[0], "border_factor": borders[1]}
    features, pairs, edges, crossings = case(count, count=count)
    if soft:
        crossings = np.random.default_rng(count).random(len(edges))
    pairs.positive[:3] = pairs.anchor[:3]  # a pixel with itself
    _, comparisons = ultrametric_oracle(features, pairs, edges, crossings, **options)
    assert (comparisons == 20) == (count == 60)  # sparser graphs leave pairs without a path
    assert comparisons > 0
    found = value_and_gradient(lambda leaf: ultrametric_loss(leaf, pairs, edges, crossings, **options), features)
    oracle = value_and_gradient(lambda leaf: ultrametric_oracle(leaf, pairs, edges, crossings, **options)[0], features)
    torch.testing.assert_close(found, oracle, rtol=1e-9, atol=1e-12)


def test_gradcheck():
    features, pairs, edges, crossings = case(7, nodes=8, count=24, comparisons=6)
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda leaf: ultrametric_loss(leaf, pairs, edges, crossings, **OPTIONS), features)
    assert torch.autograd.gradcheck(lambda leaf: euclidean_loss(leaf, pairs, temperature=0.1), features)


def test_gradient_flows_to_the_limiting_edge_alone():
    #  0 – 1 – 2 – 3 on a line; the border lies between 1 and 2, and 4 hangs on 3
    angle = torch.tensor([0.0, 0.3, 0.5, 0.6, 0.65], dtype=torch.float64)
    features = torch.stack([angle.cos(), angle.sin()], 1).requires_grad_()
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    crossings = np.array([False, True, False, False])
    pairs = Pairs(np.array([2]), np.array([4]), np.array([[0]]))
    ultrametric_loss(features, pairs, edges, crossings, **OPTIONS).backward()
    touched = features.grad.abs().sum(1) > 1e-12
    # 2–4 is limited by 2–3, and 2–0 by the border edge 1–2 although 0–1 is longer in itself
    assert touched.tolist() == [False, True, True, True, False]


def test_positives_across_a_border_pull_the_border_together_and_negatives_push():
    angle = torch.tensor([0.0, 0.1, 0.7, 0.8], dtype=torch.float64)
    features = torch.stack([angle.cos(), angle.sin()], 1).requires_grad_()
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    pairs = Pairs(np.array([0]), np.array([1]), np.array([[3]]))
    ultrametric_loss(features, pairs, edges, np.array([0.0, 1.0, 0.0]), **OPTIONS).backward()
    turn = torch.stack([-angle.sin(), angle.cos()], 1)  # direction of a growing angle
    push = (features.grad * turn).sum(1)
    assert push[2] < 0  # descending the gradient turns 2 away from 1
    assert push[0] < 0  # and 0 towards 1


def test_a_misplaced_border_misleads_a_penalty_but_not_a_factor():
    #  parts {0, 1} and {2, 3, 4} on a line, with perfect features; a mask of the first spills over pixel 2
    features = torch.eye(2, dtype=torch.float64)[[0, 0, 1, 1, 1]]
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    crossings = np.array([False, False, True, False])
    pairs = Pairs(np.array([0]), np.array([1]), np.array([[4]]))

    def loss(penalty, factor):
        return ultrametric_loss(
            features, pairs, edges, crossings, temperature=0.1, border_penalty=penalty, border_factor=factor
        ).item()

    perfect = math.log1p(math.exp(-10))  # cosines 1 and 0 at temperature 0.1
    assert loss(10.0, 0.0) == pytest.approx(math.log(2))  # the negative's limit is 2–3, of cosine 1
    for penalty, factor in ((0.9, 0.0), (0.0, 1.0), (0.0, 100.0), (0.0, 0.0)):
        assert loss(penalty, factor) == pytest.approx(perfect)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_is_computed_in_float32(dtype):
    features, pairs, edges, crossings = case(1, count=60)
    low = features.to(dtype).requires_grad_()
    for function in (
        lambda leaf: ultrametric_loss(leaf, pairs, edges, crossings, **OPTIONS),
        lambda leaf: euclidean_loss(leaf, pairs, temperature=0.1),
    ):
        loss = function(low)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, function(low.detach().float()))
        loss.backward()
        assert low.grad.dtype == dtype


def test_no_comparisons_give_zero_with_a_gradient():
    features, _, edges, crossings = case(2)
    none = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2), np.int64))
    for function in (
        lambda leaf: ultrametric_loss(leaf, none, edges, crossings, **OPTIONS),
        lambda leaf: euclidean_loss(leaf, none, temperature=0.1),
    ):
        loss, gradient = value_and_gradient(function, features)
        assert loss == 0
        assert not gradient.any()


def test_arrays_and_tensors_give_the_same():
    features, pairs, edges, crossings = case(3)
    tensors = Pairs(*(torch.from_numpy(array) for array in (pairs.anchor, pairs.positive, pairs.negative)))
    one = ultrametric_loss(features, pairs, edges, crossings, **OPTIONS)
    other = ultrametric_loss(features, tensors, torch.from_numpy(edges), torch.from_numpy(crossings), **OPTIONS)
    assert torch.equal(one, other)


def test_diverged_features_do_not_pass_for_perfect_ones():
    features, pairs, edges, crossings = case(4)
    features[edges[0, 0]] = torch.nan
    assert ultrametric_loss(features, pairs, edges, crossings, **OPTIONS).isnan()
    assert euclidean_loss(torch.full_like(features, torch.nan), pairs, temperature=0.1).isnan()


def test_bad_input():
    features, pairs, edges, crossings = case(5)
    with pytest.raises(ValueError, match=r"crossings: expected shape \[\d+\], got \[3\]"):
        ultrametric_loss(features, pairs, edges, crossings[:3], **OPTIONS)
    with pytest.raises(ValueError, match=r"features: expected shape \[\*, \*\], got \[5\]"):
        ultrametric_loss(features[0], pairs, edges, crossings, **OPTIONS)
    with pytest.raises(ValueError, match=r"features: expected shape \[\*, \*\], got \[5\]"):
        euclidean_loss(features[0], pairs, temperature=0.1)
    with pytest.raises(ValueError, match="temperature: expected more than 0, got 0"):
        euclidean_loss(features, pairs, temperature=0)
    for broken in (edges + 14, edges - 14):
        with pytest.raises(ValueError, match=r"expected row indices in \[0, 14\), found"):
            ultrametric_loss(features, pairs, broken, crossings, **OPTIONS)
    with pytest.raises(ValueError, match=r"pairs: expected row indices in \[0, 3\), found"):
        euclidean_loss(features[:3], pairs, temperature=0.1)
    with pytest.raises(ValueError, match=r"positive: expected shape \[\*\], got \[2, 2\]"):
        contrastive_loss(torch.zeros(2, 2), torch.zeros(2, 2), 0.1)
    with pytest.raises(ValueError, match=r"negative: expected shape \[2, \*\], got \[3, 2\]"):
        contrastive_loss(torch.zeros(2), torch.zeros(3, 2), 0.1)
