"""Depth maps of many views to one thinned, oriented point surface that knows who sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..cameras import Cameras, Similarity
from ..cameras.projection import back_project
from ..parallel import in_threads, workers_for
from .median import median_of_parts
from .samples import focal_length, view_arguments
from .shells import doublings
from .sight import look
from .spacing import nearest_points
from .surface import Surface, pack_flags
from .voxels import SPARE, VoxelSums, fuse, voxel_keys

MAX_POINTS = 250_000  # the automatic voxel grows until no more points remain
_PIXELS_TO_ESTIMATE = 1 << 22  # pixels from which the number of occupied voxels is estimated
FOOTPRINTS_PER_VOXEL = 0.6  # many views see each spot, so points may lie denser than the pixels of one of them
_COMPANY = 2.0  # voxels; a point without another one within that distance is noise
_DISTRUST = 2  # a point goes unless this many times as many views see it as see through it
_BYTES_PER_PIXEL, _BYTES_PER_POINT = 200, 150  # working memory of `view_sums`, with a voxel per pixel, and `look`


@dataclass(frozen=True, eq=False)
class DepthMap:
    """Depth map of one view: z-depth [H, W] float32, 0 for none, and colour [H, W, 3] in 0 … 255."""

    depth: np.ndarray
    color: np.ndarray

    @classmethod
    def colored(cls, depth: np.ndarray, image: np.ndarray) -> DepthMap:
        """A depth map with the colours of a picture [h, w, 3] uint8 of any size."""
        if image.shape[:2] != depth.shape:
            import cv2

            image = cv2.resize(image, depth.shape[::-1], interpolation=cv2.INTER_AREA)
        return cls(depth, image)


class NoSurface(Exception):
    """Depth maps show no surface; the text says why."""


def fuse_depth_maps(
    maps: Sequence[DepthMap], cameras: Cameras, to_user: Similarity, voxel: float | None, *, inner: float = np.inf
) -> Surface:
    """Fuse depth maps into voxel-thinned points, and drop what is alone or seen through.

    A pixel counts if it lies on a continuous patch of its depth map; a point is the mean of the pixels in its voxel and
    stays if it has company and clearly more views see it than see through it. Views that show nothing are fine as long
    as others do.

    Args:
        maps: V depth maps in normalised units; each is asked for up to six times, in any of several threads.
        cameras: V cameras, normalised frame.
        to_user: From the normalised to the user's frame; the surface keeps it.
        voxel: Edge of the voxels, normalised units; None chooses one from the pixels' footprint, large enough for at
            most 250,000 points.
        inner: Half the edge of the box around the origin outside of which points lie farther apart; see `shells`.

    Returns:
        The surface, its points in the lexicographic order of their voxels.

    Raises:
        NoSurface: No pixel is left.
    """
    from .kernels.voxels_cpu import view_sums

    sizes = list(in_threads(lambda index: maps[index].depth.shape[::-1], range(len(maps))))
    cameras = cameras.resized(np.array(sizes, np.int64).reshape(-1, 2))
    edge = _automatic_voxel(maps, cameras, inner) if voxel is None else voxel

    def samples(index: int) -> np.ndarray:
        return view_sums(*view_arguments(maps[index].depth, maps[index].color, cameras, index), edge, float(inner))

    rows = in_threads(samples, range(len(maps)), workers=_view_workers(cameras))
    sums = fuse(rows, edge, inner, most=MAX_POINTS if voxel is None else None)
    sums = VoxelSums(sums.table[_in_company(sums)], sums.voxel, inner)
    if len(sums) == 0:
        raise NoSurface("no depth map has a continuous patch")
    return _seen_surface(sums, maps, cameras, to_user)


def _view_workers(cameras: Cameras) -> int:
    """How many depth maps of the cameras' sizes to take samples from at once."""
    return workers_for(_BYTES_PER_PIXEL * int(cameras.sizes.prod(axis=1).max(initial=0)))


