"""Label maps of any view: neighbours are looked up once per view, and every cut is a table look-up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cameras import Cameras
from ..cameras.projection import back_project
from ..config import SegmentConfig
from ..errors import check_shape
from ..parallel import in_threads
from ..surface import Surface, check_depths
from ..ultrametric import Tree
from ..ultrametric.levels import levels
from .stack import LabelStack

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

    from ..field import RadianceField
    from .on_device import DeviceLabeller

_AT_ONCE = 1 << 18  # pixels whose neighbours are looked up together
_CUTS_AT_ONCE, _ROWS_AT_ONCE = 16, 1 << 12  # of a table of cuts: as many as fill the lines of a cache, and fit in it


class ViewLabeller:
    """Labels views with the cuts of a tree; holds the points in an order to be searched, and the segment of every one.

    Args:
        surface: N points, the leaves of the tree.
        tree: A merge tree over them.
        heights: Where to cut it [L].
        config: Settings (`label_neighbors`, `label_radius`); the defaults if None.
        workers: Threads that look for neighbours, −1 for one per CPU. Several views may also be labelled at once, each
            in a thread of the caller's: take one worker then. On a device there are none.
        device: Where views are labelled: "cpu", or a CUDA device, which is used if the points lie equally far apart.
        table: In place of the cuts of the tree, the label of every point at L levels [N, L], int32; −1 for none.

    Raises:
        ValueError: Surface and tree have different numbers of points.
    """

    def __init__(
        self,
        surface: Surface,
        tree: Tree,
        heights: np.ndarray,
        config: SegmentConfig | None = None,
        *,
        workers: int = -1,
        device: str = "cpu",
        table: np.ndarray | None = None,
    ) -> None:
        if tree.num_leaves != len(surface):
            raise ValueError(f"tree: expected {len(surface)} leaves, one per surface point, got {tree.num_leaves}")
        config = config or SegmentConfig()
        self._surface, self._voters = surface, config.label_neighbors
        self._reach = config.label_radius * surface.spacings  # of each point
        self._radius = float(self._reach.max(initial=config.label_radius * surface.voxel))
        self._uniform = bool(np.isinf(surface.inner))
        self._workers = workers
        self._points_at = LabelStack.of((cut_table(tree, heights) if table is None else table).T[:, :, None])
        self._device_labeller = None if device == "cpu" else self._labeller_on(device)
        self._search = None if self.on_device else self._search_tree()

    @property
    def on_device(self) -> bool:
        """Whether views are labelled on a CUDA device."""
        return self._device_labeller is not None

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Node ids [L, H, W], int32, −1 for none, of pixels that see `points` [H, W, 3]; see `nearest`."""
        return self.stack(points).expand()

    def stack(self, points: np.ndarray) -> LabelStack:
        """The same node ids as a stack, in which pixels that are alike at all cuts share one column."""
        if self._device_labeller is not None:
            check_shape("points", points, (None, None, 3))
            return self._device_labeller.stack(points)
        return vote(self._points_at, self.nearest(points))

    def _labeller_on(self, device: str) -> DeviceLabeller | None:
        from .on_device import DeviceLabeller

        if not DeviceLabeller.suits(self._surface, self._radius, self._voters):
            return None
        return DeviceLabeller(self._surface, self._points_at, self._voters, self._radius, device)

    def _search_tree(self) -> cKDTree:
        from scipy.spatial import cKDTree

        return cKDTree(self._surface.points)

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """The surface points that vote on each pixel.

        Args:
            points: What each pixel sees [H, W, 3], the surface's frame; NaN where nothing.

        Returns:
            Indices, nearest first [H, W, K], int32; −1 after the last one within the radius.
        """
        check_shape("points", points, (None, None, 3))
        search = self._search_tree() if self._search is None else self._search
        height, width, _ = points.shape
        voters = np.full((height, width, self._voters), -1, np.int32)
        ranks, rows = np.arange(1, self._voters + 1), max(1, _AT_ONCE // max(1, width))
        for first in range(0, height, rows):
            band = points[first : first + rows]
            seen = np.isfinite(band).all(axis=2)
            distance, index = search.query(
                band[seen], k=ranks, distance_upper_bound=self._radius, workers=self._workers
            )
            voters[first : first + rows][seen] = np.where(index < search.n, index, -1)
            if not self._uniform:
                voters[first : first + rows][seen] = self._within(np.asarray(distance), np.asarray(index))
        return voters

    def _within(self, distance: np.ndarray, index: np.ndarray) -> np.ndarray:
        """The voters [P, K] of which each reaches that far, nearest first, −1 after the last."""
        near = np.where(distance <= np.append(self._reach, -np.inf)[index], index, -1)
        order = np.argsort(near < 0, axis=1, kind="stable")
        return np.take_along_axis(near, order, axis=1)


def label_views(
    tree: Tree,
    surface: Surface,
    cameras: Cameras,
    *,
    field: RadianceField | None = None,
    depths: Sequence[np.ndarray] | np.ndarray | None = None,
    heights: np.ndarray | None = None,
    config: SegmentConfig | None = None,
) -> Iterator[NDArray[np.int32]]:
    """Label maps of what any cameras see, one after the other.

    Args:
        tree: A merge tree over the surface's points.
        surface: N points.
        cameras: V cameras, user's frame.
        field: The radiance field that the surface is from, to be rendered; needs PyTorch.
        depths: In place of the field, z-depth of every camera, each [H, W], user's units; 0 or NaN for nothing. Maps
            may be of another size than the cameras' pictures, and so are then the label maps.
        heights: Where to cut the tree [L]; its automatic levels if None.
        config: Settings (`label_neighbors`, `label_radius`); the defaults if None.

    Yields:
        Node ids [L, H, W], int32; −1 for none.

    Raises:
        ValueError: Surface and tree have different numbers of points; neither field nor depths, or both; depth maps of
            another number than the cameras, or none of a picture's shape.
    """
    if (field is None) == (depths is None):
        raise ValueError("depths: expected either a field or depth maps, got " + ("none" if field is None else "both"))
    cameras = cameras.moved(surface.to_user.inverse())
    if field is None:
        assert depths is not None
        points = depth_points(check_depths(depths, cameras), cameras, surface.to_user.scale)
    else:
        from ..field.render import render_views  # needs torch

        views = render_views(field, cameras, range(len(cameras)))
        points = (view_points(picture.depth, cameras, index) for index, picture in enumerate(views))
    return label_points(tree, surface, points, levels(tree) if heights is None else heights, config=config)


def depth_points(depths: Sequence[np.ndarray], cameras: Cameras, scale: float) -> Iterator[np.ndarray]:
    """Points that the pixels of V depth maps see [H, W, 3], float32, frame of `cameras`; NaN for nothing.

    Args:
        depths: z-depth [H, W], user's units.
        cameras: V cameras, normalised frame.
        scale: User's units per normalised unit.
    """
    for index, depth in enumerate(depths):
        yield view_points(depth.astype(np.float64) / scale, cameras, index)


def label_points(
    tree: Tree,
    surface: Surface,
    points: Iterable[np.ndarray],
    heights: np.ndarray,
    *,
    config: SegmentConfig | None = None,
) -> Iterator[NDArray[np.int32]]:
    """Label maps of views, one after the other.

    A pixel takes the most frequent segment among the nearest surface points of what it sees, none if they are farther
    than the radius. Ids are those of the tree: a segment has the same one in every view and at every cut.

    Args:
        tree: A merge tree over the surface's points.
        surface: N points.
        points: For each view what its pixels see [H, W, 3], the surface's frame, NaN for nothing; see `view_points`.
        heights: Where to cut the tree [L].
        config: Settings (`label_neighbors`, `label_radius`); the defaults if None.

    Yields:
        Node ids [L, H, W], int32; −1 for none.

    Raises:
        ValueError: Surface and tree have different numbers of points.
    """
    labeller = ViewLabeller(surface, tree, heights, config)
    return (labeller(view) for view in points)


def view_points(depth: np.ndarray, cameras: Cameras, index: int) -> np.ndarray:
    """Points that the pixels of a depth map see [H, W, 3], float32, normalised frame; NaN for nothing.

    Args:
        depth: z-depth [H, W], normalised units, as rendered with camera `index`, perhaps at another size.
        cameras: Normalised frame.
        index: Which camera.
    """
    size = np.array([depth.shape[::-1]])
    return back_project(cameras[[index]].resized(size), 0, depth)


def cut_table(tree: Tree, heights: np.ndarray) -> np.ndarray:
    """The segment of every leaf at every height [N, L], int32."""
    from ..ultrametric import cut

    table = np.empty((tree.num_leaves, len(heights)), np.int32)
    for first in range(0, len(heights), _CUTS_AT_ONCE):
        some = heights[first : first + _CUTS_AT_ONCE]
        columns = list(in_threads(lambda height: cut(tree, float(height)).astype(np.int32), some))
        for row in range(0, len(table), _ROWS_AT_ONCE):
            rows = slice(row, row + _ROWS_AT_ONCE)
            table[rows, first : first + len(some)] = np.stack([column[rows] for column in columns], axis=1)
    return table


def vote(points: LabelStack, neighbors: np.ndarray) -> LabelStack:
    """The most frequent segment among each pixel's neighbours, at every cut.

    Args:
        points: Segment of every point at every cut, int32; [L, N, 1] as label maps.
        neighbors: [H, W, K], int32, nearest first, −1 after the last, from `ViewLabeller.nearest`.

    Returns:
        Labels of the pixels, int32; −1 where a pixel has no neighbour. Ties go to the nearest point's segment.
    """
    from .kernels.labels_cpu import vote_cpu

    height, width, voters = neighbors.shape
    index = np.empty(height * width, np.int32)
    columns = vote_cpu(points.index[:, 0], points.columns, neighbors.reshape(-1, voters), index)
    return LabelStack(index.reshape(height, width), columns)
