"""Merge trees against SciPy's dendrograms, higra and a brute-force agglomeration."""

from __future__ import annotations

import higra as hg
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import cophenet
from scipy.cluster.hierarchy import linkage as scipy_linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform

from ultrafield.errors import ConfigError
from ultrafield.ultrametric import AffinityGraph, build_tree, check_tree, cut, lowest_common_ancestor
from ultrafield.ultrametric.kernels import spans
from ultrafield.ultrametric.kernels.edges_cpu import sort_edges
from ultrafield.ultrametric.kernels.linkage_cpu import average_linkage
from ultrafield.ultrametric.kernels.matching_cpu import Borders
from ultrafield.ultrametric.linkage import _shuffled

LINKAGES = ("single", "average")


def graph(nodes, edges, dissimilarity, evidence=None, bound=1.0):
    edges = np.asarray(edges, np.int64).reshape(-1, 2)
    dissimilarity = np.asarray(dissimilarity, np.float32)
    evidence = np.ones(len(edges), np.float32) if evidence is None else np.asarray(evidence, np.float32)
    return AffinityGraph(nodes, edges, dissimilarity, evidence, bound)


def cophenetic(tree):
    """Height at which each pair of leaves is joined [n, n]."""
    n = tree.num_leaves
    pairs = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), axis=-1).reshape(-1, 2)
    return tree.heights[lowest_common_ancestor(tree, pairs)].reshape(n, n)


@st.composite
def random_graphs(draw, ties=True):
    nodes = draw(st.integers(1, 25))
    count = draw(st.integers(0, 70)) if nodes > 1 else 0
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first = generator.integers(0, nodes, count)
    second = (first + generator.integers(1, max(nodes, 2), count)) % nodes
    steps = draw(st.sampled_from([1, 4])) if ties and draw(st.booleans()) else 0
    dissimilarity = generator.integers(0, steps + 1, count) / steps if steps else generator.random(count)
    evidence = np.where(generator.random(count) < 0.2, 0, generator.random(count) * 5)
    return graph(nodes, np.stack([first, second], 1), dissimilarity, evidence)


def agglomerate(affinity, linkage, weight):
    """Join the two nearest regions until one is left, recomputing every border from the edges; pairwise heights."""
    n = affinity.num_nodes
    part = np.arange(n)
    joined = np.zeros((n, n))
    height = 0.0
    while len(np.unique(part)) > 1:
        borders = {}
        for edge, (a, b) in enumerate(affinity.edges):
            if part[a] != part[b]:
                borders.setdefault(tuple(sorted((part[a], part[b]))), []).append(edge)
        if not borders:
            apart = part[:, None] != part
            joined[apart] = affinity.bound
            return joined

        def border_height(edges):
            values = affinity.dissimilarity[edges].astype(float)
            return values.min() if linkage == "single" else np.average(values, weights=weight[edges])

        heights = {pair: border_height(edges) for pair, edges in borders.items()}
        (a, b), nearest = min(heights.items(), key=lambda item: item[1])
        height = max(height, nearest)
        across = ((part == a)[:, None] & (part == b)) | ((part == b)[:, None] & (part == a))
        joined[across] = height
        part[part == b] = a
    return joined


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("n", [2, 7, 64])
def test_complete_graphs_give_scipys_dendrogram(linkage, n):
    distances = pdist(np.random.default_rng(n).random((n, 3))).astype(np.float32)
    edges = np.stack(np.triu_indices(n, 1), axis=1)
    tree = build_tree(graph(n, edges, distances, bound=2.0), linkage=linkage)
    expected = squareform(cophenet(scipy_linkage(distances.astype(np.float64), linkage)))
    # float32 heights of float64 means
    np.testing.assert_allclose(cophenetic(tree), expected, rtol=3e-7)


