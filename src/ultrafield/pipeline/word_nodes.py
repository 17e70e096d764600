"""The nodes of a tree that words may mean, and the views that show each of them best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..ultrametric import condense
from ..ultrametric.substantial import substantial_size

if TYPE_CHECKING:
    from ..ultrametric import CondensedTree
    from .segmentation import Segmentation


@dataclass(frozen=True, eq=False)
class WordNodes:
    """The K substantial nodes of a tree; the root comes first, a parent before its children.

    Attributes:
        ids: Their lasting ids [K], int64.
        parents: Index of the node above [K], int64; −1 for the root.
        keys: A number that tells the points of a node [K], uint64: nodes of the same points have the same one, whatever
            the tree around them.
        first: Where a node comes in an order in which all below it follow [K], int64.
        last: Where those end [K], int64.
        of_point: The place in that order of the smallest node around each point [N], int32.
    """

    ids: np.ndarray
    parents: np.ndarray
    keys: np.ndarray
    first: np.ndarray
    last: np.ndarray
    of_point: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, segmentation: Segmentation) -> WordNodes:
        """The nodes of a segmentation, after the user's edits."""
        condensed = condense(segmentation.tree, substantial_size(segmentation.tree))
        own = _mixed(np.arange(len(condensed.of_leaf), dtype=np.uint64))
        keys = np.zeros(len(condensed), np.uint64)
        np.add.at(keys, condensed.of_leaf, own)
        with np.errstate(over="ignore"):  # sums of keys go round
            for node in range(len(condensed) - 1, 0, -1):
                keys[condensed.parents[node]] += keys[node]
        first, last = _order(condensed)
        ids = segmentation.ids[condensed.nodes]
        return cls(ids, condensed.parents, keys, first, last, first[condensed.of_leaf].astype(np.int32))

    def counts(self, places: np.ndarray) -> np.ndarray:
        """Pixels that show each node [K], of a map of places [H, W]; −1 for none."""
        at = np.bincount(places[places >= 0], minlength=len(self))
        until = np.concatenate([[0], np.cumsum(at)])
        return until[self.last] - until[self.first]

    def mask(self, places: np.ndarray, node: int) -> np.ndarray:
        """Pixels [H, W] bool that show a node, of a map of places."""
        return (places >= self.first[node]) & (places < self.last[node])


def best_views(counts: np.ndarray, most: int, least: int) -> list[np.ndarray]:
    """The views in which each of K nodes is largest, the best first, earlier ones of equally good ones.

    Args:
        counts: Pixels of each node in each view [V, K].
        most: Views of a node, at most.
        least: Pixels that count as seen.

    Returns:
        Indices of views for each node; none for a node that no view shows.
    """
    order = np.argsort(-counts, axis=0, kind="stable")[:most]
    return [views[counts[views, node] >= least] for node, views in enumerate(order.T)]


def without_relatives(scores: Sequence[float], names: Sequence[int], parents: np.ndarray) -> np.ndarray:
    """Which nodes keep their names [K] bool: of those above and below each other with one name, the best-scored.

    Args:
        scores: Of each node [K].
        names: Number of its name [K]; −1 for none.
        parents: Index of the node above, −1 for the root; a parent comes before its children.
    """
    kept = np.array([name >= 0 for name in names])
    for node in sorted(range(len(kept)), key=lambda node: (-scores[node], node)):
        above = int(parents[node])
        while kept[node] and above >= 0:
            if kept[above] and names[above] == names[node]:
                loser = node if scores[above] >= scores[node] else above
                kept[loser] = False
            above = int(parents[above])
    return kept


def _order(condensed: CondensedTree) -> tuple[np.ndarray, np.ndarray]:
    """Places of clusters in an order in which all below a cluster follow it, and where those end."""
    sizes = np.ones(len(condensed), np.int64)
    for node in range(len(condensed) - 1, 0, -1):
        sizes[condensed.parents[node]] += sizes[node]
    first, free = np.zeros(len(condensed), np.int64), np.ones(len(condensed), np.int64)
    for node in range(1, len(condensed)):
        above = condensed.parents[node]
        first[node] = first[above] + free[above]
        free[above] += sizes[node]
    return first, first + sizes


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers [N] uint64 scattered over all that there are, by the finaliser of SplitMix64 (Steele et al., 2014)."""
    with np.errstate(over="ignore"):
        value = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))
