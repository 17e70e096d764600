"""One partition out of a condensed tree, without a height to choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import check_choice
from .condense import CondensedTree, condense

if TYPE_CHECKING:
    from .tree import Tree


def flat(
    tree: Tree,
    min_size: int,
    *,
    selection: Literal["stability", "leaf"] = "stability",
    density: Literal["linear", "inverse"] = "linear",
) -> np.ndarray:
    """The clusters worth showing together, each at its own height.

    Args:
        tree: A merge tree over n leaves.
        min_size: Leaves a cluster needs, as for `condense`.
        selection: "stability" takes the disjoint clusters whose stabilities have the largest sum (excess of mass),
            "leaf" the smallest ones, those with no cluster inside.
        density: The measure of stability, as for `condense`; "inverse" on a tree of distances gives HDBSCAN's
            clusters.

    Returns:
        Per leaf the id of its cluster's node in the tree, or -1 for a leaf that joined a region only above its
        clusters ("noise") [n], int64. The root counts only if there is no other cluster; then all leaves are in it.

    Raises:
        ValueError, ConfigError: As `condense`; or an unknown selection.

    >>> import numpy as np
    >>> from ultrafield.ultrametric import AffinityGraph
    >>> from ultrafield.ultrametric import build_tree
    >>> edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6]])
    >>> near = np.array([0.125, 0.125, 0.75, 0.25, 0.25, 0.875], np.float32)
    >>> graph = AffinityGraph(7, edges, near, np.ones(6, np.float32), bound=1.0)
    >>> flat(build_tree(graph, linkage="single"), min_size=3).tolist()
    [8, 8, 8, 10, 10, 10, -1]
    """
    check_choice("selection", selection, ("stability", "leaf"))
    condensed = condense(tree, min_size, density=density)
    return cluster_labels(condensed, select_clusters(condensed, selection))


def select_clusters(condensed: CondensedTree, selection: Literal["stability", "leaf"] = "stability") -> np.ndarray:
    """The disjoint clusters that `flat` takes: indices into the condensed tree, ascending, int64."""
    from .kernels.tree_cpu import excess_of_mass

    check_choice("selection", selection, ("stability", "leaf"))
    if len(condensed) == 1:
        return np.zeros(1, np.int64)
    if selection == "leaf":
        return np.setdiff1d(np.arange(len(condensed)), condensed.parents)
    return np.flatnonzero(excess_of_mass(condensed.parents, condensed.stability))


def cluster_labels(condensed: CondensedTree, selected: np.ndarray) -> np.ndarray:
    """Per leaf the node of the selected cluster that holds it, or -1 [n], int64; `selected` are disjoint clusters."""
    from .kernels.tree_cpu import inherit

    label = np.full(len(condensed), -1, np.int64)
    label[selected] = condensed.nodes[selected]
    return inherit(condensed.parents, label)[condensed.of_leaf]
