"""How far a segmentation agrees with its masks, with itself from view to view, and with being a hierarchy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras, RenderedView
from ..cameras.pixels import resize_nearest
from ..cameras.projection import back_project, pixel_indices, project
from ..labels.stack import LabelStack, distinct_pairs
from ..lift.codes import point_codes
from ..masks import MaskSet
from ..parallel import in_threads, workers_for
from ..scene import Scene
from ..surface import Surface, cameras_of
from ..ultrametric import Tree

_MIN_POINTS = 20  # masks with fewer surface points say little about a tree of them
_ON_SURFACE = 0.5  # part of a mask's pixels that must show a surface; others are masks of the background
_OVERLAP = 0.1  # part of the smaller mask that two masks must share, and not share, to count as crossing
_MOST_VIEWS = 8  # of each split whose label maps are looked at
_SAME_PLACE = 3.0  # voxels between what two views show at the same place
_BYTES_PER_PIXEL, _BYTES_PER_POINT = 60, 150  # working memory of a view


@dataclass(frozen=True)
class MaskAgreement:
    """How well the tree explains the masks it was made from.

    A mask's best IoU is that with any node of the tree, over the surface points that the mask's own view sees. Masks of
    the background and masks with fewer than 20 points are left out.

    Attributes:
        best: Best IoU of every mask with any node [M], float64.
        best_level: Best IoU with a segment of an automatic level [M], float64.
        overlapping: Pairs of masks of one view that share more than a tenth of the smaller one.
        crossing: Those among them that also share less than nine tenths of it: they contradict each other, as no
            hierarchy holds both.
        views: How many training views the masks are from.
    """

    best: np.ndarray
    best_level: np.ndarray
    overlapping: int
    crossing: int
    views: int


@dataclass(frozen=True)
class ViewAgreement:
    """How well neighbouring training views agree on what both show, by the run's own depth.

    Attributes:
        same: Part of the pixels of one view, labelled there and showing what the other view sees too, that have the
            same id in both, at every automatic level [L], float64; NaN without such pixels.
        iou: Mean over these pixels of the IoU of the segment with the same id in the other view [L], float64.
        pairs: How many pairs of views were compared.
    """

    same: np.ndarray
    iou: np.ndarray
    pairs: int


@dataclass(frozen=True)
class Nesting:
    """Whether every cut refines the next coarser one.

    Attributes:
        cuts: How many cuts were checked.
        broken: Segments of a finer cut that do not lie in one segment of the next; 0 in any sound tree.
        pixels: Part of the labelled pixels whose label at a level does not lie in that at the next one. A pixel takes
            the majority of the points around it at each cut by itself, which along borders need not be nested.
    """

    cuts: int
    broken: int
    pixels: float


def mask_agreement(
    surface: Surface,
    tree: Tree,
    table: list[np.ndarray],
    scene: Scene,
    rendered: Callable[[str, int], RenderedView],
) -> tuple[MaskAgreement | None, float]:
    """Best IoU of every mask of the training views with a node of the tree.

    Args:
        surface: N points.
        tree: A merge tree over them.
        table: Segment of every point at every level, [N] each.
        scene: The scene.
        rendered: What the field shows in a view of a split.

    Returns:
        The agreement, None if no training view has masks; and the part of the points that no mask holds.
    """
    shown = np.zeros(len(tree.parents), bool)
    for column in table:
        shown[column] = True
    cameras = cameras_of(surface, scene)

    def agree(index: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int], np.ndarray]:
        """As `_of_view`, and which points some mask holds [N], bool."""
        masks = scene.train.views[index].masks
        codes, seen = point_codes(surface, cameras, index, masks)
        codes = _first_bits(codes, len(masks))
        counted = _on_surface(masks, rendered("train", index).depth)
        return *_of_view(tree, codes[seen], seen, shown, counted), codes.any(axis=1)

    views = [index for index, view in enumerate(scene.train) if view.masks is not None and len(view.masks) > 0]
    if not views:
        return None, 1.0
    parts, touched = [], np.zeros(len(surface), bool)
    for *part, held in in_threads(agree, views, workers=workers_for(_BYTES_PER_POINT * len(surface))):
        parts.append(part)
        touched |= held
    best, best_level = (np.concatenate([part[column] for part in parts]) for column in (0, 1))
    overlapping, crossing = (sum(part[2][column] for part in parts) for column in (0, 1))
    return MaskAgreement(best, best_level, overlapping, crossing, len(views)), 1.0 - float(touched.mean())


def _first_bits(codes: np.ndarray, count: int) -> np.ndarray:
    """The bits of `count` masks out of packed memberships [N, W] uint64, which may say more; [N, ceil(count / 64)]."""
    kept = codes[:, : -(-count // 64)].copy()
    if count % 64:
        kept[:, -1] &= np.uint64((1 << count % 64) - 1)
    return kept


def _of_view(
    tree: Tree, codes: np.ndarray, seen: np.ndarray, shown: np.ndarray, counted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Best IoU of the masks that count with any node and with a shown one, and their overlapping and crossing pairs."""
    from .kernels.quality_cpu import best_nodes_cpu, crossings_cpu, seen_tree_cpu

    best, best_shown, sizes = np.zeros(len(counted)), np.zeros(len(counted)), np.zeros(len(counted), np.int64)
    if len(codes) > 0:
        best_nodes_cpu(*seen_tree_cpu(tree.parents, seen, shown), codes, best, best_shown, sizes)
    counted = counted & (sizes >= _MIN_POINTS)
    return best[counted], best_shown[counted], crossings_cpu(codes, counted, _OVERLAP)


