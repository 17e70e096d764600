"""Regions of a picture and the order in which they merge.

With a depth map, steps and creases of the surface are added to the contrast of a border, and what is only a change of
colour on a smooth surface (a print, a shadow) counts less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..extras import require
from .relief import ViewDepth

LIGHTNESS = 0.5  # weight of lightness against the two colour channels
COLOR_SHARE = 0.25  # weight of the difference of mean colours against the contrast along the border
SIZE_POWER = 0.3
NOTICEABLE = 1.0  # regions that differ less (Lab units) are never told apart
THIN = 1.5  # pixels; narrower regions are blurred borders
SMOOTH = 0.6  # weight of colours where the surface is smooth …
BROKEN = 8.0  # … which grows to 1 where relief contrasts this much (Lab units)
DEMOTED = 1e-6  # factor that puts merges that must come first before all others


@dataclass(frozen=True, eq=False)
class MergeTree:
    """Binary tree of merged regions.

    Attributes:
        labels: Fine region of each pixel [h, w], int64, the tree's leaves.
        parents: Parent of each node [2n - 1], children before parents; the root is its own.
        altitudes: Dissimilarity at which each node came to be [2n - 1], never falling towards the root; 0 for leaves
            and for merges that no cut undoes.
    """

    labels: np.ndarray
    parents: np.ndarray
    altitudes: np.ndarray

    @property
    def leaves(self) -> int:
        """Number of fine regions n."""
        return (len(self.parents) + 1) // 2

    def leaf_spans(self) -> tuple[np.ndarray, np.ndarray]:
        """For each node the range of leaf ranks [2n - 1] below it: first, and one past the last."""
        count = np.ones(len(self.parents), np.int64)
        count[self.leaves :] = 0
        for node, parent in enumerate(self.parents[:-1]):
            count[parent] += count[node]
        first = np.zeros(len(self.parents), np.int64)
        used = np.zeros(len(self.parents), np.int64)
        for node in range(len(self.parents) - 2, -1, -1):
            parent = self.parents[node]
            first[node] = first[parent] + used[parent]
            used[parent] += count[node]
        return first, first + count


def _lab(image: np.ndarray) -> np.ndarray:
    """Lab colours [h, w, 3], float32, with lightness weighted down."""
    import cv2

    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) * np.array([LIGHTNESS, 1, 1], np.float32)


def merge_tree(image: np.ndarray, fine_regions: int, least: float, depth: ViewDepth | None = None) -> MergeTree:
    """Fine regions of a picture and the order in which they merge.

    Args:
        image: Picture [h, w, 3], uint8 sRGB.
        fine_regions: Most regions to begin with.
        least: Least area of a thing, pixels.
        depth: Depth map of the same size.
    """
    import cv2

    hg = require("higra", "masks")
    shape = image.shape[:2]
    graph = hg.get_4_adjacency_graph(shape)
    if graph.num_edges() == 0:
        return MergeTree(np.zeros(shape, np.int64), np.zeros(1, np.int64), np.zeros(1))
    flattened = cv2.pyrMeanShiftFiltering(image, 8, 14, maxLevel=1) if min(shape) > 8 else image
    smooth = cv2.GaussianBlur(_lab(flattened), (0, 0), 0.7)
    color = hg.weight_graph(graph, smooth.reshape(-1, 3).astype(np.float64), hg.WeightFunction.L2)
    relief = np.zeros_like(color) if depth is None else _on_edges(graph, *depth.contrasts())
    share = np.ones_like(color) if depth is None else _color_weight(relief)
    watershed, altitudes = hg.watershed_hierarchy_by_area(graph, share * color + relief)
    fine = hg.labelisation_horizontal_cut_from_num_regions(watershed, altitudes, fine_regions, mode="at_most")
    regions = hg.make_region_adjacency_graph_from_labelisation(graph, fine)
    labels = np.asarray(hg.rag_back_project_vertex_weights(regions, np.arange(regions.num_vertices())))
    labels = labels.reshape(shape).astype(np.int64)
    if regions.num_vertices() == 1:
        return MergeTree(labels, np.zeros(1, np.int64), np.zeros(1))
    rule = _MergeRule(hg, regions, image, color, None if depth is None else relief, least)
    tree, heights = hg.binary_partition_tree(regions, rule.merged, rule.initial(*regions.edge_list()))
    parents = np.asarray(tree.parents(), np.int64)
    return MergeTree(labels, parents, _altitudes(parents, np.array(heights, np.float64)))


def _altitudes(parents: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Heights that are 0 for merges that no cut undoes, and never fall although a merge may make the next cheaper."""
    heights[heights < 1000 * DEMOTED] = 0  # differences stay below 1000, and size factors above 0.001
    for node in range(len(parents) - 1):
        heights[parents[node]] = max(heights[parents[node]], heights[node])
    return heights


