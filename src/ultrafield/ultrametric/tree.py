"""A merge tree as three arrays, with its operations as methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .checks import check_tree_arrays, one_integer, own_floats, own_integers, read_only
from .condense import CondensedTree, condense
from .cuts import cut, cut_into
from .dendrogram import plot
from .flat import flat
from .interchange import arrays_of_linkage, to_linkage, to_networkx
from .levels import levels
from .nodes import ancestors, child_nodes, children, leaves, lowest_common_ancestor, subtree

if TYPE_CHECKING:
    import networkx
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Tree:
    """A binary merge tree over n leaves: node ids 0 … n−1 are leaves, n … 2n−2 merges, 2n−2 the root.

    Lists and arrays of other numeric dtypes are converted. The tree keeps read-only arrays of its own (arrays that are
    read-only already are shared), so what was checked stays true. Each method calls the function of the same name in
    `ultrafield.ultrametric`, whose docstring has the details.

    Attributes:
        parents: [2n − 1] int64; a parent's id is larger than its children's; the root is its own parent.
        heights: [2n − 1] float32, finite; 0 for leaves, never smaller at a parent than at its child.
        sizes: Leaves below each node [2n − 1] int64.
        surroundings: The child of the root that holds what is set apart from the rest, from which `levels` are chosen
            (`set_apart`); None if nothing is.

    Raises:
        ValueError: The lengths differ or are even, or a promise above is broken; the text names the array and the
            first leaf or else the first merge that breaks it.
        TypeError: An array does not hold numbers.

    >>> tree = Tree([3, 3, 4, 4, 4], [0, 0, 0, 0.25, 0.75], [1, 1, 1, 2, 3])
    >>> tree
    Tree(leaves=3, height=0.75)
    >>> tree.cut(0.5).tolist(), tree.cut_into(3).tolist()
    ([3, 3, 2], [0, 1, 2])
    >>> tree.children(4).tolist(), tree.ancestors(0).tolist(), tree.lca([[0, 1], [0, 2]]).tolist()
    ([2, 3], [3, 4], [3, 4])
    """

    parents: NDArray[np.int64]
    heights: NDArray[np.float32]
    sizes: NDArray[np.int64]
    surroundings: int | None

    def __init__(
        self, parents: ArrayLike, heights: ArrayLike, sizes: ArrayLike, *, surroundings: int | None = None
    ) -> None:
        arrays = own_integers("parents", parents), own_floats("heights", heights), own_integers("sizes", sizes)
        self._set(*arrays, None if surroundings is None else one_integer("surroundings", surroundings))
        check_tree(self)

    @classmethod
    def _trusted(
        cls, parents: np.ndarray, heights: np.ndarray, sizes: np.ndarray, surroundings: int | None = None
    ) -> Tree:
        """Make a tree of arrays that are right by construction; they become read-only, and nothing is checked."""
        tree = object.__new__(cls)
        tree._set(read_only(parents), read_only(heights), read_only(sizes), surroundings)
        return tree

    def _set(self, parents: np.ndarray, heights: np.ndarray, sizes: np.ndarray, surroundings: int | None) -> None:
        for name, array in (("parents", parents), ("heights", heights), ("sizes", sizes)):
            object.__setattr__(self, name, array)
        object.__setattr__(self, "surroundings", surroundings)

    def __repr__(self) -> str:
        return f"Tree(leaves={self.num_leaves}, height={self.heights[-1]:.4g})"

    @property
    def num_leaves(self) -> int:
        """Number of leaves n."""
        return (len(self.parents) + 1) // 2

    def cut(self, height: float) -> NDArray[np.int64]:
        """The segment of every leaf when the tree is cut at `height`: node ids [n], int64."""
        return cut(self, height)

    def cut_into(self, count: int) -> NDArray[np.int64]:
        """The segment of every leaf in the cut into `count` segments: node ids [n], int64."""
        return cut_into(self, count)

    def levels(self, *, min_size: int | None = None) -> NDArray[np.float32]:
        """The three to six heights that together show the tree best, ascending, float32 [L]."""
        return levels(self, min_size=min_size)

    def children(self, node: int | None = None) -> NDArray[np.int64]:
        """The two children of a node [2], int64, none for a leaf [0]; without a node, those of every merge [n − 1, 2].

        Row i of the latter belongs to node n + i (function `child_nodes`).
        """
        return child_nodes(self) if node is None else children(self, node)

    def ancestors(self, node: int) -> NDArray[np.int64]:
        """The nodes above `node`, from its parent up to the root [A], int64."""
        return ancestors(self, node)

    def lca(self, pairs: ArrayLike) -> NDArray[np.int64]:
        """The lowest common ancestor of each pair of nodes [P, 2]: node ids [P], int64.

        Its height is the ultrametric distance of the pair (function `lowest_common_ancestor`).
        """
        return lowest_common_ancestor(self, pairs)

    def leaves(self, node: int) -> NDArray[np.int64]:
        """The leaves below `node`, ascending [sizes[node]], int64."""
        return leaves(self, node)

    def subtree(self, node: int) -> tuple[Tree, NDArray[np.int64]]:
        """The part below `node` as a tree over m leaves, and the id here of each of its nodes [2m − 1], int64."""
        return subtree(self, node)

    def condense(self, min_size: int, *, density: Literal["linear", "inverse"] = "linear") -> CondensedTree:
        """The clusters of at least `min_size` leaves, and the heights between which each of them lasts.

        Args:
            min_size: Leaves that a cluster needs, ≥ 1; with 1 every node is a cluster.
            density: The measure of stability: "linear", −height; or "inverse", 1 / height, as in HDBSCAN.
        """
        return condense(self, min_size, density=density)

    def flat(
        self,
        min_size: int,
        *,
        selection: Literal["stability", "leaf"] = "stability",
        density: Literal["linear", "inverse"] = "linear",
    ) -> NDArray[np.int64]:
        """Disjoint clusters, each at its own height: per leaf a node id, or −1 for none [n], int64.

        Args:
            min_size: Leaves that a cluster needs.
            selection: "stability" takes the clusters whose stabilities have the largest sum, "leaf" the smallest ones.
            density: The measure of stability, as for `condense`.
        """
        return flat(self, min_size, selection=selection, density=density)

    @classmethod
    def from_linkage(cls, matrix: ArrayLike) -> Tree:
        """Read a linkage matrix of SciPy.

        Args:
            matrix: [n − 1, 4], as `scipy.cluster.hierarchy.linkage` returns it: row i joins clusters `matrix[i, 0]`
                and `matrix[i, 1]` at distance `matrix[i, 2]` into cluster n + i of `matrix[i, 3]` leaves.

        Returns:
            A tree whose node ids are SciPy's, with the distances rounded to float32.

        Raises:
            ValueError: The matrix is not one; the text names the first row. This includes rows at a smaller distance
                than the clusters that they join, which centroid and median linkage can make.
            TypeError: It does not hold real numbers.

        >>> Tree.from_linkage([[0, 1, 0.25, 2], [2, 3, 0.75, 3]]).parents.tolist()
        [3, 3, 4, 4, 4]
        """
        return cls(*arrays_of_linkage(matrix))

    def to_linkage(self) -> NDArray[np.float64]:
        """SciPy's linkage matrix [n − 1, 4], float64, its rows ascending by (height, node id)."""
        return to_linkage(self)

    def to_networkx(self) -> networkx.DiGraph:
        """A directed graph with an edge from every parent to each child; nodes carry `height` and `size`."""
        return to_networkx(self)

    def plot(
        self,
        *,
        ax: Axes | None = None,
        min_size: int | None = None,
        labels: Mapping[int, str] | None = None,
    ) -> Axes:
        """Draw a dendrogram of the clusters of at least `min_size` leaves, and return its axes.

        Args:
            ax: Axes of matplotlib to draw into; those of a new figure if None.
            min_size: Leaves that a cluster needs; a thousandth of all, but at least 2, if None.
            labels: Names of nodes by id, for any of the clusters shown; ids if None, unless there are more than 40.

        Raises:
            BackendError: Matplotlib is not installed.
            ValueError: `min_size` is below 1.
        """
        return plot(self, ax=ax, min_size=min_size, labels=labels)


def check_tree(tree: Tree) -> None:
    """Check all promises of `Tree`, which the constructor does for every tree that was not made by this package.

    Raises:
        ValueError: The first promise that is broken.
    """
    check_tree_arrays(tree.parents, tree.heights, tree.sizes)
    if tree.surroundings is not None and tree.surroundings not in children(tree, len(tree.parents) - 1):
        raise ValueError(f"surroundings: expected a child of the root, got {tree.surroundings}")
