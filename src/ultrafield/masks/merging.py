"""Regions of a picture and the order in which they merge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..extras import require

LIGHTNESS = 0.5  # weight of lightness against the two colour channels
COLOR_SHARE = 0.25  # weight of the difference of mean colours against the contrast along the border
SIZE_POWER = 0.3
NOTICEABLE = 1.0  # regions that differ less (Lab units) are never told apart
THIN = 1.5  # pixels; narrower regions are blurred borders
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


def merge_tree(image: np.ndarray, fine_regions: int, least: float) -> MergeTree:
    """Fine regions of a picture and the order in which they merge; `least` is the least area, pixels."""
    import cv2

    hg = require("higra", "masks")
    shape = image.shape[:2]
    flattened = cv2.pyrMeanShiftFiltering(image, 8, 14, maxLevel=1) if min(shape) > 8 else image
    smooth = cv2.GaussianBlur(_lab(flattened), (0, 0), 0.7)
    graph = hg.get_4_adjacency_graph(shape)
    if graph.num_edges() == 0:
        return MergeTree(np.zeros(shape, np.int64), np.zeros(1, np.int64), np.zeros(1))
    gradient = hg.weight_graph(graph, smooth.reshape(-1, 3).astype(np.float64), hg.WeightFunction.L2)
    watershed, altitudes = hg.watershed_hierarchy_by_area(graph, gradient)
    fine = hg.labelisation_horizontal_cut_from_num_regions(watershed, altitudes, fine_regions, mode="at_most")
    regions = hg.make_region_adjacency_graph_from_labelisation(graph, fine)
    leaves = np.arange(regions.num_vertices())
    labels = np.asarray(hg.rag_back_project_vertex_weights(regions, leaves)).reshape(shape).astype(np.int64)
    if len(leaves) == 1:
        return MergeTree(labels, np.zeros(1, np.int64), np.zeros(1))
    colors = hg.rag_accumulate_on_vertices(regions, hg.Accumulators.mean, _lab(image).astype(np.float64))
    areas = hg.rag_accumulate_on_vertices(regions, hg.Accumulators.sum, np.ones(shape))
    lengths = hg.rag_accumulate_on_edges(regions, hg.Accumulators.sum, np.ones(len(gradient)))
    contrast = hg.rag_accumulate_on_edges(regions, hg.Accumulators.mean, gradient)
    sources, targets = regions.edge_list()
    perimeters = np.bincount(sources, lengths, len(areas)) + np.bincount(targets, lengths, len(areas))
    rule = _MergeRule(colors, areas, perimeters, lengths, contrast, least)
    tree, heights = hg.binary_partition_tree(regions, rule.merged, rule.initial(sources, targets))
    parents = np.asarray(tree.parents(), np.int64)
    heights = np.array(heights, np.float64)
    heights[heights < 1000 * DEMOTED] = 0  # Lab differences stay below 1000, and size factors above 0.001
    for node in range(len(parents) - 1):  # a merge may make the next one cheaper; altitudes must not fall
        heights[parents[node]] = max(heights[parents[node]], heights[node])
    return MergeTree(labels, parents, heights)


class _MergeRule:
    """Dissimilarity of neighbouring regions, kept up to date while they merge."""

    def __init__(
        self,
        colors: np.ndarray,
        areas: np.ndarray,
        perimeters: np.ndarray,
        lengths: np.ndarray,
        contrast: np.ndarray,
        least: float,
    ) -> None:
        later = len(areas) - 1  # regions that merging will add
        self.colors = np.pad(colors, ((0, later), (0, 0)))
        self.areas = np.pad(areas, (0, later))
        self.perimeters = np.pad(perimeters, (0, later))
        self.lengths = lengths.copy()  # higra gives new borders the indices of the ones they replace
        self.contrast = contrast.copy()
        self.total = float(areas.sum())
        self.least = least

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
            length = self.lengths[edges].sum()
            contrast = (self.lengths[edges] * self.contrast[edges]).sum() / length
            self.lengths[new], self.contrast[new] = length, contrast
            neighbour.set_new_edge_weight(self._dissimilarity(region, neighbour.neighbour_vertex(), new))

    def _dissimilarity(self, first: int, second: int, edge: int) -> float:
        color = self.colors[first] - self.colors[second]
        difference = self.contrast[edge] + COLOR_SHARE * float(np.sqrt(color @ color))
        if difference < NOTICEABLE or self._negligible(first) or self._negligible(second):
            return difference * DEMOTED
        first_area, second_area = self.areas[first], self.areas[second]
        return difference * float((first_area * second_area / (first_area + second_area) / self.total) ** SIZE_POWER)

    def _negligible(self, region: int) -> bool:
        """Whether a region is too small or, as long strips are wide, too thin."""
        area = self.areas[region]
        return bool(area < self.least or 2 * area < THIN * self.perimeters[region])