def _automatic_voxel(maps: Sequence[DepthMap], cameras: Cameras, inner: float) -> float:
    """A voxel for the pixels' footprint, but not one so small that far too many would be occupied.

    Their number is estimated from every `stride`-th row and column, in voxels larger by the same factor: large pictures
    then cost no more memory and little more time than small ones.
    """
    voxel = FOOTPRINTS_PER_VOXEL * _median_footprint(maps, cameras, inner)
    stride = int(np.ceil(np.sqrt(cameras.sizes.prod(axis=1).sum() / _PIXELS_TO_ESTIMATE)))
    if stride == 1:
        return voxel
    from .kernels.voxels_cpu import strided_keys

    def occupied(index: int) -> np.ndarray:
        depth, _, x, y, pose, *_ = view_arguments(maps[index].depth, maps[index].color, cameras, index)
        keys = np.empty(depth[::stride, ::stride].size, np.int64)
        return _distinct(keys[: strided_keys(depth, x, y, pose, stride, stride * voxel, float(inner), keys)])

    keys = np.concatenate(list(in_threads(occupied, range(len(maps)), workers=_view_workers(cameras))))
    expected = stride**2 * len(_distinct(keys))
    return voxel * max(1.0, float(np.sqrt(expected / (SPARE * MAX_POINTS))))


def _distinct(keys: np.ndarray) -> np.ndarray:
    """Each key once; `np.unique` takes many times as long, and holds the interpreter's lock."""
    keys = np.sort(keys)
    return keys[np.diff(keys, prepend=-1) != 0]


def _median_footprint(maps: Sequence[DepthMap], cameras: Cameras, inner: float) -> float:
    """Median edge of the surface patch behind one pixel; where voxels are larger, that part of it."""

    def footprints(index: int) -> np.ndarray:
        depth = maps[index].depth
        footprint = depth[depth > 0] / focal_length(cameras, index)
        if np.isinf(inner):
            return footprint
        return footprint / np.exp2(doublings(back_project(cameras, index, depth)[depth > 0], inner))

    median = median_of_parts(footprints, len(maps), workers=_view_workers(cameras))
    if np.isnan(median):
        raise NoSurface("no pixel of any view is opaque")
    return median


def _in_company(sums: VoxelSums) -> np.ndarray:
    """Which points have another one nearby [K] bool; where pixels are larger than voxels, nearby is farther."""
    if len(sums) < 2:
        return np.zeros(len(sums), bool)
    from .kernels.company_cpu import company_cpu

    points, footprint = sums.means(0, 3), sums.means(9, 10)[:, 0]
    near, company = _COMPANY * np.maximum(sums.edges, footprint), np.full(len(sums), -1, np.int8)
    keys, count = voxel_keys(sums.table, sums.voxel), workers_for(0)
    # A mean on the border of its voxel may round into the next one: then points are not in the order of voxels.
    if np.isinf(sums.inner) and bool((np.diff(keys) > 0).all()):
        ends = np.linspace(0, len(sums), count + 1).astype(int).tolist()
        spans = [(points, keys, float(sums.voxel), near, *span, company) for span in pairwise(ends)]
        list(in_threads(lambda span: company_cpu(*span), spans, workers=count))
    open_ones = np.flatnonzero(company < 0)  # or where nearby is far away
    if len(open_ones):
        distances, _ = nearest_points(points, 2, of=points[open_ones])
        company[open_ones] = distances[:, 1] <= near[open_ones]
    return company > 0


def _seen_surface(sums: VoxelSums, maps: Sequence[DepthMap], cameras: Cameras, to_user: Similarity) -> Surface:
    """The points that clearly more views see than see through, with what each view sees."""
    points, normals, edges = sums.means(0, 3), sums.means(3, 6), sums.edges
    balance, visible = np.zeros(len(sums), np.int64), np.empty((len(maps), (len(sums) + 7) // 8), np.uint8)

    def sight_of(index: int) -> np.ndarray:
        sight = look(points, normals, maps[index].depth, cameras, index, edges)
        visible[index] = pack_flags(sight.sees)
        return sight.sees - np.int8(_DISTRUST) * sight.passes  # int8

    workers = workers_for(_BYTES_PER_POINT * len(sums))
    for votes in in_threads(sight_of, range(len(maps)), workers=workers):
        balance += votes
    keep = _flags(np.bitwise_or.reduce(visible, axis=0), len(sums)) & (balance >= 0)
    if not keep.any():
        raise NoSurface("the depth maps contradict each other everywhere")
    kept = in_threads(lambda row: pack_flags(_flags(row, len(sums))[keep]), visible, workers=workers)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return Surface._trusted(
        points=points[keep].astype(np.float32),
        normals=(normals / np.maximum(length, 1e-12))[keep].astype(np.float32),
        colors=np.rint(sums.means(6, 9)[keep]).astype(np.uint8),
        visible=np.stack(list(kept)),
        voxel=sums.voxel,
        to_user=to_user,
        inner=sums.inner,
    )


def _flags(packed: np.ndarray, count: int) -> np.ndarray:
    """Undo `pack_flags` of `count` flags."""
    return np.unpackbits(packed, count=count, bitorder="little").astype(bool)