def _on_surface(masks: MaskSet, depth: np.ndarray) -> np.ndarray:
    """Which masks show a surface at least in half of their pixels [M], bool."""
    from ..lift.kernels.votes_cpu import count_members

    bits, solid = masks.bits.reshape(-1, masks.bits.shape[-1]), resize_nearest(depth > 0, masks.shape).ravel()
    members = np.zeros((1, 64 * bits.shape[1]), np.int64)
    count_members(bits, solid, np.zeros(len(bits), np.int64), members)
    return members[0, : len(masks)] >= _ON_SURFACE * masks.areas


@dataclass(frozen=True)
class ViewMaps:
    """What is compared of some views.

    Attributes:
        scene: The scene.
        labels: Label maps at the automatic levels, by split and index of the view.
        depth: Rendered depth [H, W], likewise.
    """

    scene: Scene
    labels: dict[tuple[str, int], LabelStack]
    depth: dict[tuple[str, int], np.ndarray]


def read_maps(
    scene: Scene,
    rendered: Callable[[str, int], RenderedView],
    labels: Callable[[str, int], LabelStack],
    is_level: np.ndarray,
) -> ViewMaps:
    """Read the label maps at the automatic levels, `is_level` [L], and the depth of the views that are looked at."""
    wanted = {(split, index) for split in scene.splits for index in chosen_views(scene, split)}
    wanted |= {("train", index) for pair in _pairs(scene) for index in pair}

    def read(view: tuple[str, int]) -> tuple[LabelStack, np.ndarray]:
        return labels(*view).at(is_level), rendered(*view).depth

    views = sorted(wanted)
    pixels = max(int(split.normalised_cameras.sizes.prod(axis=1).max(initial=0)) for split in scene.splits.values())
    found = list(in_threads(read, views, workers=workers_for(_BYTES_PER_PIXEL * pixels)))
    chains, depths = (dict(zip(views, column, strict=True)) for column in zip(*found, strict=True))
    return ViewMaps(scene, chains, depths)


def chosen_views(scene: Scene, split: str) -> list[int]:
    """A few views of a split, evenly spread."""
    count = len(scene.splits[split])
    return np.unique(np.linspace(0, count - 1, min(_MOST_VIEWS, count)).round().astype(int)).tolist()


def _pairs(scene: Scene) -> list[tuple[int, int]]:
    """A few training views, each with its nearest neighbour; none for a single one."""
    cameras = scene.train.normalised_cameras
    if len(cameras) < 2:
        return []
    return [(index, _neighbor(cameras, index)) for index in chosen_views(scene, "train")]


def view_agreement(maps: ViewMaps, voxel: float) -> ViewAgreement | None:
    """Compare the labels of training views with those of their nearest neighbours; `voxel` in normalised units."""
    pairs = _pairs(maps.scene)
    if not pairs:
        return None
    cameras = maps.scene.train.normalised_cameras

    def compare(pair: tuple[int, int]) -> tuple[np.ndarray, int]:
        depth, depth_other = (maps.depth["train", view] for view in pair)
        cells = common_pixels(depth, depth_other, cameras[list(pair)], _SAME_PLACE * voxel)
        here, there = (maps.labels["train", view] for view in pair)
        chosen = np.flatnonzero((cells >= 0) & (here.map(0).ravel() >= 0))
        both = distinct_pairs(here.index.ravel()[chosen], there.index.ravel()[cells[chosen]])
        ids, ids_other = here.columns[both.first], there.columns[both.second]  # [Q, L]
        scores = [_same_ids(*columns, both.counts) for columns in zip(ids.T, ids_other.T, strict=True)]
        return np.array(scores), len(chosen)

    found = list(in_threads(compare, pairs, workers=workers_for(0)))
    same, iou = sum(scores for scores, _ in found).T
    pixels = sum(count for _, count in found)
    if pixels == 0:
        same = iou = np.full(len(same), np.nan)
    return ViewAgreement(same / max(pixels, 1), iou / max(pixels, 1), len(pairs))


