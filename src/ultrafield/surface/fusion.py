"""Depth maps of many views to one thinned, oriented point surface that knows who sees it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..cameras import Cameras, Similarity
from ..cameras.projection import back_project
from ..parallel import in_threads, workers_for
from .samples import focal_length, view_arguments
from .shells import doublings
from .sight import look
from .spacing import nearest_points
from .surface import Surface, pack_flags
from .voxels import SPARE, VoxelSums, fuse, voxel_keys

MAX_POINTS = 250_000  # the automatic voxel grows until no more points remain
_PIXELS_GLANCED_AT = 1 << 22  # of all views together, from which a voxel is chosen
FOOTPRINTS_PER_VOXEL = 0.6  # many views see each spot, so points may lie denser than the pixels of one of them
_COMPANY = 2.0  # voxels; a point without another one within that distance is noise
_DISTRUST = 2  # a point goes unless this many times as many views see it as see through it
_BYTES_PER_PIXEL, _BYTES_PER_VOXEL = 60, 250  # of a view that is read, and of its sums while they grow
_BYTES_PER_POINT = 150  # working memory of `look`


class NoSurface(Exception):
    """Depth maps show no surface; the text says why."""


def fuse_depth_maps(
    depths: Sequence[np.ndarray],
    colors: Sequence[np.ndarray],
    cameras: Cameras,
    to_user: Similarity,
    voxel: float | None,
    *,
    inner: float = np.inf,
) -> Surface:
    """Fuse depth maps into voxel-thinned points, and drop what is alone or seen through.

    A pixel counts if it lies on a continuous patch of its depth map; a point is the mean of the pixels in its voxel and
    stays if it has company and clearly more views see it than see through it. Views that show nothing are fine as long
    as others do.

    Args:
        depths: z-depth of V views, each [H, W] float32, normalised units, 0 for none; each is asked for three times, in
            any of several threads.
        colors: Their pictures, each [h, w, 3] in 0 … 255 and of any size; each is asked for once, likewise.
        cameras: V cameras, normalised frame; their pictures may be of another size than the depth maps.
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

    if voxel is None:
        cameras, edge, estimated = _automatic_voxel(depths, cameras, inner)
    else:
        sizes = list(in_threads(lambda index: _size(depths[index]), range(len(depths))))
        cameras, edge, estimated = _sized(cameras, sizes), voxel, False

    def samples(index: int) -> np.ndarray:
        depth = depths[index]
        color = _resized(colors[index], depth.shape)
        return view_sums(*view_arguments(depth, color, cameras, index), edge, float(inner))

    pixels = cameras.most_pixels
    voxels = min(pixels, SPARE * MAX_POINTS) if estimated else pixels
    workers = workers_for(_BYTES_PER_PIXEL * pixels + _BYTES_PER_VOXEL * voxels)
    rows = in_threads(samples, range(len(depths)), workers=workers)
    sums = fuse(rows, edge, inner, most=MAX_POINTS if voxel is None else None)
    sums = VoxelSums(sums.table[_in_company(sums)], sums.voxel, inner)
    if len(sums) == 0:
        raise NoSurface("no depth map has a continuous patch")
    return _seen_surface(sums, depths, cameras, to_user)


