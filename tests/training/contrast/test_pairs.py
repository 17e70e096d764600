"""Sampled pairs against the rules they come from; the pixel graph against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from ultrafield.errors import ConfigError
from ultrafield.training.contrast import border_crossings, pixel_graph, sample_pairs, unpack_membership
from ultrafield.training.contrast.neighbors import (
    border_evidence,
    border_shares,
    neighbor_graph,
    neighbor_memberships,
    pixel_neighbors,
)


def sample(membership, chains=(), images=None, image_of_mask=None, seed=0, **changes):
    options = {"pairs_per_mask": 50, "negatives": 2, "hierarchical": True, "min_pixels": 5} | changes
    images = np.zeros(membership.shape[1], int) if images is None else images
    image_of_mask = np.zeros(len(membership), int) if image_of_mask is None else image_of_mask
    return sample_pairs(membership, images, image_of_mask, chains, generator=np.random.default_rng(seed), **options)


def stripes(count, *spans):
    """Masks of consecutive pixels."""
    membership = np.zeros((len(spans), count), bool)
    for row, (start, stop) in zip(membership, spans, strict=True):
        row[start:stop] = True
    return membership


def block(pairs, index, size=50):
    """Comparisons of one kind as sets (anchors, positives, negatives) and their count."""
    rows = slice(index * size, (index + 1) * size)
    return tuple(set(array[rows].ravel().tolist()) for array in (pairs.anchor, pairs.positive, pairs.negative))


def test_one_mask():
    pairs = sample(stripes(40, (10, 20)))
    anchors, positives, negatives = block(pairs, 0)
    assert len(pairs) == 50
    assert pairs.negative.shape == (50, 2)
    assert anchors == positives == set(range(10, 20))  # 50 draws of 10 pixels miss one with probability 5 %; seeded
    assert negatives == {*range(10), *range(20, 40)}


def test_a_chain_gives_all_kinds():
    #  mask 0 = [0, 10) ⊂ mask 1 = [0, 30) of 60 pixels
    pairs = sample(stripes(60, (0, 10), (0, 30)), [[0, 1]], pairs_per_mask=400)
    child, ring, outside = set(range(10)), set(range(10, 30)), set(range(30, 60))
    kinds = [block(pairs, index, 400) for index in range(5)]
    assert len(pairs) == 5 * 400
    assert kinds[0] == (child, child, ring | outside)
    assert kinds[1] == (child | ring, child | ring, outside)
    assert kinds[2] == (child, child, ring)  # across the child's border, within the parent
    assert kinds[3] == (child, ring, outside)  # nearer than anything outside the parent
    assert kinds[4] == (ring, ring, outside)  # the parent's own uncovered part


def test_without_hierarchy_chains_are_ignored():
    membership = stripes(60, (0, 10), (0, 30))
    assert len(sample(membership, [[0, 1]], hierarchical=False)) == 2 * 50


def test_the_uncovered_part_leaves_out_all_children_and_needs_ten_pixels():
    membership = stripes(100, (0, 10), (10, 20), (0, 30))
    chains = [[0, 2], [1, 2]]
    pairs = sample(membership, chains, pairs_per_mask=200)
    assert len(pairs) == (3 + 2 + 2 + 1) * 200
    rest = set(range(20, 30))
    assert block(pairs, 7, 200) == (rest, rest, set(range(30, 100)))
    membership[2, 29] = False
    assert len(sample(membership, chains, pairs_per_mask=200)) == 7 * 200
    assert len(sample(membership, chains, pairs_per_mask=200, min_uncovered=9)) == 8 * 200


def test_shared_tails_of_chains_are_used_once():
    membership = stripes(100, (0, 10), (10, 20), (0, 40), (0, 60))
    pairs = sample(membership, [[0, 2, 3], [1, 2, 3]])
    # 4 masks, 3 links of two kinds, uncovered parts of masks 2 and 3
    assert len(pairs) == (4 + 3 + 3 + 2) * 50


def test_pixels_of_the_child_outside_its_parent_are_not_positives_of_the_parent():
    #  the child spills two pixels over its parent's border
    pairs = sample(stripes(100, (0, 30), (2, 60)), [[0, 1]], pairs_per_mask=500)
    anchors, positives, negatives = block(pairs, 3, 500)
    assert anchors == set(range(2, 30))
    assert positives == set(range(30, 60))
    assert negatives == {0, 1, *range(60, 100)}


@pytest.mark.parametrize(
    ("spans", "count", "kinds"),
    [
        ([(0, 4)], 40, 0),  # too few inside
        ([(0, 36)], 40, 0),  # too few outside
        ([(0, 5)], 10, 1),
        ([(0, 10), (0, 14)], 40, 2),  # the ring between them is too thin for a link
        ([(0, 10), (0, 15)], 40, 4),  # thick enough for the link, too thin for uncovered positives
        ([(0, 10), (0, 17)], 20, 2),  # nothing outside the parent: child, and the link as its negative
    ],
)
def test_small_parts_are_skipped(spans, count, kinds):
    chains = [[0, 1]] if len(spans) == 2 else []
    assert len(sample(stripes(count, *spans), chains)) == kinds * 50


def test_pairs_stay_in_their_picture():
    images = np.arange(90) % 3  # interleaved
    membership = np.zeros((3, 90), bool)
    for mask in range(3):
        membership[mask, images == mask] = np.arange(30) < 12
    membership[0, images == 1] = True  # nonsense that must be ignored
    pairs = sample(membership, images=images, image_of_mask=np.array([0, 1, 2]))
    assert len(pairs) == 150
    for mask in range(3):
        rows = slice(50 * mask, 50 * (mask + 1))
        own = np.flatnonzero(membership[mask] & (images == mask))
        assert set(pairs.anchor[rows]) | set(pairs.positive[rows]) <= set(own)
        assert set(pairs.negative[rows].ravel()) <= set(np.flatnonzero(images == mask)) - set(own)


def test_draws_are_uniform():
    pairs = sample(stripes(200, (60, 140)), pairs_per_mask=40000, negatives=1)
    for draws, members in ((pairs.anchor, 80), (pairs.negative, 120)):
        counts = np.unique(draws, return_counts=True)[1]
        assert len(counts) == members
        statistic = ((counts - 40000 / members) ** 2 / (40000 / members)).sum()
        assert statistic < members + 5 * (2 * members) ** 0.5  # chi-square: five deviations above its mean


def test_same_generator_same_pairs():
    membership = stripes(64, (0, 20), (0, 40))
    one, same, other = (sample(membership, [[0, 1]], seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.anchor, same.anchor)
    np.testing.assert_array_equal(one.negative, same.negative)
    assert (one.anchor != other.anchor).any()


@pytest.mark.parametrize("pixels", [0, 1, 63, 64, 65, 200])
def test_no_masks_or_hardly_any_pixels(pixels):
    pairs = sample(np.zeros((0, pixels), bool))
    assert pairs.anchor.shape == pairs.positive.shape == (0,)
    assert pairs.negative.shape == (0, 2)
    full = sample(stripes(pixels, (0, pixels)))
    assert len(full) == 0


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_every_rule_holds_on_random_masks(count, seed):
    generator = np.random.default_rng(seed)
    membership = generator.random((4, count)) < generator.random((4, 1))
    chains = [[0, 1, 2], [3, 2]]
    pairs = sample(membership, chains, seed=seed, min_pixels=1, pairs_per_mask=3, min_uncovered=1)
    m, out = membership, ~membership
    rules = [(m[i], m[i], out[i]) for i in range(4)]
    links = [(0, 1), (1, 2), (3, 2)]
    rules += [(m[c], m[c], m[p] & out[c]) for c, p in links]
    rules += [(m[c] & m[p], m[p] & out[c], out[p]) for c, p in links]
    rest = [(1, m[1] & out[0]), (2, m[2] & out[1] & out[3])]
    rules += [(own, own, out[mother]) for mother, own in rest]
    rules = [rule for rule in rules if all(part.any() for part in rule)]
    assert len(pairs) == 3 * len(rules)
    for index, (anchors, positives, negatives) in enumerate(rules):
        rows = slice(3 * index, 3 * index + 3)
        assert anchors[pairs.anchor[rows]].all()
        assert positives[pairs.positive[rows]].all()
        assert negatives[pairs.negative[rows]].all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs_per_mask": 0}, "pairs_per_mask: expected at least 1, got 0"),
        ({"negatives": 0}, "negatives: expected at least 1, got 0"),
        ({"min_pixels": 0}, "min_pixels: expected at least 1, got 0"),
        ({"chains": [[0, 1]]}, r"chains: expected mask indices in \[0, 1\), found 1"),
        ({"images": np.zeros(7, int)}, r"membership: expected shape \[1, 7\], got \[1, 20\]"),
    ],
)
def test_bad_sampling(changes, message):
    with pytest.raises(ValueError, match=message):
        sample(stripes(20, (0, 10)), **changes)


@pytest.mark.parametrize("masks", [[0], [3, 0, 2], [64, 1], [65, 130]])
def test_unpack_membership(masks):
    generator = np.random.default_rng(0)
    images = generator.integers(0, len(masks), 50)
    words = (max(masks) + 63) // 64
    expected = np.zeros((sum(masks), 50), bool)
    bits = np.zeros((50, words), np.uint64)
    for pixel, image in enumerate(images):
        for mask in np.flatnonzero(generator.random(masks[image]) < 0.5):
            expected[sum(masks[:image]) + mask, pixel] = True
            bits[pixel, mask // 64] |= np.uint64(1) << np.uint64(mask % 64)
    membership, image_of_mask = unpack_membership(bits, images, masks)
    np.testing.assert_array_equal(membership, expected)
    assert image_of_mask.tolist() == [image for image, count in enumerate(masks) for _ in range(count)]


def test_unpack_too_few_bits():
    with pytest.raises(ValueError, match="bits: 64 bits per pixel, too few for 65 masks"):
        unpack_membership(np.zeros((3, 1), np.uint64), np.zeros(3, int), [2, 65])
    with pytest.raises(ValueError, match=r"image_of_pixel: expected shape \[3\], got \[2\]"):
        unpack_membership(np.zeros((3, 1), np.uint64), np.zeros(2, int), [2])


@pytest.mark.parametrize("dimensions", [2, 3])
def test_pixel_graph_is_scikit_learns(dimensions):
    generator = np.random.default_rng(dimensions)
    positions, images = generator.random((300, dimensions)), generator.integers(0, 3, 300)
    expected = set()
    for image in range(3):
        own = np.flatnonzero(images == image)
        nearest = NearestNeighbors(n_neighbors=4).fit(positions[own]).kneighbors(return_distance=False)
        expected |= {tuple(sorted((own[a], own[b]))) for a, row in enumerate(nearest) for b in row}
    edges = pixel_graph(positions, images, 4)
    assert edges.dtype == np.int64
    assert {tuple(edge) for edge in np.sort(edges, axis=1)} == expected
    assert len(edges) == len(expected)


def test_pixel_graph_of_equal_and_few_pixels():
    positions = np.array([[1, 1]] * 5 + [[2, 2], [3, 3], [9, 9]], float)
    images = np.array([0] * 5 + [1, 1, 2])
    edges = pixel_graph(positions, images, 2)
    assert (edges[:, 0] != edges[:, 1]).all()
    assert (images[edges[:, 0]] == images[edges[:, 1]]).all()
    degree = np.bincount(edges.ravel(), minlength=8)
    assert (degree[:5] >= 2).all()
    assert degree[5:].tolist() == [1, 1, 0]
    assert pixel_graph(np.zeros((0, 2)), np.zeros(0, int)).shape == (0, 2)


@pytest.mark.parametrize(
    ("positions", "images", "neighbors", "message"),
    [
        (np.zeros(3), np.zeros(3, int), 1, r"positions: expected shape \[\*, \*\], got \[3\]"),
        (np.zeros((3, 2)), np.zeros(2, int), 1, r"image_of_pixel: expected shape \[3\], got \[2\]"),
        (np.zeros((3, 2)), np.zeros(3, int), 0, "neighbors: expected at least 1, got 0"),
        (np.full((3, 2), np.nan), np.zeros(3, int), 1, "positions: expected finite numbers"),
    ],
)
def test_bad_positions(positions, images, neighbors, message):
    with pytest.raises(ValueError, match=message):
        pixel_graph(positions, images, neighbors)


def test_border_crossings():
    bits = np.array([[1, 0], [1, 0], [1, 2**63], [0, 0]], np.uint64)
    edges = np.array([[0, 1], [1, 2], [0, 3], [3, 3]])
    expected = [False, True, True, False]
    assert border_crossings(edges, bits).tolist() == expected
    found = border_crossings(torch.from_numpy(edges), torch.from_numpy(bits.view(np.int64)))
    assert found.tolist() == expected
    assert border_crossings(np.zeros((0, 2), int), bits).shape == (0,)


@pytest.mark.parametrize("words", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 37])
def test_border_shares_count_masks(words, count):
    generator = np.random.default_rng(words)
    membership = generator.random((64 * words, 20)) < generator.random(20)  # sparse to dense
    membership[:, :2] = [[False, True]]  # no mask, every mask
    bits = np.ascontiguousarray(np.packbits(membership.T, axis=1, bitorder="little")).view(np.uint64)
    edges = generator.integers(0, 20, (count, 2))
    edges[:1] = [0, 1]
    masks = [set(np.flatnonzero(column)) for column in membership.T]
    expected = np.array([len(masks[a] ^ masks[b]) / max(len(masks[a] | masks[b]), 1) for a, b in edges], np.float32)
    found = border_shares(edges, bits)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)  # quotients of small integers, rounded once
    tensor = border_shares(torch.from_numpy(edges), torch.from_numpy(bits.view(np.int64)))
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy(), expected)


def test_where_no_mask_is_nothing_ends():
    bits = np.zeros((2, 1), np.uint64)
    assert border_shares(np.array([[0, 1]]), bits).tolist() == [0]


def test_border_evidence():
    bits, edges = np.array([[3], [1]], np.uint64), np.array([[0, 1], [1, 1]])
    assert border_evidence(edges, bits, "any").tolist() == [True, False]
    assert border_evidence(edges, bits, "share").tolist() == [0.5, 0]
    with pytest.raises(ConfigError, match="border_weighting: expected one of any, share, got 'most'"):
        border_evidence(edges, bits, "most")


@pytest.mark.parametrize("kind", ["array", "tensor"])
@pytest.mark.parametrize(("count", "words", "columns"), [(1, 1, 1), (9, 2, 4), (5, 0, 2), (6, 1, 0)])
def test_masks_of_neighbors_against_a_loop(kind, count, words, columns):
    generator = np.random.default_rng(count)
    bits = generator.integers(0, 2**64, (2 * count, words), np.uint64)
    neighbors = generator.integers(-1, count, (2, count, columns))
    expected = np.zeros_like(bits)
    for picture, pixel, column in np.ndindex(2, count, columns):
        if neighbors[picture, pixel, column] >= 0:
            expected[picture * count + pixel] |= bits[picture * count + neighbors[picture, pixel, column]]
    if kind == "array":
        found = neighbor_memberships(bits, neighbors)
    else:
        found = neighbor_memberships(torch.from_numpy(bits.view(np.int64)), torch.from_numpy(neighbors))
        found = found.numpy().view(np.uint64)
    np.testing.assert_array_equal(found, expected)


def test_negatives_along_borders():
    """One picture: masks 0 ⊂ 1, and random pixels near to each; every kind comes once more with such negatives."""
    generator = np.random.default_rng(0)
    membership = np.stack([np.arange(60) < 12, np.arange(60) < 30])
    near = generator.random((2, 60)) < 0.5
    options = {"pairs_per_mask": 400, "negatives": 3, "hierarchical": True, "min_pixels": 2, "generator": generator}
    arguments = membership, np.zeros(60, int), np.zeros(2, int), [[0, 1]]
    plain, pairs = sample_pairs(*arguments, **options), sample_pairs(*arguments, near=near, **options)
    assert len(pairs) == 2 * len(plain) == 2 * 5 * 400
    inside = [set(np.flatnonzero(mask)) for mask in membership]
    beside = [set(np.flatnonzero(mask)) for mask in near]
    everything = set(range(60))
    first, second = (everything - inside[0]) & beside[0], (everything - inside[1]) & beside[1]
    ring = inside[1] - inside[0]
    expected = [
        (inside[0], inside[0], first),
        (inside[1], inside[1], second),
        (inside[0], inside[0], ring & beside[0]),
        (inside[0], ring, second),
        (ring, ring, second),
    ]
    for rule, sets in enumerate(expected, start=5):
        rows = slice(400 * rule, 400 * (rule + 1))
        found = (set(np.ravel(part[rows])) for part in (pairs.anchor, pairs.positive, pairs.negative))
        assert tuple(found) == sets


def test_near_is_checked():
    with pytest.raises(ValueError, match="near: expected"):
        sample_pairs(
            np.ones((1, 4), bool),
            np.zeros(4, int),
            np.zeros(1, int),
            [],
            pairs_per_mask=1,
            negatives=1,
            hierarchical=False,
            min_pixels=1,
            generator=np.random.default_rng(0),
            near=np.ones((2, 4), bool),
        )


@pytest.mark.parametrize(("pictures", "count", "neighbors"), [(1, 1, 3), (2, 7, 3), (3, 40, 10)])
def test_the_graph_of_a_table_of_neighbors_is_the_pixel_graph(pictures, count, neighbors):
    positions = np.random.default_rng(count).permutation(pictures * count * 2).reshape(-1, 2).astype(float)
    expected = pixel_graph(positions, np.repeat(np.arange(pictures), count), neighbors)
    found = neighbor_graph(pixel_neighbors(positions.reshape(pictures, count, 2), neighbors))
    np.testing.assert_array_equal(found, expected)