def _neighbor(cameras: Cameras, index: int) -> int:
    """The camera nearest to camera `index` among those that look the same way, if there is one."""
    distance = np.linalg.norm(cameras.c2w[:, :, 3] - cameras.c2w[index, :, 3], axis=1)
    aligned = cameras.c2w[:, :, 2] @ cameras.c2w[index, :, 2] > 0.5  # within 60°
    distance = np.where(aligned | (np.arange(len(cameras)) == index), distance, distance + 1e6)
    distance[index] = np.inf
    return int(np.argmin(distance))


def common_pixels(depth: np.ndarray, depth_other: np.ndarray, cameras: Cameras, tolerance: float) -> np.ndarray:
    """For every pixel of one view the pixel of another that shows the same place.

    Args:
        depth: z-depth of the first view [H, W]; 0 where nothing is seen.
        depth_other: z-depth of the second [H', W'].
        cameras: The two cameras, in the frame of the depths.
        tolerance: By how much the depth of the place may differ in the second view.

    Returns:
        Row-major indices into the second view [H · W], int64; −1 where it does not see the place.
    """
    height, width = depth_other.shape
    sizes = np.array([depth.shape[::-1], depth_other.shape[::-1]])
    cameras = cameras.resized(sizes)
    pixels, z = project(cameras, 1, back_project(cameras, 0, depth).reshape(-1, 3).astype(np.float64))
    cells = pixel_indices(pixels, width, height)
    found = depth_other.ravel()[np.maximum(cells, 0)]
    return np.where((cells >= 0) & (found > 0) & (np.abs(z - found) <= tolerance), cells, -1)


def _same_ids(here: np.ndarray, there: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Over pixels with ids in two views: the number of equal ones, and the summed IoU of each one's segment.

    Args:
        here, there: Ids of Q kinds of pixels in the two views [Q].
        counts: Pixels of each kind [Q].
    """
    equal = here == there
    ids, inverse = np.unique(here, return_inverse=True)
    if len(ids) == 0:
        return 0.0, 0.0
    pixels = np.bincount(inverse, counts, len(ids))
    shared = np.bincount(inverse, counts * equal, len(ids))
    place = np.minimum(np.searchsorted(ids, there), len(ids) - 1)
    elsewhere = np.bincount(place, counts * (ids[place] == there), len(ids))
    iou = shared / (pixels + elsewhere - shared)
    return float((counts * equal).sum()), float((pixels * iou).sum())


def broken_segments(partitions: Iterable[np.ndarray]) -> int:
    """Segments of a partition that do not lie in one segment of the next coarser one, counted over all of them.

    Args:
        partitions: Segment of each of N points, [N] each, non-negative and without large gaps, finest first.

    >>> broken_segments([np.array([0, 1, 1]), np.array([2, 2, 3])])
    1
    """
    broken, fine = 0, None
    for coarse in partitions:
        if fine is not None:
            segments = int(fine.max(initial=-1)) + 1
            member, divided = np.zeros(segments, np.int64), np.zeros(segments, bool)
            member[fine] = np.arange(len(fine))  # a point of each segment
            divided[fine[coarse[member[fine]] != coarse]] = True
            broken += int(divided.sum())
        fine = coarse
    return broken


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of the views of one split that were looked at.

    Attributes:
        solid: Those that show a surface.
        unlabelled: Those among them without a label.
        steps: Labelled pixels times steps from a level to the next coarser one.
        broken: Steps at which the finer label is no part of the coarser one.
    """

    solid: int
    unlabelled: int
    steps: int
    broken: int


def count_pixels(table: list[np.ndarray], maps: ViewMaps, split: str) -> PixelCounts:
    """Count missing labels and broken steps in a few views of a split; `table` as for `mask_agreement`."""
    counts = np.zeros(4, np.int64)
    member = np.zeros(2 * len(table[0]), np.int64)
    views = [(maps.labels[split, index], maps.depth[split, index] > 0) for index in chosen_views(maps.scene, split)]
    for labels, solid in views:
        pixels = np.bincount(labels.index.ravel(), minlength=len(labels.columns))  # of each chain
        labelled = labels.columns[:, 0] >= 0
        chains, weights, broken = labels.columns[labelled], pixels[labelled], 0
        for level in range(chains.shape[1] - 1):
            member[table[level]] = np.arange(len(table[level]))  # a point of each segment
            expected = table[level + 1][member[chains[:, level]]]
            broken += int(weights[expected != chains[:, level + 1]].sum())
        unlabelled = (solid & ~labelled[labels.index]).sum()
        counts += solid.sum(), unlabelled, weights.sum() * (chains.shape[1] - 1), broken
    return PixelCounts(*counts.tolist())