def _resized(color: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A picture [h, w, 3] of the shape of a depth map."""
    if color.shape[:2] == shape:
        return color
    import cv2

    return cv2.resize(color, shape[::-1], interpolation=cv2.INTER_AREA)


def _size(depth: np.ndarray) -> tuple[int, int]:
    """Width and height of a depth map."""
    return depth.shape[1], depth.shape[0]


def _sized(cameras: Cameras, sizes: Iterable[tuple[int, int]]) -> Cameras:
    """The cameras with pictures of the depth maps' sizes."""
    return cameras.resized(np.array(list(sizes), np.int64).reshape(-1, 2))


@dataclass(frozen=True)
class _Glance:
    """Some of the pixels of a depth map, P of which show a surface.

    Attributes:
        size: Width and height of the map.
        stride: Only every so manieth row and column is looked at.
        places: Where the pixels lie [P, 3], float32, normalised frame.
        footprints: Edge of the patch behind each of them [P], float32.
    """

    size: tuple[int, int]
    stride: int
    places: np.ndarray
    footprints: np.ndarray


def _glance(depth: np.ndarray, camera: Cameras, most: float) -> _Glance:
    """Look at no more than so many pixels of a depth map, at all of them if none of these shows a surface."""
    size = _size(depth)
    camera = _sized(camera, [size])
    for stride in (max(1, int(np.ceil(np.sqrt(depth.size / most)))), 1):
        places, z = back_project(camera, 0, depth, stride=stride), depth[::stride, ::stride]
        seen = np.isfinite(places[..., 0])
        if stride == 1 or seen.any():
            break
    return _Glance(size, stride, places[seen], z[seen] / focal_length(camera, 0))


def _automatic_voxel(depths: Sequence[np.ndarray], cameras: Cameras, inner: float) -> tuple[Cameras, float, bool]:
    """A voxel for the pixels' footprint, but not one so small that far too many would be occupied.

    It is that part of the median edge of the surface patch behind one pixel. How many would be occupied is estimated
    from some of the pixels, in voxels as much larger as these are farther apart: however large the pictures and many
    the views, that takes the same memory.

    Returns:
        The cameras at the depth maps' sizes; the voxel; and whether the number of occupied ones was estimated.
    """
    from .kernels.voxels_cpu import place_keys

    most = max(1.0, _PIXELS_GLANCED_AT / max(1, len(depths)))
    workers = workers_for(_BYTES_PER_PIXEL * cameras.most_pixels)
    glances = list(
        in_threads(lambda index: _glance(depths[index], cameras[[index]], most), range(len(depths)), workers=workers)
    )
    cameras = _sized(cameras, (glance.size for glance in glances))
    footprints = [glance.footprints for glance in glances if len(glance.footprints)]
    if not footprints:
        raise NoSurface("no pixel of any view is opaque")
    if np.isfinite(inner):  # where voxels are larger, that part of it
        footprints = [glance.footprints / np.exp2(doublings(glance.places, inner)) for glance in glances]
    voxel = FOOTPRINTS_PER_VOXEL * float(np.median(np.concatenate(footprints)))
    stride = max(glance.stride for glance in glances)
    if stride == 1:
        return cameras, voxel, False
    keys, first = np.empty(sum(len(glance.places) for glance in glances), np.int64), 0
    for glance in glances:
        place_keys(glance.places, stride * voxel, float(inner), keys[first : first + len(glance.places)])
        first += len(glance.places)
    keys.sort()  # `np.unique` takes many times as long
    expected = stride**2 * (np.count_nonzero(keys[1:] != keys[:-1]) + 1)
    return cameras, voxel * max(1.0, float(np.sqrt(expected / (SPARE * MAX_POINTS)))), True


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


def _seen_surface(sums: VoxelSums, depths: Sequence[np.ndarray], cameras: Cameras, to_user: Similarity) -> Surface:
    """The points that clearly more views see than see through, with what each view sees."""
    points, normals, edges = sums.means(0, 3), sums.means(3, 6), sums.edges
    balance, visible = np.zeros(len(sums), np.int64), np.empty((len(depths), (len(sums) + 7) // 8), np.uint8)

    def sight_of(index: int) -> np.ndarray:
        sight = look(points, normals, depths[index], cameras, index, edges)
        visible[index] = pack_flags(sight.sees)
        return sight.sees - np.int8(_DISTRUST) * sight.passes  # int8

    workers = workers_for(_BYTES_PER_POINT * len(sums) + _BYTES_PER_PIXEL * cameras.most_pixels)
    for votes in in_threads(sight_of, range(len(depths)), workers=workers):
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