@pytest.mark.parametrize("linkage", LINKAGES)
def test_sparse_graphs_agree_with_higra(linkage):
    shape, generator = (40, 25), np.random.default_rng(5)
    grid = hg.get_8_adjacency_graph(shape)
    edges = np.stack(grid.edge_list(), axis=1)
    values, evidence = generator.random(len(edges)).astype(np.float32), generator.random(len(edges)) + 0.1
    tree = build_tree(graph(shape[0] * shape[1], edges, values, evidence), linkage=linkage)
    if linkage == "single":
        theirs, altitudes = hg.bpt_canonical(grid, values.astype(np.float64))
    else:
        weight = evidence.astype(np.float32).astype(np.float64)
        theirs, altitudes = hg.binary_partition_tree_average_linkage(grid, values.astype(np.float64), weight)
    pairs = generator.integers(0, shape[0] * shape[1], (5000, 2))
    expected = altitudes[theirs.lowest_common_ancestor(pairs[:, 0].copy(), pairs[:, 1].copy())]
    np.testing.assert_allclose(tree.heights[lowest_common_ancestor(tree, pairs)], expected, rtol=3e-7)


def by_first_leaf(labels):
    """The same partition with segments named by their first leaf."""
    _, first, segment = np.unique(labels, return_index=True, return_inverse=True)
    return first[segment]


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("nodes", [500, 8000, 30_000])
def test_random_graphs_have_higras_partitions(linkage, nodes):
    generator = np.random.default_rng(nodes)
    chain = np.stack([np.arange(nodes - 1), np.arange(1, nodes)], axis=1)  # connects them all
    start = generator.integers(0, nodes, 5 * nodes)
    reach = 40 if linkage == "average" else nodes - 1  # Higra's averages take minutes on long chords
    chords = np.stack([start, (start + generator.integers(1, reach + 1, 5 * nodes)) % nodes], axis=1)
    edges = np.unique(np.sort(np.concatenate([chain, chords]), axis=1), axis=0)
    values = generator.permutation(len(edges)).astype(np.float32) / np.float32(len(edges))  # no ties
    evidence = generator.integers(1, 9, len(edges)).astype(np.float32)
    tree = build_tree(graph(nodes, edges, values, evidence), linkage=linkage)
    check_tree(tree)
    theirs = hg.UndirectedGraph(nodes)
    theirs.add_edges(*edges.T.copy())
    wide = values.astype(np.float64)
    if linkage == "single":
        dendrogram, altitudes = hg.bpt_canonical(theirs, wide)
    else:
        dendrogram, altitudes = hg.binary_partition_tree_average_linkage(theirs, wide, evidence.astype(np.float64))
    heights = np.sort(altitudes[nodes:])
    # single: the edges' own values; average: float32 of float64 means that were summed in another order
    np.testing.assert_allclose(tree.heights[nodes:], heights, rtol=0 if linkage == "single" else 2e-7)
    explorer = hg.HorizontalCutExplorer(dendrogram, altitudes)
    gaps = np.flatnonzero(np.diff(heights) > 1e-6)
    for gap in gaps[np.linspace(0, len(gaps) - 1, 12).astype(int)]:
        height = (heights[gap] + heights[gap + 1]) / 2
        expected = explorer.horizontal_cut_from_altitude(height).labelisation_leaves(dendrogram)
        np.testing.assert_array_equal(by_first_leaf(cut(tree, height)), by_first_leaf(expected))


@pytest.mark.parametrize("nodes", [3000, 100_000])
def test_single_linkage_merges_along_scipys_spanning_forest(nodes):
    generator = np.random.default_rng(3)
    edges = generator.integers(0, nodes, (2 * nodes, 2))  # leaves parts apart
    edges = np.unique(np.sort(edges[edges[:, 0] != edges[:, 1]], axis=1), axis=0)
    values = generator.uniform(0.1, 0.9, len(edges)).astype(np.float32)
    tree = build_tree(graph(nodes, edges, values), linkage="single")
    forest = minimum_spanning_tree(coo_array((values, (edges[:, 0], edges[:, 1])), shape=(nodes, nodes)).tocsr())
    expected = np.sort(forest.data)
    np.testing.assert_array_equal(tree.heights[nodes : nodes + len(expected)], expected)
    assert (tree.heights[nodes + len(expected) :] == 1).all()


