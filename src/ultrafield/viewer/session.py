"""What is shown and selected, and what the user does to it; no window is needed.

Nodes have their lasting ids everywhere outside: a node keeps its id at every cut, after every edit and in every file.
What cannot be done raises `ViewError`, whose text is for the user; nothing has changed then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..export.colors import node_colors
from ..names import check_title
from ..pipeline.segmentation import Segmentation
from ..ultrametric import EditedTree, Operation, Tree, levels, mixed_cut, open_node
from ..ultrametric.nodes import ancestors
from .cutting import LeafRuns, is_partition, made_whole
from .failure import ViewError
from .hierarchy import Hierarchy
from .scale import HeightScale
from .steps import Steps

_LONGEST_SPLIT = 20_000  # edits that one split by hand may take


class Session:
    """A surface with its tree: a cut, a selection, what is hidden, and edits.

    Args:
        segmentation: N points and the tree over them.
        edits: The tree with the edits in force, to which more are added; those of the segmentation if None.
        min_size: Points that a segment needs to be a step or a row; None takes a thousandth of all, but at least 2.

    Attributes:
        surface: The points.
        edits: The tree and its edits.
        levels: Heights of the automatic levels [L], ascending.
        scale: The granularity slider.
        hierarchy: Segments worth a step.
        colors: Colour of every node of the edited tree [2N − 1, 3], uint8.
        leaf_runs: The points of every node of the edited tree.
        height: Where the tree is cut.
        selected: Selected nodes; the first one is what names, boxes and steps are about.
        hidden: Nodes that are hidden.
        isolated: Nodes of which nothing else is shown; empty if everything is.
        structure: Number of times that the tree was read, so that others see when nodes have changed.
        naming: Number of times that names were read.
        cuts: Number of times that the cut changed.
    """

    def __init__(
        self, segmentation: Segmentation, edits: EditedTree | None = None, *, min_size: int | None = None
    ) -> None:
        self.surface, self._opened, self._min_size = segmentation.surface, segmentation, min_size
        self.edits = edits or segmentation.edits or EditedTree(segmentation.tree)
        self._steps = Steps(self.edits)
        self.selected: tuple[int, ...] = ()
        self.hidden: tuple[int, ...] = ()
        self.isolated: tuple[int, ...] = ()
        self._partition: np.ndarray | None = None  # segments of a mixed cut, lasting ids; None for a plain cut
        self._labels: np.ndarray | None = None
        self._segments: tuple[tuple[int, int], np.ndarray] | None = None  # and which cut they are those of
        self._visible: np.ndarray | None = None
        self._anchor = -1  # the leaf that descending leads to
        self._trail: list[int] = []  # nodes from which the selection climbed
        self.structure = self.naming = self.cuts = 0
        self._read_tree()
        self.height = float(self.levels[len(self.levels) // 2]) if len(self.levels) else 0.0

    # The tree

    @property
    def tree(self) -> Tree:
        """The tree after all edits."""
        return self.edits.tree

    @property
    def ids(self) -> np.ndarray:
        """Lasting id of each node of `tree`."""
        return self.edits.ids

    @property
    def segmentation(self) -> Segmentation:
        """The segmentation with all edits, as exports take it."""
        edits = self.edits if self.edits.operations else None
        return replace(self._opened, tree=self.tree, levels=self.levels, edits=edits)

    def copied(self) -> Session:
        """The same tree for another thread: what is edited here later does not change it."""
        edits = EditedTree(self.edits.original)
        for operation in self.edits.operations:
            edits.apply(operation)
        copy = object.__new__(Session)
        copy.__dict__.update(self.__dict__)
        copy.edits = edits
        return copy

    def node(self, lasting: int) -> int:
        """The place in `tree` of a lasting id.

        Raises:
            ViewError: There is no such node.
        """
        place = int(self._places[lasting]) if 0 <= lasting < len(self._places) else -1
        if place < 0:
            raise ViewError(f"there is no segment {lasting}")
        return place

    def exists(self, lasting: int) -> bool:
        """Whether a node of this lasting id is in the tree."""
        return 0 <= lasting < len(self._places) and bool(self._places[lasting] >= 0)

    def title(self, lasting: int) -> str:
        """The name of a node, or a description where it has none."""
        return self.edits.names.get(lasting, "") or f"segment {lasting}"

    def _read_tree(self) -> None:
        self.structure += 1
        self.levels = levels(self.tree)
        self.scale = HeightScale.of(self.tree, self.levels)
        self.colors = node_colors(self.tree)
        self.leaf_runs = LeafRuns(self.tree)
        self._places = np.full(int(self.ids.max()) + 1, -1, np.int64)
        self._places[self.ids] = np.arange(len(self.ids))
        self._read_names()

    def _read_names(self) -> None:
        self.naming += 1
        named = [int(self._places[node]) for node in self.edits.names if self.exists(node)]
        self.hierarchy = Hierarchy(self.tree, self._min_size, named)

    # The cut

    @property
    def labels(self) -> np.ndarray:
        """Segment of every point as shown: nodes of `tree` [N], int64."""
        if self._labels is None:
            if self._partition is None:
                self._labels = self.tree.cut(self.height)
            else:
                self._labels = mixed_cut(self.tree, self._places[self._partition])
        return self._labels

    @property
    def segments_along(self) -> np.ndarray:
        """The nodes of `tree` that are shown as segments [K], in the order of `leaf_runs`."""
        key = (self.structure, self.cuts)
        if self._segments is None or self._segments[0] != key:
            if self._partition is None:
                self._segments = (key, self.leaf_runs.segments(self.height))
            else:
                self._segments = (key, self.leaf_runs.in_order(self._places[self._partition]))
        return self._segments[1]

    @property
    def segments(self) -> np.ndarray:
        """The nodes of `tree` that are shown as segments [K], ascending."""
        return np.sort(self.segments_along)

    def segment_of(self, leaf: int) -> int:
        """The node of `tree` that is shown as the segment of a point."""
        if self._partition is None:
            return self.leaf_runs.segment_of(leaf, self.height)
        return int(self.labels[leaf])

    @property
    def is_mixed(self) -> bool:
        """Whether some segments were opened or closed by hand."""
        return self._partition is not None

    def cut(self, height: float) -> None:
        """Cut the tree at a height; segments opened or closed by hand follow it again."""
        if not height >= 0:
            raise ViewError(f"expected a height of at least 0, got {height}")
        self.height, self._partition, self._labels = float(height), None, None
        self.cuts += 1

    def open(self) -> None:
        """Show the selected node in parts, whatever the cut says."""
        node = self.node(self._primary("open"))
        height = self.hierarchy.opening_height(node)
        if height is None:
            raise ViewError(f"{self.title(self.selected[0])} has no parts of {self.hierarchy.min_size} points")
        nodes = made_whole(self.tree, self.segments, node)
        self._set_partition(open_node(self.tree, nodes, node, height=height))

    def close(self) -> None:
        """Show the selected node as one segment, whatever the cut says."""
        node = self.node(self._primary("close"))
        self._set_partition(made_whole(self.tree, self.segments, node))

    def _set_partition(self, nodes: np.ndarray) -> None:
        self._partition, self._labels = self.ids[nodes], None
        self.cuts += 1

    # The selection

    def click(self, leaf: int, *, add: bool = False) -> None:
        """Select the shown segment of a point; nothing for −1.

        Args:
            leaf: The point.
            add: Whether what was selected stays selected; a selected segment is given up then.
        """
        if leaf < 0:
            if not add:
                self.deselect()
            return
        self.select(int(self.ids[self.segment_of(leaf)]), add=add)
        self._anchor = leaf

    def select(self, lasting: int, *, add: bool = False) -> None:
        """Select a node, beside or in place of what was selected."""
        self.node(lasting)
        if add and lasting in self.selected:
            self.selected = tuple(other for other in self.selected if other != lasting)
        else:
            self.selected = (*self.selected, lasting) if add else (lasting,)
        self._anchor, self._trail = -1, []

    def deselect(self) -> None:
        """Select nothing."""
        self.selected, self._trail, self._anchor = (), [], -1

    def climb(self) -> None:
        """Select the next larger segment around the first selected one."""
        lasting = self._primary("climb from")
        above = self.hierarchy.above(self.node(lasting))
        if above is None:
            raise ViewError("this is everything; nothing lies above it")
        self._trail.append(lasting)
        self.selected = (int(self.ids[above]),)

    def descend(self) -> None:
        """Select what it climbed from, or else the next smaller segment that holds the point clicked."""
        node = self.node(self._primary("descend from"))
        if self._trail:
            self.selected = (self._trail.pop(),)
            return
        if self._anchor < 0 or not self._holds(node, self._anchor):
            self._anchor = self.hierarchy.anchor(node)
        below = self.hierarchy.below(node, self._anchor)
        if below is None:
            raise ViewError(f"no part of {self.title(self.selected[0])} here has {self.hierarchy.min_size} points")
        self.selected = (int(self.ids[below]),)

    def _holds(self, node: int, leaf: int) -> bool:
        return leaf == node or bool((ancestors(self.tree, leaf) == node).any())

    def _primary(self, what: str) -> int:
        if not self.selected:
            raise ViewError(f"nothing is selected to {what}; click a point first")
        return self.selected[0]

    def leaves_of(self, lasting: tuple[int, ...]) -> np.ndarray:
        """Which points lie in one of some nodes [N], bool."""
        return self.leaf_runs.inside([self.node(node) for node in lasting])

    def leaves(self, lasting: int) -> np.ndarray:
        """The points of a node [M], int64, in no order; `ViewError` if there is no such node."""
        return self.leaf_runs.leaves(self.node(lasting))

    # What is there

    @property
    def visible(self) -> np.ndarray:
        """Which points are shown [N], bool."""
        if self._visible is None:
            shown = self.leaves_of(self.isolated) if self.isolated else np.ones(self.tree.num_leaves, bool)
            self._visible = shown & ~self.leaves_of(self.hidden)
        return self._visible

    def hide(self) -> None:
        """Hide what is selected."""
        self._primary("hide")
        self.hidden, self._visible = tuple(dict.fromkeys((*self.hidden, *self.selected))), None
        self.deselect()

    def isolate(self) -> None:
        """Show what is selected and nothing else."""
        self._primary("isolate")
        self.isolated, self.hidden, self._visible = self.selected, (), None

    def show_all(self) -> None:
        """Show everything again."""
        self.isolated, self.hidden, self._visible = (), (), None

    # Edits

    def rename(self, name: str) -> None:
        """Name the first selected node; an empty name takes its name away."""
        lasting, text = self._primary("name"), name.strip()
        check_title(text, "name", ViewError)
        if text != self.edits.names.get(lasting, ""):
            self._edit(lambda: self.edits.rename(lasting, text), structure=False)

    def merge(self) -> None:
        """Make one segment of all that are selected: all further ones move to the first."""
        if len(self.selected) < 2:
            raise ViewError("select two segments or more to merge them: hold Shift and click")
        merged: list[int] = []
        self._edit(lambda: merged.append(self.edits.merge(self.selected)))
        self.select(merged[0])

    def split(self) -> None:
        """Keep the parts of the first selected node apart until something larger takes them up."""
        lasting = self._primary("split")
        chain = self.hierarchy.growth(self.node(lasting))
        if not chain:
            raise ViewError(f"{self.title(lasting)} has no parts of {self.hierarchy.min_size} points")
        if chain[0] == len(self.tree.parents) - 1:
            raise ViewError("this is everything; nothing lies above it that could take up its parts")
        if len(chain) > _LONGEST_SPLIT:
            raise ViewError(f"{self.title(lasting)} grew in {len(chain)} steps, too many to be split by hand")
        nodes = [int(self.ids[node]) for node in chain]
        self._edit(lambda: [self.edits.apply(Operation("split", (node,))) for node in nodes], edits=len(nodes))
        self.deselect()

    def undo(self) -> str:
        """Take the last edit back; returns its kind."""
        return self._moved(self._steps.undo())

    def redo(self) -> str:
        """Do again what was undone last; returns its kind."""
        return self._moved(self._steps.redo())

    def _moved(self, kind: str) -> str:
        self._follow(kind != "rename")
        return kind

    def _edit(self, action: Callable[[], object], *, structure: bool = True, edits: int = 1) -> None:
        self._steps.do(action, edits)
        self._follow(structure)

    def _follow(self, structure: bool) -> None:
        """Take up what edits changed; ids of nodes that are gone are forgotten."""
        if not structure:
            self._read_names()
            return
        self._read_tree()
        self._labels = self._visible = None
        for name in ("selected", "hidden", "isolated"):
            setattr(self, name, tuple(node for node in getattr(self, name) if self.exists(node)))
        self._trail = [node for node in self._trail if self.exists(node)]
        if self._partition is not None:
            kept = np.array([node for node in self._partition.tolist() if self.exists(node)], np.int64)
            self._partition = kept if is_partition(self.tree, self._places[kept]) else None
