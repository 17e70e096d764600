"""A tree of segments as every exporter sees it: cuts of the surface's points, and the nodes that they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import ConfigError
from ..surface import Surface
from ..ultrametric import Tree, cut
from ..ultrametric.nodes import nearest_marked
from ..ultrametric.substantial import substantial_size
from .colors import node_colors
from .levels import Level


@dataclass(frozen=True, eq=False)
class Segments:
    """Points with their segment at every exported level, and the tree of these segments.

    The nodes are those that some point has at some level, those that have a name, and the root; a node's parent is the
    smallest of them around it. Ids are lasting ones: the same in every export, at every cut and in every view.

    Attributes:
        surface: N points.
        levels: The L cuts, coarse ones first.
        labels: Id of each point at each level [N, L], int32; −1 for points that are left out.
        ids: Id of each node [K], int64; the root first, a parent before its children.
        parents: Index of the node above [K], int64; −1 for the root.
        heights: Height of each node [K], float32.
        sizes: Points in each node [K], int64.
        colors: sRGB [K, 3], uint8.
        names: Name of each node [K]; empty without one.
        member: Which nodes are segments of which level [K, L], bool.
        least: Points of a node that is more than a crumb.
    """

    surface: Surface
    levels: tuple[Level, ...]
    labels: np.ndarray
    ids: np.ndarray
    parents: np.ndarray
    heights: np.ndarray
    sizes: np.ndarray
    colors: np.ndarray
    names: tuple[str, ...]
    member: np.ndarray
    least: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def finest(self) -> np.ndarray:
        """Id of each point at the finest level [N], int32."""
        return self.labels[:, -1]

    @property
    def kept(self) -> np.ndarray:
        """Points that are not left out [N], bool."""
        return self.finest >= 0

    def columns(self) -> dict[str, np.ndarray]:
        """Integer columns [N] of files of points: `instance_id`, which is the finest level's, and one per level."""
        named = {level.column: self.labels[:, index] for index, level in enumerate(self.levels)}
        return {"instance_id": self.finest} | named

    def index_of(self, ids: np.ndarray) -> np.ndarray:
        """Indices of nodes by id, of any shape; −1 for −1."""
        order = np.argsort(self.ids)
        place = np.searchsorted(self.ids[order], ids).clip(max=len(order) - 1)
        return np.where(np.asarray(ids) >= 0, order[place], -1)

    def index_of_known(self, ids: np.ndarray) -> np.ndarray:
        """Indices of nodes by id [M]; −1 for ids that are no node of these."""
        index = self.index_of(ids)
        return np.where(self.ids[index] == ids, index, -1)

    def without_crumbs(self) -> Segments:
        """The same points with fewer nodes: those that are more than crumbs, have a name, or are the root."""
        kept = (self.sizes >= self.least) | np.array([bool(name) for name in self.names])
        kept[0] = True
        number, nearest = np.cumsum(kept) - 1, np.zeros(len(self), np.int64)
        for node in range(1, len(self)):  # parents come first
            nearest[node] = node if kept[node] else nearest[self.parents[node]]
        parents = np.where(self.parents >= 0, number[nearest[self.parents]], -1)[kept]
        names = tuple(name for name, keep in zip(self.names, kept, strict=True) if keep)
        arrays = {name: getattr(self, name)[kept] for name in ("ids", "heights", "sizes", "colors", "member")}
        return replace(self, parents=parents, names=names, **arrays)

    def title(self, index: int) -> str:
        """Name of a node, or a description where it has none."""
        return self.names[index] or f"segment {self.ids[index]}"

    def place(self, index: int) -> str:
        """Name of a node, or else its id with the name of the smallest node around it that has one; not the root's."""
        above = index
        while above > 0 and not self.names[above]:
            above = int(self.parents[above])
        if above == index or above <= 0:
            return self.title(index)
        return f"{self.names[above]} · {self.ids[index]}"

    def substantial_index(self, ids: np.ndarray) -> np.ndarray:
        """Index of the smallest node around each id that is more than a crumb; −1 for −1. Any shape."""
        above = np.arange(len(self))
        for node in range(1, len(self)):  # parents come first
            if self.sizes[node] < self.least:
                above[node] = above[self.parents[node]]
        index = self.index_of(ids)
        return np.where(index >= 0, above[index], -1)


def make_segments(
    surface: Surface,
    tree: Tree,
    levels: Sequence[Level],
    *,
    ids: np.ndarray | None = None,
    names: Mapping[int, str] | None = None,
    node: int | None = None,
) -> Segments:
    """Cut a tree for export.

    Args:
        surface: N points.
        tree: A merge tree over them.
        levels: Where to cut it, coarse ones first.
        ids: Lasting id of each node [2N − 1]; the tree's own numbers if None.
        names: Names by lasting id.
        node: Lasting id of the only node to show; all others' points are left out. None for the whole tree.

    Raises:
        ConfigError: There is no such node.
    """
    lasting = np.arange(len(tree.parents)) if ids is None else ids
    given = dict(names or {})
    cuts = np.stack([cut(tree, level.height) for level in levels], axis=1)
    inside = np.ones(len(tree.parents), bool)
    if node is not None:
        places = np.flatnonzero(lasting == node)
        if len(places) == 0:
            raise ConfigError(f"there is no node {node}; ids go up to {lasting.max()}", setting="node")
        from ..ultrametric.kernels.tree_cpu import below

        inside = np.zeros(len(tree.parents), bool)
        inside[: int(places[0]) + 1] = below(tree.parents, int(places[0]))
        cuts[~inside[: tree.num_leaves]] = -1
        given = {key: name for key, name in given.items() if inside[lasting == key].any() or key == node}
    shown = np.zeros(len(tree.parents), bool)
    shown[cuts[cuts >= 0]] = True
    named = np.isin(lasting, list(given)) if given else np.zeros(len(lasting), bool)
    shown |= named & inside
    shown[-1 if node is None else int(places[0])] = True
    if node is not None:  # segments of coarse levels around the node keep their ids, and the tree their order
        root = int(np.flatnonzero(shown)[-1])
    else:
        root = len(tree.parents) - 1
    marked = np.flatnonzero(shown)[::-1]  # the root first
    assert marked[0] == root
    index = np.full(len(tree.parents), -1)
    index[marked] = np.arange(len(marked))
    parents = index[nearest_marked(tree.parents, shown)[tree.parents[marked]]]
    parents[0] = -1
    member = np.zeros((len(marked), len(levels)), bool)
    for level in range(len(levels)):
        member[index[np.unique(cuts[cuts[:, level] >= 0, level])], level] = True
    return Segments(
        surface=surface,
        levels=tuple(levels),
        labels=np.where(cuts >= 0, lasting[cuts], -1).astype(np.int32),
        ids=lasting[marked],
        parents=parents,
        heights=tree.heights[marked],
        sizes=tree.sizes[marked],
        colors=node_colors(tree)[marked],
        names=tuple(given.get(int(key), "") for key in lasting[marked]),
        member=member,
        least=substantial_size(tree),
    )