def _on_edges(graph: Any, right: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Contrasts of pixels with their right and lower neighbours [h, w] in the order of the graph's edges."""
    sources, targets = (np.asarray(ends) for ends in graph.edge_list())
    first = np.minimum(sources, targets)
    horizontal = np.abs(targets - sources) == 1
    if right.shape[1] == 1:  # one column: the pixel below is the next one
        horizontal[:] = False
    return np.where(horizontal, right.ravel()[first], below.ravel()[first])


def _color_weight(relief: Any) -> Any:
    """How much colours count at borders of some contrast in relief."""
    return SMOOTH + (1 - SMOOTH) * np.minimum(relief / BROKEN, 1)


class _MergeRule:
    """Dissimilarity of neighbouring regions, kept up to date while they merge."""

    def __init__(
        self, hg: Any, regions: Any, image: np.ndarray, color: np.ndarray, relief: np.ndarray | None, least: float
    ) -> None:
        def on_regions(values: np.ndarray, how: Any) -> np.ndarray:
            return np.asarray(hg.rag_accumulate_on_vertices(regions, how, values))

        def on_borders(values: np.ndarray, how: Any) -> np.ndarray:
            return np.array(hg.rag_accumulate_on_edges(regions, how, values))  # new borders take indices of old ones

        mean, total = hg.Accumulators.mean, hg.Accumulators.sum
        areas, lengths = on_regions(np.ones(image.shape[:2]), total), on_borders(np.ones(len(color)), total)
        sources, targets = regions.edge_list()
        perimeters = np.bincount(sources, lengths, len(areas)) + np.bincount(targets, lengths, len(areas))
        later = len(areas) - 1  # regions that merging will add
        self.colors = np.pad(on_regions(_lab(image).astype(np.float64), mean), ((0, later), (0, 0)))
        self.areas, self.perimeters = np.pad(areas, (0, later)), np.pad(perimeters, (0, later))
        self.lengths, self.contrast = lengths, on_borders(color, mean)
        self.relief = None if relief is None else on_borders(relief, mean)
        self.total, self.least = float(areas.sum()), least

    def initial(self, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Dissimilarity along every edge [E] of the graph of fine regions."""
        return np.array([self._dissimilarity(a, b, e) for e, (a, b) in enumerate(zip(sources, targets, strict=True))])

    def merged(self, graph: Any, edge: int, region: int, first: int, second: int, neighbours: list[Any]) -> None:
        """Higra's callback: `region` takes the place of `first` and `second`."""
        area = self.areas[first] + self.areas[second]
        self.areas[region] = area
        self.perimeters[region] = self.perimeters[first] + self.perimeters[second] - 2 * self.lengths[edge]
        self.colors[region] = (self.areas[first] * self.colors[first] + self.areas[second] * self.colors[second]) / area
        for neighbour in neighbours:
            edges = [neighbour.first_edge_index()]
            if neighbour.num_edges() > 1:
                edges.append(neighbour.second_edge_index())
            new = neighbour.new_edge_index()
            lengths = self.lengths[edges]
            for values in (self.contrast,) if self.relief is None else (self.contrast, self.relief):
                values[new] = (lengths * values[edges]).sum() / lengths.sum()
            self.lengths[new] = lengths.sum()
            neighbour.set_new_edge_weight(self._dissimilarity(region, neighbour.neighbour_vertex(), new))

    def _dissimilarity(self, first: int, second: int, edge: int) -> float:
        color = self.colors[first] - self.colors[second]
        difference = float(self.contrast[edge] + COLOR_SHARE * np.sqrt(color @ color))
        if self.relief is not None:
            difference = float(_color_weight(self.relief[edge]) * difference + self.relief[edge])
        if difference < NOTICEABLE or self._negligible(first) or self._negligible(second):
            return difference * DEMOTED
        first_area, second_area = self.areas[first], self.areas[second]
        return difference * float((first_area * second_area / (first_area + second_area) / self.total) ** SIZE_POWER)

    def _negligible(self, region: int) -> bool:
        """Whether a region is too small or, as long strips are wide, too thin."""
        area = self.areas[region]
        return bool(area < self.least or 2 * area < THIN * self.perimeters[region])