@pytest.mark.parametrize("linkage", LINKAGES)
def test_threads_change_nothing(linkage, monkeypatch):
    generator, nodes = np.random.default_rng(8), 700
    edges = generator.integers(0, nodes, (6000, 2))
    edges = edges[edges[:, 0] != edges[:, 1]]
    values, evidence = generator.integers(0, 9, len(edges)) / 8, generator.integers(0, 4, len(edges))
    affinity = graph(nodes, edges, values, evidence)
    alone = build_tree(affinity, linkage=linkage)
    monkeypatch.setattr(spans, "_WORTH", 0)
    monkeypatch.setattr(spans, "cpu_count", lambda: 3)
    assert spans.thread_count(1) == 3
    together = build_tree(affinity, linkage=linkage)
    for name in ("parents", "heights", "sizes"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(together, name))


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 60), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_bulk_rounds_find_the_merges_of_the_heap(nodes, steps, seed):
    generator = np.random.default_rng(seed)
    pairs = np.stack(np.triu_indices(nodes, 1), axis=1)
    pairs = pairs[generator.random(len(pairs)) < 4 / nodes]
    means = generator.integers(0, steps + 1, len(pairs)) / 4.0  # ties; small integers keep every mean of few exact
    weights = np.ones(len(pairs))

    def run(bulk):
        left, right = pairs.T.astype(np.int32).copy()
        sums = np.stack([means, means * weights, weights, generator_keys], axis=1)
        return average_linkage(nodes, Borders(left, right, sums), bulk=bulk)

    generator_keys = generator.permutation(len(pairs))
    (parents, heights), (heap_parents, heap_heights) = run(0.0 if seed % 2 else 0.2), run(2.0)
    np.testing.assert_array_equal(parents, heap_parents)
    np.testing.assert_allclose(heights, heap_heights, rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(0, 300), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_edges_are_sorted_as_numpy_sorts_them(nodes, count, threads, seed):
    generator = np.random.default_rng(seed)
    left = generator.integers(-1, nodes, count).astype(np.int32)
    right = generator.integers(0, 9, count).astype(np.int32)
    first, second = generator.integers(0, 3, count) / 2, generator.integers(0, 3, count)
    offsets, order = sort_edges(nodes, left, right, first, second, threads=threads)
    expected = np.lexsort((second, first, right, left))
    expected = expected[left[expected] >= 0]
    for array in (left, right, first, second):
        np.testing.assert_array_equal(array[order], array[expected])
    np.testing.assert_array_equal(np.diff(offsets), np.bincount(left[left >= 0], minlength=nodes))


@pytest.mark.parametrize("linkage", LINKAGES)
def test_a_hub_that_takes_up_one_leaf_after_the_other(linkage):
    nodes = 300
    edges = np.stack([np.zeros(nodes - 1, int), np.arange(1, nodes)], axis=1)
    values = np.linspace(0.1, 0.9, nodes - 1).astype(np.float32)
    tree = build_tree(graph(nodes, edges, values), linkage=linkage)
    np.testing.assert_array_equal(tree.heights[nodes:], values)
    assert tree.sizes[nodes:].tolist() == list(range(2, nodes + 1))


@settings(deadline=None, max_examples=60)
@given(random_graphs(ties=False), st.sampled_from(LINKAGES), st.sampled_from(["evidence", "count"]))
def test_brute_force_agglomeration(affinity, linkage, weights):
    weight = np.ones(len(affinity.edges))
    if weights == "evidence" and (affinity.evidence > 0).any():
        seen = affinity.evidence[affinity.evidence > 0].astype(float)
        weight = np.where(affinity.evidence > 0, affinity.evidence, 1e-3 * seen.min()).astype(float)
    tree = build_tree(affinity, linkage=linkage, weights=weights)
    np.testing.assert_allclose(cophenetic(tree), agglomerate(affinity, linkage, weight), rtol=1e-6, atol=1e-9)


@settings(deadline=None, max_examples=80)
@given(random_graphs(), st.sampled_from(LINKAGES))
def test_every_tree_keeps_its_promises(affinity, linkage):
    tree = build_tree(affinity, linkage=linkage)
    check_tree(tree)
    assert tree.num_leaves == affinity.num_nodes
    assert tree.parents.dtype == tree.sizes.dtype == np.int64
    assert tree.heights.dtype == np.float32
    assert (np.diff(tree.heights) >= 0).all()
    assert tree.heights[-1] <= affinity.bound
    distance = cophenetic(tree)
    assert (distance[:, None, :] <= np.maximum(distance[:, :, None], distance[None, :, :])).all()  # ultrametric


@settings(deadline=None, max_examples=60)
@given(random_graphs(), st.sampled_from(LINKAGES), st.randoms(use_true_random=False))
def test_order_and_direction_of_edges_do_not_matter(affinity, linkage, random):
    order = list(range(len(affinity.edges)))
    random.shuffle(order)
    edges = affinity.edges[order]
    flip = np.array([random.random() < 0.5 for _ in order], bool)
    edges[flip] = edges[flip, ::-1]
    shuffled = graph(affinity.num_nodes, edges, affinity.dissimilarity[order], affinity.evidence[order])
    one, other = build_tree(affinity, linkage=linkage), build_tree(shuffled, linkage=linkage)
    for name in ("parents", "heights", "sizes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@settings(deadline=None, max_examples=60)
@given(random_graphs(ties=False), st.sampled_from(LINKAGES), st.randoms(use_true_random=False))
def test_names_of_nodes_do_not_matter(affinity, linkage, random):
    names = list(range(affinity.num_nodes))
    random.shuffle(names)
    names = np.array(names)
    renamed = graph(affinity.num_nodes, names[affinity.edges], affinity.dissimilarity, affinity.evidence)
    one = cophenetic(build_tree(affinity, linkage=linkage))
    other = cophenetic(build_tree(renamed, linkage=linkage))
    # parallel edges are pooled in another order
    np.testing.assert_allclose(other[np.ix_(names, names)], one, rtol=1e-6)


def test_a_hand_made_tree():
    edges = [[0, 1], [1, 2], [2, 3], [3, 4], [1, 3]]
    affinity = graph(5, edges, [0.125, 0.5, 0.25, 0.25, 1.0])
    single = build_tree(affinity, linkage="single")
    assert single.parents.tolist() == [5, 5, 6, 6, 7, 8, 7, 8, 8]
    assert single.heights.tolist() == [0, 0, 0, 0, 0, 0.125, 0.25, 0.25, 0.5]
    assert single.sizes.tolist() == [1, 1, 1, 1, 1, 2, 2, 3, 5]
    # Edges 2 and 4 of the sorted ones tie; in the shuffle the later one comes first.
    average = build_tree(affinity, linkage="average")
    assert average.parents.tolist() == [5, 5, 7, 6, 6, 8, 7, 8, 8]
    assert average.heights.tolist() == [0, 0, 0, 0, 0, 0.125, 0.25, 0.25, 0.75]  # (0.5 + 1) / 2 along the border


@pytest.mark.parametrize("linkage", LINKAGES)
def test_one_node_and_no_edges(linkage):
    alone = build_tree(graph(1, [], []), linkage=linkage)
    assert (alone.parents.tolist(), alone.heights.tolist(), alone.sizes.tolist()) == ([0], [0], [1])
    apart = build_tree(graph(3, [], [], bound=2.0), linkage=linkage)
    assert apart.parents.tolist() == [3, 3, 4, 4, 4]
    assert apart.heights.tolist() == [0, 0, 0, 2, 2]
    assert apart.sizes.tolist() == [1, 1, 1, 2, 3]


@pytest.mark.parametrize("linkage", LINKAGES)
def test_parts_join_at_the_bound_smallest_first(linkage):
    tree = build_tree(graph(6, [[0, 1], [1, 2], [3, 4]], [0.1, 0.2, 0.3]), linkage=linkage)
    assert tree.heights[-2:].tolist() == [1, 1]
    # node 5 (one leaf) joins {3, 4}, then both join {0, 1, 2}
    assert tree.sizes[-3:].tolist() == [2, 3, 6]
    assert lowest_common_ancestor(tree, np.array([[3, 5]])).tolist() == [9]


@pytest.mark.parametrize("linkage", LINKAGES)
def test_equal_weights_stay_equal(linkage):
    shape = (9, 9)
    edges = np.stack(hg.get_8_adjacency_graph(shape).edge_list(), axis=1)
    evidence = np.random.default_rng(0).random(len(edges)) + 0.1
    tree = build_tree(graph(81, edges, np.full(len(edges), 0.7), evidence), linkage=linkage)
    check_tree(tree)
    assert set(tree.heights[81:].tolist()) == {np.float32(0.7)}


def test_parallel_edges_are_evidence_of_one_border():
    edges = [[0, 1], [1, 0], [0, 1], [1, 2]]
    affinity = graph(3, edges, [0.25, 0.5, 1.0, 0.5], evidence=[1, 2, 1, 1])
    assert build_tree(affinity, linkage="single").heights[3:].tolist() == [0.25, 0.5]
    assert build_tree(affinity, linkage="average").heights[3:].tolist() == [0.5, 0.5625]
    counted = build_tree(affinity, linkage="average", weights="count")
    np.testing.assert_allclose(counted.heights[3:], [0.5, 1.75 / 3], rtol=1e-6)


def test_guesses_decide_only_where_nothing_was_seen():
    edges = [[0, 1], [0, 1], [1, 2]]
    affinity = graph(3, edges, [0.0, 1.0, 0.5], evidence=[0, 4, 0])
    heights = build_tree(affinity, linkage="average").heights[3:]
    assert heights[0] == 0.5  # the guess between 1 and 2
    assert heights[1] == pytest.approx(1.0, abs=2e-3)  # what was seen between 0 and 1
    blind = graph(3, edges, [0.0, 1.0, 0.25], evidence=[0, 0, 0])
    assert build_tree(blind, linkage="average").heights[3:].tolist() == [0.25, 0.5]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 1000, 4096])
