"""Clusters of a merge tree that are worth a name, and the heights between which they last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import check_choice
from .nodes import child_nodes

if TYPE_CHECKING:
    from .tree import Tree


@dataclass(frozen=True, eq=False, repr=False)
class CondensedTree:
    """Clusters of at least `min_size` leaves; the root comes first, a parent before its children.

    Read from the leaves up: a cluster is complete from `birth` on and is joined with a sibling at `death`; a cut at a
    height in [birth, death) shows it as one segment, up to leaves (fewer than `min_size` at a time) that join late.

    Attributes:
        nodes: Id in the merge tree of each cluster with all its leaves [C], int64.
        parents: Index of the cluster it is part of [C], int64; -1 for the root.
        birth: Height at which two clusters made it, or the first `min_size` leaves came together [C], float32.
        death: Height of the merge that ends it [C], float32; the root's own height for the root.
        sizes: Number of leaves [C], int64.
        stability: Sum over its leaves of what the density gained between `death` and the height at which the leaf
            joined the cluster [C], float64; with linear density, the difference of the two heights.
        of_leaf: The smallest cluster that holds each leaf [n], int64.
    """

    nodes: np.ndarray
    parents: np.ndarray
    birth: np.ndarray
    death: np.ndarray
    sizes: np.ndarray
    stability: np.ndarray
    of_leaf: np.ndarray

    def __len__(self) -> int:
        return len(self.nodes)

    def __repr__(self) -> str:
        return f"CondensedTree(clusters={len(self)}, leaves={len(self.of_leaf)})"


def condense(tree: Tree, min_size: int, *, density: Literal["linear", "inverse"] = "linear") -> CondensedTree:
    """Keep only the merges of two regions that both have at least `min_size` leaves.

    As in HDBSCAN, going down from the root, a smaller region that splits off has just left its cluster, which goes on
    under the same name.

    Args:
        tree: A merge tree over n leaves.
        min_size: Leaves a cluster needs, ≥ 1; with 1 every node is a cluster. The root always is one.
        density: The measure of stability: "linear", -height, which may be zero; or "inverse", 1 / height, as in
            HDBSCAN, where heights are distances.

    Returns:
        The clusters. Merges at equal heights leave clusters with birth = death and stability 0.

    Raises:
        ValueError: `min_size` is below 1, or the density is "inverse" and `min_size` 1 or a merge's height 0.
        ConfigError: An unknown density.

    Source: R. Campello, D. Moulavi, J. Sander, "Density-based clustering based on hierarchical density estimates",
    2013.
    """
    from .kernels.tree_cpu import condense_cpu

    if min_size < 1:
        raise ValueError(f"min_size: expected at least 1, got {min_size}")
    check_choice("density", density, ("linear", "inverse"))
    scale = -tree.heights.astype(np.float64)
    if density == "inverse":
        if min_size < 2 or (tree.heights[tree.num_leaves :] == 0).any():
            raise ValueError("density: 'inverse' needs a min_size of at least 2 and merges at heights above 0")
        scale[tree.num_leaves :] = -1.0 / scale[tree.num_leaves :]
    nodes, parents, birth, death, stability, of_leaf = condense_cpu(
        tree.parents, tree.heights, scale, tree.sizes, child_nodes(tree), min_size
    )
    return CondensedTree(
        nodes, parents, birth.astype(np.float32), death.astype(np.float32), tree.sizes[nodes], stability, of_leaf
    )
