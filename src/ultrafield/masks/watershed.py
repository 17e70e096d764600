"""Nested masks of a single photo without any weights: a hierarchical watershed and region merging.

1. Mean-shift filtering flattens texture (fur, wallpaper); the gradient is taken between neighbouring pixels in Lab,
   with lightness at half weight because a shadow is not an object.
2. A hierarchical watershed by area (Cousty and Najman 2011) on that gradient gives a few hundred fine regions.
3. These are merged, least dissimilar pair first. Two regions are as dissimilar as the mean gradient along their common
   border plus a share of the difference of their mean colours, times a weak power of their size. What is too small or
   too thin to be a thing, and pairs that differ by less than the eye would notice, go first. On photos this keeps to
   objects where watersheds by area, volume or dynamics alone follow the illumination or spend their regions on specks,
   and because every term is a mean over many pixels the same regions come back in neighbouring views.
4. The merge tree is cut at several numbers of regions. Every region of every cut is a mask, so any two masks are nested
   or disjoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cameras.pixels import resize_nearest
from ..extras import require

LIGHTNESS = 0.5  # weight of lightness against the two colour channels
COLOR_SHARE = 0.25  # weight of the difference of mean colours against the contrast along the border
SIZE_POWER = 0.3
NOTICEABLE = 1.0  # regions that differ less (Lab units) are never told apart
THIN = 1.5  # pixels; narrower regions are blurred borders
DEMOTED = 1e-6  # factor that puts merges that must come first before all others
SAME_IOU = 0.9  # masks that overlap more are one
METHOD = "watershed-1"  # to be renamed when the same picture gives other masks
_BYTES_FIXED, _BYTES_PER_PIXEL = 100_000_000, 30


def watershed_masks(
    image: np.ndarray,
    *,
    min_area_fraction: float = 0.0015,
    max_masks: int = 96,
    levels: Sequence[int] = (3, 6, 12, 24, 48),
    fine_regions: int = 500,
    working_pixels: int = 150_000,
) -> np.ndarray:
    """Segment one picture into a nested family of masks.

    Args:
        image: Picture [H, W, 3], uint8 sRGB.
        min_area_fraction: Least area of a mask as a fraction of the picture.
        max_masks: Most masks to return; the coarsest cuts come first.
        levels: Numbers of regions to cut the hierarchy into, in any order.
        fine_regions: Regions of the watershed that merging starts from.
        working_pixels: Larger pictures are segmented at about this many pixels.

    Returns:
        Masks [M, H, W], bool, coarse to fine, none empty; any two are nested or disjoint, and no two overlap by an IoU
        above 0.9. A picture of one colour gives a single mask of everything.

    Raises:
        ValueError: Wrong shape or dtype, or an option out of range.
        BackendError: Higra is not installed (extra `masks`).
    """
    return watershed_cut(
        image,
        min_area_fraction=min_area_fraction,
        max_masks=max_masks,
        levels=levels,
        fine_regions=fine_regions,
        working_pixels=working_pixels,
    ).masks()


@dataclass(frozen=True, eq=False)
class NestedMasks:
    """Nested masks of one picture, each made when it is asked for.

    Attributes:
        ranks: Each pixel's region [H, W], int32, numbered so that those of every mask are contiguous.
        first: First region of each mask [M], int64.
        last: One past its last region [M], int64.
    """

    ranks: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, index: int) -> np.ndarray:
        """Mask `index` as [H, W] bool."""
        return np.asarray((self.ranks >= self.first[index]) & (self.ranks < self.last[index]))

    def masks(self) -> np.ndarray:
        """All masks as [M, H, W] bool."""
        return np.stack([self[index] for index in range(len(self))])


def watershed_cut(
    image: np.ndarray,
    *,
    min_area_fraction: float = 0.0015,
    max_masks: int = 96,
    levels: Sequence[int] = (3, 6, 12, 24, 48),
    fine_regions: int = 500,
    working_pixels: int = 150_000,
) -> NestedMasks:
    """The masks of `watershed_masks`, arguments and errors as there, without holding all of them in memory."""
    _check(image, min_area_fraction, max_masks, levels)
    height, width = image.shape[:2]
    small = _reduced(image, working_pixels)
    least = max(min_area_fraction * small.shape[0] * small.shape[1], 1.0)
    tree = _merge_tree(small, fine_regions, least)
    first, last = tree.leaf_spans()
    # Each pixel's leaf in an order in which every node's leaves are contiguous.
    ranks = resize_nearest(first[tree.labels].astype(np.int32), (height, width))
    counts = np.concatenate([[0], np.cumsum(np.bincount(ranks.ravel(), minlength=tree.leaves))])
    areas = counts[last] - counts[first]  # pixels of every node in the full picture
    chosen = _choose(tree, areas, levels, min_area_fraction * height * width)[:max_masks]
    return NestedMasks(ranks, first[chosen], last[chosen])


def cut_bytes(image: np.ndarray) -> int:
    """Working memory of `watershed_cut` and of writing its masks, bytes: about what was measured, rounded up."""
    height, width = image.shape[:2]
    return _BYTES_FIXED + _BYTES_PER_PIXEL * height * width


@dataclass(frozen=True, eq=False)
class _MergeTree:
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


def _check(image: np.ndarray, min_area_fraction: float, max_masks: int, levels: Sequence[int]) -> None:
    """Raise `ValueError` for arguments that cannot be used."""
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"image: expected shape [H, W, 3], got {list(image.shape)}")
    if image.dtype != np.uint8:
        raise ValueError(f"image: expected uint8, got {image.dtype}")
    if not 0 <= min_area_fraction < 1:
        raise ValueError(f"min_area_fraction: expected 0 to below 1, got {min_area_fraction}")
    if max_masks < 1:
        raise ValueError(f"max_masks: expected at least 1, got {max_masks}")
    if not levels or min(levels) < 1:
        raise ValueError(f"levels: expected positive numbers of regions, got {list(levels)}")


def _reduced(image: np.ndarray, pixels: int) -> np.ndarray:
    """The picture at no more than about `pixels` pixels."""
    import cv2

    factor = np.sqrt(pixels / (image.shape[0] * image.shape[1]))
    if factor >= 1:
        return np.ascontiguousarray(image)
    size = tuple(max(round(factor * edge), 1) for edge in (image.shape[1], image.shape[0]))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _lab(image: np.ndarray) -> np.ndarray:
    """Lab colours [h, w, 3], float32, with lightness weighted down."""
    import cv2

    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) * np.array([LIGHTNESS, 1, 1], np.float32)


def _merge_tree(image: np.ndarray, fine_regions: int, least: float) -> _MergeTree:
    """Fine regions of a picture and the order in which they merge; `least` is the least area, pixels."""
    import cv2

    hg = require("higra", "masks")
    shape = image.shape[:2]
    flattened = cv2.pyrMeanShiftFiltering(image, 8, 14, maxLevel=1) if min(shape) > 8 else image
    smooth = cv2.GaussianBlur(_lab(flattened), (0, 0), 0.7)
    graph = hg.get_4_adjacency_graph(shape)
    if graph.num_edges() == 0:
        return _MergeTree(np.zeros(shape, np.int64), np.zeros(1, np.int64), np.zeros(1))
    gradient = hg.weight_graph(graph, smooth.reshape(-1, 3).astype(np.float64), hg.WeightFunction.L2)
    watershed, altitudes = hg.watershed_hierarchy_by_area(graph, gradient)
    fine = hg.labelisation_horizontal_cut_from_num_regions(watershed, altitudes, fine_regions, mode="at_most")
    regions = hg.make_region_adjacency_graph_from_labelisation(graph, fine)
    leaves = np.arange(regions.num_vertices())
    labels = np.asarray(hg.rag_back_project_vertex_weights(regions, leaves)).reshape(shape).astype(np.int64)
    if len(leaves) == 1:
        return _MergeTree(labels, np.zeros(1, np.int64), np.zeros(1))
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
    return _MergeTree(labels, parents, heights)


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


def _choose(tree: _MergeTree, areas: np.ndarray, levels: Sequence[int], least: float) -> np.ndarray:
    """Nodes that become masks [M], coarse to fine: the regions of every cut, without small ones and near-duplicates."""
    root = len(tree.parents) - 1
    merges = np.arange(tree.leaves, root + 1)
    merges = merges[tree.altitudes[merges] > 0]
    merges = merges[np.lexsort((merges, tree.altitudes[merges]))][::-1]  # the last merge first
    chosen: dict[int, None] = {}
    for count in sorted(levels):
        opened = np.zeros(root + 1, bool)
        opened[merges[: count - 1]] = True
        regions = np.flatnonzero(~opened & opened[tree.parents]).tolist() or [root]
        for node in sorted(regions, key=lambda node: -int(areas[node])):
            if areas[node] >= least and not _repeats(node, chosen, tree.parents, areas):
                chosen[node] = None
    return np.array(list(chosen) or [root], np.int64)


def _repeats(node: int, chosen: dict[int, None], parents: np.ndarray, areas: np.ndarray) -> bool:
    """Whether a node is nearly the same as the nearest chosen one above it; the IoU is the ratio of their areas."""
    above = node
    while above not in chosen:
        if parents[above] == above:
            return False
        above = int(parents[above])
    return bool(areas[node] > SAME_IOU * areas[above])
