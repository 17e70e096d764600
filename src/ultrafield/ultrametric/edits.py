"""Corrections by hand: regions merged, nodes split and named, every step of which can be undone.

Edits are defined by ultrametric distances, so that the result is a merge tree again. Let d(x, y) be the height
at which leaves x and y come together.

- `merge([a, b])` moves b to a. Distances inside b and among the leaves outside b stay; a leaf of b is now at distance
  max(d(a, x), height(a), height(b)) from a leaf x outside b, d(a, x) being 0 for x in a. So a and b are one segment at
  every cut at which both are whole, and b has left the region it was part of.
- `split(node)` raises the node to its parent's height: its children stay apart until the parent takes them up, and no
  cut shows the node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..names import check_title
from .cuts import cut
from .nodes import child_nodes
from .tree import Tree

SURROUNDINGS = "surroundings"  # name of what is set apart until it is renamed


@dataclass(frozen=True)
class Operation:
    """One edit.

    Attributes:
        kind: "merge", "split" or "rename".
        nodes: Ids of the nodes it is about; for a merge the one that stays comes first.
        name: The new name, for "rename"; empty takes the name away.
    """

    kind: str
    nodes: tuple[int, ...]
    name: str = ""


class EditedTree:
    """A merge tree with a history of edits.

    Nodes keep their ids through every edit: those of the original tree, and ids from 2n - 1 on for regions that merges
    made. `tree` is a valid `Tree`, whose own numbering must have children before parents; `ids` translates it.

    >>> edited = EditedTree(Tree([4, 4, 5, 6, 5, 6, 6], [0, 0, 0, 0, 0.2, 0.4, 0.8], [1, 1, 1, 1, 2, 3, 4]))
    >>> edited.merge([3, 2])  # leaf 2 belongs to leaf 3
    7
    >>> edited.cut(0.5).tolist()
    [4, 4, 7, 7]
    >>> edited.undo()
    Operation(kind='merge', nodes=(3, 2), name='')
    >>> edited.cut(0.5).tolist()
    [5, 5, 5, 3]
    """

    def __init__(self, original: Tree) -> None:
        self.original = original
        self._operations: list[Operation] = []
        self._undone: list[Operation] = []
        self._children = child_nodes(original)
        self._state = _State(original, self._children)
        self._compiled: tuple[Tree, np.ndarray] | None = (original, np.arange(len(original.parents)))

    def __repr__(self) -> str:
        return f"EditedTree(leaves={self.original.num_leaves}, edits={len(self._operations)})"

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The edits in force, oldest first."""
        return tuple(self._operations)

    @property
    def undone(self) -> tuple[Operation, ...]:
        """The edits that `redo` would do again, the next one last."""
        return tuple(self._undone)

    @property
    def tree(self) -> Tree:
        """The tree after all edits; node i of it has the lasting id `ids[i]`."""
        return self._compile()[0]

    @property
    def ids(self) -> np.ndarray:
        """The lasting id of each node of `tree` [2n − 1], int64; leaves keep theirs."""
        return self._compile()[1]

    @property
    def names(self) -> dict[int, str]:
        """Names of nodes, by lasting id: those given, and "surroundings" for what is set apart from the start."""
        return dict(self._state.names)

    def cut(self, height: float) -> np.ndarray:
        """The segment of every leaf at `height`, as lasting ids [n], int64; see `tree.cut`."""
        tree, ids = self._compile()
        return ids[cut(tree, height)]

    def merge(self, nodes: Sequence[int]) -> int:
        """Join regions: the second and all further nodes move to the first, one after the other.

        Args:
            nodes: Lasting ids of two or more disjoint nodes.

        Returns:
            The lasting id of the region that holds them all. It can be larger than they are: where one of them is
            higher than regions around the first, it joins the largest of those that is whole by then.

        Raises:
            ValueError: Fewer than two nodes, one that does not exist, or one inside another. Nothing is changed then.
        """
        return self.apply(Operation("merge", tuple(int(node) for node in nodes)))

    def split(self, node: int) -> None:
        """Keep the node's children apart until its parent takes them up.

        Raises:
            ValueError: The node does not exist, is a leaf, or is the root. Nothing is changed then.
        """
        self.apply(Operation("split", (int(node),)))

    def rename(self, node: int, name: str) -> None:
        """Name a node; an empty name takes its name away.

        Raises:
            ValueError: The node does not exist.
            TypeError: The name is no text.
            ConfigError: It has more than one line, or is otherwise no name that can be shown and stored.
        """
        self.apply(Operation("rename", (int(node),), name))

    def undo(self) -> Operation:
        """Take the last edit back and return it.

        Raises:
            ValueError: There is nothing to undo.
        """
        if not self._operations:
            raise ValueError("undo: there is no edit to undo")
        operation = self._operations.pop()
        self._undone.append(operation)
        self._state = _State(self.original, self._children)
        for earlier in self._operations:
            self._state.apply(earlier)
        self._compiled = None
        return operation

    def redo(self) -> Operation:
        """Do again what was undone last and return it; a new edit in between leaves nothing to redo.

        Raises:
            ValueError: There is nothing to redo.
        """
        if not self._undone:
            raise ValueError("redo: there is no undone edit")
        operation = self._undone.pop()
        self._state.apply(operation)
        self._operations.append(operation)
        self._compiled = None
        return operation

    def apply(self, operation: Operation) -> int:
        """Do an edit, as `merge`, `split` and `rename` do; returns the id of the node that it is about.

        Raises:
            ValueError: The edit cannot be done. Nothing is changed then.
            TypeError: A name that is no text.
            ConfigError: A name that has more than one line, or is otherwise none that can be shown and stored.
        """
        if operation.kind == "rename":
            if not isinstance(operation.name, str):
                raise TypeError(f"name: expected text, empty for none, got {type(operation.name).__name__}")
            check_title(operation.name, "name")
        result = self._state.apply(operation)
        self._operations.append(operation)
        self._undone.clear()
        self._compiled = None
        return result

    def _compile(self) -> tuple[Tree, np.ndarray]:
        if self._compiled is None:
            self._compiled = self._state.compile()
        return self._compiled


