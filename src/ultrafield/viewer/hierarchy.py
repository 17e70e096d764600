"""The segments worth a step when one climbs or descends, and worth a row in the panel."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..ultrametric import Tree, condense
from ..ultrametric.nodes import leaves, nearest_marked
from ..ultrametric.substantial import cluster_of_nodes, substantial_size

_SHORT = 0.01  # of the tree's height: clusters that live shorter are artefacts of joining two regions at a time
_MORE = 1.02  # times as many points make a step that one sees


class Hierarchy:
    """Clusters of a merge tree that are passed on the way up and down; entries are their indices, 0 the root.

    Args:
        tree: A merge tree over n leaves.
        min_size: Points that an entry needs; None takes a thousandth of all, but at least 2.
        named: Nodes of the tree that are entries however short they live.

    Attributes:
        nodes: Node of each entry [E], int64.
        parents: Entry above each one [E], int64; −1 for the root.
        sizes: Points of each entry [E], int64.
        stability: How large and long-lived it is [E], float64; see `condense`.
        birth: Height at which it is whole [E], float32.
        death: Height at which it becomes part of something larger [E], float32.
        min_size: Points that an entry needs.
    """

    def __init__(self, tree: Tree, min_size: int | None = None, named: Iterable[int] = ()) -> None:
        self.tree = tree
        self.min_size = substantial_size(tree, min_size)
        self._condensed = condensed = condense(tree, self.min_size)
        self._cluster_of_node = cluster_of_nodes(tree, condensed)
        kept = _kept(condensed.parents, condensed.death - condensed.birth, _SHORT * float(tree.heights[-1]))
        kept[np.isin(condensed.nodes, np.fromiter(named, np.int64))] = True
        nearest = nearest_marked(condensed.parents, kept)
        number = np.cumsum(kept) - 1
        self._entry_of_cluster = number[nearest]
        self.nodes, self.sizes, self.stability, self.birth, self.death = (
            values[kept]
            for values in (condensed.nodes, condensed.sizes, condensed.stability, condensed.birth, condensed.death)
        )
        above = condensed.parents[kept]
        self.parents = np.where(above >= 0, number[nearest[above]], -1)
        order = np.lexsort((-self.sizes, self.parents))  # the root first, then the children of each entry, large first
        self._children = order[1:]
        self._first = np.searchsorted(self.parents[self._children], np.arange(len(self.nodes) + 1))
        self._clusters_below = np.bincount(condensed.parents[1:], minlength=len(condensed))

    def __len__(self) -> int:
        return len(self.nodes)

    def children(self, entry: int) -> np.ndarray:
        """Entries below one, the largest first."""
        return self._children[self._first[entry] : self._first[entry + 1]]

    def entry(self, node: int) -> int:
        """The smallest entry that holds a node of the tree, or is that node."""
        return int(self._entry_of_cluster[self._cluster_of_node[node]])

    def entry_of_exactly(self, node: int) -> int | None:
        """The entry that is a node; None if none is."""
        entry = self.entry(node)
        return entry if self.nodes[entry] == node else None

    def path(self, entry: int) -> list[int]:
        """An entry and all above it, the root last."""
        path = [entry]
        while self.parents[path[-1]] >= 0:
            path.append(int(self.parents[path[-1]]))
        return path

    def above(self, node: int) -> int | None:
        """The next larger node on the way up; None at the root."""
        size = self.tree.sizes[node]
        for entry in self.path(self.entry(node)):
            above = int(self.nodes[entry])
            if above > node and (self.sizes[entry] > _MORE * size or entry == 0):
                return above
        return None

    def below(self, node: int, leaf: int) -> int | None:
        """The next smaller node on the way down to a leaf; None if what is left is too small."""
        size, smaller = self.tree.sizes[node], None
        for entry in self.path(self.entry(leaf)):
            if self.nodes[entry] < node and _MORE * self.sizes[entry] < size:
                smaller = int(self.nodes[entry])  # the last one is the largest
        return smaller

    def anchor(self, node: int) -> int:
        """A leaf of a node to descend to: one in the largest part of its largest part, and so on."""
        entry = self.entry_of_exactly(node)
        while entry is not None and len(self.children(entry)):
            entry = int(self.children(entry)[0])
            node = int(self.nodes[entry])
        inside = leaves(self.tree, node)
        return int(inside[len(inside) // 2])

    def opening_height(self, node: int) -> float | None:
        """The largest height at which a node is in parts worth seeing; None if it has none."""
        cluster = int(self._cluster_of_node[node])
        if not self._clusters_below[cluster]:
            return None
        birth = self._condensed.birth[cluster]
        if self.tree.heights[node] < birth:  # still growing: what it will be is not yet whole, and it has no parts
            return None
        return max(0.0, float(np.nextafter(birth, np.float32(0))))

    def growth(self, node: int) -> list[int]:
        """The nodes that a split by hand has to raise, top down: all that show what a node is, as it grew.

        From the node that its two parts joined in up to the largest that only crumbs were added to.
        """
        cluster = int(self._cluster_of_node[node])
        if not self._clusters_below[cluster] or self.tree.heights[node] < self._condensed.birth[cluster]:
            return []
        lowest = self.tree.parents[self._condensed.nodes[self._condensed.parents == cluster][0]]
        chain = [int(lowest)]
        while chain[-1] != self._condensed.nodes[cluster]:
            chain.append(int(self.tree.parents[chain[-1]]))
        return chain[::-1]


def _kept(parents: np.ndarray, lifetime: np.ndarray, least: float) -> np.ndarray:
    """Clusters that live long enough, the root, and those that hold no other."""
    kept = lifetime >= least
    kept |= np.bincount(parents[1:], minlength=len(parents)) == 0
    kept[0] = True
    return kept
