"""How well neighbouring views agree on their labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras
from ..cameras.projection import back_project, pixel_indices, project
from ..labels.stack import LabelStack, distinct_pairs
from ..parallel import in_threads, workers_for
from ..scene import Scene

_MOST_VIEWS = 8  # of each split whose label maps are looked at
_SAME_PLACE = 3.0  # voxels between what two views show at the same place
_AT_ONCE = 1 << 18  # pixels that are carried into another view together
_BYTES_PER_PIXEL = 60  # working memory of a view


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class ViewMaps:
    """Label maps and depth of the views that are compared.

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
    depth_of: Callable[[str, int], np.ndarray],
    labels: Callable[[str, int], LabelStack],
    is_level: np.ndarray,
) -> ViewMaps:
    """Read the label maps at the automatic levels, `is_level` [L], and the depth of the views that are looked at."""
    wanted = {(split, index) for split in scene.splits for index in chosen_views(scene, split)}
    wanted |= {("train", index) for pair in _pairs(scene) for index in pair}

    def read(view: tuple[str, int]) -> tuple[LabelStack, np.ndarray]:
        return labels(*view).at(is_level), depth_of(*view)

    views = sorted(wanted)
    maps = list(in_threads(read, views, workers=workers_for(_BYTES_PER_PIXEL * scene.most_pixels)))
    stacks = {view: stack for view, (stack, _) in zip(views, maps, strict=True)}
    return ViewMaps(scene, stacks, {view: depth for view, (_, depth) in zip(views, maps, strict=True)})


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

    results = list(in_threads(compare, pairs, workers=workers_for(0)))
    same, iou = np.sum([scores for scores, _ in results], axis=0).T
    pixels = sum(count for _, count in results)
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
    places, cells = back_project(cameras, 0, depth).reshape(-1, 3), np.empty(depth.size, np.int64)
    for first in range(0, len(places), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        pixels, z = project(cameras, 1, places[part].astype(np.float64))
        found = pixel_indices(pixels, width, height)
        there = depth_other.ravel()[np.maximum(found, 0)]
        cells[part] = np.where((found >= 0) & (there > 0) & (np.abs(z - there) <= tolerance), found, -1)
    return cells


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