def first_names(tree: Tree) -> dict[int, str]:
    """Names that nodes of a tree have before anybody gives them any, by id: "surroundings" for what is set apart."""
    return {} if tree.surroundings is None else {tree.surroundings: SURROUNDINGS}


class _State:
    """The nodes of an edited tree under their lasting ids: the original, and the differences that edits made."""

    def __init__(self, tree: Tree, children: np.ndarray) -> None:
        self._tree, self._old_children = tree, children
        self._parents: dict[int, int] = {}
        self._heights: dict[int, np.float32] = {}
        self._children: dict[int, tuple[int, int]] = {}
        self._gone: set[int] = set()
        self._root = len(tree.parents) - 1
        self._following = len(tree.parents)
        self.names = first_names(tree)

    def apply(self, operation: Operation) -> int:
        """Do one edit, all of it or, if it raises, nothing; returns the node it is about."""
        nodes = operation.nodes
        if operation.kind not in ("merge", "split", "rename"):
            raise ValueError(f"operation: expected a merge, a split or a rename, got {operation.kind!r}")
        if operation.kind != "merge" and len(nodes) != 1:
            raise ValueError(f"{operation.kind}: expected one node, got {list(nodes)}")
        for node in nodes:
            if not 0 <= node < self._following or node in self._gone:
                raise ValueError(f"{operation.kind}: there is no node {node}")
        if operation.kind == "merge":
            return self._merge(nodes)
        if operation.kind == "split":
            return self._split(nodes[0])
        return self._rename(nodes[0], operation.name)

    def compile(self) -> tuple[Tree, np.ndarray]:
        """The edited tree and the lasting ids of its nodes."""
        from .kernels.tree_cpu import leaf_counts, renumber

        tree, added = self._tree, self._following - len(self._tree.parents)
        parents = np.concatenate([tree.parents, np.zeros(added, np.int64)])
        heights = np.concatenate([tree.heights, np.zeros(added, np.float32)])
        alive = np.ones(self._following, bool)
        parents[list(self._parents)] = list(self._parents.values())
        heights[list(self._heights)] = list(self._heights.values())
        alive[list(self._gone)] = False
        parents, heights, ids = renumber(parents, heights, alive, tree.num_leaves, len(tree.parents))
        apart = np.flatnonzero(ids == tree.surroundings) if tree.surroundings is not None else ids[:0]
        surroundings = int(apart[0]) if len(apart) and parents[apart[0]] == len(parents) - 1 else None
        return Tree._trusted(parents, heights, leaf_counts(parents, tree.num_leaves), surroundings), ids

    def _rename(self, node: int, name: str) -> int:
        self.names.pop(node, None)
        if name:
            self.names[node] = name
        return node

    def _split(self, node: int) -> int:
        if node < self._tree.num_leaves:
            raise ValueError(f"split: node {node} is a leaf")
        if node == self._root:
            raise ValueError(f"split: node {node} is the root; nothing lies above it")
        self._heights[node] = self._height(self._parent(node))
        return node

    def _merge(self, nodes: tuple[int, ...]) -> int:
        chosen = set(nodes)
        if len(nodes) < 2 or len(chosen) < len(nodes):
            raise ValueError(f"merge: expected at least two different nodes, got {list(nodes)}")
        for node in nodes:
            for above in self._above(node):
                if above in chosen:
                    raise ValueError(f"merge: node {node} lies inside node {above}")
        whole = nodes[0]
        for node in nodes[1:]:
            if whole not in self._above(node):  # a high node before this one may have joined what holds both
                whole = self._move(node, whole)
        return whole

    def _move(self, moved: int, place: int) -> int:
        """Take `moved` out of the tree and put it beside `place`, or beside what is whole there at its height."""
        height = max(self._height(place), self._height(moved))
        # The common ancestor is at least as high as both, so that this ends below it.
        while self._height(self._parent(place)) < height:
            place = self._parent(place)
        former = self._parent(moved)
        first, second = self._child_pair(former)
        sibling = second if first == moved else first
        if sibling == place:
            self._heights[former] = height
            return former
        self._replace(former, sibling)
        self._gone.add(former)
        self.names.pop(former, None)
        joint, self._following = self._following, self._following + 1
        self._replace(place, joint)
        self._children[joint] = (place, moved)
        self._parents[place] = self._parents[moved] = joint
        self._heights[joint] = height
        return joint

    def _replace(self, old: int, new: int) -> None:
        """Put `new` where `old` is in the tree."""
        if old == self._root:
            self._root = self._parents[new] = new
            return
        above = self._parent(old)
        first, second = self._child_pair(above)
        self._children[above] = (new, second) if first == old else (first, new)
        self._parents[new] = above

    def _above(self, node: int) -> Iterator[int]:
        while node != self._root:
            node = self._parent(node)
            yield node

    def _parent(self, node: int) -> int:
        return self._parents[node] if node in self._parents else int(self._tree.parents[node])

    def _height(self, node: int) -> np.float32:
        return self._heights[node] if node in self._heights else self._tree.heights[node]

    def _child_pair(self, node: int) -> tuple[int, int]:
        if node in self._children:
            return self._children[node]
        first, second = self._old_children[node - self._tree.num_leaves].tolist()
        return first, second
