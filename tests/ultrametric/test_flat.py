"""Flat clusters against scikit-learn's HDBSCAN and a search through all choices."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import HDBSCAN

from ultrafield.errors import ConfigError
from ultrafield.ultrametric import AffinityGraph, build_tree, cluster_labels, condense, flat, leaves, select_clusters


def chain(values):
    """The tree of nodes in a row."""
    values = np.asarray(values, np.float32)
    count = len(values)
    edges = np.stack([np.arange(count), np.arange(1, count + 1)], axis=1)
    return build_tree(AffinityGraph(count + 1, edges, values, np.ones(count, np.float32), 1.0), linkage="single")


@st.composite
def chains(draw):
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return chain(generator.integers(0, 9, draw(st.integers(0, 24))) / 8)


def same(labels):
    return (labels[:, None] == labels) & (labels >= 0)[:, None]


def blobs(seed, count):
    generator = np.random.default_rng(seed)
    centres = generator.uniform(0, 10, (6, 2))
    spread = generator.uniform(0.1, 0.8, 6)
    which = generator.integers(0, 6, count)
    points = centres[which] + spread[which, None] * generator.standard_normal((count, 2))
    return np.concatenate([points, generator.uniform(0, 10, (count // 10, 2))])


@pytest.mark.parametrize("selection", ["stability", "leaf"])
@pytest.mark.parametrize(("seed", "count", "min_size"), [(0, 150, 5), (1, 300, 8), (2, 300, 15), (3, 700, 12)])
def test_distances_give_hdbscans_clusters(selection, seed, count, min_size):
    # float32 values, so that both see the same distances
    distances = pdist(blobs(seed, count)).astype(np.float32)
    n = count + count // 10
    edges = np.stack(np.triu_indices(n, 1), axis=1)
    graph = AffinityGraph(n, edges, distances, np.ones_like(distances), bound=100.0)
    found = flat(build_tree(graph, linkage="single"), min_size, selection=selection, density="inverse")
    theirs = HDBSCAN(
        min_cluster_size=min_size,
        min_samples=1,
        metric="precomputed",
        cluster_selection_method="eom" if selection == "stability" else "leaf",
        copy=True,
    ).fit(squareform(distances.astype(np.float64)))
    np.testing.assert_array_equal(found < 0, theirs.labels_ < 0)
    np.testing.assert_array_equal(same(found), same(theirs.labels_))


@settings(deadline=None, max_examples=60)
@given(chains(), st.integers(1, 5))
def test_no_other_choice_is_more_stable(tree, min_size):
    condensed = condense(tree, min_size)
    chosen = select_clusters(condensed)
    if len(condensed) == 1:
        assert chosen.tolist() == [0]
        return
    members = [set(leaves(tree, node).tolist()) for node in condensed.nodes]

    def disjoint(clusters):
        return all(not members[a] & members[b] for a, b in combinations(clusters, 2))

    assert disjoint(chosen)
    best = {frozenset(): 0.0}
    for cluster in range(1, len(condensed)):  # all sets of disjoint clusters, as long as there are few
        for clusters in list(best):
            if all(not members[cluster] & members[other] for other in clusters):
                best[clusters | {cluster}] = best[clusters] + condensed.stability[cluster]
        if len(best) > 3000:
            return
    assert condensed.stability[chosen].sum() == pytest.approx(max(best.values()), abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(chains(), st.integers(1, 5), st.sampled_from(["stability", "leaf"]))
def test_labels_are_the_leaves_below_the_chosen_nodes(tree, min_size, selection):
    condensed = condense(tree, min_size)
    selected = select_clusters(condensed, selection)
    expected = np.full(tree.num_leaves, -1)
    for node in condensed.nodes[selected]:
        expected[leaves(tree, int(node))] = node
    np.testing.assert_array_equal(cluster_labels(condensed, selected), expected)
    np.testing.assert_array_equal(flat(tree, min_size, selection=selection), expected)
    if selection == "leaf" and len(condensed) > 1:
        assert not set(selected) & set(condensed.parents)


def test_clusters_of_different_heights():
    #  {0 1 2} and {3 4 5} join early and stand for long as one; {6 7 8} is loose
    tree = chain([0.125, 0.125, 0.25, 0.125, 0.125, 1.0, 0.75, 0.75])
    assert flat(tree, 3).tolist() == [13] * 6 + [15] * 3
    assert flat(tree, 3, selection="leaf").tolist() == [10] * 3 + [12] * 3 + [15] * 3


def test_a_tree_of_one_cluster_is_its_root():
    for selection in ("stability", "leaf"):
        assert flat(chain([0.5, 0.25]), 2, selection=selection).tolist() == [4, 4, 4]
        assert flat(chain([]), 1, selection=selection).tolist() == [0]


def test_all_equal_heights_have_no_stability_but_clusters():
    found = flat(chain([0.5] * 7), 2)
    assert set(found.tolist()) <= set(range(8, 15)) | {-1}
    assert (np.bincount(found[found >= 0])[np.unique(found[found >= 0])] >= 2).all()


def test_bad_options():
    with pytest.raises(ConfigError, match="selection: expected one of stability, leaf, got 'eom'"):
        flat(chain([0.5]), 2, selection="eom")
    with pytest.raises(ValueError, match="min_size: expected at least 1, got 0"):
        flat(chain([0.5]), 0)