def test_the_shuffle_that_breaks_ties_has_no_ties(count):
    assert len(np.unique(_shuffled(count))) == count


def test_minus_zero_is_zero():
    tree = build_tree(graph(3, [[0, 1], [1, 2]], [0.5, -0.0]), linkage="single")
    assert tree.heights[3:].tolist() == [0, 0.5]


def test_wide_dissimilarities_are_taken_too():
    edges, values = np.array([[0, 1], [1, 2]]), np.array([0.3, 0.1])
    for linkage in LINKAGES:
        tree = build_tree(AffinityGraph(3, edges, values, np.ones(2), 1.0), linkage=linkage)
        assert tree.heights[3:].tolist() == values[::-1].astype(np.float32).tolist()


def test_rounding_above_the_bound_is_forgiven():
    tree = build_tree(graph(2, [[0, 1]], [np.nextafter(np.float32(2), np.float32(3))], bound=2.0), linkage="single")
    assert tree.heights[-1] == 2


def test_unknown_options():
    affinity = graph(2, [[0, 1]], [0.1])
    with pytest.raises(ConfigError, match="linkage: expected one of single, average, got 'ward'"):
        build_tree(affinity, linkage="ward")
    with pytest.raises(ConfigError, match="weights: expected one of evidence, count, got 'area'"):
        build_tree(affinity, weights="area")
