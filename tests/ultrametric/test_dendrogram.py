"""The dendrogram shows each substantial cluster between its birth and its death."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from merge_trees import SMALL, trees

from ultrafield.errors import BackendError
from ultrafield.ultrametric import Tree, condense


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib", reason="needs matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@settings(deadline=None, max_examples=15)
@given(trees(most=15))
def test_every_lasting_cluster_has_a_line_from_birth_to_death(tree):
    figure = pytest.importorskip("matplotlib.figure", reason="needs matplotlib")
    clusters = condense(tree, 1)
    lasting = clusters.death - clusters.birth >= 0.01 * clusters.birth[0]
    shown = sorted({0}.union(*(path_up(clusters, cluster) for cluster in np.flatnonzero(lasting))))
    parents = np.array([shown.index(clusters.parents[cluster]) for cluster in shown[1:]], int)
    ax = tree.plot(ax=figure.Figure().subplots(), min_size=1)
    (lines,) = [collection for collection in ax.collections if type(collection).__name__ == "LineCollection"]
    segments = np.array([path.vertices for path in lines.get_paths()])
    across, upright = segments[: len(shown) - 1], segments[len(shown) - 1 :]
    np.testing.assert_allclose(upright[:, 0, 1], clusters.birth[shown])
    np.testing.assert_allclose(upright[1:, 1, 1], clusters.death[shown[1:]])
    np.testing.assert_array_equal(upright[:, 0, 0], upright[:, 1, 0])
    # Crossbars lead from each cluster's upper end to its parent's lower end.
    np.testing.assert_array_equal(across[:, 0], upright[1:, 1])
    np.testing.assert_array_equal(across[:, 1], upright[parents, 0])
    # No two of the smallest clusters share a place, and the clusters inside one stand side by side.
    smallest = np.setdiff1d(np.arange(len(shown)), parents)
    assert sorted(upright[smallest, 0, 0]) == list(range(len(smallest)))
    ids = np.array(shown)[smallest]
    for cluster in shown:
        inside = [x for x, c in zip(upright[smallest, 0, 0], ids, strict=True) if cluster in path_up(clusters, c)]
        assert max(inside) - min(inside) == len(inside) - 1


def path_up(clusters, cluster):
    while cluster >= 0:
        yield int(cluster)
        cluster = clusters.parents[cluster]


def test_a_new_figure_is_made_and_can_be_saved(pyplot, tmp_path):
    ax = SMALL.plot(min_size=2)
    assert pyplot.get_fignums() == [ax.figure.number]
    assert ax.get_ylabel() == "height"
    ax.figure.savefig(tmp_path / "tree.png")
    picture = pyplot.imread(tmp_path / "tree.png")
    assert (picture[..., :3] < 0.9).any()


def test_the_smallest_clusters_are_named_by_their_ids(pyplot):
    ax = SMALL.plot(min_size=2)
    assert sorted(label.get_text() for label in ax.get_xticklabels()) == ["5", "6"]


def test_names_replace_ids(pyplot):
    ax = SMALL.plot(min_size=2, labels={5: "cup", 8: "set", 0: "too small to be shown"})
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cup"]
    assert [text.get_text() for text in ax.texts] == ["set"]


def test_many_clusters_go_without_ids(pyplot):
    n = 64
    parents = np.concatenate([np.repeat(np.arange(n, 2 * n - 1), 2), [2 * n - 2]])  # a balanced tree
    sizes, heights = np.append(np.ones(n), np.zeros(n - 1)), np.zeros(2 * n - 1)
    for node, parent in enumerate(parents[:-1]):
        sizes[parent] += sizes[node]
        heights[parent] = heights[node] + 1
    assert len(Tree(parents, heights, sizes).plot(min_size=1).get_xticks()) == 0


def test_one_leaf(pyplot):
    ax = Tree([0], [0], [1]).plot()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0"]


def test_min_size_is_checked():
    with pytest.raises(ValueError, match="min_size: expected at least 1, got -1"):
        SMALL.plot(min_size=-1)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(BackendError, match="plot: matplotlib is not installed; pip install matplotlib"):
        SMALL.plot()
