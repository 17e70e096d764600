"""`AffinityGraph` takes what trees can be built from and refuses everything else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ultrafield.ultrametric import AffinityGraph, build_tree, check_tree, merge_evidence

PATH = AffinityGraph(3, [[0, 1], [2, 1]], [0.25, 0.5], [1, 4], 1)
FIELDS = ("num_nodes", "edges", "dissimilarity", "evidence", "bound")


def test_lists_and_other_dtypes_are_converted():
    assert PATH.edges.dtype == np.int64
    assert PATH.dissimilarity.dtype == PATH.evidence.dtype == np.float32
    assert type(PATH.num_nodes) is int
    assert type(PATH.bound) is float
    other = AffinityGraph(
        np.int32(3),
        np.array([[0, 2], [1, 1]], np.float64).T,
        np.array([0.25, 0.5]),
        np.array([1, 4], np.uint8),
        np.float32(1),
    )
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(other, name), getattr(PATH, name))
    assert build_tree(other).heights[3:].tolist() == [0.25, 0.5]


def test_one_node_needs_no_edge():
    graph = AffinityGraph(1, [], [], [], 1.0)
    assert graph.edges.shape == (0, 2)
    assert build_tree(graph).num_leaves == 1


def test_one_line_says_which_graph():
    assert repr(PATH) == "AffinityGraph(nodes=3, edges=2, bound=1)"


def test_nobody_can_write_to_a_graph():
    edges = np.array([[0, 1], [2, 1]])
    graph = AffinityGraph(3, edges, [0.25, 0.5], [1, 4], 1)
    edges[0] = 10**9  # the caller's own array stays its own
    assert build_tree(graph).heights[3:].tolist() == [0.25, 0.5]
    trusted = AffinityGraph._trusted(3, np.array([[0, 1]]), np.zeros(1, np.float32), np.ones(1, np.float32), 1.0)
    for own in (graph, trusted):
        for name in ("edges", "dissimilarity", "evidence"):
            with pytest.raises(ValueError, match="read-only"):
                getattr(own, name)[0] = 0
    assert replace(graph, bound=2.0).edges is graph.edges


def test_rounding_above_the_bound_becomes_the_bound():
    above = np.nextafter(np.float32(2), np.float32(3))
    assert AffinityGraph(2, [[0, 1]], [above], [1], 2.0).dissimilarity.tolist() == [2.0]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"num_nodes": 0}, ValueError, "^num_nodes: expected at least 1, got 0$"),
        ({"num_nodes": 2.5}, TypeError, "^num_nodes: expected an integer, got 2.5$"),
        ({"num_nodes": 2}, ValueError, r"^edges\[1\]: expected node indices in \[0, 2\), got \[2, 1\]$"),
        ({"edges": [[0, 1], [1, 10**9]]}, ValueError, r"^edges\[1\]: expected node indices in \[0, 3\), got \[1, 10"),
        ({"edges": [[-1, 1], [1, 1]]}, ValueError, r"^edges\[0\]: expected node indices in \[0, 3\), got \[-1, 1\]$"),
        ({"edges": [[0, 1], [1, 1]]}, ValueError, r"^edges\[1\]: expected two different nodes, got \[1, 1\]$"),
        ({"edges": [[0, 1], [1, 1.5]]}, ValueError, r"^edges\[1, 1\]: expected an integer, got 1.5$"),
        ({"edges": [0, 1]}, ValueError, r"^edges: expected shape \[\*, 2\], got \[2\]$"),
        ({"edges": [["a", "b"]]}, TypeError, "^edges: expected integers, got an array of <U1$"),
        ({"dissimilarity": [0.5, np.nan]}, ValueError, r"^dissimilarity\[1\]: expected a number in \[0, 1\], got nan$"),
        ({"dissimilarity": [-0.5, 0]}, ValueError, r"^dissimilarity\[0\]: expected a number in \[0, 1\], got -0.5$"),
        ({"dissimilarity": [0, 1.5]}, ValueError, r"^dissimilarity\[1\]: expected a number in \[0, 1\], got 1.5$"),
        ({"dissimilarity": [0.5]}, ValueError, r"^dissimilarity: expected shape \[2\], got \[1\]$"),
        ({"evidence": [1, -1]}, ValueError, r"^evidence\[1\]: expected a finite number of at least 0, got -1$"),
        ({"evidence": [np.inf, 1]}, ValueError, r"^evidence\[0\]: expected a finite number of at least 0, got inf$"),
        ({"evidence": [1, 1, 1]}, ValueError, r"^evidence: expected shape \[2\], got \[3\]$"),
        ({"evidence": None}, TypeError, "^evidence: expected real numbers, got an array of object$"),
        ({"bound": np.inf}, ValueError, "^bound: expected a finite number of at least 0, got inf$"),
        ({"bound": -1}, ValueError, "^bound: expected a finite number of at least 0, got -1$"),
        ({"bound": np.nan}, ValueError, "^bound: expected a finite number of at least 0, got nan$"),
        ({"bound": "one"}, TypeError, "^bound: expected a number, got 'one'$"),
    ],
)
def test_the_text_names_the_array_and_the_edge(changes, error, message):
    with pytest.raises(error, match=message):
        AffinityGraph(**{name: getattr(PATH, name) for name in FIELDS} | changes)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 2**32 - 1))
def test_random_arrays_are_refused_or_give_a_tree(seed):
    generator = np.random.default_rng(seed)
    nodes, count = int(generator.integers(0, 6)), int(generator.integers(0, 6))
    edges = generator.integers(0, max(nodes, 1), (count, 2))
    values, evidence = generator.random(count), generator.random(count)
    if count and generator.random() < 0.5:
        at = generator.integers(count)
        edges[at, 0] = generator.choice([-(2**63), -1, nodes, 10**9, 2**62])
        values[at] = generator.choice([np.nan, -1.0, 2.0, np.inf, 0.5])
    valid = (
        nodes > 0
        and ((edges >= 0) & (edges < nodes)).all()
        and (edges[:, 0] != edges[:, 1]).all()
        and ((values >= 0) & (values <= 1)).all()
    )
    if not valid:
        with pytest.raises(ValueError, match=r"^(num_nodes|edges|dissimilarity)"):
            AffinityGraph(nodes, edges, values, evidence, 1.0)
        return
    graph = AffinityGraph(nodes, edges, values, evidence, 1.0)
    for linkage in ("single", "average"):
        tree = build_tree(graph, linkage=linkage)
        check_tree(tree)
        assert merge_evidence(tree, graph).edges.sum() == count
